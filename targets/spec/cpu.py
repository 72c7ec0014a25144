"""Guest execution: what an instruction can see and change.

`Cpu` lives for one KVM_RUN of one vcpu. Semantics (in `semantics/`) are functions
`(cpu, *operands) -> None`, registered per instruction form; they use only the
accessors below. All values are Python ints, byte 0 lowest; every accessor pairs a
value with the mask of its unknown bits (0 almost always, and then free of cost).

Before a semantic runs, `execute` has made the access checks that its form's `cap`
calls for (SVE: CPACR_EL1.ZEN, then FPEN; FP and AdvSIMD: FPEN) and has loaded the
guest's FP state, so semantics never trap for access.

Rules: a semantic must be *sound*: where an input has unknown bits, every output bit
that could depend on them must be unknown. When an unknown value decides something
that cannot be expressed so (an address, ZCR_EL1, FPCR), raise Unpredictable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus import wire
from corpus.isa.form import Insn
from corpus.isa.sve21 import may_be_of_sme
from corpus.kept import FPSR_RULE, Effect
from targets.profile import Profile
from targets.spec.controls import Controls, View
from targets.spec.errors import (
    FP_TRAP,
    SVE_TRAP,
    UNDEFINED,
    GuestException,
    KnownDefect,
    Unpredictable,
)
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.sets import (
    ZERO,
    Set,
    either,
    join,
    keep_or_clear_above,
    low,
    unknown,
    write_low,
)
from targets.spec.vcpu import Vcpu, Vm
from targets.spec.withoutel2 import WithoutEl2

U64 = (1 << 64) - 1

_Z_NAMES = tuple(f"z{n}" for n in range(32))
_P_NAMES = tuple(f"p{n}" for n in range(16))
_X_NAMES = tuple(f"x{n}" for n in range(31))
NZCV_SHIFT = 28

ZEN_SHIFT, FPEN_SHIFT = 16, 20

FPCR_STATEFUL = 0x07C0_0000
"""AHP, DN, FZ, RMode: bits every implementation keeps (facts 2.6). Other bits may read as
written or as zero, depending on features."""
FPSR_STATEFUL = 0x0800_009F
FP_CONTROL = {"fpcr": FPCR_STATEFUL, "fpsr": FPSR_STATEFUL}
ZCR_LEN = 0xF

BASE_CAPS = frozenset({"base", "pauth", "mops", "mte"})
"""Capabilities of instructions that touch no vector register."""
FP_CAPS = frozenset(
    {
        *("fp", "fp16", "bf16-fp", "dotprod", "i8mm-fp", "fcma", "fhm", "frintts", "jscvt"),
        *("aes", "pmull", "sha1", "sha256", "sha512", "sha3", "sm3", "sm4"),
    }
)
"""Capabilities of instructions on V registers only; all others are SVE."""


class Cpu(WithoutEl2, Controls):
    """A vcpu while it runs."""

    __slots__ = (
        *(
            "_on",
            "defects",
            "el",
            "fp_kept",
            "host_vqs",
            "keeps_hcrx",
            "mode",
            "fpmr",
            "has_mte",
            "has_pauth",
            "has_stage1",
            "lacks",
            "lacks_sme",
            "rpres",
            "loaded",
            "reads_on",
            "returns",
            "sctlr",
            "pc",
        ),
        *("kernel", "vl", "vm", "zcr"),
    )

    def __init__(
        self,
        vcpu: Vcpu,
        profile: Profile,
        mem: Memory,
        rules: set[str],
        vm: Vm | None = None,
        forks: Forks | None = None,
    ) -> None:
        super().__init__(vcpu, mem, rules, profile.unaligned)
        self.all_synchronised(forks)
        self.vm = vm or Vm({vcpu.slot: vcpu})
        self.has_gic = self.vm.may_have_gic
        self.kernel, self.mode = profile.kernel, profile.mode
        self.host_vqs = profile.vqs
        self.lacks, self.lacks_sme = profile.lacks, profile.lacks_sme
        self.keeps_hcrx = profile.keeps_hcrx
        self.fpmr = None if profile.fpmr and self.keeps_hcrx else profile.fpmr
        self.rpres = profile.rpres
        self.reads_on = profile.reads_on
        self.has_stage1 = profile.stage1
        self.has_pauth = profile.pauth
        self.has_mte = profile.mte
        self.returns = False
        self.defects = profile.defects
        self.fp_kept = {"fpcr": profile.fpcr_bits, "fpsr": profile.fpsr_bits}
        self.pc = wire.CODE_BASE
        self.loaded = False
        self.zcr = "zcr_el1"
        """The ZCR_ELx that governs the current EL."""
        self.sctlr = "sctlr_el1"
        """The SCTLR_ELx that does."""
        self.el = 0 if self._mode() == 0 else 1
        self.vl = 16
        """Effective VL in bytes while SVE is enabled; 16 before FP state is loaded."""
        self._on: tuple[bool, ...] = (False,)
        """Whether SVE is enabled; yes and no while that is not certain."""

    # -- control state ---------------------------------------------------------

    def _mode(self) -> int:
        """PSTATE.M[3:0], which runs know exactly."""
        value, _ = join(self.vcpu.core["pstate"])
        return value & 0xF

    def enabled(self, shift: int) -> bool:
        """Whether a two-bit field of CPACR_EL1 enables its unit at the current EL."""
        return self.decide(lambda view: self.opens(view, shift))

    def opens(self, view: View, shift: int) -> bool:
        """The same where the controls are those of a view."""
        value, mask = self.control(view, "cpacr_el1")
        if mask >> shift & 3:
            raise Unpredictable("CPACR_EL1 is not known")
        field = value >> shift & 3
        return field == 3 or (field == 1 and self.el == 1)

    def need_fp(self) -> None:
        """An FP or AdvSIMD access: traps, or loads the guest's FP state."""
        if not self.enabled(FPEN_SHIFT):
            self.rules.add("run.trap-fpen")
            raise GuestException(FP_TRAP)
        if not self.loaded:
            self.load_fp()

    def need_sve(self) -> None:
        """An SVE or ZCR_EL1 access: traps, or loads the guest's FP state."""
        if not self.enabled(ZEN_SHIFT):
            self.rules.add("run.trap-zen")
            raise GuestException(SVE_TRAP)
        if not self.enabled(FPEN_SHIFT):
            self.rules.add("run.trap-fpen")
            raise GuestException(FP_TRAP)
        if not self.vcpu.sve:
            self.rules.add("run.sve-undefined")
            raise GuestException(UNDEFINED)
        if not self.loaded:
            self.load_fp()

    def need_zcr(self) -> None:
        """An access to ZCR_EL1: ZEN alone governs it, says the manual's pseudocode (accessing
        ZCR_EL1); QEMU looks at FPEN, too."""
        if not self.enabled(ZEN_SHIFT) or self.enabled(FPEN_SHIFT):
            self.need_sve()
            return
        self.rules.add("run.zcr-fpen")
        if self.forks.choose(2):
            raise GuestException(FP_TRAP)
        if not self.vcpu.sve:
            self.rules.add("run.sve-undefined")
            raise GuestException(UNDEFINED)
        if not self.loaded:
            self.load_fp()

    def load_fp(self) -> None:
        """The guest's first FP access: the vcpu's FP state goes into the hardware
        (facts 3), which normalises what was stored raw (1.7, 2.3, 2.6)."""
        vcpu = self.vcpu
        self.loaded = True
        self.rules.add("run.load-fp")
        for name in FP_CONTROL:
            raw = vcpu.core[name]
            if raw is not ZERO:
                vcpu.core[name] = self.held(name, raw)
                self.rules.add(f"run.load-{name}")
        if vcpu.sve:
            self._settle_zcr()
            zcr, mask = join(vcpu.sys[self.zcr])
            if zcr & ~ZCR_LEN:
                self.rules.add("run.load-zcr")
            vcpu.sys[self.zcr] = unknown(zcr & ZCR_LEN, mask & ZCR_LEN)
            ffr = load_ffr(vcpu.ffr[0], vcpu.vector_bits // 8)
            if ffr is not vcpu.ffr[0]:
                self.rules.add("run.load-ffr-unknown")
            vcpu.ffr[0] = ffr
            self.rules.add("tail.after-load")
            self._recompute_vl()
            self._vanish(self._tails)

    def go(self, el: int) -> None:
        """To another exception level."""
        self.el = el
        self.vl_changed()

    def return_registers(self, spsr: int) -> tuple[str, str]:
        """What MSR ELR_EL1 and MSR SPSR_EL1 write before an exception return with `spsr`."""
        return "elr_el1", "spsr_el1"

    def target(self, exception: GuestException) -> int:
        """The exception level that an exception is taken to."""
        return 1

    def vl_changed(self) -> None:
        """ZCR_EL1, CPACR_EL1 or the EL changed: bits above the smaller of the old and the
        new VL may vanish (facts 2.2)."""
        if self.loaded and self.vcpu.sve:
            self.rules.add("tail.after-length-change")
            old = self._tails
            self._recompute_vl()
            self._vanish(tuple(min(one, other) for one in old for other in self._tails))

    @property
    def _tail_vl(self) -> int:
        return self._tails[-1]

    @property
    def _tails(self) -> tuple[int, ...]:
        """Bytes of a vector register that a V write clears, and that an event keeps: the VL
        while SVE is enabled, else 16; both while that is not certain."""
        return tuple(self.vl if on else 16 for on in self._on)

    def _vanish(self, vls: tuple[int, ...]) -> None:
        for vl in sorted(set(vls), reverse=True):
            self.tails_may_vanish(vl)

    def _settle_zcr(self) -> None:
        """Have each length that ZCR_ELx may ask for be that of a path of its own."""
        candidates = self.vcpu.sys[self.zcr]
        if len(candidates) > 1 and join(candidates)[1] & ZCR_LEN:
            self.vcpu.sys[self.zcr] = (candidates[self.forks.choose(len(candidates))],)

    def _recompute_vl(self) -> int:
        self._settle_zcr()
        zcr, mask = join(self.vcpu.sys[self.zcr])
        if mask & ZCR_LEN:
            raise Unpredictable(f"{self.zcr.upper()}.LEN is not known")
        self.vl = effective_vl(zcr, self.vcpu.max_vq, self.host_vqs)
        asked = (zcr & ZCR_LEN) + 1
        if asked * 16 == self.vl:
            self.rules.add("vl.as-asked")
        else:
            capped = asked > self.vcpu.max_vq
            self.rules.add("vl.capped-by-vcpu" if capped else "vl.rounded-down")
        self._set_tails()
        return self._tail_vl

    def _set_tails(self) -> None:
        on = {self.opens(view, ZEN_SHIFT) and self.opens(view, FPEN_SHIFT) for view in self.views}
        self._on = tuple(sorted(on, reverse=True))

    def leave(self) -> None:
        """The exit to EL2."""
        if self.loaded and self.vcpu.sve:
            self.rules.add("tail.after-exit")
            self._vanish(self._tails)

    def tails_may_vanish(self, vl: int) -> None:
        """An event after which each register's bits above `vl` bytes are kept or cleared."""
        vcpu = self.vcpu
        bits, pbits = vl * 8, vl
        for regs, width in ((vcpu.z, bits), (vcpu.p, pbits), (vcpu.ffr, pbits)):
            for n, candidates in enumerate(regs):
                if candidates is not ZERO:
                    regs[n] = keep_or_clear_above(candidates, width)

    # -- vector registers --------------------------------------------------------

    def z(self, n: int) -> tuple[int, int]:
        """Z register n, the low VL bytes."""
        return low(self.vcpu.z[n], self.vl * 8)

    def set_z(self, n: int, value: int, mask: int = 0) -> None:
        """An SVE write: bits above VL are kept or cleared."""
        self.vcpu.origins[_Z_NAMES[n]] = self.rule
        self.vcpu.z[n] = write_low(self.vcpu.z[n], self.vl * 8, value, mask)

    def v(self, n: int, size: int = 16) -> tuple[int, int]:
        """The low `size` bytes of V register n."""
        return low(self.vcpu.z[n], size * 8)

    def set_v(self, n: int, value: int, mask: int = 0) -> None:
        """An AdvSIMD or FP write of up to 128 bits: zero up to the current VL (up to 128
        bits where SVE is disabled), kept or cleared above (facts 2.2)."""
        self.vcpu.origins[_Z_NAMES[n]] = self.rule
        old = self.vcpu.z[n]
        if self._on[0]:
            self.rules.add("asimd.clears-tail")
            new = write_low(old, self.vl * 8, value, mask)
        else:
            self.rules.add("asimd.clears-without-sve")
            new = write_low(old, 128, value, mask)
        if len(self._on) > 1:
            new = either((*new, *write_low(old, 128, value, mask)))
        self.vcpu.z[n] = new

    def p(self, n: int) -> tuple[int, int]:
        """Predicate n, the low VL/8 bytes: one bit per byte of a Z register."""
        return low(self.vcpu.p[n], self.vl)

    def set_p(self, n: int, value: int, mask: int = 0) -> None:
        """A predicate write; bits above VL are kept or cleared."""
        self.vcpu.origins[_P_NAMES[n]] = self.rule
        self.vcpu.p[n] = write_low(self.vcpu.p[n], self.vl, value, mask)

    def ffr(self) -> tuple[int, int]:
        """FFR, the low VL/8 bytes."""
        return low(self.vcpu.ffr[0], self.vl)

    def set_ffr(self, value: int, mask: int = 0) -> None:
        """An FFR write."""
        self.vcpu.origins["ffr"] = self.rule
        self.vcpu.ffr[0] = write_low(self.vcpu.ffr[0], self.vl, value, mask)

    # -- general registers and flags ---------------------------------------------

    def x(self, n: int) -> tuple[int, int]:
        """X register n, or xzr for n = 31."""
        if n == 31:
            return 0, 0
        candidates = self.vcpu.x[n]
        return candidates[0] if len(candidates) == 1 else join(candidates)

    def set_x(self, n: int, value: int, mask: int = 0) -> None:
        """Write X register n, or nothing for n = 31 (xzr)."""
        if n == 31:
            return
        self.vcpu.origins[_X_NAMES[n]] = self.rule
        self.vcpu.x[n] = ((value & U64 & ~mask, mask),)

    def _sp_name(self) -> str:
        return "sp_el1" if self._mode() & 1 else "sp"

    def xsp(self, n: int) -> tuple[int, int]:
        """X register n, or the current stack pointer for n = 31."""
        return join(self.vcpu.core[self._sp_name()]) if n == 31 else self.x(n)

    def is_with_sp_el0(self) -> bool:
        """Whether the current stack pointer is that of EL0."""
        return self._sp_name() == "sp"

    def set_xsp(self, n: int, value: int, mask: int = 0) -> None:
        """Write X register n, or the current stack pointer for n = 31."""
        if n == 31:
            name = self._sp_name()
            self.vcpu.origins[name] = self.rule
            self.vcpu.core[name] = unknown(value & U64, mask)
        else:
            self.set_x(n, value, mask)

    def nzcv(self) -> tuple[int, int]:
        """The flags as four bits, N highest."""
        value, mask = join(self.vcpu.core["pstate"])
        return value >> NZCV_SHIFT & 15, mask >> NZCV_SHIFT & 15

    def set_nzcv(self, value: int, mask: int = 0) -> None:
        """Write the flags."""
        self.vcpu.origins["pstate"] = self.rule
        old, old_mask = join(self.vcpu.core["pstate"])
        field = 15 << NZCV_SHIFT
        self.vcpu.core["pstate"] = unknown(
            old & ~field | value << NZCV_SHIFT, old_mask & ~field | mask << NZCV_SHIFT
        )

    # -- FP control ----------------------------------------------------------------

    def fpcr_plain(self) -> bool:
        """Whether FPCR is known to be all zero (round to nearest, nothing flushed)."""
        return self.vcpu.core["fpcr"] == ZERO

    def held(self, name: str, raw: Set) -> Set:
        """FPCR or FPSR once hardware holds the 32-bit value `raw`."""
        return normalised(raw, FP_CONTROL[name], self.fp_kept[name])

    def raise_fpsr(self, bits: int, maybe: int = 0) -> None:
        """Set cumulative bits of FPSR; those in `maybe` may or may not be set."""
        if bits | maybe:
            if FPSR_RULE in self.defects:
                bits, maybe = 0, bits | maybe
            self.rules.add(FPSR_RULE)
            self.vcpu.origins["fpsr"] = self.rule
            value, mask = join(self.vcpu.core["fpsr"])
            self.vcpu.core["fpsr"] = unknown(value | bits, (mask | maybe & ~value) & ~bits)

    # -- memory -----------------------------------------------------------------------

    def address(self, n: int, offset: int = 0) -> int:
        """The address in X register n (31: sp) plus `offset`. Raises Unpredictable."""
        value, mask = self.xsp(n)
        if mask:
            raise Unpredictable("an address is not known")
        if n == 31 and value & 15:
            raise Unpredictable("sp is not aligned: a fault by SCTLR_EL1.SA, which QEMU omits")
        return value + offset & U64


def effective_vl(zcr: int, max_vq: int, host_vqs: int) -> int:
    """The VL in bytes for ZCR_EL1 = zcr: rounded down to a host length (facts 2.1)."""
    vq = min((zcr & ZCR_LEN) + 1, max_vq)
    available = host_vqs & ((1 << vq) - 1)
    return 16 * (available.bit_length() or 1)


def normalised(candidates: Set, stateful: int, kept: int | None) -> Set:
    """A raw 32-bit value after hardware held it. `kept`: the bits it keeps, if it was asked;
    else `stateful` ones are as they were, and any other set bit may read as set or clear."""
    value, mask = join(candidates)
    if kept is not None:
        return unknown(value & kept, mask & kept)
    return unknown(value, mask | value & ~stateful)


def load_ffr(candidates: Set, bits: int) -> Set:
    """FFR after WRFFR of `candidates`: UNKNOWN unless monotonic (facts 2.3)."""
    if len(candidates) == 1:
        value, mask = candidates[0]
        if not mask and value & (value + 1) == 0:
            return candidates
    if all(mask == 0 and value & (value + 1) == 0 for value, mask in candidates):
        return candidates
    return unknown(0, (1 << bits) - 1)


def lanes(value: int, size: int, dtype: str) -> NDArray[Any]:
    """The low `size` bytes of `value` as lanes of numpy `dtype`, e.g. '<u4'. Read-only."""
    return np.frombuffer(value.to_bytes(size, "little"), dtype)


def from_lanes(array: NDArray[Any]) -> int:
    """The register value of an array of lanes."""
    return int.from_bytes(array.tobytes(), "little")


def access_check(cpu: Cpu, insn: Insn) -> None:
    """The access checks of an instruction, by its form's capability."""
    cap = insn.form.cap
    if cap == "base":
        return
    if cap in cpu.lacks:
        if may_be_of_sme(insn.form) and not cpu.lacks_sme:
            raise Unpredictable("without SVE2.1, SME may still have this instruction")
        if Effect.STOP in cpu.defects.get(cpu.rule, ()):
            raise KnownDefect(cpu.rule)
        cpu.rules.add("run.undefined-feature")
        raise GuestException(UNDEFINED)
    if cap in BASE_CAPS:
        return
    if cap in FP_CAPS:
        cpu.need_fp()
    else:
        cpu.need_sve()


__all__ = ["Cpu", "access_check", "effective_vl", "from_lanes", "lanes"]
