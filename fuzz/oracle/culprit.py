"""Which rule to name for a divergence."""

from __future__ import annotations

from corpus.case import Case
from corpus.ops import HostRun, Run
from fuzz.oracle.verdict import Diverge

_SILENT = frozenset({"run.exit", "run.fails", "ending.ok"})
"""Rules about runs as a whole, which say nothing of the instruction at fault."""


def responsible(case: Case, verdict: Diverge) -> str:
    """The rule to name. A run that ended otherwise than it should says nothing of the
    culprit itself: that is the program's last vector or memory instruction, which in a
    minimised case is right. A fault goes with its place, as kept cases name it."""
    if verdict.fault and verdict.fault.named:
        return verdict.fault.rule_at
    op = case.ops[verdict.op_index] if case.ops else None
    if verdict.rule not in _SILENT or not isinstance(op, Run | HostRun):
        return verdict.rule
    suspects = [i.form.name for i in op.program if i.form.cap != "base" or i.form.group == "mem"]
    return f"isa.{suspects[-1]}" if suspects else verdict.rule
