"""Is a divergence real? Run it again in fresh VMs, and ask every other leg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.case import Case
from corpus.trace import Trace
from fuzz.oracle import agreement
from fuzz.oracle.agreement import Compared
from fuzz.oracle.conformance import judge
from fuzz.oracle.twins import twins
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.base import Target

CONFIRM_RUNS = 3


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A divergence of `leg` seen `seen` of `tried` times, with every leg's last word."""

    leg: str
    verdict: Diverge
    seen: int
    tried: int
    traces: dict[str, Trace]
    verdicts: dict[str, Verdict]

    @property
    def deviating(self) -> tuple[str, ...]:
        """Legs that the model does not permit, sorted."""
        return tuple(sorted(n for n, v in self.verdicts.items() if isinstance(v, Diverge)))

    @property
    def pattern(self) -> str:
        """Who deviates: what the signature and the attribution go by."""
        return pattern_of(self.verdicts)


def pattern_of(verdicts: dict[str, Verdict]) -> str:
    """The deviating legs as one word a person can act on."""
    wrong = sorted(n for n, v in verdicts.items() if isinstance(v, Diverge))
    right = [n for n, v in verdicts.items() if isinstance(v, Agree)]
    if any(isinstance(v, Diverge) and v.oracle == agreement.ORACLE for v in verdicts.values()):
        return ",".join(wrong)  # each differs from others of its kind
    families = {name.partition(":")[0] for name in wrong}
    real = {n.partition(":")[0] for n in (*wrong, *right)} - {"model", "mutant"}
    if families == {"kvm"} and all(n.partition(":")[0] != "kvm" for n in right):
        return "every kvm" if len(wrong) > 1 else wrong[0]
    if families == {"emulator"}:
        return "emulator" if len(wrong) > 1 else wrong[0]
    if families == real and len(real) > 1:
        return "all legs but the model"
    return ",".join(wrong)


def run_everywhere(case: Case, legs: Sequence[Target]) -> dict[str, Trace]:
    """Traces by leg name; the legs run at the same time."""
    tickets = [(leg, leg.submit(case)) for leg in legs]
    return {leg.name: leg.collect(ticket) for leg, ticket in tickets}


def judge_all(case: Case, traces: dict[str, Trace], legs: Sequence[Target]) -> dict[str, Verdict]:
    """Each leg's verdict, against its own profile."""
    return {leg.name: judge(case, traces[leg.name], leg.profile) for leg in legs}


def same_kind(a: Verdict, b: Diverge) -> bool:
    """Whether `a` is the divergence `b`, as far as a minimiser may not change it."""
    if isinstance(a, Diverge) and a.fault and b.fault and a.fault.named and b.fault.named:
        return a.fault.is_like(b.fault)
    if b.oracle == agreement.ORACLE and isinstance(a, Diverge) and a.label != b.label:
        return False  # one rule for all that legs can differ in
    return isinstance(a, Diverge) and (a.oracle, a.rule, a.op_word) == (b.oracle, b.rule, b.op_word)


def compared(
    case: Case, traces: dict[str, Trace], verdicts: dict[str, Verdict], legs: Sequence[Target]
) -> Compared:
    """Twins among `legs` held against each other, where the model said nothing."""
    if not agreement.concerns(verdicts):
        return Compared()
    return agreement.compare(case, traces, verdicts, twins(legs))


@dataclass(frozen=True, slots=True)
class Difference:
    """How twins differ, seen `seen` of `tried` times just so, with traces of all legs, and
    verdicts of those in question and of those that nothing is wrong with."""

    seen: int
    tried: int
    traces: dict[str, Trace]
    verdicts: dict[str, Verdict]

    @property
    def steady(self) -> bool:
        """Whether each leg always did the same: else the difference says nothing."""
        return self.seen == self.tried


def confirm_difference(
    case: Case, first: Mapping[str, Diverge], legs: Sequence[Target], *, restart: bool = True
) -> Difference:
    """Run `case` again and again on all `legs`, in fresh machines with `restart`. Raises
    TransportError."""
    for leg in legs if restart else ():
        leg.restart()
    seen = 0
    traces: dict[str, Trace] = {}
    verdicts: dict[str, Verdict] = {}
    for _ in range(CONFIRM_RUNS):
        traces = run_everywhere(case, legs)
        verdicts = judge_all(case, traces, legs)
        suspects = compared(case, traces, verdicts, legs).suspects
        seen += suspects == first
    others = {name: v for name, v in verdicts.items() if isinstance(v, Agree)}
    return Difference(seen, CONFIRM_RUNS, traces, {**others, **first})


def confirm(case: Case, leg: Target, first: Diverge, legs: Sequence[Target]) -> Confirmed:
    """Run `case` again on `leg` and once on all legs. Raises TransportError."""
    seen = 0
    for _ in range(CONFIRM_RUNS):
        if same_kind(judge(case, leg.run(case), leg.profile), first):
            seen += 1
    traces = run_everywhere(case, legs)
    verdicts = judge_all(case, traces, legs)
    latest = verdicts[leg.name]
    verdict = latest if isinstance(latest, Diverge) else first
    return Confirmed(leg.name, verdict, seen, CONFIRM_RUNS, traces, verdicts)


def steady_difference(
    case: Case, traces: dict[str, Trace], verdicts: dict[str, Verdict], legs: Sequence[Target]
) -> Mapping[str, Diverge]:
    """How twins differ on a case that ran once, if they do so each time. Raises
    TransportError."""
    first = compared(case, traces, verdicts, legs).suspects
    if first and not confirm_difference(case, first, legs, restart=False).steady:
        return {}
    return first
