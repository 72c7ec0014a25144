"""Who is to be blamed for a divergence: the pattern of the legs that show it, in a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeGuard

from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.kind import Kind


def alike(a: Verdict, b: Diverge) -> TypeGuard[Diverge]:
    """Whether `a` is the divergence `b`, as far as a minimiser may not change it."""
    if not isinstance(a, Diverge):
        return False
    if a.fault and b.fault and a.fault.named and b.fault.named:
        return a.fault.is_like(b.fault)
    return (a.oracle, a.rule, a.op_word) == (b.oracle, b.rule, b.op_word)


def akin(a: Verdict, b: Diverge) -> TypeGuard[Diverge]:
    """Whether `a` is about what `b` is: another rule about the same, at the same kind of op."""
    if not isinstance(a, Diverge) or a.fault or b.fault:
        return False
    return (a.oracle, _about(a), a.op_word) == (b.oracle, _about(b), b.op_word)


def _about(verdict: Diverge) -> str:
    return verdict.rule.partition(".")[0]


def deviating(verdict: Diverge, verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    """The legs that do `verdict`, and not something else that is wrong, too; sorted."""
    return tuple(sorted(n for n, v in verdicts.items() if _same(v, verdict)))


def _same(a: Verdict, b: Diverge) -> bool:
    return alike(a, b) and (a.fault is not None or a.label == b.label)


def pattern(
    wrong: Iterable[str], verdicts: Mapping[str, Verdict], kinds: Mapping[str, Kind]
) -> str:
    """The deviating legs as one word a person can act on; `kinds` by leg name."""
    wrong = sorted(wrong)
    right = [name for name, verdict in verdicts.items() if isinstance(verdict, Agree)]
    wrong_kinds = {kinds[name] for name in wrong}
    own = {kind for kind in (kinds[name] for name in (*wrong, *right)) if kind.own}
    if len(wrong) == 1:
        return wrong[0]
    if len(wrong_kinds) == 1:
        (kind,) = wrong_kinds
        if kind.kernel and all(kinds[name] is not kind for name in right):
            return f"every {kind.name}"
        if kind.own and not kind.kernel:
            return kind.name
    if wrong_kinds == own and len(own) > 1:
        return ALL_BUT_THE_MODEL
    return ",".join(wrong)


ALL_BUT_THE_MODEL = "all legs but the model"
