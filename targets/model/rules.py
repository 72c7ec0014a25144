"""The rules of the specification, one row each.

Class: ARCH architecture, ABI documented interface, IMPL observed kernel behaviour.
ARCH and ABI rules give strict verdicts, IMPL rules lenient ones. `source` names the
kernel file (Debian's linux-source-6.12 was read), the documentation or the manual.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement. `since` and `until` bound the kernels it holds for, (major, minor)."""

    id: str
    cls: str
    source: str
    text: str
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = (99, 0)


_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("vcpu.create", "ABI", "api.rst 4.7", "KVM_CREATE_VCPU with a new id succeeds"),
    ("vcpu.create-twice", "ABI", "kvm_main.c", "a vcpu id in use gives EEXIST"),
    ("vcpu.missing", "ABI", "ioctl(2)", "an ioctl on a descriptor that is not open gives EBADF"),
    (
        "vm.preferred-target",
        "ABI",
        "api.rst 4.83, arm.c",
        "the preferred target is GENERIC_V8 with no feature set",
    ),
    ("init.first", "ABI", "api.rst 4.82", "INIT resets registers to their initial values"),
    (
        "init.again",
        "ABI",
        "api.rst 4.82, reset.c",
        "INIT again with the same features resets the vcpu; a finalised vcpu keeps its VLS, "
        "an unfinalised one gets the host's maximum back",
    ),
    ("init.target", "ABI", "arm.c", "a target that is neither generic nor the host's gives EINVAL"),
    ("init.unknown-feature", "ABI", "arm.c", "an unassigned feature bit gives ENOENT"),
    ("init.unsupported-feature", "ABI", "arm.c", "a feature the host lacks gives EINVAL"),
    (
        "init.half-ptrauth",
        "ABI",
        "api.rst 4.82",
        "one PTRAUTH feature without the other gives EINVAL",
    ),
    ("init.aarch32-el2", "IMPL", "arm.c", "EL1_32BIT with HAS_EL2 gives EINVAL"),
    ("init.aarch32-sve", "IMPL", "arm.c", "EL1_32BIT with SVE is accepted or gives EINVAL"),
    ("init.features-changed", "ABI", "api.rst 4.82", "INIT again with other features gives EINVAL"),
    (
        "init.vm-wide-features",
        "ABI",
        "api.rst 4.82, arm.c",
        "a vcpu with other features than the VM's first one gives EINVAL",
    ),
    ("finalize.ok", "ABI", "api.rst 4.119", "FINALIZE(SVE) of an initialised SVE vcpu succeeds"),
    ("finalize.not-initialised", "ABI", "arm.c", "FINALIZE before INIT gives ENOEXEC"),
    ("finalize.what", "IMPL", "reset.c", "FINALIZE of anything but SVE gives EINVAL"),
    ("finalize.no-sve", "IMPL", "reset.c", "FINALIZE of a vcpu without SVE gives EINVAL"),
    ("finalize.twice", "ABI", "api.rst 4.119", "a second FINALIZE gives EPERM"),
    ("vls.get", "ABI", "api.rst 4.68", "VLS reads the host's lengths up to the vcpu maximum"),
    ("vls.no-sve", "IMPL", "guest.c", "VLS of a vcpu without SVE gives ENOENT"),
    ("vls.set", "ABI", "api.rst 4.68", "VLS accepts the host's lengths up to one of them"),
    ("vls.after-finalize", "ABI", "api.rst 4.68", "VLS cannot be written after FINALIZE: EPERM"),
    ("vls.set-fault", "ABI", "guest.c", "VLS from an unmapped buffer gives EFAULT"),
    ("vls.above-host-maximum", "ABI", "guest.c", "a length above the host's maximum gives EINVAL"),
    ("vls.differs-from-host", "ABI", "guest.c", "a set that differs from the host's gives EINVAL"),
    ("vls.empty", "ABI", "guest.c", "an empty set of lengths gives EINVAL"),
    ("reg.not-initialised", "ABI", "arm.c", "ONE_REG before INIT gives ENOEXEC"),
    ("reg.upper-half", "ABI", "guest.c", "an id of another architecture gives EINVAL"),
    ("reg.not-modelled", "IMPL", "-", "an id outside the model: any outcome"),
    ("reg.get-fault", "ABI", "guest.c", "GET into an unmapped buffer gives EFAULT"),
    (
        "reg.set-fault",
        "ABI",
        "guest.c",
        "SET from an unmapped buffer gives EFAULT; a Z, P or FFR register may have taken a part",
    ),
    ("reg.read-all", "ABI", "api.rst 4.69", "GET reads back what was set or what the guest left"),
    ("core.beyond-kvm-regs", "IMPL", "guest.c", "a core id beyond struct kvm_regs gives ENOENT"),
    ("core.hole", "IMPL", "guest.c", "a core id inside or between registers gives EINVAL"),
    ("core.size", "ABI", "guest.c", "a core id with a wrong size gives EINVAL"),
    ("core.v-on-sve", "ABI", "api.rst 4.68", "V registers of an SVE vcpu give EINVAL"),
    ("core.x", "ABI", "api.rst 4.68", "X registers read what was written"),
    ("core.x-set", "ABI", "api.rst 4.68", "X registers take any value"),
    ("core.v", "ABI", "api.rst 4.68", "V registers read what was written"),
    ("core.v-set", "ABI", "api.rst 4.68", "V registers take any value"),
    ("core.other", "ABI", "api.rst 4.68", "SP, PC, ELR and SPSR read what was written"),
    ("core.other-set", "ABI", "api.rst 4.68", "SP, PC, ELR and SPSR take any value"),
    ("core.fp-control", "ABI", "api.rst 4.68", "FPSR and FPCR are kept raw until loaded"),
    ("core.fp-control-set", "ABI", "guest.c", "FPSR and FPCR take any 32-bit value"),
    ("core.pstate", "ABI", "api.rst 4.68", "PSTATE reads what was written"),
    ("core.pstate-set", "ABI", "guest.c", "PSTATE takes a mode that the vcpu has"),
    ("core.pstate-refused", "ABI", "guest.c", "PSTATE with a mode the vcpu lacks gives EINVAL"),
    ("sve.id-outside-ranges", "IMPL", "guest.c", "an SVE id outside the Z, P, FFR ranges: EINVAL"),
    ("sve.no-sve", "ABI", "guest.c", "Z, P and FFR of a vcpu without SVE give ENOENT"),
    ("sve.slice", "ABI", "api.rst 4.68", "slices above the first give ENOENT"),
    ("sve.not-finalised", "ABI", "api.rst 4.119", "Z, P and FFR before FINALIZE give EPERM"),
    ("sve.z", "ABI", "api.rst 4.68", "Z reads up to the vcpu maximum VL, zeros above"),
    ("sve.z-set", "ABI", "guest.c", "Z takes the bytes up to the vcpu maximum VL"),
    ("sve.p", "ABI", "api.rst 4.68", "P reads an eighth of the vcpu maximum VL, zeros above"),
    ("sve.p-set", "ABI", "guest.c", "P takes an eighth of the vcpu maximum VL"),
    ("sve.ffr", "ABI", "api.rst 4.68", "FFR reads as a predicate"),
    ("sve.ffr-set", "ABI", "guest.c", "FFR takes any value, even one that is not monotonic"),
    ("sysreg.size", "IMPL", "sys_regs.c", "a system register id that is not 64-bit gives ENOENT"),
    ("sysreg.fault-first", "IMPL", "sys_regs.c", "SET checks the buffer before the id: EFAULT"),
    ("sysreg.zcr-no-sve", "ABI", "sys_regs.c", "ZCR_EL1 of a vcpu without SVE gives ENOENT"),
    ("sysreg.zcr-raw", "IMPL", "sys_regs.c", "ZCR_EL1 reads raw until loaded, then LEN only"),
    ("sysreg.zcr-raw-set", "IMPL", "sys_regs.c", "ZCR_EL1 takes any value"),
    ("sysreg.value", "ABI", "api.rst 4.68", "a system register reads what was written"),
    ("sysreg.value-set", "ABI", "api.rst 4.68", "a system register takes any value"),
    (
        "id.value",
        "ABI",
        "sys_regs.c",
        "ID registers: PFR0.SVE iff SVE, ZFR0 zero without, SMFR0 zero",
    ),
    ("id.value-set", "ABI", "sys_regs.c", "an ID register takes its own value, or a lesser one"),
    (
        "id.value-refused",
        "IMPL",
        "sys_regs.c",
        "EINVAL for features the vcpu lacks, EBUSY after a run",
    ),
    ("reg-list.not-initialised", "ABI", "arm.c", "GET_REG_LIST before INIT gives ENOEXEC"),
    ("reg-list.not-finalised", "ABI", "api.rst 4.119", "GET_REG_LIST before FINALIZE gives EPERM"),
    ("reg-list.content", "IMPL", "guest.c", "core, then VLS, Z, P, FFR; E2BIG when n is too small"),
    ("run.not-initialised", "ABI", "arm.c", "KVM_RUN before INIT gives ENOEXEC"),
    ("run.not-finalised", "ABI", "api.rst 4.119", "KVM_RUN before FINALIZE gives EPERM"),
    (
        "run.pmu-not-created",
        "IMPL",
        "pmu-emul.c",
        "a PMU that was never set up: KVM_RUN gives EINVAL",
    ),
    ("run.stopped", "ABI", "arm.c", "a stopped vcpu does not run"),
    ("run.immediate-exit", "ABI", "api.rst 5", "immediate_exit returns EINTR without running"),
    ("run.exit", "ABI", "api.rst 5", "an access outside RAM exits as KVM_EXIT_MMIO"),
    ("run.fails", "IMPL", "mmio.c", "an abort outside RAM without syndrome fails the run: ENOSYS"),
    ("run.abort-without-syndrome", "IMPL", "mmio.c", "vector accesses give no syndrome"),
    (
        "run.exception",
        "ARCH",
        "Arm ARM",
        "a synchronous exception saves PC and PSTATE, sets ESR_EL1",
    ),
    ("run.load-fp", "IMPL", "fpsimd.c", "the first FP access loads the guest's FP state"),
    (
        "run.tail-may-vanish",
        "ARCH",
        "Arm ARM, sail",
        "bits above the VL are kept or cleared, per register, on VL changes and exceptions",
    ),
    ("run.trap-zen", "ARCH", "Arm ARM", "CPACR_EL1.ZEN traps SVE with EC 0x19, before FPEN"),
    ("run.trap-fpen", "ARCH", "Arm ARM", "CPACR_EL1.FPEN traps FP and SVE with EC 0x07"),
    ("run.sve-undefined", "ABI", "handle_exit.c", "SVE on a vcpu without SVE is UNDEFINED"),
    ("fpsr.cumulative", "ARCH", "Arm ARM", "FP and saturating instructions set FPSR's bits"),
    ("run.undefined-feature", "ARCH", "Arm ARM", "an instruction the CPU lacks is UNDEFINED"),
    ("asimd.clears-tail", "ARCH", "Arm ARM", "an AdvSIMD or FP write clears bits 128 up to the VL"),
    ("mp.set", "ABI", "api.rst 4.39", "MP_STATE takes RUNNABLE, STOPPED and SUSPENDED"),
    ("mp.unknown-state", "ABI", "arm.c", "any other MP_STATE gives EINVAL"),
    ("mp.get", "ABI", "api.rst 4.38", "MP_STATE reads what was set"),
    ("ram.read", "ARCH", "Arm ARM", "guest RAM holds what was last stored"),
    ("ram.write", "ABI", "api.rst 4.35", "user space can write guest RAM"),
    ("ending.ok", "ABI", "-", "no case crashes, hangs or draws a complaint from the kernel"),
)

RULES: dict[str, Rule] = {row[0]: Rule(*row) for row in _TABLE}


def is_strict(rule: str) -> bool:
    """Whether a divergence from `rule` is strict. `isa.*` rules, one per instruction form,
    are the architecture's."""
    return rule.startswith("isa.") or RULES[rule].cls != "IMPL"
