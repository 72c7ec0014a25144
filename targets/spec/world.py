"""The state of the VM that the specification is about, and what every step asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Self, TypeAlias

from corpus.ops import Op
from corpus.wire import OTHER_SLOT
from targets.profile import Profile
from targets.spec.cpu import effective_vl
from targets.spec.errno import EBADF
from targets.spec.memory import Memory
from targets.spec.permitted import Context, Permitted, fails
from targets.spec.sets import join
from targets.spec.vcpu import Vcpu, Vm

_Aside: TypeAlias = tuple[Vm, Memory, bool]


class World:
    """One VM on the machine described by `profile`, and another one, which has RAM of its own and
    nothing to do with it. `vm`, `mem` and `beyond` are of that one which ops are about now.

    `rules` collects the ids of the rules that the steps have used.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.vm = Vm()
        self.mem = Memory()
        self.rules: set[str] = set()
        self.beyond = False
        """A register outside the model was written: what a later run does is not known."""
        self.other = False
        """Whether it is the other VM that ops are about now."""
        self._aside: _Aside | None = None

    def turn_to(self, op: Op) -> None:
        """Be about the VM that an op is about."""
        if (getattr(op, "vcpu", 0) == OTHER_SLOT) != self.other:
            self.turn()

    def turn(self) -> None:
        """Be about the one VM that ops are not about now."""
        aside = self._aside or (
            Vm(stepped=self.vm.stepped, signalled=self.vm.signalled),
            Memory(),
            False,
        )
        self._aside = self.vm, self.mem, self.beyond
        self.vm, self.mem, self.beyond = aside
        self.other = not self.other

    @property
    def vms(self) -> tuple[Vm, ...]:
        """The VM that ops are about, and the other one if any op was about that."""
        return (self.vm, self._aside[0]) if self._aside else (self.vm,)

    def copy(self) -> Self:
        """The same, of which no part is shared but `profile` and `rules`."""
        other = copy(self)
        other.vm, other.mem = self.vm.copy(), self.mem.copy()
        if self._aside:
            vm, mem, beyond = self._aside
            other._aside = vm.copy(), mem.copy(), beyond
        return other

    def become(self, other: World) -> None:
        """Hold what `other` holds, which is not used any more."""
        self.vm, self.mem, self.beyond = other.vm, other.mem, other.beyond
        self.other, self._aside = other.other, other._aside

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
            vcpu.reset_requested = vcpu.aborting = False
            vcpu.reset(self.profile.max_vq)

    def context(self, vcpu: Vcpu) -> Context:
        """The vector lengths that explain an observation of a vcpu."""
        if not vcpu.sve:
            return _NO_SVE
        known: list[tuple[str, int]] = []
        lengths: list[int] = []
        for name in ("zcr_el1", "zcr_el2") if vcpu.el2 else ("zcr_el1",):
            zcr, unknown = join(vcpu.sys[name])
            if not unknown:
                known.append((name, zcr))
                lengths.append(effective_vl(zcr, vcpu.max_vq, self.profile.vqs))
        # Each EL constrains those below it (Arm ARM, ZCR_EL2.LEN).
        guest = min(lengths) if len(lengths) == 1 + vcpu.el2 else None
        return Context(guest, vcpu.max_vq * 16, self.profile.max_vq * 16, tuple(known))


def each_vm(*worlds: World) -> Iterator[None]:
    """Have worlds be about the one VM, and then about the other one if any ever was."""
    both = any(len(world.vms) > 1 for world in worlds)
    for other in (False, True) if both else (worlds[0].other,):
        for world in worlds:
            if world.other != other:
                world.turn()
        yield


_NO_SVE = Context(None, 0, 0)
