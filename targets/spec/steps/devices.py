"""Attributes of vcpus and of the VM, and KVM_ENABLE_CAP (api.rst 4.37, 4.79, 4.80, and devices/).

What they switch on concerns runs alone: no register changes by any of these calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from corpus.ops import (
    EAGER_SPLIT,
    MTE,
    NISV_TO_USER,
    PMU,
    PMU_INIT,
    PVTIME,
    SYSTEM_SUSPEND,
    TIMER,
    CreateGic,
    DeviceAttr,
    EnableCap,
    SmcccFilter,
)
from corpus.wire import Ask
from targets.profile import MEMORY_TAGS
from targets.spec import idregs
from targets.spec.errno import EBUSY, EEXIST, EINVAL, ENODEV, ENOMEM, ENXIO
from targets.spec.errors import Decides, Unpredictable
from targets.spec.permitted import Outcome, Part, Permitted, fails
from targets.spec.rules import in_force
from targets.spec.rules.rule import FIRST
from targets.spec.sets import Set, exact, unknown
from targets.spec.steps.registry import step
from targets.spec.steps.running import PMU_V3_STRICT, has_pmu
from targets.spec.vcpu import U64, Vcpu
from targets.spec.world import World

IRQ, SET_PMU, COUNTERS = 0, 3, 4
"""The first attribute of a PMU, the last that it had at first, and one that it got behind 6.12."""
_WITHOUT_COUNTERS = (6, 12)
"""The last kernel that surely has no attribute for the number of counters."""
_IRQS = {0: 27, 1: 30}
"""Interrupts of the virtual and of the physical timer of EL1."""
_EL2_TIMERS = (2, 3)


@step(DeviceAttr)
def device_attr(world: World, op: DeviceAttr) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    if op.group not in _GROUPS:
        return fails("attr.group", ENXIO)
    permitted = _GROUPS[op.group][op.ask](world, vcpu, op)
    if world.profile.kernel == FIRST:  # no kernel, and perhaps no such devices
        return _or(permitted, Outcome(ENXIO), "attr.none", world)
    return permitted


def _or(permitted: Permitted, other: Outcome, rule: str, world: World) -> Permitted:
    world.rules.add(rule)
    return Permitted(permitted.rule, (*permitted.outcomes, other))


def _is_there(rule: str, *errors: int) -> Permitted:
    return Permitted(rule, (Outcome(), *map(Outcome, errors)))


def _value(rule: str, value: Set, *errors: int) -> Permitted:
    return Permitted(rule, (Outcome(known_parts=(Part("value", 8, value),)), *map(Outcome, errors)))


# -- timers ----------------------------------------------------------------------------


def _has_timer(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    return _timer(world, op) or _is_there("attr.has")


def _timer(world: World, op: DeviceAttr) -> Permitted | None:
    """How asking for an attribute of a timer fails."""
    if op.attribute in _EL2_TIMERS and in_force("attr.el2-timers", world.profile.kernel):
        world.rules.add("attr.el2-timers")
        return None
    return None if op.attribute in _IRQS else fails("attr.unknown", ENXIO)


def _get_timer(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    refused = _timer(world, op)
    if refused:
        return refused
    if world.vm.timers_chosen or op.attribute not in _IRQS:
        return _value("attr.timer-irq", unknown(0, 0x1F))
    return _value("attr.timer-irq", exact(_IRQS[op.attribute]))


def _set_timer(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    if not world.vm.may_have_gic:
        return fails("attr.timer-no-gic", EINVAL)
    chosen = Outcome(effect=partial(setattr, world.vm, "timers_chosen", True))
    return Permitted("attr.timer-chosen", (Outcome(EBUSY), Outcome(EINVAL), Outcome(ENXIO), chosen))


# -- stolen time -----------------------------------------------------------------------


def _pvtime(world: World, rule: str, here: Outcome, attribute: int) -> Permitted:
    """`here`, or ENXIO from a host that counts no such time."""
    counts = world.vm.counts_stolen
    if attribute or counts is False:
        return fails("attr.unknown", ENXIO)
    if counts:
        return Permitted(rule, (here,))

    def settle(found: bool) -> None:
        world.vm.counts_stolen = found
        if found and here.effect is not None:
            here.effect()

    absent = Outcome(ENXIO, effect=partial(settle, found=False))
    return Permitted(rule, (replace(here, effect=partial(settle, found=True)), absent))


def _has_pvtime(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    return _pvtime(world, "attr.has", Outcome(), op.attribute)


def _get_pvtime(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    address = exact(U64 if vcpu.stolen is None else vcpu.stolen)
    told = Outcome(known_parts=(Part("value", 8, address),))
    return _pvtime(world, "attr.pvtime-get", told, op.attribute)


def _set_pvtime(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    if op.value % 64:
        rule, outcome = "attr.pvtime-unaligned", Outcome(EINVAL)
    elif vcpu.stolen is not None:
        rule, outcome = "attr.pvtime-twice", Outcome(EEXIST)
    elif not world.mem.contains(op.value, 1):
        rule, outcome = "attr.pvtime-outside", Outcome(EINVAL)
    else:
        rule = "attr.pvtime-set"
        outcome = Outcome(effect=partial(setattr, vcpu, "stolen", op.value))
    return _pvtime(world, rule, outcome, op.attribute)


# -- PMU -------------------------------------------------------------------------------


def _last_of_pmu(world: World) -> int:
    """The last attribute that a PMU may have. 7.3 has that of its counters; with which kernel it
    came is not known here, so none must have it."""
    return COUNTERS if world.profile.kernel > _WITHOUT_COUNTERS else SET_PMU


def _has_pmu_attr(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    if not has_pmu(world, vcpu) or op.attribute > _last_of_pmu(world):
        return fails("attr.unknown", ENXIO)
    return _is_there("attr.has", *([ENXIO] if op.attribute > SET_PMU else []))


def _get_pmu(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    if op.attribute != IRQ:
        return fails("attr.unknown", ENXIO)
    if not world.vm.may_have_gic:
        return fails("attr.pmu-no-gic", EINVAL)
    return _value("attr.pmu-other", unknown(0, 0x3FF), ENXIO, ENODEV, EINVAL)


def _set_pmu(world: World, vcpu: Vcpu, op: DeviceAttr) -> Permitted:
    if not has_pmu(world, vcpu):
        return fails("attr.no-pmu", ENODEV)
    if vcpu.pmu_ready:
        return fails("attr.pmu-twice", EBUSY)
    if op.attribute > _last_of_pmu(world):
        return fails("attr.unknown", ENXIO)
    if op.attribute == IRQ and not world.vm.may_have_gic:
        return fails("attr.pmu-no-gic", EINVAL)
    ready = Outcome(effect=partial(setattr, vcpu, "pmu_ready", True))
    if op.attribute == PMU_INIT:
        if world.vm.may_have_gic:
            return Permitted("attr.pmu-other", (Outcome(ENXIO), Outcome(ENODEV), ready))
        if (world.vm.features or 0) & PMU_V3_STRICT:
            return Permitted("attr.pmu-strict", (Outcome(ENXIO), ready))
        return Permitted("attr.pmu-init", (ready,))
    errors = (ENXIO, EINVAL, EBUSY, ENODEV, ENOMEM)
    return _is_there("attr.pmu-other", *errors)


_Says = Callable[[World, Vcpu, DeviceAttr], Permitted]
_GROUPS: dict[int, dict[int, _Says]] = {
    PMU: {Ask.HAS: _has_pmu_attr, Ask.GET: _get_pmu, Ask.SET: _set_pmu},
    TIMER: {Ask.HAS: _has_timer, Ask.GET: _get_timer, Ask.SET: _set_timer},
    PVTIME: {Ask.HAS: _has_pvtime, Ask.GET: _get_pvtime, Ask.SET: _set_pvtime},
}

# -- interrupt controller --------------------------------------------------------------


@step(CreateGic)
def create_gic(world: World, op: CreateGic) -> Permitted:
    """KVM_CREATE_DEVICE (api.rst 4.79) of a GICv3, and its attributes (arm-vgic-v3.rst)."""
    vm, here = world.vm, world.profile.gic
    if here is False:
        return fails("gic.none", ENODEV)
    if vm.may_have_gic and not vm.made_gic:
        raise Unpredictable("an interrupt controller beside EL2 is not modelled", Decides.KERNEL)
    if vm.made_gic:
        return fails("gic.twice", EEXIST)
    if any(vcpu.run_once for vcpu in vm.vcpus.values()):
        permitted = fails("gic.after-run", EBUSY)
    elif any(vcpu.refused_for_pmu for vcpu in vm.vcpus.values()):
        raise Unpredictable(
            "an interrupt controller behind a run that was refused is not modelled", Decides.KERNEL
        )
    else:
        permitted = Permitted("gic.made", (Outcome(effect=partial(_have_gic, world)),))
    return permitted if here else _or(permitted, Outcome(ENODEV), "gic.none", world)


def _have_gic(world: World) -> None:
    world.vm.made_gic = True
    world.rules.add("id.gic-comes")
    idregs.with_irqchip(world.vm)


# -- hypercalls ------------------------------------------------------------------------

_RESERVED = (range(0x8000_0000, 0x8001_0000), range(0xC000_0000, 0xC001_0000))
_ACTIONS = 3


@step(SmcccFilter)
def smccc_filter(world: World, op: SmcccFilter) -> Permitted:
    kernel = world.profile.kernel
    if kernel != FIRST and in_force("filter.none", kernel):
        return fails("filter.none", EINVAL)
    if world.vm.protected:
        return fails("protected.no-filter", EINVAL)
    permitted = _filter(world, op)
    if kernel == FIRST:
        return _or(permitted, Outcome(ENXIO), "attr.none", world)
    return permitted


def _filter(world: World, op: SmcccFilter) -> Permitted:
    if not op.count or op.base + op.count > 1 << 32 or op.action >= _ACTIONS:
        return fails("filter.malformed", EINVAL)
    if world.vm.ran_once:
        return fails("filter.after-run", EBUSY)
    wanted = range(op.base, op.base + op.count)
    if any(_meet(wanted, reserved) for reserved in _RESERVED):
        world.rules.add("filter.reserved")
        return fails("filter.overlap", EEXIST)
    if any(_meet(wanted, other) for other, _ in world.vm.filtered):
        return fails("filter.overlap", EEXIST)
    ranges = (*world.vm.filtered, (wanted, op.action))
    taken = partial(setattr, world.vm, "filtered", ranges)
    return Permitted("filter.set", (Outcome(effect=taken),))


def _meet(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop


# -- capabilities ----------------------------------------------------------------------

OTHER_CAPS = {
    168: "manual_dirty_log_protect2",
    182: "halt_poll",
    192: "dirty_log_ring",
    223: "dirty_log_ring_acq_rel",
    225: "dirty_log_ring_with_bitmap",
    239: "writable_imp_id_regs",
    245: "sea_to_user",
}
"""Capabilities that some VMs can enable, by what they are given and what the machine has, and of
which the specification says no more (arm.c and kvm_main.c of 7.3)."""


@step(EnableCap)
def enable_cap(world: World, op: EnableCap) -> Permitted:
    if op.flags:
        return fails("enable.flags", EINVAL)
    if world.vm.protected:
        return fails("protected.no-capability", EINVAL)
    if op.cap == EAGER_SPLIT:
        return fails("enable.late-split", EINVAL)
    if op.cap in OTHER_CAPS:
        raise Unpredictable("a capability that is not modelled", Decides.KERNEL)
    if op.cap == MTE:
        return _enable_mte(world)
    if op.cap not in (NISV_TO_USER, SYSTEM_SUSPEND):
        return fails("enable.unknown", EINVAL)
    enabled = _enabled(world, op.cap)
    if world.profile.kernel == FIRST:
        return Permitted("enable.enabled", (enabled, Outcome(EINVAL)))
    return Permitted("enable.enabled", (enabled,))


def _enabled(world: World, cap: int) -> Outcome:
    return Outcome(effect=partial(setattr, world.vm, "caps", world.vm.caps | {cap}))


def _enable_mte(world: World) -> Permitted:
    """Memory tagging, before any vcpu is (arm.c, kvm_vm_ioctl_enable_cap)."""
    if world.vm.vcpus:
        return fails("enable.late-mte", EINVAL)
    here = world.profile.mte
    if here == MEMORY_TAGS:
        return Permitted("enable.mte", (_enabled(world, MTE),))
    if here is None:
        return Permitted("enable.mte", (_enabled(world, MTE), Outcome(EINVAL)))
    return fails("enable.no-mte", EINVAL)
