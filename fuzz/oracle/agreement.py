"""Leg against leg, for what the model does not know.

Where the model stops predicting, nothing else judges a case. Twins (`fuzz.oracle.twins`) must
go on alike even there, in what no permitted choice can change:

- how an op fails, and how much it returns: one kernel answers from what was asked before,
  not from what registers hold;
- how a run ends and what it leaves in the general registers, in the low 128 bits of the
  vector registers and in RAM, as long as something decides that (`targets.spec.decided`):
  the guest sees nothing that may be kept or cleared, nor anything UNKNOWN.

Other kernels may answer otherwise, so twins with different kernels are compared only in the
second, only where the processor decides, and no further than they answer alike.

Left out: vectors above 128 bits, predicates and FFR, status and system registers, and how
runs end that come later, for those start from state that nobody knows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corpus.case import Case
from corpus.ops import FEATURE_SVE, Disturb, HostRun, Init, Migrate, Run
from corpus.trace import Ending, Observation, Trace
from fuzz.oracle.facts import Facts, answer, contents, end, leaves_to_chance, time_ran_out
from fuzz.oracle.twins import Twins
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.spec.errors import Decides
from targets.spec.rules import is_strict

ORACLE, RULE = "legs", "legs.agree"


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of holding legs against each other. `suspects`: by name, the legs that
    differ from the most, or all where no side has the most; `legs`: those compared."""

    legs: frozenset[str] = frozenset()
    suspects: Mapping[str, Diverge] = field(default_factory=dict)


def concerns(verdicts: Mapping[str, Verdict]) -> bool:
    """Whether there is anything to compare: the model stopped on two legs or more."""
    return sum(isinstance(v, Agree) and v.reason != "" for v in verdicts.values()) > 1


def compare(
    case: Case,
    traces: Mapping[str, Trace],
    verdicts: Mapping[str, Verdict],
    groups: Sequence[Twins],
) -> Compared:
    """Hold twins against each other from where the model stopped on them. A larger group
    may tell which of two legs is the odd one."""
    if leaves_to_chance(case):
        return Compared()
    legs: set[str] = set()
    worst: Mapping[str, Diverge] = {}
    for group in groups:
        for names in _comparable(traces, verdicts, group):
            legs.update(names)
            suspects = _compare(case, {n: traces[n] for n in names}, verdicts, group.decides)
            if suspects and (not worst or suspects.keys() < worst.keys()):
                worst = suspects
    return Compared(frozenset(legs), worst)


def _comparable(
    traces: Mapping[str, Trace], verdicts: Mapping[str, Verdict], group: Twins
) -> list[list[str]]:
    """Those of a group on which the model stopped at the same op and for the same reason,
    after observations that are the same byte for byte: only they are known to be alike."""
    alike: dict[object, list[str]] = defaultdict(list)
    for name in sorted(group.names):
        verdict, trace = verdicts.get(name), traces.get(name)
        if not isinstance(verdict, Agree) or not verdict.reason or trace is None:
            continue
        if trace.ending is Ending.OK and _is_enough(verdict, group):
            before = trace.observations[: verdict.judged]
            alike[verdict.reason, verdict.decides, before].append(name)
    return [names for names in alike.values() if len(names) > 1]


def _is_enough(verdict: Agree, group: Twins) -> bool:
    return group.decides is Decides.KERNEL or verdict.decides >= group.decides


def _compare(
    case: Case,
    traces: Mapping[str, Trace],
    verdicts: Mapping[str, Verdict],
    asked: Decides,
) -> Mapping[str, Diverge]:
    """The first difference that counts, if there is one."""
    stopped = verdicts[next(iter(traces))]
    assert isinstance(stopped, Agree)
    follow = stopped.decides >= asked
    sve = any(op.features & FEATURE_SVE for op in case.ops if isinstance(op, Init | Migrate))
    slot = getattr(case.ops[stopped.judged], "vcpu", None)
    for index in range(stopped.judged, len(case.ops)):
        op = case.ops[index]
        seen = {name: _at(trace, index) for name, trace in traces.items()}
        runs = isinstance(op, Run | HostRun)
        other = getattr(op, "vcpu", slot) != slot  # what other vcpus hold was not asked
        if runs and index > stopped.judged and (sve or other or asked is Decides.CPU):
            follow = False
        if asked is Decides.CPU and not _answered_alike(seen):
            return {}
        if len(set(seen.values())) > 1:
            followed = follow and not other
            facts = {name: _facts(op, one, followed, asked) for name, one in seen.items()}
            for label in dict.fromkeys(label for found in facts.values() for label in found):
                values = {name: found.get(label, "nothing") for name, found in facts.items()}
                if len(set(values.values())) > 1:
                    return _suspects(case, index, label, values, stopped.reason)
        if any(time_ran_out(one) for one in seen.values()):
            follow = False  # somewhere in an endless loop
    return {}


def _at(trace: Trace, index: int) -> Observation | None:
    return trace.observations[index] if index < len(trace.observations) else None


def _answered_alike(seen: Mapping[str, Observation | None]) -> bool:
    """Whether kernels answered alike, so that what they are asked next means the same."""
    return len({one and (one.err, one.aux, len(one.data)) for one in seen.values()}) == 1


def _facts(op: object, seen: Observation | None, follow: bool, asked: Decides) -> Facts:
    """What of an observation must be the same, by label."""
    if seen is None:
        return {"observation": "none"}
    found: Facts = {"observation": "one"}
    if isinstance(op, Disturb):
        return found  # machines differ in the strangers they have
    if asked is Decides.KERNEL:
        found |= answer(op, seen)
    if follow:
        found |= end(op, seen) | contents(op, seen)
    return found


def _suspects(
    case: Case, index: int, label: str, values: Mapping[str, str], reason: str
) -> Mapping[str, Diverge]:
    """Who is to be named, and why: the minority; with no majority, everybody. `values` are by
    name, in the order of names."""
    (common, count), *_ = Counter(values.values()).most_common()
    if 2 * count > len(values):
        named = [name for name, value in values.items() if value != common]
    else:
        named, common = list(values), next(iter(values.values()))
    told = "; ".join(f"{value} on {', '.join(on)}" for value, on in _by_value(values))
    other = next(values[name] for name in named if values[name] != common)
    op = case.ops[index]
    verdict = Diverge(
        oracle=ORACLE,
        op_index=index,
        op_word=op.word,
        rule=RULE,
        label=label,
        expected=common,
        observed=other,
        detail="",
        strict=is_strict(RULE),
        rules=frozenset({RULE}),
        told=f"op {index} ({op.word}): {label} is {told}; the model predicts nothing there "
        f"({reason}), but legs on one machine should agree",
    )
    return dict.fromkeys(named, verdict)


def _by_value(values: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    by_value: dict[str, list[str]] = defaultdict(list)
    for name, value in values.items():
        by_value[value].append(name)
    return list(by_value.items())
