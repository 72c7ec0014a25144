"""A finding as a program: with which expectations, and what is told of it on top. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from corpus.trace import Trace
from db.records import FindingView, LegRecord
from fuzz.oracle.conformance import CONFORMANCE, ENDING
from fuzz.reproduce.demands import Said, say
from fuzz.reproduce.expect import Unsayable
from fuzz.reproduce.held import first_refused
from fuzz.reproduce.program import program
from fuzz.reproduce.tried import Tried
from targets.profile import Profile


@dataclass(frozen=True, slots=True)
class Reproducer:
    """What a finding's program says. `watched`: that the kernel complains is what is wrong."""

    finding: FindingView
    said: Said
    watched: bool

    def text(self, tried: Sequence[Tried] = ()) -> str:
        """The C file; `tried`: how it did where it was run."""
        return program(self.said, list(_about(self.finding, tried)), watched=self.watched)


def reproducer(finding: FindingView, leg: LegRecord, trace: Trace | None) -> Reproducer:
    """The program of a finding, for the machine behind a leg of KVM that deviates; `trace`:
    what that leg did, if it was kept. Raises Unsayable."""
    ends_badly = finding.oracle == ENDING or finding.rule.startswith(f"{ENDING}.")
    if finding.oracle not in (CONFORMANCE, ENDING):
        raise Unsayable(
            "cannot be said in C: the specification permits it, legs or tellings differ"
        )
    if finding.preceding:
        raise Unsayable(
            f"cannot be said in C: it takes {len(finding.preceding)} other cases before it"
        )
    try:
        profile = Profile.from_fingerprint(leg.fingerprint)
    except ValueError as why:
        raise Unsayable(f"cannot be said in C: {why}") from None
    said = say(finding.minimal, profile)
    if ends_badly:
        return Reproducer(finding, said, True)
    silent = said.expectation.judged <= finding.op_index
    stopped = next((way.stopped for way in said.expectation.ways if way.stopped), "")
    if silent:
        raise Unsayable(f"cannot be said in C: {stopped}")
    if trace and first_refused(finding.minimal, said.expectation, trace) is None:
        raise Unsayable("cannot be said in C: it shows only against what the leg chose before")
    return Reproducer(finding, said, False)


def deviating_kvm(finding: FindingView, legs: Iterable[LegRecord]) -> LegRecord:
    """A leg of KVM that deviates. Raises Unsayable."""
    for leg in legs:
        if leg.name in finding.deviating and leg.kind == "kvm":
            return leg
    raise Unsayable("cannot be said in C: no leg of KVM is known to deviate")


def _about(finding: FindingView, tried: Sequence[Tried]) -> Iterator[str]:
    yield finding.explanation
    yield ""
    yield f"Rule {finding.rule or finding.culprit}."
    for one in tried:
        said = f" ({one.said})" if one.said else ""
        yield f"{one.outcome.value.capitalize()} on {one.release}, {one.leg}{said}."
