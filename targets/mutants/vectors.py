"""Mutants of guest execution. They replace one method of the executing cpu."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from corpus.ops import Op, Run
from targets.model.cpu import Cpu
from targets.model.expect import Permitted
from targets.model.model import Model
from targets.model.sets import either, low


class _CpuMutant(Model):
    """Runs guest code with `Cpu.<method>` replaced, for this model only."""

    method: str
    replacement: Callable[..., Any]

    def step(self, op: Op) -> Permitted:
        if not isinstance(op, Run):
            return super().step(op)
        with patch.object(Cpu, self.method, type(self).replacement):
            return super().step(op)


def _set_v_keeping(cpu: Cpu, n: int, value: int, mask: int = 0) -> None:
    high = ~((1 << 128) - 1)
    cpu.vcpu.z[n] = either((v & high | value, m & high | mask) for v, m in cpu.vcpu.z[n])


class AsimdKeepsTail(_CpuMutant):
    """AdvSIMD writes leave the bits from 128 up (Q1, V1)."""

    method = "set_v"
    replacement = _set_v_keeping


_recompute = Cpu._recompute_vl


def _vl_too_long(cpu: Cpu) -> int:
    _recompute(cpu)
    cpu.vl = min(cpu.vl + 16, cpu.vcpu.max_vq * 16)
    return cpu._tail_vl


class ZcrOffByOne(_CpuMutant):
    """The effective VL is a quadword too long (Q5)."""

    method = "_recompute_vl"
    replacement = _vl_too_long


def _leave_cut(cpu: Cpu) -> None:
    if cpu.loaded and cpu.vcpu.sve and cpu.vl > 16:
        bits = cpu.vl * 4
        cpu.vcpu.z[:] = [(low(candidates, bits),) for candidates in cpu.vcpu.z]


class ExitCutsRegisters(_CpuMutant):
    """Registers are saved at half the guest's VL."""

    method = "leave"
    replacement = _leave_cut
