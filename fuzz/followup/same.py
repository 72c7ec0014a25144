"""Is what is seen now what a finding is about? Pure."""

from __future__ import annotations

from corpus.blocks import first_block
from corpus.case import Case
from corpus.fault import FaultKind
from db.records import FindingView

_HANG = f"ending.{FaultKind.HANG}"


def is_it(finding: FindingView, oracle: str, culprit: str, op_index: int) -> bool:
    """Whether a divergence on a finding's own case is the one that it tells of. `culprit`: the
    rule that the verdict alone names, a fault's with its place; the cause, by which buckets go,
    takes other runs to find."""
    if oracle != finding.oracle:
        return False
    stored = finding.culprit or finding.rule
    if stored.startswith("ending."):
        # A hung machine may be caught anywhere in its loop; older findings name no place.
        kind, _, place = culprit.partition("@")
        known, _, where = stored.partition("@")
        return kind == known and (kind == _HANG or not where or place == where)
    return culprit == stored and _is_done_again(finding.minimal, op_index, finding.op_index)


def _is_done_again(case: Case, at: int, place: int) -> bool:
    """Whether an op is the one of that place, or the same once more: what is chance is done many
    times in a row, all from the first block on, to show in any of them."""
    first = first_block(case.ops)
    part, apart = case.ops[first:], abs(at - place)
    inside = first <= min(at, place) and max(at, place) < len(case.ops)
    return not apart or (inside and part[apart:] == part[:-apart])
