"""What an EL2 of the guest's own has a say in, where there is none."""

from __future__ import annotations


class WithoutEl2:
    """The answers of a vcpu without EL2, about pointer authentication and memory copies."""

    __slots__ = ()

    def is_below_el2(self) -> bool:
        """Whether an EL2 of the guest's own governs what is done here."""
        return False

    def passes_pauth(self) -> bool:
        """Whether instructions with keys that are enabled do not trap to a guest's EL2. Raises
        Unpredictable."""
        return True

    def need_pauth(self) -> None:
        """Such an instruction. Raises GuestException, Unpredictable."""

    def need_key(self, iss: int) -> None:
        """An access to a key, by the syndrome that it would trap with. Raises GuestException,
        Unpredictable."""

    def enables_register(self) -> str:
        """What SCTLR_EL1 means in an MRS or MSR."""
        return "sctlr_el1"
