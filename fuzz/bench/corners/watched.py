"""A model that remembers of a case what the guards of defects ask about."""

from __future__ import annotations

from dataclasses import dataclass, field

from corpus import registers as regs
from corpus.ops import GetReg, HostRun, Init, Op, Run, SetReg
from targets.profile import Profile
from targets.spec.cpu import effective_vl
from targets.spec.errors import Unpredictable
from targets.spec.model import Model
from targets.spec.permitted import Permitted
from targets.spec.sets import Set, join
from targets.spec.vcpu import Vcpu

Held = dict[str, int]
"""Register -> value."""


@dataclass(slots=True)
class Past:
    """What happened in a case so far."""

    returned: set[tuple[str, int]] = field(default_factory=set)
    """Words of ops, and errnos that they returned."""
    words: list[str] = field(default_factory=list)
    inits: dict[int, int] = field(default_factory=dict)
    """Slot -> INITs that succeeded."""
    held: dict[int, Held] = field(default_factory=dict)
    """Slot -> what registers held before its last INIT, if it had one before that."""
    ran: set[int] = field(default_factory=set)
    """Slots whose vcpu came to run."""


class Watched(Model):
    """The specification, with a memory."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.past = Past()

    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(getattr(op, "vcpu", 0))
        held = contents(vcpu) if isinstance(op, Init) and vcpu and vcpu.initialised else None
        permitted = super().step(op)
        self._note(op, permitted, held)
        return permitted

    def _note(self, op: Op, permitted: Permitted, held: Held | None) -> None:
        past = self.past
        err = 0 if permitted.anything else permitted.outcomes[0].err
        past.words.append(op.word)
        if err:
            past.returned.add((op.word, err))
        elif isinstance(op, Init):
            past.inits[op.vcpu] = past.inits.get(op.vcpu, 0) + 1
            if held is not None:
                past.held[op.vcpu] = held
        elif isinstance(op, Run | HostRun):
            past.ran.add(op.vcpu)


def contents(vcpu: Vcpu) -> Held:
    """What the registers of an initialised vcpu may hold."""
    kind = "z" if vcpu.sve else "v"
    groups = ((kind, vcpu.z), ("p", vcpu.p), ("x", vcpu.x))
    found = {f"{name}{n}": join(one)[0] for name, group in groups for n, one in enumerate(group)}
    return {
        **found,
        **{name: join(one)[0] for name, one in (*vcpu.core.items(), *vcpu.sys.items())},
    }


@dataclass(frozen=True, slots=True)
class Moment:
    """An op about to be done, or an instruction about to be executed: `number` is that of the
    register which it names first."""

    world: Watched
    op: Op
    vcpu: Vcpu | None
    number: int | None = None
    running_vl: int = 0

    @property
    def slot(self) -> int:
        """The slot that the op names."""
        return getattr(self.op, "vcpu", 0)

    @property
    def max_vq(self) -> int:
        """The vcpu's longest vector in quadwords; 0 where there is none."""
        vcpu = self.vcpu
        return vcpu.max_vq if vcpu and vcpu.initialised and vcpu.sve else 0

    @property
    def vl(self) -> int:
        """The guest's effective vector length in bytes; 0 where there is none."""
        if self.running_vl or not self.max_vq:
            return self.running_vl
        assert self.vcpu is not None
        zcr = self.register("zcr_el1")
        return effective_vl(zcr, self.vcpu.max_vq, self.world.profile.vqs)

    def register(self, name: str) -> int:
        """What a control register holds; 0 where there is none."""
        vcpu = self.vcpu
        if vcpu is None or not vcpu.initialised:
            return 0
        found: Set | None = vcpu.core.get(name) or vcpu.sys.get(name)
        return join(found)[0] if found else 0


def moment_of(world: Watched, op: Op) -> Moment:
    """The moment before `op`."""
    number = None
    if isinstance(op, GetReg | SetReg):
        number = number_of(op.reg)
    return Moment(world, op, world.vm.vcpus.get(getattr(op, "vcpu", 0)), number)


def number_of(reg: int) -> int | None:
    """The number of a numbered register."""
    row = regs.BY_ID.get(reg)
    digits = row.name[1:] if row else ""
    return int(digits) if digits.isdigit() else None


__all__ = ["Moment", "Unpredictable", "Watched", "contents", "moment_of", "number_of"]
