"""A case walked through with the specification: what each call does, by which rule, and where one
fails, what order would have worked. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from corpus.case import Case
from corpus.ops import CreateVcpu, Finalize, Init, Migrate, Op
from corpus.text import format_op
from targets.profile import Profile
from targets.spec.errno import error_name
from targets.spec.errors import Unpredictable
from targets.spec.hexdump import show
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.rules import RULES

MOST_VALUES = 12
"""Values of one op that are told."""
WIDTH = 76


@dataclass(frozen=True, slots=True)
class Step:
    """What one op may do. `outcomes`: errnos; `values`: label and what it may be, those that are
    not zero; `order`: what would have made it succeed; `silent`: the specification says no
    more, and why."""

    op: Op
    rule: str
    outcomes: tuple[int, ...]
    values: tuple[tuple[str, str], ...] = ()
    order: str = ""
    silent: str = ""

    @property
    def fails(self) -> bool:
        """Whether it surely fails."""
        return bool(self.outcomes) and 0 not in self.outcomes


def walk(case: Case, profile: Profile) -> Iterator[Step]:
    """Every op in order, up to where the specification says no more. Where an op may do several
    things the first is taken to be what it did."""
    model = Model(profile)
    for number, op in enumerate(case.ops):
        try:
            permitted = model.step(op)
        except Unpredictable as stop:
            yield Step(op, "", (), silent=str(stop))
            return
        outcomes = tuple(dict.fromkeys(outcome.err for outcome in permitted.outcomes))
        step = Step(op, _rule(permitted), outcomes, tuple(_values(permitted)))
        if step.fails:
            step = Step(op, step.rule, outcomes, step.values, better(case, number, profile))
        yield step
        effect = permitted.outcomes[0].effect if permitted.outcomes else permitted.if_done
        if effect:
            effect()


def _rule(permitted: Permitted) -> str:
    """The rule of what is seen: of the instruction that ended a run, where one did."""
    origins = permitted.origins or {}
    return origins.get("mmio address", permitted.rule)


def _values(permitted: Permitted) -> Iterator[tuple[str, str]]:
    outcome = permitted.outcomes[0] if permitted.outcomes else Outcome()
    told = 0
    for part in outcome.parts:
        if not part.label or not _telling(part):
            continue
        if told == MOST_VALUES:
            yield "...", "and more"
            return
        told += 1
        yield part.label, " or ".join(show(c, part.size) for c in part.candidates)


def _telling(part: Part) -> bool:
    """Whether it is neither surely zero nor anything at all."""
    if len(part.candidates) > 1:
        return True
    value, mask = part.candidates[0]
    return bool(value) or 0 < mask < (1 << 8 * part.size) - 1


def better(case: Case, number: int, profile: Profile) -> str:
    """The least change of order that makes op `number` succeed where it stands, or earlier; empty
    if there is none of the kinds that are tried."""
    ops = case.ops
    for other in _otherwise(ops, number):
        if _succeeds((*ops[:number], other), profile):
            return f"as `{_line(other)}` it succeeds"
    for at in range(number - 1, -1, -1):
        if _succeeds((*ops[:at], ops[number]), profile):
            return f"before step {at + 1} (`{_line(ops[at])}`) it succeeds"
    for missing in _missing(ops, number):
        said = ", ".join(f"`{_line(op)}`" for op in missing)
        for at in range(number, -1, -1):
            if _succeeds((*ops[:at], *missing, *ops[at : number + 1]), profile):
                where = "right before it" if at == number else f"before step {at + 1}"
                return f"with {said} {where} it succeeds"
    for at in range(number - 1, -1, -1):
        if _succeeds((*ops[:at], *ops[at + 1 : number + 1]), profile):
            return f"without step {at + 1} (`{_line(ops[at])}`) it succeeds"
    return ""


def _otherwise(ops: Sequence[Op], number: int) -> Iterator[Op]:
    """The same op with the features that an earlier INIT had: those of a VM are alike."""
    op = ops[number]
    if isinstance(op, Init | Migrate):
        for earlier in ops[:number]:
            if isinstance(earlier, Init | Migrate) and earlier.features != op.features:
                yield replace(op, features=earlier.features)


def _missing(ops: Sequence[Op], number: int) -> Iterator[tuple[Op, ...]]:
    """Ops that may be missing before one, the fewest first: the life of its vcpu."""
    vcpu = getattr(ops[number], "vcpu", None)
    if vcpu is None:
        return
    features = [op.features for op in ops if isinstance(op, Init | Migrate)]
    create, init, finalize = CreateVcpu(vcpu), Init(vcpu, *features[:1]), Finalize(vcpu)
    yield from ((finalize,), (init,), (create,))
    yield from ((init, finalize), (create, init), (create, init, finalize))


def _succeeds(ops: Sequence[Op], profile: Profile) -> bool:
    """Whether the last op surely does."""
    model = Model(profile)
    try:
        for op in ops:
            permitted = model.step(op)
            effect = permitted.outcomes[0].effect if permitted.outcomes else permitted.if_done
            if effect:
                effect()
    except Unpredictable:
        return False
    return {outcome.err for outcome in permitted.outcomes} == {0}


def _line(op: Op) -> str:
    return format_op(op).partition("\n")[0].removesuffix("{").strip()


def lines(number: int, step: Step) -> Iterator[str]:
    """A step for people."""
    yield f"{number}. {_line(step.op)}"
    if step.silent:
        yield from _indented(f"Here the specification says no more: {step.silent}.")
        return
    if not step.outcomes:
        yield from _indented("The specification is silent: anything is permitted.")
        return
    names = " or ".join("succeeds" if not err else error_name(err) for err in step.outcomes)
    rule = RULES.get(step.rule)
    why = f"{rule.text} ({rule.source})" if rule else ""
    yield from _indented(f"{names}, by {step.rule}" + (f": {why}" if why else ""))
    for label, value in step.values:
        yield from _indented(f"{label} = {value}")
    if step.order:
        yield from _indented(f"What would have worked: {step.order}.")


def _indented(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="    ",
        subsequent_indent="      ",
        break_on_hyphens=False,
        break_long_words=False,
    )
