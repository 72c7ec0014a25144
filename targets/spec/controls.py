"""Controls that a guest wrote and has not synchronised: the old value or the new one applies.

A write of CPACR_EL1 or CPTR_EL2 takes effect at the next context synchronisation event at the
latest, and may before, seen by one instruction and not by the next (Arm ARM,
synchronization requirements for AArch64 System registers). Reads of the register itself, and
ZCR_ELx.LEN, are in program order without it. So a run can have several paths; which one it
takes is a choice like any other, made once for each instruction that it matters to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeAlias

from targets.spec.bus import Bus
from targets.spec.errors import Decides, Unpredictable
from targets.spec.forks import Forks
from targets.spec.sets import Set, join

View: TypeAlias = Mapping[str, Set]
"""Registers whose older value is in effect, with that value; all others are as written last."""

_NOTHING_OLD: View = {}
_FIELDS = {"cpacr_el1": 0x0033_0000, "cptr_el2": 0x8033_0500}
"""The bits of each control that decide something here."""
UNSYNCHRONISED = frozenset(_FIELDS)
_MOST_VIEWS = 6


class Controls(Bus, ABC):
    """What of a vcpu decides whether its vector units are open."""

    __slots__ = ("loose_keys", "now", "views")

    loose_keys: set[str]
    """Keys of pointer authentication that were written and are not synchronised."""
    views: tuple[View, ...]
    """What may be in effect; one view while all is synchronised."""
    now: tuple[View, ...]
    """What may be in effect for the present instruction, by what it was seen to do."""

    def all_synchronised(self, forks: Forks | None = None) -> None:
        """The state at the entry to a guest."""
        self.forks = forks or Forks()
        self.loose_keys = set()
        self.views = self.now = (_NOTHING_OLD,)

    def control(self, view: View, name: str) -> tuple[int, int]:
        """A control's value in a view, and its unknown bits."""
        return join(view.get(name) or self.vcpu.sys[name])

    def decide(self, test: Callable[[View], bool]) -> bool:
        """What `test` says of the controls in effect. Where that depends on a write that is
        not synchronised, one answer is chosen, and holds for this instruction."""
        if len(self.now) == 1:
            return test(self.now[0])
        answers = [test(view) for view in self.now]
        options = list(dict.fromkeys(answers))
        if len(options) == 1:
            return options[0]
        self.rules.add("sync.control-write")
        answer = options[self.forks.choose(len(options))]
        self.now = tuple(v for v, said in zip(self.now, answers, strict=True) if said == answer)
        return answer

    def written(self, name: str, old: Set) -> None:
        """MSR wrote a control, whose value was `old`."""
        seen = [{key: kept for key, kept in v.items() if key != name} for v in self.views]
        unseen = [{**v, name: v.get(name, old)} for v in self.views]
        distinct: dict[tuple[tuple[int, int], ...], View] = {}
        for view in (*seen, *unseen):
            distinct.setdefault(self._in_effect(view), view)
        self.views = self.now = tuple(distinct.values())
        if len(self.views) > _MOST_VIEWS:
            raise Unpredictable("many controls are written and not synchronised", Decides.NOTHING)

    def _in_effect(self, view: View) -> tuple[tuple[int, int], ...]:
        found = []
        for name, fields in _FIELDS.items():
            if name in self.vcpu.sys:
                value, mask = self.control(view, name)
                found.append((value & fields, mask & fields))
        return tuple(found)

    def synchronise(self) -> None:
        """A context synchronisation event."""
        self.loose_keys.clear()
        if len(self.views) > 1:
            self.rules.add("sync.event")
            self.views = self.now = (_NOTHING_OLD,)
            self.vl_changed()

    @abstractmethod
    def vl_changed(self) -> None:
        """What governs the vector length may have changed."""
