"""KVM_RUN (api.rst 4.10 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from corpus import wire
from corpus.isa.form import Insn
from corpus.ops import Run
from targets.spec import aborts, el2, idregs, protected
from targets.spec.errno import EBADF, EINTR, EINVAL, ENOEXEC, EPERM
from targets.spec.errors import Decides, KnownDefect, SystemEvent, Unpredictable
from targets.spec.forks import Forks
from targets.spec.paths import Path, State, explore, restore, united
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.rules import in_force
from targets.spec.run import Ended, NoSyndrome, completed, place_code, run
from targets.spec.sets import exact, join, unknown
from targets.spec.steps import events
from targets.spec.steps.registers import narrow_to_32bit
from targets.spec.steps.registry import step
from targets.spec.vcpu import MP_RUNNABLE, Vcpu
from targets.spec.world import World

PMU_V3 = 1 << 3
PMU_V3_STRICT = 1 << 9
KVM_EXIT_MMIO, KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_ARM_NISV = 6, 24, 28
_LOOKED = frozenset({"run.stopped", "run.immediate-exit"})
"""How KVM_RUN ends that gets as far as to the loop of entries: it leaves no exception pending."""
FORGETS_ABORTS = "init.forgets-aborts"
LATE = "run.late-vcpu-in-protected-mode"
LATE_INIT = "run.late-init-in-protected-mode"


@step(Run)
def run_op(world: World, op: Run) -> Permitted:
    return run_vcpu(world, op.vcpu, op.program, bool(op.immediate))


def run_vcpu(world: World, slot: int, program: tuple[Insn, ...], immediate: bool) -> Permitted:
    """One run of `program`, which lies in RAM even if it cannot run, on the vcpu in `slot`.
    Raises Unpredictable."""
    prepare(world, slot, program)
    vcpu = world.vm.vcpus.get(slot)
    waits = vcpu is not None and vcpu.stopped != MP_RUNNABLE
    return enter(world, slot, program, immediate, waits, completed)


def prepare(world: World, slot: int, program: tuple[Insn, ...], base: int = wire.CODE_BASE) -> None:
    """What the harness does before KVM_RUN; `base`: where the program goes, but for a protected
    VM, in which it is already. Raises Unpredictable."""
    if world.vm.protected:
        base = protected.place(world.vm, program)
    place_code(world.mem, program, base)
    vcpu = world.vm.vcpus.get(slot)
    if vcpu is None or not vcpu.initialised:
        return
    world.settle(vcpu)
    vcpu.core["pc"] = exact(base)
    vcpu.sys["vbar_el1"] = exact(wire.VECTOR_BASE)
    if vcpu.el2:
        vcpu.sys["vbar_el2"] = exact(wire.VECTOR_BASE)
    if vcpu.aarch32:
        narrow_to_32bit(world, vcpu)


def enter(
    world: World,
    slot: int,
    program: tuple[Insn, ...],
    immediate: bool,
    waits: bool,
    finish: Callable[[Vcpu, Ended], Ended],
) -> Permitted:
    """KVM_RUN of what is prepared, and then what `finish` makes of each way in which it may end.
    `waits`: the harness found that the vcpu is not runnable. Raises Unpredictable."""
    vcpu = world.vm.vcpus.get(slot)
    if vcpu is None:
        return _failed("vcpu.missing", EBADF, EBADF, 0)
    if not vcpu.initialised:
        return _failed("run.not-initialised", ENOEXEC, ENOEXEC, None)
    unfit = _unfit(world, vcpu, immediate, waits)
    if vcpu.aborting is None and (not unfit or unfit.rule in _LOOKED):
        _forget_abort(world, vcpu)
    if unfit:
        if vcpu.aborting and unfit.rule in _LOOKED:
            aborts.take(vcpu, aborts.PENDS)
            vcpu.aborting = False
        return unfit
    if world.beyond:
        raise Unpredictable(
            "a register outside the model was written before this run", Decides.KERNEL
        )
    if vcpu.serror is not None and not events.goes_on_pending(vcpu, program, world.profile):
        raise Unpredictable("a run that may take an SError is not modelled", Decides.KERNEL)
    if any(other.stolen is not None for other in world.vm.vcpus.values()):
        raise Unpredictable("a run with stolen time in RAM is not modelled", Decides.KERNEL)

    def execute(forks: Forks) -> Ended:
        with protected.as_its_guest_has_it(world.vm, vcpu, world.rules):
            ended = run(vcpu, world.profile, world.mem, program, world.rules, world.vm, forks)
        return finish(vcpu, ended)

    paths = explore(world, program, execute)
    if world.vm.signalled and any(p.ended.exit is None and p.ended.err == EINTR for p in paths):
        # KVM_RUN, which is made again then, goes on behind the wait.
        raise Unpredictable("a wait that a signal may end", Decides.NOTHING)
    ended = paths[0].ended
    rule = "run.exit" if ended.exit else "psci.waits" if ended.err == EINTR else "run.fails"
    cause = None
    if vcpu.initialised_late and vcpu.sve and _copies_vcpus(world):
        rule = LATE_INIT
    elif ended.exit:
        cause = dict.fromkeys(("mmio address", "mmio data", "exit reason"), ended.cause)
    return Permitted(rule, _outcomes(world, paths), world.context(vcpu), origins=cause)


def _copies_vcpus(world: World) -> bool:
    """Whether the hypervisor has copies of its own of the vcpus."""
    profile = world.profile
    return profile.mode == protected.MODE and in_force(LATE_INIT, profile.kernel)


def _outcomes(world: World, paths: Sequence[Path[Ended]]) -> tuple[Outcome, ...]:
    """What may be seen of a run, and what is left behind each of it: paths that look alike
    from outside are one outcome."""
    if len(paths) == 1:
        return (_outcome(paths[0].ended),)
    alike: list[tuple[Outcome, State]] = []
    for path in paths:
        seen, after = _outcome(path.ended), path.after
        assert after
        for at, (other, so_far) in enumerate(alike):
            if _look_alike(seen, other):
                alike[at] = _united_parts(other, seen), united(so_far, after)
                break
        else:
            alike.append((seen, after))
    return tuple(replace(seen, effect=partial(restore, world, after)) for seen, after in alike)


def _look_alike(a: Outcome, b: Outcome) -> bool:
    """Whether some observation fits both."""
    return (a.err, a.aux) == (b.err, b.aux) and all(
        not (value ^ other) & ~(mask | other_mask)
        for (value, mask), (other, other_mask) in (
            (one.candidates[0], two.candidates[0])
            for one, two in zip(a.known_parts, b.known_parts, strict=True)
        )
    )


def _united_parts(a: Outcome, b: Outcome) -> Outcome:
    parts = tuple(
        replace(one, candidates=(join((*one.candidates, *two.candidates)),))
        for one, two in zip(a.known_parts, b.known_parts, strict=True)
    )
    return replace(a, known_parts=parts)


def _outcome(ended: Ended) -> Outcome:
    exit_ = ended.exit
    if exit_ is None:
        return _failure(ended.err, 0, wire.RUN_TIMED_OUT if ended.err == EINTR else 0)
    if isinstance(exit_, NoSyndrome):
        return Outcome(known_parts=_no_syndrome())
    if isinstance(exit_, SystemEvent):
        return Outcome(known_parts=_exit(KVM_EXIT_SYSTEM_EVENT, exit_.kind, exit_.flags, (0, 0), 0))
    value = exit_.value, exit_.mask
    return Outcome(
        known_parts=_exit(KVM_EXIT_MMIO, int(exit_.write), exit_.address, value, exit_.size)
    )


def _unfit(world: World, vcpu: Vcpu, immediate: bool, waits: bool) -> Permitted | None:
    """Why KVM_RUN returns before the guest executes anything, if it does."""
    vm = world.vm
    if vcpu.sve and not vcpu.finalised:
        return _failed("run.not-finalised", EPERM, 0, None)
    if not vcpu.run_once:
        vm.first_run()
    if not vm.ran_once:
        if vm.made_gic:
            idregs.with_irqchip(vm)
        else:
            world.rules.add("id.gic-leaves")
            idregs.without_irqchip(vm)
    if vcpu.el2 and not vm.fixed:
        _fix_bits(world)
    if lacks_pmu(world, vcpu):
        vcpu.refused_for_pmu = True
        return _failed("run.pmu-not-created", EINVAL, 0, None)
    if vcpu.pmu_ready and vm.may_have_gic and not vm.gic:
        raise Unpredictable("a PMU beside an interrupt controller is not modelled", Decides.KERNEL)
    if vm.made_gic and (vcpu.el2 or vm.timers_chosen):
        raise Unpredictable(
            "an interrupt controller beside EL2, or timers with interrupts of their own, is not"
            " modelled",
            Decides.KERNEL,
        )
    if vm.made_gic and vcpu.slot >= len(vm.vcpus):
        world.rules.add("gic.any-id")
    if vcpu.late and world.profile.mode == protected.MODE and in_force(LATE, world.profile.kernel):
        return _failed(LATE, EINVAL, 0, None)
    vm.ran_once = vcpu.run_once = True
    if waits:
        return _failed("run.stopped", EINTR, 0, wire.RUN_NOT_RUNNABLE)
    if immediate:
        return _failed("run.immediate-exit", EINTR, 0, 0)
    return None


def _forget_abort(world: World, vcpu: Vcpu) -> None:
    """An INIT came behind an abort that waited for an entry. Raises Unpredictable."""
    if FORGETS_ABORTS in world.profile.defects:
        raise KnownDefect(FORGETS_ABORTS)
    world.rules.add(FORGETS_ABORTS)
    vcpu.aborting = False
    moved = ("pc", "pstate", "elr_el1", "spsr_el1")
    vcpu.origins.update(dict.fromkeys(moved, FORGETS_ABORTS))


def waits_for_ever(world: World, vcpu: Vcpu) -> Permitted:
    """KVM_RUN of a vcpu that was stopped after the harness had looked: it changes nothing, but does
    not return before its time is up. Raises Unpredictable."""
    unfit = _unfit(world, vcpu, immediate=False, waits=True)
    assert unfit is not None
    stopped = unfit.rule == "run.stopped"
    if stopped and vcpu.aborting is not False:
        raise Unpredictable("an abort of a vcpu that waits", Decides.KERNEL)
    return _failed("run.stopped", EINTR, 0, wire.RUN_TIMED_OUT) if stopped else unfit


def lacks_pmu(world: World, vcpu: Vcpu) -> bool:
    """Whether it has a PMU that user space did not set up, so that it does not run."""
    return has_pmu(world, vcpu) and not vcpu.pmu_ready


def has_pmu(world: World, vcpu: Vcpu) -> bool:
    """Whether a vcpu has a PMU: as the VM's first INIT said, on old kernels as its own did."""
    if in_force("init.vm-wide-features", world.profile.kernel):
        return bool((world.vm.features or 0) & PMU_V3)
    return bool((vcpu.features | vcpu.left_over) & PMU_V3)


def _fix_bits(world: World) -> None:
    """The first attempt to run a vcpu with EL2."""
    world.rules.add("el2.fixed-bits")
    if in_force(el2.ZCR_MASKED, world.profile.kernel):
        world.rules.add(el2.ZCR_MASKED)
    world.vm.fixed = True
    for vcpu in world.vm.vcpus.values():
        if vcpu.el2:
            el2.sanitise(vcpu, world.profile.kernel)


def _exit(
    reason: int, kind: int, address: int, value: tuple[int, int], length: int
) -> tuple[Part, ...]:
    return (
        Part("exit reason", 4, exact(reason)),
        Part("mmio is_write" if length else "event type", 4, exact(kind)),
        Part("mmio address", 8, exact(address)),
        Part("mmio data", 8, unknown(*value)),
        Part("mmio length", 4, exact(length)),
        Part("flags", 4, exact(0)),
    )


def _no_syndrome() -> tuple[Part, ...]:
    """Which byte of what was accessed is told is up to the CPU."""
    return (
        Part("exit reason", 4, exact(KVM_EXIT_ARM_NISV)),
        Part("esr_iss", 4, unknown(TRANSLATION_FAULT, _CM_WNR | _LEVEL)),
        Part("fault_ipa", 8, unknown(0, (1 << 64) - 1)),
        Part("nothing", 16, exact(0)),
    )


TRANSLATION_FAULT, _LEVEL, _CM_WNR = 0b100, 0b11, 1 << 8 | 1 << 6
"""Fields of ESR_EL2 that are told without a valid syndrome (api.rst 5)."""


def _failed(rule: str, err: int, aux_err: int, flags: int | None = 0) -> Permitted:
    """KVM_RUN fails."""
    return Permitted(rule, (_failure(err, aux_err, flags),))


def _failure(err: int, aux_err: int, flags: int | None) -> Outcome:
    """`aux_err`: how the SETs of PC and VBAR_EL1 before KVM_RUN fail; `flags` None: whether
    the harness asked for the immediate exit does not matter."""
    seen = unknown(0, wire.RUN_NOT_RUNNABLE) if flags is None else exact(flags)
    parts = (Part("exit", 28, exact(0)), Part("flags", 4, seen))
    return Outcome(err, parts, aux_err | aux_err << 32)
