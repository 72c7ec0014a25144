"""KVM_{GET,SET}_VCPU_EVENTS (api.rst 4.31, 4.32)."""

from __future__ import annotations

from functools import partial

from corpus.isa.form import Insn
from corpus.isa.system import ANY
from corpus.ops import GetEvents, SetEvents
from targets.profile import Profile
from targets.spec import aborts, el2, protected
from targets.spec.errno import EINVAL, ENOEXEC
from targets.spec.errors import Decides, Unpredictable
from targets.spec.permitted import Outcome, Part, Permitted, fails
from targets.spec.sets import ZERO, Set, exact, join, unknown
from targets.spec.steps.registry import step
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

ISS = (1 << 25) - 1
_FIRST_TO_ROUTE = (7, 2)
"""The first kernel whose SErrors beside EL2 were looked at."""
SERRORS_MASKED = 1 << 8
"""PSTATE.A."""


@step(SetEvents)
def set_events(world: World, op: SetEvents) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    if not vcpu.initialised:
        if op.abort:
            if world.vm.features is None and world.vm.width is None:
                world.rules.add("events.abort-before-init")
            raise Unpredictable("an abort that user space injects is not modelled", Decides.KERNEL)
        return Permitted("events.not-initialised", tuple(map(Outcome, (ENOEXEC, 0, EINVAL))))
    if op.reserved:
        return fails("events.reserved", EINVAL)
    told = bool(op.serror and op.has_esr)
    first = world.profile.kernel >= aborts.FIRST_AT_ONCE
    if op.abort and first:
        _abort_first(world, vcpu, op)
    if told and op.esr & ~ISS:
        return fails("events.wide-syndrome", EINVAL)
    if op.abort and not first:
        aborts.check(vcpu, world.profile, world.vm.protected)
    if not op.serror:
        if op.abort:
            rule = aborts.TAKEN if first else _abort_last(world, vcpu)
            return Permitted(rule, (Outcome(),))
        rule = "events.not-taken-back" if vcpu.serror else "events.nothing"
        return Permitted(rule, (Outcome(),))
    if not are_masked(vcpu, world.profile):
        # 6.12 has it pend until the guest runs, newer kernels take the exception at once.
        raise _taken_at_once(world, vcpu, op, "an SError that is not masked")
    if vcpu.el2 and world.beyond:
        raise Unpredictable("an SError where HCRX_EL2 may have been written", Decides.KERNEL)

    def pend() -> None:
        # KVM's own syndrome is IMPLEMENTATION DEFINED; without RAS none is shown.
        _settle(vcpu, exact(op.esr) if told else unknown(0, ISS))
        if op.abort and not first:
            _abort_last(world, vcpu)

    if told:  # EINVAL from a host without the RAS extension
        return Permitted("events.syndrome", (Outcome(effect=pend), Outcome(EINVAL)))
    pend()
    return Permitted("events.serror", (Outcome(),))


def _abort_first(world: World, vcpu: Vcpu, op: SetEvents) -> None:
    """The vcpu takes the abort before KVM looks at anything else. Raises Unpredictable."""
    if vcpu.el2 or not vcpu.run_once:
        raise _taken_at_once(world, vcpu, op, "an abort that user space injects")
    if vcpu.fault is None:
        world.rules.add("events.abort-by-last-exit")
    aborts.check(vcpu, world.profile, world.vm.protected)
    if world.beyond:
        raise Unpredictable("an abort where SCTLR2_EL1 may have been written", Decides.KERNEL)
    aborts.tell(vcpu, world.profile)
    aborts.take(vcpu, aborts.TAKEN)
    world.rules.add(aborts.TAKEN)


def _abort_last(world: World, vcpu: Vcpu) -> str:
    """The vcpu has the abort once all else went well. Returns the rule."""
    rule = aborts.rule_for(world.profile)
    world.rules.add(rule)
    aborts.tell(vcpu, world.profile)
    if rule == aborts.TAKEN:
        aborts.take(vcpu, rule)
    else:
        vcpu.aborting = True
    return rule


def _taken_at_once(world: World, vcpu: Vcpu, op: SetEvents, what: str) -> Unpredictable:
    """What stops judging where KVM has the vcpu take an exception within the ioctl."""
    if not vcpu.run_once:
        world.rules.add("events.taken-before-first-run")
    elif _goes_to_el2(vcpu, el2.AMO * bool(op.serror) | el2.TEA * bool(op.abort)):
        world.rules.add("events.goes-to-el2")
    return Unpredictable(f"{what} is not modelled", Decides.KERNEL)


def _goes_to_el2(vcpu: Vcpu, routes: int) -> bool:
    """Whether an exception may go from below EL2 to there, by any of `routes` of HCR_EL2."""
    if not vcpu.el2:
        return False
    hcr, mask = join(vcpu.sys["hcr_el2"])
    pstate, _ = join(vcpu.core["pstate"])
    hyp = pstate >> 2 & 3 == 2 or (vcpu.e2h and hcr & el2.TGE)
    return not hyp and bool((hcr | mask) & routes)


@step(GetEvents)
def get_events(world: World, op: GetEvents) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    if not vcpu.initialised:
        early = Outcome(ENOEXEC), Outcome(open_ended=True)
        return Permitted("events.not-initialised", early)
    if vcpu.serror is None:
        return Permitted("events.get", (Outcome(known_parts=_parts(None)),))
    pends = Outcome(known_parts=_parts(vcpu.serror), effect=partial(_settle, vcpu, vcpu.serror))
    if not vcpu.serror_left:
        return Permitted("events.get", (pends,))
    dropped = Outcome(known_parts=_parts(None), effect=partial(_settle, vcpu, None))
    return Permitted("events.left-by-init", (dropped, pends))


def _settle(vcpu: Vcpu, serror: Set | None) -> None:
    vcpu.serror, vcpu.serror_left = serror, False


def _parts(serror: Set | None) -> tuple[Part, ...]:
    """What is told where an SError with such a syndrome pends, or none does."""
    return (
        Part("serror_pending", 1, exact(int(serror is not None))),
        Part("serror_has_esr", 1, unknown(0, 1)),  # whether the host has RAS
        Part("ext_dabt_pending", 1, ZERO),
        Part("padding", 5, ZERO),
        Part("serror_esr", 8, ZERO if serror is None else serror),
        Part("reserved", 48, ZERO),
    )


def are_masked(vcpu: Vcpu, profile: Profile) -> bool:
    """Whether the guest is known to have SErrors masked, by PSTATE.A. A vcpu with EL2 keeps one
    pending, be it at EL2 or below, unless it goes to EL2 from there (nested.c,
    kvm_nested_sync_hwstate)."""
    pstate, mask = join(vcpu.core["pstate"])
    if vcpu.el2 and (profile.kernel < _FIRST_TO_ROUTE or _goes_to_el2(vcpu, el2.AMO)):
        return False
    return bool(pstate & ~mask & SERRORS_MASKED)


def goes_on_pending(vcpu: Vcpu, program: tuple[Insn, ...], profile: Profile) -> bool:
    """Whether an SError that pends certainly does so after a run of `program`. Only words of any
    kind can unmask it; the hypervisor of protected mode has an HCR_EL2 of its own, which takes over
    HCR_EL2.VSE where that was read."""
    unmasks = any(insn.form.name == ANY for insn in program)
    read = profile.kernel <= protected.LAST_WITHOUT or profile.kernel >= protected.FIRST_KERNEL
    return are_masked(vcpu, profile) and not unmasks and (read or profile.mode != protected.MODE)
