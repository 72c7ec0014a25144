"""What is worth steering by in a case's execution, apart from code coverage."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from corpus.case import Case
from corpus.ops import Finalize, Init, Run
from corpus.trace import Trace
from fuzz.oracle.verdict import Agree, Verdict


def rules_of(verdicts: Mapping[str, Verdict]) -> Iterator[Hashable]:
    """Rules used."""
    rules: set[str] = set()
    for verdict in verdicts.values():
        if isinstance(verdict, Agree):
            rules |= verdict.rules
    for rule in sorted(rules):
        yield "rule", rule


def share_judged(verdicts: Mapping[str, Verdict]) -> float:
    """On what share of the legs a case was judged to its end, or was found to be at fault."""
    stopped = sum(isinstance(one, Agree) and bool(one.reason) for one in verdicts.values())
    return 1 - stopped / len(verdicts)


def features_of(
    case: Case, traces: Mapping[str, Trace], verdicts: Mapping[str, Verdict]
) -> Iterator[Hashable]:
    """Op x errno x life of the vcpu, and choices taken, per leg."""
    for leg, verdict in verdicts.items():
        if isinstance(verdict, Agree):
            if verdict.choices.kept:
                yield "kept", leg, verdict.choices.kept.bit_length()
            if verdict.choices.cleared:
                yield "cleared", leg, verdict.choices.cleared.bit_length()
            if verdict.reason:
                yield "stopped", verdict.reason.partition(" 0x")[0]
    for trace in traces.values():
        life: dict[int, str] = {}
        for op, seen in zip(case.ops, trace.observations, strict=False):
            slot = getattr(op, "vcpu", 0)
            state = life.get(slot, "")
            yield "op", op.word, seen.err, state
            if seen.err == 0 and isinstance(op, Init | Finalize | Run) and len(state) < 6:
                life[slot] = state + op.word[0]
        break
