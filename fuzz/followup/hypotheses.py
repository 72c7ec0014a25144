"""Ways in which a rule may be broken: specifications that are wrong in one way each.

What a leg did follows from one if that specification permits it. The seeded defects are such ways
already; those here are of the vector length, which spoils most when it is wrong, of calls that do
nothing, or that do something although they are refused, and of what the machine is taken for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from corpus.ops import Init, Op, SetMp, SetReg, SetVls
from targets.mutants import MUTANTS
from targets.mutants.mutant import Make, executing, method
from targets.profile import Profile
from targets.spec.cpu import Cpu
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Permitted
from targets.spec.sets import ZERO, join, unknown
from targets.spec.steps.lives import POWER_OFF
from targets.spec.vcpu import MP_RUNNABLE, MP_STOPPED, Vcpu

_recompute, _load, _leave = Cpu._recompute_vl, Cpu.load_fp, Cpu.leave


def _at_length(length: Callable[[Cpu], int]) -> Make:
    def wrong(cpu: Cpu) -> int:
        _recompute(cpu)
        cpu.vl = length(cpu)
        return cpu._tail_vl

    return executing(method(Cpu, "_recompute_vl", wrong))


_LENGTHS: Mapping[str, Make] = {
    "the effective VL is one step too short": _at_length(lambda cpu: max(cpu.vl - 16, 16)),
    "the effective VL is the vcpu's maximum": _at_length(lambda cpu: cpu.vcpu.max_vq * 16),
    "the effective VL is 128 bits": _at_length(lambda _: 16),
}

MOST_VQ = 16


def _longer_host(machine: Profile) -> Model:
    longest = min(machine.vqs.bit_length(), MOST_VQ - 1)
    return Model(replace(machine, vqs=machine.vqs | 1 << longest))


def _lost_on_load(cpu: Cpu) -> None:
    if cpu.vcpu.sve:
        cpu.vcpu.sys[cpu.zcr] = ZERO
    _load(cpu)


def _loses_on_exit(bit: int) -> Make:
    def leave(cpu: Cpu) -> None:
        _leave(cpu)
        if cpu.loaded and cpu.vcpu.sve:
            value, mask = join(cpu.vcpu.sys["zcr_el1"])  # LEN is known, or it would not run
            cpu.vcpu.sys["zcr_el1"] = unknown(value & ~(1 << bit), mask)

    return executing(method(Cpu, "leave", leave))


_ZCR: Mapping[str, Make] = {
    "ZCR_EL1 is lost at the first vector access": executing(method(Cpu, "load_fp", _lost_on_load)),
    **{f"an exit loses bit {bit} of ZCR_EL1": _loses_on_exit(bit) for bit in range(4)},
}


class _WithoutEffect(Model):
    """What an op of a kind does is undone when it has returned 0."""

    def __init__(self, kind: type[Op], machine: Profile) -> None:
        super().__init__(machine)
        self._kind = kind

    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(getattr(op, "vcpu", -1))
        if not isinstance(op, self._kind) or vcpu is None or not vcpu.initialised:
            return super().step(op)
        before = deepcopy(self.vm)
        permitted = super().step(op)
        if permitted.anything or permitted.outcomes[0].err:
            return permitted
        self.vm = before
        return Permitted(permitted.rule, (Outcome(),))


_EFFECTS: Mapping[str, Make] = {
    f"{kind.word} returns 0 and does nothing": partial(_WithoutEffect, kind)
    for kind in (SetVls, SetReg, Init)
}
"""An INIT is that of a vcpu that was initialised before."""


class _ThoughRefused(Model):
    """A call of a kind that fails does something all the same."""

    def __init__(self, kind: type[Op], act: Callable[[Vcpu], None], machine: Profile) -> None:
        super().__init__(machine)
        self._kind, self._act = kind, act

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        vcpu = self.vm.vcpus.get(getattr(op, "vcpu", -1))
        # These are refused in each outcome that they may have, or in none.
        if isinstance(op, self._kind) and vcpu is not None and permitted.outcomes[0].err:
            self._act(vcpu)
        return permitted


def _becomes(field: str, value: int) -> Callable[[Vcpu], None]:
    def act(vcpu: Vcpu) -> None:
        setattr(vcpu, field, value)

    return act


class _AlwaysOn(Model):
    """INIT does not look at POWER_OFF."""

    def step(self, op: Op) -> Permitted:
        return super().step(
            replace(op, features=op.features & ~POWER_OFF) if isinstance(op, Init) else op
        )


_CALLS: Mapping[str, Make] = {
    "a refused SET_MP_STATE stops the vcpu": partial(
        _ThoughRefused, SetMp, _becomes("stopped", MP_STOPPED)
    ),
    "a refused SET_MP_STATE makes the vcpu run": partial(
        _ThoughRefused, SetMp, _becomes("stopped", MP_RUNNABLE)
    ),
    "a refused SVE_VLS leaves the shortest length": partial(
        _ThoughRefused, SetVls, _becomes("max_vq", 1)
    ),
    "INIT does not power off": _AlwaysOn,
}

_MACHINES: Mapping[str, Make] = {
    "the host's longest VL is a step longer than KVM says": _longer_host,
}

_SEEDED: Mapping[str, Make] = {mutant.about: mutant.make for mutant in MUTANTS.values()}

HYPOTHESES: Mapping[str, Make] = MappingProxyType(
    {**_SEEDED, **_LENGTHS, **_ZCR, **_EFFECTS, **_CALLS, **_MACHINES}
)
"""What may be wrong, in words -> the specification that is so."""
