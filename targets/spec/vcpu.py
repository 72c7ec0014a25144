"""The state of one vcpu and of its VM, as sets of possible values."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from corpus.ops import MTE
from corpus.registers import KEY_NAMES, TAGGING_NAMES
from targets.spec.errors import Decides, Unpredictable
from targets.spec.pauth import Signed
from targets.spec.sets import ZERO, Set, either, exact, unknown

Release: TypeAlias = tuple[int, int]
"""A kernel: major, minor."""

PSTATE_EL1H = 0x3C5
"""EL1h with D, A, I and F masked: the reset value (facts 1.2)."""

OPTIONAL_PSTATE = 0x03C0_3000
"""SSBS, ALLINT, PAN, UAO, DIT, TCO: kept or dropped, as the CPU has them. None changes what
the programs here do. Exceptions may set or clear them."""

PSTATE_IL, PSTATE_PAN, PSTATE_TCO = 1 << 20, 1 << 22, 1 << 25
BY_EXCEPTIONS = OPTIONAL_PSTATE & ~PSTATE_PAN
"""What of that an exception to EL1 may change: SCTLR_EL1.SPAN is set, so PAN stays."""

SCTLR_RESET = 0x00C5_0078

U64 = (1 << 64) - 1

RESET_SYSREGS: dict[str, Set] = {
    "zcr_el1": ZERO,
    "cpacr_el1": ZERO,
    "sctlr_el1": exact(SCTLR_RESET),
    "vbar_el1": ZERO,
    "tpidr_el0": unknown(0, U64),
    "tpidr_el1": unknown(0, U64),
    "tpidrro_el0": unknown(0, U64),
    "esr_el1": unknown(0, U64),
    "far_el1": unknown(0, U64),
    "fpmr": ZERO,
    **dict.fromkeys((*KEY_NAMES, *TAGGING_NAMES), unknown(0, U64)),
}
"""System registers that the model follows, with what INIT leaves in them. Those that the
architecture resets to an UNKNOWN value are unknown here, too."""

SURVIVORS = ("sp_el1", "elr_el1", "spsr_el1")
"""6.12 has no reset for these: INIT keeps them. The architecture allows any value."""


MP_RUNNABLE, MP_STOPPED, MP_SUSPENDED = 0, 5, 10
"""KVM_MP_STATE_* that arm64 knows."""

_ZEROED = ("sp", "pc", "fpsr", "fpcr", "spsr_abt", "spsr_und", "spsr_irq", "spsr_fiq")


def _zeros(count: int) -> list[Set]:
    return [ZERO] * count


@dataclass(slots=True)
class Vcpu:
    """One vcpu. Vector registers are `max_vq` quadwords wide; without SVE they are the
    V registers, 128 bits. Predicates and FFR have an eighth of that."""

    slot: int = 0
    late: bool = False
    """Created after another vcpu of the VM had run."""
    initialised_late: bool = False
    """It was there, but had no INIT yet, when the first vcpu of the VM ran."""
    tainted: bool = False
    """A failed INIT has made it a vcpu with SVE, on a kernel that does not take that back."""
    left_over: int = 0
    """What a failed INIT asked for, which the next one has, too, on such a kernel."""
    features: int = 0
    """Those that it was initialised with; of VMs whose vcpus may differ."""
    initialised: bool = False
    finalised: bool = False
    sve: bool = False
    aarch32: bool = False
    el2: bool = False
    pauth: bool = False
    """With pointer authentication, by address and generic."""
    mte: bool = False
    """In a VM with memory tagging."""
    tagged: int = 0
    """The regime of `corpus.isa.tagged` for which `tag-checks` set MAIR_EL1 and TCR_EL1; 0: no."""
    e2h: bool = True
    """With EL2: whether it has VHE (HCR_EL2.E2H is fixed for a VM)."""
    power_off: int = 0
    """POWER_OFF of the last INIT."""
    max_vq: int = 1
    stopped: int = MP_RUNNABLE
    mapped: bool = False
    """MAIR_EL1, TCR_EL1 and TTBR0_EL1 are what `stage-1-on` wrote."""
    run_once: bool = False
    mpidr_known: bool = True
    """False after another INIT of a vcpu whose MPIDR_EL1 a migration wrote: 6.12 keeps what was
    written, the emulator resets it."""
    mpidr: int = 0
    """Affinity fields of MPIDR_EL1; 0 before INIT."""
    entry: tuple[int, Set] | None = None
    """PC and X0 that a PSCI CPU_ON asked for; the next reset of any kind takes them."""
    stolen: int | None = None
    """Address of its stolen time, where user space set one."""
    pmu_ready: bool = False
    """User space set its PMU up."""
    refused_for_pmu: bool = False
    """It was not run since its PMU is not set up, which is found behind the start of its timers."""
    serror: Set | None = None
    """The syndrome of an SError that is pending, as KVM_GET_VCPU_EVENTS would show it; None where
    none is."""
    serror_left: bool = False
    """INIT may have dropped that SError."""
    aborting: bool | None = False
    """Whether its next entry takes an abort of user space's; None: INIT came in between."""
    fault: int | None = None
    """The address of the guest's last exit, where that was an access outside RAM."""
    reset_requested: bool = False
    """CPU_ON's reset is still to come: the next access or run performs it."""
    z: list[Set] = field(default_factory=lambda: _zeros(32))
    own_v: list[Set] = field(default_factory=lambda: _zeros(32))
    """V registers of the guest of a protected VM, where user space has Z registers."""
    p: list[Set] = field(default_factory=lambda: _zeros(16))
    ffr: list[Set] = field(default_factory=lambda: _zeros(1))
    x: list[Set] = field(default_factory=lambda: _zeros(31))
    core: dict[str, Set] = field(default_factory=dict)
    sys: dict[str, Set] = field(default_factory=dict)
    signed: dict[int, Signed] = field(default_factory=dict)
    """X register -> what it was signed with, as long as that key is the same."""
    origins: dict[str, str] = field(default_factory=dict, compare=False)
    """Register name -> rule of the instruction that wrote it last, for attribution."""

    def copy(self) -> Vcpu:
        """The same, of which no part is shared."""
        other = copy(self)
        for each in _CONTAINERS:
            setattr(other, each, getattr(self, each).copy())
        return other

    @property
    def loose_pstate(self) -> int:
        """What of OPTIONAL_PSTATE, where it is set, may be lost."""
        return OPTIONAL_PSTATE & ~(PSTATE_TCO if self.mte else 0)

    def still_signed(self, n: int) -> Signed | None:
        """What X register n was signed with, if that is what it holds."""
        signed = self.signed.get(n)
        if signed and (self.x[n] is signed.contents or self.origins.get(f"x{n}") == signed.rule):
            return signed
        return None

    def forget_signed(self, name: str) -> None:
        """The key register `name` is written: what was signed with it is no longer what it makes
        of a pointer."""
        key = name[2:4]
        self.signed = {x: signed for x, signed in self.signed.items() if signed.key != key}

    @property
    def vector_bits(self) -> int:
        """Width of a vector register."""
        return self.max_vq * 128 if self.sve else 128

    def reset(self, host_max_vq: int = 0) -> None:
        """What kvm_reset_vcpu does to the registers followed here (6.12 reset.c); an SVE
        vcpu that is not finalised gets the host's maximum length back."""
        if not self.finalised and host_max_vq:
            self.max_vq = host_max_vq
        if self.core and self.mpidr != self.slot:  # it was initialised before
            self.mpidr_known = False
        self.mpidr = self.slot
        self.origins.clear()
        self.origins.update(RESET_ORIGINS)
        self.z = _zeros(32)
        self.own_v = _zeros(32)
        self.p = _zeros(16)
        self.ffr = _zeros(1)
        self.x = _zeros(31)
        kept = {name: either((*self.core.get(name, ZERO), *ZERO)) for name in SURVIVORS}
        self.core = dict.fromkeys(_ZEROED, ZERO) | kept
        self.core["pstate"] = exact(0x1D3 if self.aarch32 else PSTATE_EL1H)
        self.sys = dict(RESET_SYSREGS)
        self.signed = {}
        self.mapped, self.tagged = False, 0
        if self.entry:
            pc, self.x[0] = self.entry
            self.core["pc"] = exact(pc)
            self.origins.update(pc="psci.entry", x0="psci.entry")
            self.entry = None


RESET_ORIGINS: dict[str, str] = {
    **{f"z{n}": "reset.vectors" for n in range(32)},
    **{f"v{n}": "reset.vectors" for n in range(32)},
    **{f"p{n}": "reset.predicates" for n in range(16)},
    "ffr": "reset.predicates",
    "fpsr": "reset.fp-control",
    "fpcr": "reset.fp-control",
    "zcr_el1": "reset.zcr",
    "cpacr_el1": "reset.cpacr",
    "pstate": "reset.pstate",
    **{f"x{n}": "reset.core" for n in range(31)},
    **dict.fromkeys(("sp", "pc"), "reset.core"),
    **{f"spsr_{name}": "reset.core" for name in ("abt", "und", "irq", "fiq")},
    **dict.fromkeys(SURVIVORS, "reset.unreset"),
    **dict.fromkeys(("sctlr_el1", "vbar_el1"), "reset.sysregs"),
}
"""Which rule gives a register its value at a reset, for attribution."""


_CONTAINERS = ("z", "own_v", "p", "ffr", "x", "core", "sys", "signed", "origins")


@dataclass(slots=True)
class Vm:
    """What the vcpus of a VM share. `features`: those of the vcpu that was initialised last, which
    are those of all but in a `mixed` VM of an old kernel."""

    vcpus: dict[int, Vcpu] = field(default_factory=dict)
    """By slot, in the order of creation."""
    features: int | None = None
    mixed: bool = False
    signalled: bool = False
    """Whether a stranger's signal may come while a vcpu runs."""
    ran_once: bool = False
    width: int | None = None
    """EL1_32BIT or 0, as an INIT that failed has decided, on a kernel that does not take that
    back; None: none has."""
    fixed: bool = False
    """EL2 registers have lost the bits that the VM's vcpus do not have."""
    ids: dict[str, Set] = field(default_factory=dict)
    id_limits: dict[str, Set] = field(default_factory=dict)
    """What the ID registers were before user space wrote them."""
    affinities: dict[int, int] | None = None
    """MPIDR affinity by slot as it was when KVM made its table of them, at the first run
    in a VM of several vcpus; None while KVM looks at each vcpu (arm.c, since 6.7)."""

    timers_chosen: bool = False
    """User space may have chosen other interrupts for timers."""
    counts_stolen: bool | None = None
    """Whether the host counts stolen time; None until that was seen."""
    filtered: tuple[tuple[range, int], ...] = ()
    """Hypercalls about which user space has a say, and what that is."""
    caps: frozenset[int] = frozenset()
    """Capabilities that were enabled."""
    protected: bool = False
    """Its memory and what it is are the hypervisor's business (pkvm.rst)."""
    given: bool = False
    """Of a protected one: RAM may be its guest's."""
    code_used: int = 0
    """Of a protected one: bytes behind CODE_BASE that programs so far take up."""
    stepped: int = 0
    """Bits of PSTATE that are not known because somebody single-stepped some run: SS."""

    gic: bool = False
    """A recording tells that its VMM gave it an interrupt controller of KVM's."""
    made_gic: bool = False
    """It has one that `create-gic` made, at `wire.GIC_DIST`."""

    @property
    def mte(self) -> bool:
        """Whether its vcpus have memory tagging."""
        return MTE in self.caps

    @property
    def may_have_gic(self) -> bool:
        """Whether it may have an interrupt controller of KVM's: of a VMM, or of the harness, as
        vcpus with EL2 need one for their first run."""
        return self.gic or self.made_gic or any(vcpu.el2 for vcpu in self.vcpus.values())

    def copy(self) -> Vm:
        """The same, of which no part is shared."""
        vcpus = {slot: vcpu.copy() for slot, vcpu in self.vcpus.items()}
        affinities = None if self.affinities is None else dict(self.affinities)
        ids, limits = dict(self.ids), dict(self.id_limits)
        return replace(self, vcpus=vcpus, ids=ids, id_limits=limits, affinities=affinities)

    def add(self, slot: int) -> None:
        """A new vcpu; KVM forgets its table of affinities."""
        self.vcpus[slot] = Vcpu(slot=slot, late=self.ran_once)
        self.affinities = None

    def first_run(self) -> None:
        """The first run of some vcpu."""
        if not self.ran_once:
            for vcpu in self.vcpus.values():
                vcpu.initialised_late = not vcpu.initialised
        if self.affinities is None and len(self.vcpus) > 1:
            self.affinities = {slot: vcpu.mpidr for slot, vcpu in self.vcpus.items()}

    def check_mpidrs(self) -> None:
        """Raises Unpredictable where a vcpu's affinity is not known."""
        if not all(vcpu.mpidr_known for vcpu in self.vcpus.values()):
            raise Unpredictable("INIT may or may not reset an MPIDR_EL1 that was written")

    def by_mpidr(self, mpidr: int) -> Vcpu | None:
        """The vcpu with an affinity; of several that run one of them. Raises Unpredictable where
        KVM's table is out of date."""
        self.check_mpidrs()
        if self.affinities and any(
            self.vcpus[slot].mpidr != seen for slot, seen in self.affinities.items()
        ):
            raise Unpredictable(
                "a vcpu was initialised after KVM had noted every MPIDR_EL1", Decides.KERNEL
            )
        found = [v for v in self.vcpus.values() if v.mpidr == mpidr]
        if len(found) > 1 and any(vcpu.stopped == MP_STOPPED for vcpu in found):
            raise Unpredictable(
                "two vcpus have this MPIDR_EL1: 6.12 takes the last, 6.1 the first", Decides.KERNEL
            )
        return found[0] if found else None
