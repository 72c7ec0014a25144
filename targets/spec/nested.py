"""Guest execution on a vcpu with EL2: a hypervisor at EL2, and what it runs below.

What is followed: a hypervisor with VHE or without, with stage 2 off; its own EL0
(HCR_EL2.TGE) where it has VHE. Anything else that HCR_EL2 can ask for is not predicted.
"""

from __future__ import annotations

from typing import NoReturn

from corpus.isa.system import OF_EL2
from targets.profile import Profile
from targets.spec.controls import UNSYNCHRONISED, View
from targets.spec.cpu import FP_CONTROL, FPEN_SHIFT, ZCR_LEN, ZEN_SHIFT, Cpu, effective_vl
from targets.spec.el2 import API, APK, E2H, INTERRUPTS, RW, TGE, kept_of_hcr
from targets.spec.errors import (
    FP_TRAP,
    ILLEGAL_STATE,
    PAUTH_TRAP,
    SVE_TRAP,
    UNDEFINED,
    Decides,
    GuestException,
    Unpredictable,
    syndrome,
)
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.rules import in_force
from targets.spec.sets import either, join, unknown
from targets.spec.vcpu import OPTIONAL_PSTATE, PSTATE_IL, Vcpu, Vm

FLAGS_AND_MASKS = 0xF000_03C0
"""NZCV and DAIF of PSTATE."""
TCPAC = 1 << 31
"""CPTR_EL2: accesses to CPACR_EL1 trap."""
CPACR_ISS = 3 << 20 | 2 << 17 | 1 << 10
"""CPACR_EL1's encoding in the syndrome of a trapped access: Op0, Op2, CRn."""
"""With which each instruction is an exception."""
_TRAP_BITS = {ZEN_SHIFT: 1 << 8, FPEN_SHIFT: 1 << 10}
"""CPTR_EL2 without VHE: TZ and TFP, by the shift of the field that VHE has instead."""

_VHE_NAMES = {
    "zcr_el1": "zcr_el2",
    "cpacr_el1": "cptr_el2",
    "zcr_el12": "zcr_el1",
    "cpacr_el12": "cpacr_el1",
}
"""What names mean at EL2 with VHE."""


class NestedCpu(Cpu):
    """A vcpu with EL2 while it runs."""

    __slots__ = ("e2h", "hyp", "tge")

    def __init__(
        self,
        vcpu: Vcpu,
        profile: Profile,
        mem: Memory,
        rules: set[str],
        vm: Vm | None = None,
        forks: Forks | None = None,
    ) -> None:
        super().__init__(vcpu, profile, mem, rules, vm, forks)
        self.e2h = vcpu.e2h
        self.enter(self._mode() >> 2)

    def enter(self, el: int) -> None:
        """At EL `el` from now on. Raises Unpredictable for a regime that is not followed."""
        hcr, mask = join(self.vcpu.sys["hcr_el2"])
        if el < 2 and (hcr | mask) & INTERRUPTS not in (0, INTERRUPTS):
            self.rules.add("el2.one-of-irq-and-fiq")
        if el < 2 and (hcr | mask) & ~(E2H | RW | TGE | API | APK):
            raise Unpredictable("HCR_EL2 asks for more than is modelled")
        if mask & TGE:
            raise Unpredictable("HCR_EL2.TGE is not known")
        tge = bool(hcr & TGE)
        if el < 2 and tge and (el == 1 or not self.e2h):
            raise Unpredictable("EL1, or EL0 without VHE, while HCR_EL2.TGE is set")
        self.el = el
        self.hyp = el == 2 or tge
        self.zcr = "zcr_el2" if self.hyp else "zcr_el1"
        self.sctlr = "sctlr_el2" if self.hyp else "sctlr_el1"
        self.rules.add(_REGIMES[self.e2h, el, tge and el == 0])

    def go(self, el: int) -> None:
        self.enter(el)
        if self.loaded and self.vcpu.sve:
            # Raw until it is loaded with the state, which may have to be loaded anew.
            value, mask = join(self.vcpu.sys[self.zcr])
            self.vcpu.sys[self.zcr] = unknown(value, mask | value & ~ZCR_LEN)
        self.vl_changed()

    def is_below_el2(self) -> bool:
        return not self.hyp

    def target(self, exception: GuestException) -> int:
        return 2 if exception.to_el2 or self.hyp else 1

    # -- what CPACR_EL1 and CPTR_EL2 let through --------------------------------------

    def _el2_stops(self, shift: int) -> bool:
        """Whether CPTR_EL2 traps a unit at the current EL."""
        return self.decide(lambda view: self._el2_stops_in(view, shift))

    def _el2_stops_in(self, view: View, shift: int) -> bool:
        value, mask = self.control(view, "cptr_el2")
        if not self.e2h:
            bit = _TRAP_BITS[shift]
            if mask & bit:
                raise Unpredictable("CPTR_EL2 is not known")
            return bool(value & bit)
        if mask >> shift & 3:
            raise Unpredictable("CPTR_EL2 is not known")
        field = value >> shift & 3
        return not field & 1 or (field == 1 and self.hyp and self.el == 0)

    def _el1_stops(self, shift: int) -> bool:
        return not self.hyp and self.decide(
            lambda view: not super(NestedCpu, self).opens(view, shift)
        )

    def opens(self, view: View, shift: int) -> bool:
        if not self.hyp and not super().opens(view, shift):
            return False
        return not self._el2_stops_in(view, shift)

    def _trap(self, esr: int, rule: str) -> GuestException:
        self.rules.add(rule)
        return GuestException(esr, to_el2=True)

    def need_fp(self) -> None:
        if self._el1_stops(FPEN_SHIFT):
            self.rules.add("run.trap-fpen")
            raise GuestException(FP_TRAP)
        if self._el2_stops(FPEN_SHIFT):
            raise self._trap(FP_TRAP, "el2.trap-fpen")
        if not self.loaded:
            self.load_fp()

    def need_sve(self) -> None:
        if self._el1_stops(ZEN_SHIFT):
            self.rules.add("run.trap-zen")
            raise GuestException(SVE_TRAP)
        if self._el1_stops(FPEN_SHIFT):
            self.rules.add("run.trap-fpen")
            raise GuestException(FP_TRAP)
        has_sve = self.vcpu.sve
        if self._el2_stops(ZEN_SHIFT):
            if not has_sve and not self.hyp:
                raise Unpredictable("a trap by CPTR_EL2.ZEN of a vcpu without SVE")
            raise self._trap(SVE_TRAP, "el2.trap-zen")
        if not has_sve and not self.hyp:
            self.rules.add("run.sve-undefined")
            raise GuestException(UNDEFINED)
        if self._el2_stops(FPEN_SHIFT):
            if not self.loaded and not self.hyp:
                self._perhaps_load()
            raise self._trap(FP_TRAP, "el2.trap-fpen")
        if not has_sve:
            self.rules.add("run.sve-undefined")
            raise GuestException(UNDEFINED)
        if not self.loaded:
            self.load_fp()

    def _perhaps_load(self) -> None:
        """An access for which KVM may or may not have to load the guest's FP state."""
        vcpu = self.vcpu
        raw, ffr = vcpu.sys[self.zcr], vcpu.ffr[0]
        controls = {name: vcpu.core[name] for name in FP_CONTROL}
        self.load_fp()
        for name, before in controls.items():
            vcpu.core[name] = either((*before, *vcpu.core[name]))
        vcpu.ffr[0] = either((*ffr, *vcpu.ffr[0]))
        value, mask = join(raw)
        self.vcpu.sys[self.zcr] = unknown(value, mask | value & ~ZCR_LEN)

    # -- what HCR_EL2 lets through of pointer authentication ------------------------------

    def _passes(self, bit: int, what: str) -> bool:
        """Whether this bit of HCR_EL2 lets something be done where the vcpu is. It does nothing at
        EL2, nor where EL0 is EL2's, and KVM gives what is below the same as its hypervisor asks
        (arm.c, vcpu_set_pauth_traps)."""
        hcr, mask = join(self.vcpu.sys["hcr_el2"])
        if not self.hyp and mask & bit:
            raise Unpredictable(f"HCR_EL2.{what} is not known", Decides.NOTHING)
        return self.hyp or bool(hcr & bit)

    def passes_pauth(self) -> bool:
        return self._passes(API, "API")

    def need_pauth(self) -> None:
        if not self.passes_pauth():
            raise self._trap(PAUTH_TRAP, "el2.trap-pauth")

    def need_key(self, iss: int) -> None:
        if not self._passes(APK, "APK"):
            raise self._trap(syndrome(0x18, iss), "el2.trap-keys")

    def enables_register(self) -> str:
        # Without VHE, EL2 has SCTLR_EL1 stand for itself, and NV2 keeps that in memory.
        return "sctlr_el2" if self.el == 2 and self.e2h else "sctlr_el1"

    def vl_changed(self) -> None:
        """Most changes here come with exits to KVM, at the old length, too."""
        if self.loaded and self.vcpu.sve:
            self._vanish(self._tails)
        super().vl_changed()

    # -- vector length ------------------------------------------------------------------

    def _recompute_vl(self) -> int:
        super()._recompute_vl()
        if not self.hyp:
            limit, mask = join(self.vcpu.sys["zcr_el2"])
            if mask & ZCR_LEN:
                raise Unpredictable("ZCR_EL2.LEN is not known")
            most = effective_vl(limit, self.vcpu.max_vq, self.host_vqs)
            self.tails_may_vanish(most)  # KVM applies the limit before it enters the guest
            if most < self.vl:
                self.rules.add("el2.limits-vl")
                self.vl = most
        return self._tail_vl

    # -- system registers ----------------------------------------------------------------

    def _sp_name(self) -> str:
        return "sp_el2" if self._mode() == 0x9 else super()._sp_name()

    def return_registers(self, spsr: int) -> tuple[str, str]:
        if self.el < 2:
            return super().return_registers(spsr)
        if not self.e2h:
            raise Unpredictable("without VHE, ELR_EL1 is not what ERET from EL2 uses")
        self.rules.add("el2.eret")
        return "elr_el2", "spsr_el2"

    def is_illegal_return(self, level: int) -> bool:
        """Whether an exception return from here may not go to `level`."""
        hcr, mask = join(self.vcpu.sys["hcr_el2"])
        if level == 1 and mask & TGE:
            raise Unpredictable("HCR_EL2.TGE is not known")
        return self.el == 2 and level == 1 and bool(hcr & TGE)

    def return_illegally(self, spsr: int, target: int) -> NoReturn:
        """An exception return that stays at its level; the instruction at `target` gets an
        exception for the flag PSTATE.IL."""
        self.rules.add("el2.illegal-return")
        # The manual takes the flags and masks from SPSR, KVM (emulate-nested.c) keeps them.
        kept = spsr & ~0xF | self._mode()
        self.vcpu.core["pstate"] = unknown(kept | PSTATE_IL, OPTIONAL_PSTATE | FLAGS_AND_MASKS)
        self.go(self.el)
        self.pc = target
        raise GuestException(ILLEGAL_STATE)

    def redirect(self, name: str, access: int) -> str:
        """The register that an MRS or MSR of `name` means here, after the access checks
        that are not a matter of the EL alone. `access`: Rt and direction, as in ESR_ELx.
        Raises GuestException."""
        if name in ("fpcr", "fpsr"):
            self.need_fp()
            return name
        if self.el < 2:
            if name == "zcr_el1":
                self._need_zcr()
            elif name == "cpacr_el1":
                self._need_cpacr(access)
            return name
        return self._redirect_at_el2(name)

    def _redirect_at_el2(self, name: str) -> str:
        if name.endswith("_el12") and not self.e2h:
            raise GuestException(UNDEFINED)
        real = _VHE_NAMES.get(name, name) if self.e2h else name
        if real != name:
            self.rules.add("el2.vhe-names")
        elif name in OF_EL2:
            self.rules.add("el2.registers")
        if real == "zcr_el2":
            if name == "zcr_el2" and not self.vcpu.sve:
                raise GuestException(UNDEFINED)
            if name == "zcr_el2" and self._fp_alone_stops():
                self.rules.add("el2.zcr-by-zen-alone")
                if not self.loaded:
                    self._perhaps_load()
            else:
                self._need_zcr()
        elif real == "zcr_el1":
            if not self.vcpu.sve:
                raise Unpredictable("ZCR_EL1 from EL2 of a vcpu without SVE")
            self._perhaps_trap()
            if not self.loaded:
                self._perhaps_load()
        if self.loaded:
            self.leave()  # the access may be one that KVM handles
        return real

    def _perhaps_trap(self) -> None:
        """NV2 has memory stand for ZCR_EL1: by one name hardware looks at traps before, by another
        it does not, and QEMU looks at both kinds of trap. Raises GuestException, Unpredictable."""
        units = (ZEN_SHIFT, SVE_TRAP, "el2.trap-zen"), (FPEN_SHIFT, FP_TRAP, "el2.trap-fpen")
        stops = [(esr, rule) for shift, esr, rule in units if self._el2_stops(shift)]
        if not stops:
            return
        self.rules.add("el2.zcr-in-memory")
        chosen = self.forks.choose(1 + len(stops))
        if chosen:
            raise self._trap(*stops[chosen - 1])

    def _fp_alone_stops(self) -> bool:
        return self._el2_stops(FPEN_SHIFT) and not self._el2_stops(ZEN_SHIFT)

    def _need_zcr(self) -> None:
        """ZEN alone governs ZCR_ELx, says the manual. QEMU looks at FPEN, too, unless the
        access is one that traps to the host's EL2 before: that of ZCR_EL2 by its own name."""
        if not self._el1_stops(ZEN_SHIFT) and self._fp_alone_stops():
            raise Unpredictable("ZCR while CPTR_EL2 traps FP but not SVE")
        self.need_sve()

    def _need_cpacr(self, access: int) -> None:
        if self.decide(self._stops_cpacr):
            raise self._trap(syndrome(0x18, CPACR_ISS | access), "el2.trap-cpacr")

    def _stops_cpacr(self, view: View) -> bool:
        value, mask = self.control(view, "cptr_el2")
        if mask & TCPAC:
            raise Unpredictable("CPTR_EL2.TCPAC is not known")
        return bool(value & TCPAC)

    def write_system(self, name: str, value: int, mask: int) -> None:
        """MSR to the register `name`, as `redirect` gave it."""
        sys = self.vcpu.sys
        self.vcpu.origins[name] = self.rule
        live = name == self.zcr
        if name == "zcr_el2" and not in_force("el2.zcr-uncapped", self.kernel):
            least = min(value & ZCR_LEN, self.vcpu.max_vq - 1)
            written = either((n, mask & ZCR_LEN) for n in (value & ZCR_LEN, least))
            sys[name] = unknown(*join(written))
        elif live:
            if name == "zcr_el2" and (value & ZCR_LEN) >= self.vcpu.max_vq:
                self.rules.add("el2.zcr-uncapped")
            sys[name] = unknown(value & ZCR_LEN, mask & ZCR_LEN)
        else:
            keeps, old = _STATEFUL.get(name, _ALL), sys[name]
            if name == "hcr_el2":
                keeps = kept_of_hcr(pauth=self.vcpu.pauth)
            sys[name] = unknown(value, mask | value & ~keeps | _FORCED.get(name, 0))
            if name in UNSYNCHRONISED:
                self.written(name, old)
        if live or name in UNSYNCHRONISED:
            self.vl_changed()


_ALL = (1 << 64) - 1
_STATEFUL = {
    "zcr_el1": ZCR_LEN,
    "cpacr_el1": 3 << ZEN_SHIFT | 3 << FPEN_SHIFT,
    "cptr_el2": 3 << ZEN_SHIFT | 3 << FPEN_SHIFT | TCPAC | sum(_TRAP_BITS.values()),
}
"""Bits that a register surely keeps; other set bits may read as set or clear."""
_FORCED = {"hcr_el2": E2H | RW}
"""Bits that may read as set whatever is written."""

_REGIMES: dict[tuple[bool, int, bool], str] = {
    **{(True, 2, False): "el2.vhe", (False, 2, False): "el2.without-vhe"},
    (True, 0, True): "el2.host-el0",
    **{(vhe, el, False): "el2.nested-guest" for vhe in (True, False) for el in (0, 1)},
}
