"""The state of the VM that the specification is about, and what every step asks of it."""

from __future__ import annotations

from targets.profile import Profile
from targets.spec.cpu import effective_vl
from targets.spec.errno import EBADF
from targets.spec.memory import Memory
from targets.spec.permitted import Permitted, fails
from targets.spec.sets import join
from targets.spec.vcpu import Vcpu, Vm


class World:
    """One VM on the machine described by `profile`.

    `rules` collects the ids of the rules that the steps have used.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.vm = Vm()
        self.mem = Memory()
        self.rules: set[str] = set()
        self.beyond = False
        """A register outside the model was written: what a later run does is not known."""

    def go_beyond(self) -> None:
        """A register outside the model was written."""
        self.beyond = True

    def vcpu(self, slot: int) -> Vcpu | Permitted:
        """The vcpu in a slot, or how an ioctl on an empty one fails."""
        return self.vm.vcpus.get(slot) or fails("vcpu.missing", EBADF)

    def settle(self, vcpu: Vcpu) -> None:
        """Perform the reset that another vcpu asked for by PSCI (facts 1.2): what every
        ONE_REG access of an initialised vcpu does first."""
        if vcpu.reset_requested:
            self.rules.add("psci.reset-before-access")
            vcpu.reset_requested = False
            vcpu.reset(self.profile.max_vq)

    def context(self, vcpu: Vcpu) -> str:
        """The vector lengths that explain an observation: the guest's at EL1, the vcpu's and
        the host's, in bytes."""
        if not vcpu.sve:
            return "no SVE"
        zcr, unknown = join(vcpu.sys["zcr_el1"])
        guest = effective_vl(zcr, vcpu.max_vq, self.profile.vqs)
        length = "" if unknown else f"guest VL {guest} (ZCR_EL1 {zcr:#x}), "
        if vcpu.el2:
            length += f"ZCR_EL2 {join(vcpu.sys['zcr_el2'])[0]:#x}, "
        return f"{length}vcpu VL {vcpu.max_vq * 16}, host VL {self.profile.max_vq * 16} bytes"
