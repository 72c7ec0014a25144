"""Mutants of vcpus with EL2."""

from __future__ import annotations

from corpus.ops import HostRun, Op, Run
from targets.mutants.mutant import Make, Mutant, executing, method
from targets.spec.cpu import ZCR_LEN, Cpu, effective_vl
from targets.spec.errors import GuestException
from targets.spec.model import Model
from targets.spec.nested import NestedCpu
from targets.spec.permitted import Permitted
from targets.spec.sets import join, low

_write, _recompute, _need_zcr = (
    NestedCpu.write_system,
    NestedCpu._recompute_vl,
    NestedCpu._need_zcr,
)
_leave, _enter, _el2_stops = NestedCpu.leave, NestedCpu.enter, NestedCpu._el2_stops


def _write_capped(cpu: NestedCpu, name: str, value: int, mask: int) -> None:
    if name == "zcr_el2":
        value = min(value & ZCR_LEN, cpu.vcpu.max_vq - 1)
    _write(cpu, name, value, mask)


def _beyond_the_maximum(cpu: NestedCpu) -> int:
    _recompute(cpu)
    lengths = [join(cpu.vcpu.sys[name])[0] & ZCR_LEN for name in ("zcr_el1", "zcr_el2")]
    if not cpu.hyp and lengths[1] >= cpu.vcpu.max_vq:
        cpu.vl = effective_vl(min(lengths), 16, cpu.host_vqs)
    return cpu._tail_vl


def _without_el2s_limit(cpu: NestedCpu) -> int:
    return Cpu._recompute_vl(cpu)


def _trap_and_skip(cpu: NestedCpu) -> None:
    try:
        _need_zcr(cpu)
    except GuestException as exception:
        exception.ret += 4 if cpu.el == 2 else 0
        raise


class _StaleView(Model):
    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu) if isinstance(op, Run | HostRun) else None
        before = vcpu.sys.get("zcr_el2") if vcpu else None
        permitted = super().step(op)
        if vcpu and before:
            vcpu.sys["zcr_el2"] = before
        return permitted


def _save_packed(cpu: NestedCpu) -> None:
    """Z registers are stored one behind the other at ZCR_EL2's length, and found again at
    the vcpu's."""
    _leave(cpu)
    vcpu = cpu.vcpu
    if not (cpu.loaded and vcpu.sve):
        return
    stride, whole = (
        effective_vl(zcr, vcpu.max_vq, cpu.host_vqs) * 8
        for zcr in (join(vcpu.sys["zcr_el2"])[0], ZCR_LEN)
    )
    if stride == whole:
        return
    packed = packed_mask = 0
    for n, candidates in enumerate(vcpu.z):
        value, mask = low(candidates, stride)
        packed |= value << n * stride
        packed_mask |= mask << n * stride
    for n in range(32 * stride // whole):
        vcpu.z[n] = (low(((packed >> n * whole, packed_mask >> n * whole),), whole),)


def _length_of_el1(cpu: NestedCpu, el: int) -> None:
    _enter(cpu, el)
    if cpu.hyp and el == 0:
        cpu.zcr = "zcr_el1"


def _traps_of_el1(cpu: NestedCpu, shift: int) -> bool:
    if cpu.hyp and cpu.el == 0:
        return not join(cpu.vcpu.sys["cpacr_el1"])[0] >> shift & 2
    return _el2_stops(cpu, shift)


def _nested(about: str, make: Make) -> Mutant:
    return Mutant(about, make, el2=True)


NESTED: dict[str, Mutant] = {
    "zcr-el2-reads-capped": _nested(
        "ZCR_EL2 reads no more than the vcpu maximum (K20)",
        executing(method(NestedCpu, "write_system", _write_capped)),
    ),
    "zcr-el2-uncapped-below": _nested(
        "with a large ZCR_EL2, EL1 has lengths above the vcpu maximum (K20)",
        executing(method(NestedCpu, "_recompute_vl", _beyond_the_maximum)),
    ),
    "zcr-el2-limits-nobody": _nested(
        "ZCR_EL2 does not limit the VL below EL2 (Q5)",
        executing(method(NestedCpu, "_recompute_vl", _without_el2s_limit)),
    ),
    "zcr-el2-trap-skips": _nested(
        "a trapped ZCR_EL2 access advances PC as well (K21)",
        executing(method(NestedCpu, "_need_zcr", _trap_and_skip)),
    ),
    "zcr-el2-stale-view": _nested(
        "user space does not see what the guest wrote to ZCR_EL2 (K22)", _StaleView
    ),
    "exit-saves-at-el2s-length": _nested(
        "Z is saved at ZCR_EL2's length and restored at the vcpu's (K23)",
        executing(method(NestedCpu, "leave", _save_packed)),
    ),
    "host-el0-el1-length": _nested(
        "EL0 of a VHE host has ZCR_EL1's length (Q10)",
        executing(method(NestedCpu, "enter", _length_of_el1)),
    ),
    "host-el0-el1-traps": _nested(
        "EL0 of a VHE host has CPACR_EL1's traps (Q10)",
        executing(method(NestedCpu, "_el2_stops", _traps_of_el1)),
    ),
}
