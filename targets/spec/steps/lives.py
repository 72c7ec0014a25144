"""The life of a vcpu: creation, INIT, FINALIZE (api.rst 4.7, 4.82, 4.83, 4.119)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from corpus.ops import (
    FEATURE_SVE,
    FINALIZE_SVE,
    GENERIC_V8,
    CreateVcpu,
    CreateVm,
    Finalize,
    Init,
    PreferredTarget,
)
from corpus.wire import OTHER_SLOT, VM_PROTECTED
from targets.spec import el2, protected
from targets.spec.errno import EBUSY, EEXIST, EINVAL, ENOENT, ENOEXEC, EOPNOTSUPP, EPERM
from targets.spec.errors import Decides, Unpredictable
from targets.spec.permitted import Outcome, Part, Permitted, fails
from targets.spec.rules import by_kernel, in_force
from targets.spec.sets import exact
from targets.spec.steps.registry import step
from targets.spec.steps.running import PMU_V3, PMU_V3_STRICT
from targets.spec.vcpu import MP_RUNNABLE, MP_STOPPED, Vcpu, Vm
from targets.spec.world import World

POWER_OFF = 1
EL1_32BIT = 1 << 1
PTRAUTH = 3 << 5
HAS_EL2 = 1 << 7
HAS_EL2_E2H0 = 1 << 8
FIRST_WORD = (1 << 32) - 1


@step(CreateVcpu)
def create(world: World, op: CreateVcpu) -> Permitted:
    if op.vcpu == OTHER_SLOT and not world.profile.two_vms:
        return fails("vcpu.one-vm", EOPNOTSUPP)
    if op.vcpu in world.vm.vcpus:
        busy = [Outcome(EBUSY)] if world.vm.made_gic else []
        return Permitted("vcpu.create-twice", (Outcome(EEXIST), *busy))
    if world.vm.made_gic:
        return fails("gic.no-more-vcpus", EBUSY)
    world.vm.add(op.vcpu)
    return Permitted("vcpu.create", (Outcome(),))


@step(CreateVm)
def create_vm(world: World, op: CreateVm) -> Permitted:
    if world.vm.vcpus:
        return fails("vm.type-late", EEXIST)
    if op.type != VM_PROTECTED:
        return fails("vm.type-reserved", EINVAL)
    refused = Outcome(EINVAL)
    made = Outcome(effect=partial(_begin_protected, world))
    can_be = protected.can_be(world.profile)
    rule = "vm.type-protected" if True in can_be else "vm.type-not-protected"
    return Permitted(rule, tuple(made if can else refused for can in can_be))


def _begin_protected(world: World) -> None:
    world.vm = Vm(stepped=world.vm.stepped)
    protected.begin(world.vm, world.mem)


@step(PreferredTarget)
def preferred_target(world: World, op: PreferredTarget) -> Permitted:
    part = Part("kvm_vcpu_init", 32, exact(GENERIC_V8))
    return Permitted("vm.preferred-target", (Outcome(known_parts=(part,)),))


@step(Init)
def init(world: World, op: Init) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    asked = op.features | vcpu.left_over
    if vcpu.tainted and not asked & FEATURE_SVE:
        raise Unpredictable("an INIT that failed left SVE behind", Decides.KERNEL)
    if vcpu.left_over:
        world.rules.add("init.has-left-over")
    features = asked & ~POWER_OFF
    refusal = refuses(world, vcpu, op.target, features, asked & POWER_OFF)
    if refusal:
        return refusal
    rule = "init.again" if vcpu.initialised else "init.first"
    effect = initialise(world, vcpu, features, asked & POWER_OFF)
    if features & HAS_EL2_E2H0 and not features & HAS_EL2:
        return Permitted("init.e2h0-alone", (Outcome(effect=effect), Outcome(EINVAL)))
    if features & EL1_32BIT and features & FEATURE_SVE:
        # Not refused by the code read, not promised by the interface either.
        return Permitted("init.aarch32-sve", (Outcome(effect=effect), Outcome(EINVAL)))
    if features & HAS_EL2_E2H0 and not vcpu.initialised:
        return Permitted("el2.init-without-vhe", (Outcome(effect=effect), Outcome(EINVAL)))
    effect()
    return Permitted(rule, (Outcome(),))


def refuses(
    world: World, vcpu: Vcpu, target: int, features: int, power_off: int
) -> Permitted | None:
    """How INIT fails, or None; `features` without POWER_OFF. In KVM's order (facts 1.2).
    Raises Unpredictable."""
    profile, vm = world.profile, world.vm
    if target != GENERIC_V8:
        return fails("init.target", EINVAL)
    unknown = features & ~by_kernel("init.unknown-feature", profile.kernel)
    takes_back = in_force("init.failed-changes-nothing", profile.kernel)
    if unknown:
        if takes_back:
            world.rules.add("init.failed-changes-nothing")
        elif not vcpu.initialised:
            vcpu.left_over = (features | power_off) & ~unknown
        rule = "init.unknown-feature" if unknown & FIRST_WORD else "init.unknown-word"
        if not vcpu.initialised:
            return fails(rule, ENOENT)
        world.rules.add(rule)
        first = in_force("init.unknown-before-changed", profile.kernel)
        either = (ENOENT,) if first else (ENOENT, EINVAL)
        return Permitted("init.unknown-before-changed", tuple(Outcome(err) for err in either))
    if not vcpu.initialised:
        vcpu.left_over = 0
    strict = PMU_V3_STRICT if profile.features & PMU_V3 else 0
    if features & ~profile.features & ~HAS_EL2_E2H0 & ~strict:
        return fails("init.unsupported-feature", EINVAL)
    if vcpu.initialised and power_off != vcpu.power_off:
        per_call = in_force("init.power-off-per-call", profile.kernel)
        if not per_call:
            return fails("init.power-off-per-call", EINVAL)
        world.rules.add("init.power-off-per-call")
    if features & PTRAUTH not in (0, PTRAUTH):
        if not takes_back and not vcpu.initialised:
            _leave_behind(vm, vcpu, features)
        return fails("init.half-ptrauth", EINVAL)
    if features & EL1_32BIT and vm.mte:
        return fails("init.aarch32-mte", EINVAL)
    if features & PMU_V3_STRICT and not features & PMU_V3:
        return fails("init.strict-alone", EINVAL)
    if features & EL1_32BIT and features & HAS_EL2:
        return fails("init.aarch32-el2", EINVAL)
    if vcpu.initialised and features != vcpu.features:
        return fails("init.features-changed", EINVAL)
    if vm.width not in (None, features & EL1_32BIT):
        return fails("init.vm-wide-width", EINVAL)
    if vm.features is not None and features != vm.features:
        if in_force("init.vm-wide-features", profile.kernel):
            return fails("init.vm-wide-features", EINVAL)
        if (features ^ vm.features) & EL1_32BIT:
            return fails("init.vm-wide-width", EINVAL)
    return None


def _leave_behind(vm: Vm, vcpu: Vcpu, features: int) -> None:
    """6.1's kvm_reset_vcpu calls kvm_set_vm_width first, which may refuse, then
    kvm_vcpu_enable_sve; neither is taken back when the INIT fails."""
    if vm.width is None:
        vm.width = (features if vm.features is None else vm.features) & EL1_32BIT
    if vm.width == features & EL1_32BIT:
        vcpu.tainted |= bool(features & FEATURE_SVE)


def initialise(world: World, vcpu: Vcpu, features: int, power_off: int) -> Callable[[], None]:
    """What an accepted INIT does."""
    rules = world.rules

    def effect() -> None:
        vm = world.vm
        vm.mixed |= vm.features not in (None, features)
        if vm.mixed:
            rules.add("init.other-features")
        vm.features = vcpu.features = features
        if vcpu.initialised and vcpu.sve:
            kept = vcpu.finalised
            rules.add("init.keeps-length" if kept else "init.forgets-length")
        vcpu.initialised = True
        vcpu.sve = bool(features & FEATURE_SVE)
        vcpu.aarch32 = bool(features & EL1_32BIT)
        vcpu.el2 = bool(features & HAS_EL2)
        vcpu.e2h = not features & HAS_EL2_E2H0
        vcpu.pauth = bool(features & PTRAUTH)
        vcpu.mte = world.vm.mte
        # Once it has run, 6.12 leaves HCR_EL2.VSE as it is (vcpu_reset_hcr).
        vcpu.serror_left = (vcpu.run_once or vcpu.el2) and vcpu.serror is not None
        if not vcpu.serror_left:
            vcpu.serror = None
        if vcpu.aborting:
            vcpu.aborting = None
        vcpu.reset(world.profile.max_vq)
        if vcpu.refused_for_pmu and not vcpu.run_once:
            rules.add("init.stops-timers")
        if vcpu.el2:
            rules.add("el2.init")
            el2.reset(vcpu, vm, world.profile.kernel)
        rules.add("init.power-off" if power_off else "init.power-on")
        vcpu.power_off = power_off
        vcpu.stopped = MP_STOPPED if power_off else MP_RUNNABLE

    return effect


@step(Finalize)
def finalize(world: World, op: Finalize) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    if not vcpu.initialised:
        return fails("finalize.not-initialised", ENOEXEC)
    if op.what != FINALIZE_SVE:
        return fails("finalize.what", EINVAL)
    if not vcpu.sve:
        return fails("finalize.no-sve", EINVAL)
    if vcpu.finalised:
        return fails("finalize.twice", EPERM)
    vcpu.finalised = True
    return Permitted("finalize.ok", (Outcome(),))
