"""Mutants of single instructions, as emulators have had them."""

from __future__ import annotations

from collections.abc import Callable

from corpus.isa.table import FORMS
from targets.mutants.mutant import Make, Mutant, executing, instructions
from targets.spec.cpu import Cpu
from targets.spec.semantics import SEMANTICS
from targets.spec.semantics.registry import Semantic
from targets.spec.sets import either

_str_z = SEMANTICS["str_z"]


def _without_sign(right: Semantic) -> Semantic:
    def run(cpu: Cpu, t: int, xn: int, imm: int) -> None:
        right(cpu, t, xn, abs(imm))

    return run


_LONG = 64
"""Bytes from which on QEMU stored in a loop."""


def _short_steps(cpu: Cpu, zt: int, xn: int, imm: int) -> None:
    if cpu.vl <= _LONG:
        _str_z(cpu, zt, xn, imm)
        return
    address, (value, mask) = cpu.address(xn, imm * cpu.vl), cpu.z(zt)
    for at in range(0, cpu.vl, 16):
        piece = ((bits >> 8 * at) & ((1 << 128) - 1) for bits in (value, mask))
        cpu.store(address + at // 2, 16, *piece)


def _gap_in_the_middle(right: Semantic) -> Semantic:
    def run(cpu: Cpu, pd: int, *sources: int) -> None:
        right(cpu, pd, *sources)
        half, whole = cpu.vl // 2, (1 << cpu.vl) - 1
        if cpu.vl & cpu.vl - 1:
            wrong = (b >> half << half + 1 & whole | b & (1 << half) - 1 for b in cpu.p(pd))
            cpu.set_p(pd, *wrong)

    return run


def _keeps_tail(right: Semantic) -> Semantic:
    def run(cpu: Cpu, vd: int, *rest: int) -> None:
        high, before = ~((1 << 128) - 1), cpu.vcpu.z[vd]
        right(cpu, vd, *rest)
        value, mask = cpu.v(vd)
        cpu.vcpu.z[vd] = either((v & high | value, m & high | mask) for v, m in before)

    return run


def _untranslated(right: Semantic) -> Semantic:
    def run(cpu: Cpu, *args: int) -> None:
        on, cpu.translates = cpu.translates, False
        try:
            right(cpu, *args)
        finally:
            cpu.translates = on

    return run


_STORES = tuple(form.name for form in FORMS.values() if form.group in ("sve-store", "asimd-store"))


def _each(defect: Callable[[Semantic], Semantic], *forms: str) -> Make:
    return executing(instructions({form: defect(SEMANTICS[form]) for form in forms}))


INSTRUCTIONS: dict[str, Mutant] = {
    "ldr-str-lose-sign": Mutant(
        "LDR and STR of Z and P lose the sign of their immediate (Q6)",
        _each(_without_sign, "ldr_z", "str_z", "ldr_p", "str_p"),
    ),
    "str-short-steps": Mutant(
        "STR of a long Z advances by half of what it stored (Q6)",
        executing(instructions({"str_z": _short_steps})),
    ),
    "predicate-permute-odd": Mutant(
        "permuted predicates have a gap at lengths that are no power of two (Q9)",
        _each(_gap_in_the_middle, "zip1_p", "zip2_p", "uzp1_p", "uzp2_p", "punpklo", "punpkhi"),
    ),
    "shift-long-keeps-tail": Mutant(
        "SSHLL and USHLL leave bits 128 and up (Q11)",
        _each(_keeps_tail, "sshll_vi", "ushll_vi", "sshll2_vi", "ushll2_vi"),
    ),
    "stores-untranslated": Mutant(
        "vector stores do not ask whether their page may be written",
        _each(_untranslated, *_STORES),
    ),
}
