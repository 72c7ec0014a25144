"""What stops a guest program, and what stops the model from predicting."""

from __future__ import annotations

from enum import IntEnum

from corpus.isa.form import Insn


class Decides(IntEnum):
    """What still decides how things go on where the specification says nothing."""

    NOTHING = 0  # a choice that is left open, an UNKNOWN value, a known defect
    KERNEL = 1  # the kernel: another one may do otherwise
    CPU = 2  # the processor: whatever kernel is below must not matter


class Unpredictable(Exception):
    """The specification does not say what happens from here on; judging ends here.

    `decides` is what decides then; `left`: what of its program the guest was still to
    execute, the instruction in question first (None: all).
    """

    def __init__(self, reason: str, decides: Decides = Decides.CPU) -> None:
        super().__init__(reason)
        self.decides = decides
        self.left: tuple[Insn, ...] | None = None


class KnownDefect(Unpredictable):
    """It depends on what the leg is known to get wrong: `rule`."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"{rule} is a known defect of this leg", Decides.NOTHING)


class GuestException(Exception):
    """A synchronous exception taken to EL1, or to EL2 from there. `esr`: ESR_ELx; `far`:
    FAR_ELx or None.

    `ret`: offset of the preferred return address from the instruction (4 for SVC).
    `to_el2`: taken to EL2 from wherever. `far_rule`: the rule about FAR_ELx, where that is
    another one than the instruction's, `esr_rule`: the same of ESR_ELx. `far_unknown`: bits of
    FAR_ELx that are UNKNOWN.
    """

    def __init__(
        self,
        esr: int,
        far: int | None = None,
        ret: int = 0,
        *,
        to_el2: bool = False,
        far_rule: str = "",
        esr_rule: str = "",
        far_unknown: int = 0,
    ) -> None:
        super().__init__(f"exception with ESR {esr:#x}")
        self.esr = esr
        self.far = far
        self.ret = ret
        self.to_el2 = to_el2
        self.far_rule = far_rule
        self.esr_rule = esr_rule
        self.far_unknown = far_unknown

    @property
    def rule(self) -> str:
        """The rule about this kind of exception."""
        return _EXCEPTION_RULES[self.esr >> 26]


_EXCEPTION_RULES = {
    0x00: "exception.undefined",
    0x07: "exception.fp-trap",
    0x09: "exception.pauth-trap",
    0x0E: "exception.illegal-state",
    0x15: "exception.svc",
    0x16: "el2.hvc",
    0x18: "exception.register-trap",
    0x19: "exception.sve-trap",
    0x1C: "exception.pauth",
    **dict.fromkeys((0x20, 0x21), "exception.instruction-abort"),
    **dict.fromkeys((0x24, 0x25), "exception.data-abort"),
    0x3C: "exception.brk",
}
"""By exception class."""


def syndrome(ec: int, iss: int = 0) -> int:
    """ESR_EL1 for exception class `ec`, of a 32-bit instruction (IL set)."""
    return ec << 26 | 1 << 25 | iss


UNDEFINED = syndrome(0)
"""Undefined instruction (EC 0)."""
FP_TRAP = syndrome(0x07, 0x1E0_0000)
"""CPACR_EL1.FPEN (EC 7, CV set, COND 0b1110)."""
PAUTH_TRAP = syndrome(0x09)
"""HCR_EL2.API (EC 9)."""
ILLEGAL_STATE = syndrome(0x0E)
"""Illegal execution state (PSTATE.IL)."""
SVE_TRAP = syndrome(0x19)
"""CPACR_EL1.ZEN (EC 0x19)."""


class MmioExit(Exception):
    """The guest's access left RAM with a valid syndrome: KVM_EXIT_MMIO."""

    def __init__(self, address: int, size: int, value: int, mask: int, *, write: bool) -> None:
        super().__init__(f"MMIO at {address:#x}")
        self.address, self.size, self.value, self.mask, self.write = (
            address,
            size,
            value,
            mask,
            write,
        )


class RunFailed(Exception):
    """KVM_RUN itself fails with `err`, e.g. an abort outside RAM without a valid syndrome."""

    def __init__(self, err: int) -> None:
        super().__init__(f"KVM_RUN fails with errno {err}")
        self.err = err


class SystemEvent(Exception):
    """PSCI asks user space for a system event: KVM_EXIT_SYSTEM_EVENT of `kind`, 1 shutdown
    or 2 reset, with `flags`."""

    def __init__(self, kind: int, flags: int) -> None:
        super().__init__(f"system event {kind}")
        self.kind, self.flags = kind, flags


class Waits(Exception):
    """The vcpu waits for what never comes; the harness's time limit ends KVM_RUN: EINTR."""
