"""Mutants of vector state: lengths, what lies above them, and how it is saved."""

from __future__ import annotations

from targets.mutants.mutant import Mutant, executing, method
from targets.spec.cpu import Cpu
from targets.spec.sets import either, exact

_recompute, _leave, _vl_changed = Cpu._recompute_vl, Cpu.leave, Cpu.vl_changed


def _set_v_keeping(cpu: Cpu, n: int, value: int, mask: int = 0) -> None:
    high = ~((1 << 128) - 1)
    cpu.vcpu.z[n] = either((v & high | value, m & high | mask) for v, m in cpu.vcpu.z[n])


def _vl_too_long(cpu: Cpu) -> int:
    _recompute(cpu)
    cpu.vl = min(cpu.vl + 16, cpu.vcpu.max_vq * 16)
    return cpu._tail_vl


def _leave_cut(cpu: Cpu) -> None:
    if cpu.loaded and cpu.vcpu.sve and cpu.vl > 16:
        _cut_z(cpu, cpu.vl // 2)


def _cut_z(cpu: Cpu, size: int) -> None:
    ones = (1 << size * 8) - 1
    cpu.vcpu.z[:] = [either((v & ones, m & ones) for v, m in z) for z in cpu.vcpu.z]


def _leave_with_maximum(cpu: Cpu) -> None:
    _leave(cpu)
    if cpu.loaded and cpu.vcpu.sve:
        cpu.vcpu.sys["zcr_el1"] = exact(cpu.vcpu.max_vq - 1)


def _narrow_half(cpu: Cpu) -> None:
    old = cpu._tail_vl
    _vl_changed(cpu)
    if cpu.loaded and cpu.vcpu.sve and cpu._tail_vl < old:
        _cut_z(cpu, (old + cpu._tail_vl) // 2)


def _ignore(cpu: Cpu) -> None:
    """Nothing happens."""


VECTORS: dict[str, Mutant] = {
    "asimd-keeps-tail": Mutant(
        "an AdvSIMD write leaves bits 128 and up (Q1, V1)",
        executing(method(Cpu, "set_v", _set_v_keeping)),
    ),
    "zcr-off-by-one": Mutant(
        "the effective VL is one step too long (Q5)",
        executing(method(Cpu, "_recompute_vl", _vl_too_long)),
    ),
    "zcr-write-ignored": Mutant(
        "the VL of a run's first vector access stays until its end (Q3)",
        executing(method(Cpu, "vl_changed", _ignore)),
    ),
    "narrowing-clears-half": Mutant(
        "a smaller VL clears only the upper half of what is above it (Q3)",
        executing(method(Cpu, "vl_changed", _narrow_half)),
    ),
    "exit-cuts-registers": Mutant(
        "an exit keeps only half of the guest's VL", executing(method(Cpu, "leave", _leave_cut))
    ),
    "exit-leaves-maximum": Mutant(
        "an exit leaves the vcpu maximum in ZCR_EL1 (K24)",
        executing(method(Cpu, "leave", _leave_with_maximum)),
    ),
}
