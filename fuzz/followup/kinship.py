"""Buckets that probably have one cause, though they do not look alike.

A bucket follows from another in one of these ways, the surest first:

- the same goes wrong at the same op, on other legs or at other vector lengths;
- the same goes wrong at the same op, and only another of the rules tells that it is wrong;
- the same rule is broken of the same thing, at another op;
- the same rule is broken at the same op, of another register;
- a migration fails in the way of one of the ops that it is made of;
- its case is permitted once what the other's op spoils is taken for granted;
- one wrong specification permits what both did (`fuzz.followup.hypotheses`).

That is no proof: a person or a retest on a later kernel settles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpus.blocks import unbroken
from corpus.case import MAX_OPS, Case
from corpus.ops import Migrate, Op, ReadAll
from corpus.trace import Trace
from db.records import FindingRecord, SignatureRecord
from fuzz.followup.blame import class_of, word_of
from fuzz.followup.cause import KEEPS, VECTOR, slots_of
from fuzz.followup.hypotheses import HYPOTHESES
from fuzz.oracle.conformance import CONFORMANCE, judge
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Agree
from targets.mutants.mutant import Make
from targets.profile import Profile
from targets.spec.adopt import adopt
from targets.spec.model import Model
from targets.spec.stepper import Stepper

COMPARED = 40
"""Earlier buckets that a new one is compared with, at most: each may cost a run."""


@dataclass(frozen=True, slots=True)
class Kin:
    """The bucket of `one` is probably the same as that of `other`, which was there before."""

    one: SignatureRecord
    other: SignatureRecord
    reason: str


class Family:
    """The buckets of a session, and what holds them together."""

    def __init__(self, legs: Everywhere, hypotheses: Mapping[str, Make] = HYPOTHESES) -> None:
        self._legs = legs
        self._hypotheses = hypotheses
        self._members: dict[SignatureRecord, FindingRecord] = {}
        self._ways = (
            *(self._but_for_legs, _but_for_rule, _but_for_op, _but_for_register, _as_part),
            *(self._follows, self._assumed),
        )

    def relate(self, record: FindingRecord) -> Kin | None:
        """The first earlier bucket that a new one probably is the same as; it is a member
        itself from now on. Raises TransportError."""
        new = record.signature
        if new in self._members:
            return None
        earlier = list(self._members.values())[:COMPARED]
        self._members[new] = record
        for way in self._ways:
            for other in earlier:
                reason = way(record, other)
                if reason:
                    return Kin(new, other.signature, reason)
        return None

    def _but_for_legs(self, one: FindingRecord, other: FindingRecord) -> str:
        a, b = one.signature, other.signature
        if (a.oracle, *_cause(a)) != (b.oracle, *_cause(b)):
            return ""
        kinds = {leg.name: leg.kind for leg in self._legs.legs}
        if {kinds.get(leg) for leg in one.deviating} != {kinds.get(leg) for leg in other.deviating}:
            return ""
        where = "on other legs" if a.legs != b.legs else "at other vector lengths"
        return f"the same goes wrong {where}"

    def _follows(self, one: FindingRecord, other: FindingRecord) -> str:
        """Fixing what the other's op spoils by fiat leaves nothing wrong, in the case of
        either."""
        name = _shared_leg(one, other)
        if not name:
            return ""
        for effect, cause in ((one, other), (other, one)):
            if not (_spoils_state(cause.signature) and _is_elsewhere(effect, cause)):
                continue
            if self._permitted_given(effect, cause.signature, name):
                op, what = cause.signature.op_kind, cause.signature.register_class
                return f"nothing is wrong there once what {op} makes of {what} is granted"
        return ""

    def _permitted_given(self, effect: FindingRecord, cause: SignatureRecord, name: str) -> bool:
        case = _looked_at(effect.minimal)
        if case is None:
            return False
        trace = self._legs.leg(name).run(case)
        return permitted_given(case, trace, Model(self._legs.machines[name]), cause)

    def _assumed(self, one: FindingRecord, other: FindingRecord) -> str:
        """Both were permitted if the specification were wrong in one way."""
        name = _shared_leg(one, other)
        if not name:
            return ""
        machine = self._legs.machines[name]
        for about, make in self._hypotheses.items():
            both = (other, one)
            if all(explains(make, each, each.traces[name], machine) for each in both):
                return f"both follow if {about}"
        return ""


def _cause(signature: SignatureRecord) -> tuple[str, ...]:
    return signature.op_kind, signature.rule, signature.register_class


def _but_for_rule(one: FindingRecord, other: FindingRecord) -> str:
    a, b = one.signature, other.signature
    named = any(rule.startswith("isa.") for rule in (a.rule, b.rule))
    alike = (a.op_kind, a.register_class) == (b.op_kind, b.register_class)
    if named or not alike or not a.register_class or not _shared_leg(one, other):
        return ""
    how = "by another rule" if a.rule != b.rule else "on legs of other kinds, too"
    return f"{a.op_kind} goes wrong in the same way, {how}"


def _but_for_op(one: FindingRecord, other: FindingRecord) -> str:
    a, b = one.signature, other.signature
    alike = (a.rule, a.register_class) == (b.rule, b.register_class)
    generic = a.rule == KEEPS or a.rule.startswith("isa.")
    if generic or not alike or not a.register_class or not _shared_leg(one, other):
        return ""
    return f"{a.rule} is broken in the same way, at {b.op_kind}"


def _but_for_register(one: FindingRecord, other: FindingRecord) -> str:
    a, b = one.signature, other.signature
    alike = (a.op_kind, a.rule) == (b.op_kind, b.rule)
    generic = a.rule == KEEPS or a.rule.startswith("isa.")
    if generic or not alike or not (_classes(a) and _classes(b)) or not _shared_leg(one, other):
        return ""
    return f"{a.op_kind} breaks {a.rule} of another register"


_PARTS_OF_A_MIGRATION = frozenset(
    {"init", "finalize", "get", "set", "get-vls", "set-vls", "reg-list"}
)


def _as_part(one: FindingRecord, other: FindingRecord) -> str:
    """One is a migration that fails, or does not, as the other's op does."""
    a, b = one.signature, other.signature
    if {a.op_kind, b.op_kind} & _PARTS_OF_A_MIGRATION and Migrate.word in (a.op_kind, b.op_kind):
        turns = {signature.register_class.partition(":")[2] for signature in (a, b)}
        if len(turns) == 1 and turns != {""} and _shared_leg(one, other):
            part = b if a.op_kind == Migrate.word else a
            return f"a migration holds such a {part.op_kind}, and goes wrong as that does"
    return ""


def _shared_leg(one: FindingRecord, other: FindingRecord) -> str:
    """A leg that does both, and did so as traces tell."""
    if not one.signature.oracle == other.signature.oracle == CONFORMANCE:
        return ""
    shared = set(one.deviating) & set(other.deviating) & set(one.traces) & set(other.traces)
    return min(shared, default="")


def _spoils_state(cause: SignatureRecord) -> bool:
    """Whether a cause leaves a register wrong, from which the rest may follow."""
    return cause.rule == KEEPS or bool(_classes(cause) and not cause.rule.startswith("isa."))


def _classes(cause: SignatureRecord) -> frozenset[str]:
    """The classes of registers that a cause is about; none where it is about an errno, or
    about how something ends."""
    what = cause.register_class
    if what == "vector":
        return VECTOR
    return frozenset() if not what or ":" in what or " " in what else frozenset({what})


def _is_elsewhere(effect: FindingRecord, cause: FindingRecord) -> bool:
    """Whether what is granted is not just what is wrong."""
    a, b = effect.signature, cause.signature
    return (a.op_kind, a.register_class) != (b.op_kind, b.register_class) and not (
        a.rule.startswith("isa.") and a.op_kind == b.op_kind and a.register_class in _classes(b)
    )


def _looked_at(case: Case) -> Case | None:
    """A case with a look at every vcpu after each of its ops, if there is room."""
    ops: list[Op] = []
    whole = unbroken(case.ops)
    for index, op in enumerate(case.ops):
        ops.append(op)
        if index not in whole:
            ops += [ReadAll(slot) for slot in dict.fromkeys(slots_of(ops))]
    return Case(tuple(ops), case.min_vq) if len(ops) <= MAX_OPS else None


def permitted_given(case: Case, trace: Trace, model: Model, cause: SignatureRecord) -> bool:
    """Whether a trace is permitted but for what `cause` says: registers of its class are what
    looks show them to be after its ops, and there is such a look that needs that."""
    classes, granted = _classes(cause), 0
    stepper = Stepper(model, case, trace)
    spoiler = False
    while permitted := stepper.permitted():
        op, seen = stepper.op, stepper.seen
        if isinstance(op, ReadAll) and spoiler and seen is not None:
            adopted = adopt(permitted, seen, lambda label: class_of(label) in classes)
            granted += adopted.changed
            permitted = adopted.permitted
        if stepper.narrow(permitted):
            return False
        spoiler = word_of(op) == cause.op_kind or (spoiler and isinstance(op, ReadAll))
    return granted > 0 and not stepper.stopped


def explains(make: Make, record: FindingRecord, trace: Trace, machine: Profile) -> bool:
    """Whether a wrong specification permits what a finding shows."""
    verdict = judge(record.minimal, trace, machine, make)
    return isinstance(verdict, Agree) and verdict.judged > record.op_index
