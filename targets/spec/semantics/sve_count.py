"""Instructions that read the vector length."""

from __future__ import annotations

from targets.spec.cpu import Cpu
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.sve_loop import step_x, step_z
from targets.spec.semantics.system import carry_mask
from targets.spec.semantics.vl import pattern_count


@semantic("rdvl")
def rdvl(cpu: Cpu, xd: int, imm: int) -> None:
    cpu.set_x(xd, imm * cpu.vl)


def _add(unit: int) -> Semantic:
    def run(cpu: Cpu, xd: int, xn: int, imm: int) -> None:
        value, mask = cpu.xsp(xn)
        cpu.set_xsp(xd, value + imm * cpu.vl // unit, carry_mask(mask))

    return run


SEMANTICS["addvl"], SEMANTICS["addpl"] = _add(1), _add(8)


def _count(t: int) -> Semantic:
    def run(cpu: Cpu, xd: int, pat: int, imm: int) -> None:
        cpu.set_x(xd, imm * pattern_count(pat, cpu.vl >> t))

    return run


def _step_x(kind: str, sign: int, t: int, bits: int) -> Semantic:
    def run(cpu: Cpu, rd: int, pat: int, imm: int) -> None:
        step_x(cpu, rd, sign * imm * pattern_count(pat, cpu.vl >> t), kind, bits)

    return run


def _step_z(kind: str, sign: int, t: int) -> Semantic:
    def run(cpu: Cpu, zd: int, pat: int, imm: int) -> None:
        step_z(cpu, zd, t, sign * imm * pattern_count(pat, cpu.vl >> t), kind)

    return run


for _t, _letter in enumerate("bhwd"):
    SEMANTICS[f"cnt{_letter}_x"] = _count(_t)
    for _sign, _stem in ((1, "inc"), (-1, "dec")):
        for _kind in ("", "sq", "uq"):
            _name = _kind + _stem + _letter
            SEMANTICS[_name + "_x"] = _step_x(_kind, _sign, _t, 64)
            if _kind:
                SEMANTICS[_name + "_w"] = _step_x(_kind, _sign, _t, 32)
            if _t:
                SEMANTICS[_name + "_z"] = _step_z(_kind, _sign, _t)
