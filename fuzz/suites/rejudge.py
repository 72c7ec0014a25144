"""Stored traces judged anew: what a change of the specification makes of findings. Runs
nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.trace import Ending, Trace
from db.records import (
    FindingView,
    JudgedRecord,
    Rejudged,
    RejudgedRecord,
    TraceView,
)
from fuzz.followup.cause import at_face_value
from fuzz.followup.same import is_it
from fuzz.followup.signature import signature
from fuzz.oracle import agreement, attribution, facts
from fuzz.oracle.conformance import judge
from fuzz.oracle.culprit import responsible
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.oracle.twins import twins
from fuzz.oracle.verdict import Diverge, Verdict
from targets.kind import KINDS
from targets.kvm.lab import kernellog
from targets.profile import Profile


@dataclass(frozen=True, slots=True)
class StoredLeg:
    """A leg as it once took part: all that judging asks of one."""

    name: str
    kind: str
    fingerprint: Mapping[str, str]
    profile: Profile


def rejudge(
    finding: FindingView,
    views: Sequence[TraceView],
    knowledge: Knowledge,
    seen: Collection[str] = (),
) -> Iterator[RejudgedRecord]:
    """What becomes of a finding, and what else its traces show that was never seen.

    `seen`: digests of all signatures, and rules that verdicts name, which are known: only what
    has neither is new, for a signature tells a cause, which traces alone may not. What recorded
    defects spoil is judged both ways: a finding stands if it stands either way.
    """

    def told(
        outcome: Rejudged, verdict: JudgedRecord | None = None, why: str = ""
    ) -> RejudgedRecord:
        return RejudgedRecord(finding.id, finding.bucket_id, outcome, verdict, why)

    if not views:
        yield told(Rejudged.UNKNOWN, why="its traces were not kept")
        return
    try:
        legs = [_leg(view) for view in views if view.leg.kind != "model"]
    except ValueError as error:
        yield told(Rejudged.UNKNOWN, why=str(error))
        return
    traces = {view.leg.name: _with_fault(view.trace) for view in views}
    case = finding.minimal
    if any(_of_fewer(case, trace) for trace in traces.values()):
        yield told(Rejudged.UNKNOWN, why="its traces show fewer registers than are read today")
        return
    behind = _divergences(case, traces, legs, knowledge)
    everything = _divergences(case, traces, legs, NOTHING)
    stands = [one for one in (*everything, *behind) if _is(one, finding)]
    if stands:
        yield told(Rejudged.BACK if finding.gone else Rejudged.STANDS)
    else:
        mine = [one for one in behind if set(one.deviating) & set(finding.deviating)]
        if mine:
            yield told(Rejudged.MOVED, mine[0])
        else:
            yield told(Rejudged.STANDS if finding.gone else Rejudged.GONE)
        behind = [one for one in behind if one not in mine[:1]]
    told_of = {*seen}
    for one in behind:
        keys = {one.signature.digest, one.culprit}
        if not keys & told_of and not _is(one, finding):
            yield told(Rejudged.NEW, one)
        told_of |= keys


def _is(one: JudgedRecord, finding: FindingView) -> bool:
    """Whether it is the finding's own divergence, on one of its legs."""
    return bool(set(one.deviating) & set(finding.deviating)) and is_it(
        finding, one.signature.oracle, one.culprit, one.op_index
    )


def _leg(view: TraceView) -> StoredLeg:
    leg = view.leg
    if not leg.fingerprint:
        raise ValueError(f"nothing is known of the machine behind {leg.name}")
    profile = Profile.from_fingerprint(leg.fingerprint)
    return StoredLeg(leg.name, leg.kind, leg.fingerprint, profile)


def _of_fewer(case: Case, trace: Trace) -> bool:
    return any(facts.reads_fewer(*both) for both in zip(case.ops, trace.observations, strict=False))


_KIND_OF = {Ending.HANG: FaultKind.HANG, Ending.LOST: FaultKind.LOST}


def _with_fault(trace: Trace) -> Trace:
    """Traces of older databases say what broke in their log only."""
    if trace.ending is Ending.OK or trace.fault is not None:
        return trace
    said = kernellog.find(trace.log)
    kind = _KIND_OF.get(trace.ending, FaultKind.CRASH)
    return replace(trace, fault=said or Fault(kind, line=kernellog.last_line(trace.log)))


def _divergences(
    case: Case, traces: Mapping[str, Trace], legs: Sequence[StoredLeg], knowledge: Knowledge
) -> list[JudgedRecord]:
    """What is wrong with the traces, each kind of divergence once, the earliest op first."""
    verdicts: dict[str, Verdict] = {
        leg.name: judge(case, traces[leg.name], knowledge.machine(leg)) for leg in legs
    }
    groups = twins(legs)
    if groups and agreement.concerns(verdicts):
        verdicts.update(agreement.compare(case, traces, verdicts, groups).suspects)
    kinds = {leg.name: KINDS[leg.kind] for leg in legs}
    found: dict[tuple[str, ...], JudgedRecord] = {}
    for name, verdict in verdicts.items():
        if not isinstance(verdict, Diverge):
            continue
        deviating = attribution.deviating(verdict, verdicts) or (name,)
        if verdict.oracle == agreement.ORACLE:
            pattern = ",".join(deviating)
        else:
            pattern = attribution.pattern(deviating, verdicts, kinds)
        own = signature(verdict.oracle, at_face_value(case, verdict), pattern)
        found.setdefault(
            own.parts,
            JudgedRecord(
                signature=own,
                strict=verdict.strict,
                op_index=verdict.op_index,
                expected=verdict.expected,
                observed=verdict.observed,
                explanation=verdict.told or f"{name}: {verdict.explanation}",
                deviating=deviating,
                culprit=responsible(case, verdict),
            ),
        )
    return sorted(found.values(), key=lambda one: one.op_index)
