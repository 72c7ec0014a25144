"""The ID registers: what they may read as, and which writes they take (6.12 sys_regs.c).

They belong to the VM. The values are the host's, so the model learns them by reading;
what it knows from the start are the fields about vectors.
"""

from __future__ import annotations

from collections.abc import Callable

from targets.spec.errno import EBUSY, EINVAL
from targets.spec.sets import Set, either, exact, join, unknown
from targets.spec.slots import Slot, Verdict
from targets.spec.vcpu import U64, Vm

PFR0, PFR1 = "id_aa64pfr0_el1", "id_aa64pfr1_el1"
ZFR0, SMFR0 = "id_aa64zfr0_el1", "id_aa64smfr0_el1"
PFR0_SVE = 0xF << 32
PFR0_GIC = 0xF << 24
PFR1_SME = 0xF << 24
PFR1_MTE = 0xF << 8
FEATURE_SVE_BIT = 4


def find(vm: Vm, name: str) -> Slot:
    """The ID register `name` of a VM."""
    if not vm.ids:
        vm.ids.update(_initial(_sve(vm), vm.mte))
    rule = _RULES[name]
    if name == ZFR0 and not _sve(vm):
        rule = "id.zfr0-without-sve"
    return Slot(rule, 8, (vm.ids, name), 8, "id", _check(vm, name), _stored(name))


_DROPPED = {PFR0: 0xF << 40, PFR1: 0xF << 40 | 0xF << 16}
"""Register -> fields that newer kernels take and then show as they see fit, since older ones
showed them by mistake: MPAM; MTE_frac and MPAM_frac."""


def _stored(name: str) -> Callable[[int], Set]:
    """What a register holds once SET took a value."""
    return lambda value: unknown(value, _DROPPED.get(name, 0))


_RULES = {PFR0: "id.pfr0", PFR1: "id.pfr1", ZFR0: "id.zfr0", SMFR0: "id.smfr0"}


def without_irqchip(vm: Vm) -> None:
    """The first run of a VM that has no interrupt controller of KVM's own, as most of ours: GIC
    leaves ID_AA64PFR0_EL1 then (kvm_finalize_sys_regs, since 6.4)."""
    if PFR0 in vm.ids:
        found = vm.ids[PFR0]
        vm.ids[PFR0] = either((*found, *((v & ~PFR0_GIC, m & ~PFR0_GIC) for v, m in found)))


def with_irqchip(vm: Vm) -> None:
    """A VM got an interrupt controller of KVM's own, or runs first with one: GIC may have become
    what that is (6.1 shows it as soon as there is one, 7.3 sets the field both times)."""
    if PFR0 in vm.ids:
        value, mask = join(vm.ids[PFR0])
        vm.ids[PFR0] = unknown(value, mask | PFR0_GIC)


def _sve(vm: Vm) -> bool:
    return bool(vm.features and vm.features >> FEATURE_SVE_BIT & 1)


def _initial(sve: bool, mte: bool) -> dict[str, Set]:
    """What they may be at first. A CPU for VMs with memory tagging has FEAT_MTE2 or FEAT_MTE3."""
    tagging = unknown(2 << 8, 1 << 8)[0] if mte else (0, 0)
    return {
        PFR0: unknown(1 << 32 if sve else 0, U64 & ~PFR0_SVE),
        PFR1: unknown(tagging[0], U64 & ~PFR1_SME & ~PFR1_MTE | tagging[1]),
        ZFR0: unknown(0, U64) if sve else exact(0),
        SMFR0: exact(0),
    }


def _differs(candidates: Set, value: int, field: int = U64) -> bool:
    """Whether `value` surely differs from the register in the bits of `field`."""
    return all((value ^ v) & ~m & field for v, m in candidates)


def _exceeds(limit: Set, value: int) -> bool:
    """Whether some 4-bit field of `value` is surely above the host's."""
    known, mask = join(limit)
    most = known | mask
    return any((value >> n & 0xF) > (most >> n & 0xF) for n in range(0, 64, 4))


_Case = Callable[[Vm, str, int], bool]

_REFUSED: tuple[tuple[str, _Case], ...] = (
    ("id.smfr0-refused", lambda vm, name, value: name == SMFR0 and value != 0),
    ("id.zfr0-without-sve-refused", lambda vm, name, v: name == ZFR0 and not _sve(vm) and v != 0),
    (
        "id.pfr0-sve-refused",
        lambda vm, name, value: name == PFR0 and _differs(vm.ids[name], value, PFR0_SVE),
    ),
    ("id.pfr1-sme-refused", lambda vm, name, value: name == PFR1 and bool(value & PFR1_SME)),
    (
        "id.pfr1-mte-refused",
        lambda vm, name, value: name == PFR1 and _differs(vm.ids[name], value, PFR1_MTE),
    ),
    (
        "id.zfr0-above-refused",
        lambda vm, name, value: (
            name == ZFR0 and _exceeds(vm.id_limits.get(name, vm.ids[name]), value)
        ),
    ),
)
"""Writes that no kernel takes, before any vcpu has run."""


def _check(vm: Vm, name: str) -> Callable[[int], Verdict]:
    def check(value: int) -> Verdict:
        current = vm.ids[name]
        if current == exact(value):
            return Verdict((0,), "id.same-value")
        if vm.ran_once:
            refused = EBUSY, EINVAL  # 6.1 knows no EBUSY, 7.x looks at some fields first
            surely = _differs(current, value)
            return Verdict(refused if surely else (0, *refused), "id.busy-after-run")
        for rule, holds in _REFUSED:
            if holds(vm, name, value):
                return Verdict((EINVAL,), rule)
        vm.id_limits.setdefault(name, current)
        return Verdict((0, EINVAL), "id.lesser-value")

    return check
