"""Is a trace one of those the model permits?"""

from __future__ import annotations

from collections.abc import Callable

from corpus.case import Case
from corpus.ops import Op, Run
from corpus.trace import Ending, Trace
from fuzz.oracle.faults import fault_of
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.profile import Profile
from targets.spec.decided import decided
from targets.spec.errors import Decides, Unpredictable
from targets.spec.judge import Choices, observe
from targets.spec.model import Model
from targets.spec.permitted import Mismatch, Permitted
from targets.spec.rules import is_strict


def judge(
    case: Case, trace: Trace, profile: Profile, make: Callable[[Profile], Model] = Model
) -> Verdict:
    """Hold `trace` against the model of the machine `profile`, then against the ending
    that every case must have."""
    model = make(profile)
    choices = Choices()
    judged = 0
    reason, decides = "", Decides.NOTHING
    for index, (op, seen) in enumerate(zip(case.ops, trace.observations, strict=False)):
        try:
            permitted = model.step(op)
        except Unpredictable as stop:
            reason, decides = str(stop), decided(model, op, stop)
            break
        mismatch = observe(permitted, seen, choices)
        if mismatch:
            return _diverge(model, index, op, permitted, mismatch)
        judged += 1
    if not reason and judged < len(case.ops) and trace.ending is Ending.OK:
        try:
            permitted = model.step(case.ops[judged])
        except Unpredictable as stop:
            reason = str(stop)
        else:
            missing = Mismatch("observation", "one", "none")
            return _diverge(model, judged, case.ops[judged], permitted, missing)
    if trace.ending is not Ending.OK:
        return _bad_ending(case, trace, frozenset(model.rules))
    return Agree(judged, frozenset((*model.rules, "ending.ok")), choices, reason, decides)


def _diverge(model: Model, index: int, op: Op, permitted: Permitted, mismatch: Mismatch) -> Diverge:
    rule = _responsible(permitted, mismatch)
    return Diverge(
        oracle="conformance",
        op_index=index,
        op_word=op.word,
        rule=rule,
        label=mismatch.label,
        expected=mismatch.expected,
        observed=mismatch.observed,
        detail=mismatch.detail,
        context=permitted.context,
        strict=is_strict(rule),
        rules=frozenset(model.rules),
    )


def _responsible(permitted: Permitted, mismatch: Mismatch) -> str:
    """The rule behind a value: that of the instruction which wrote it, if one did. FPSR's
    cumulative bits are one rule for all instructions."""
    origin = (permitted.origins or {}).get(mismatch.label, permitted.rule)
    return "fpsr.cumulative" if mismatch.label == "fpsr" and origin.startswith("isa.") else origin


def _bad_ending(case: Case, trace: Trace, rules: frozenset[str]) -> Diverge:
    """A crash, a hang or a kernel complaint: never permitted, whatever the case did."""
    index = max(0, len(trace.observations) - 1)
    if trace.at is not None and trace.at < len(case.ops):
        index = trace.at
    elif not trace.observations:
        runs = [i for i, op in enumerate(case.ops) if isinstance(op, Run)]
        index = runs[-1] if runs else index
    last = case.ops[index] if case.ops else None
    fault = fault_of(trace.ending, trace.log)
    return Diverge(
        oracle="ending",
        op_index=index,
        op_word=last.word if last else "",
        rule="ending.ok",
        label="ending",
        expected="ok",
        observed=trace.ending.value,
        detail=f"{fault}: {fault.line}" if fault else "",
        context="",
        strict=True,
        rules=rules,
        fault=fault,
    )
