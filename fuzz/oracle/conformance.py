"""Is a trace one of those the model permits?"""

from __future__ import annotations

from collections.abc import Callable

from corpus.case import Case
from corpus.ops import Op, Run
from corpus.trace import Ending, Trace
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.permitted import Mismatch, Permitted
from targets.spec.rules import is_strict
from targets.spec.stepper import Stepper

CONFORMANCE, ENDING = "conformance", "ending"
"""The oracles: what was observed, and how it ended."""


def judge(
    case: Case, trace: Trace, profile: Profile, make: Callable[[Profile], Model] = Model
) -> Verdict:
    """Hold `trace` against the model of the machine `profile`, then against the ending
    that every case must have."""
    model = make(profile)
    stepper = Stepper(model, case, trace)
    while permitted := stepper.permitted():
        mismatch = stepper.narrow(permitted)
        if mismatch:
            return _diverge(model, stepper.judged, stepper.op, permitted, mismatch)
    if trace.ending is not Ending.OK:
        return bad_ending(case, trace, frozenset(model.rules))
    rules = frozenset((*model.rules, "ending.ok"))
    return Agree(stepper.judged, rules, stepper.choices, stepper.stopped, stepper.decides)


def _diverge(model: Model, index: int, op: Op, permitted: Permitted, mismatch: Mismatch) -> Diverge:
    rule = _responsible(permitted, mismatch)
    return Diverge(
        oracle=CONFORMANCE,
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
        wrong=mismatch.wrong,
    )


def _responsible(permitted: Permitted, mismatch: Mismatch) -> str:
    """The rule behind a value: that of the instruction which wrote it, if one did. FPSR's
    cumulative bits are one rule for all instructions."""
    origin = (permitted.origins or {}).get(mismatch.label, permitted.rule)
    return "fpsr.cumulative" if mismatch.label == "fpsr" and origin.startswith("isa.") else origin


def bad_ending(case: Case, trace: Trace, rules: frozenset[str]) -> Diverge:
    """What a trace that did not end OK is worth: a crash, a hang or a kernel complaint is never
    permitted, whatever the case did. `rules`: those that it came to before."""
    index = _under_way(case, trace)
    fault = trace.fault
    return Diverge(
        oracle=ENDING,
        op_index=index,
        op_word=case.ops[index].word if case.ops else "",
        rule="ending.ok",
        label="ending",
        expected="ok",
        observed=trace.ending.value,
        detail=f"{fault}: {fault.line}" if fault else "",
        strict=True,
        rules=rules,
        fault=fault,
    )


def _under_way(case: Case, trace: Trace) -> int:
    """The op that the leg was at when it broke; the likeliest where that is not known."""
    if trace.at is not None and trace.at < len(case.ops):
        return trace.at
    if trace.observations:
        return len(trace.observations) - 1
    runs = [index for index, op in enumerate(case.ops) if isinstance(op, Run)]
    return runs[-1] if runs else 0
