"""Combinations that were exercised and then looked at, and choosing what is missing.

Every pair of facts (fuzz/generate/facts.py) that held when an op was done counts once a look
at the vcpu follows. So do, as a core, instruction forms with the vector lengths at which, and
the register numbers with which, they were executed: these are triples with the call. And so
are SETs of each register with the longest vector length.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from corpus import registers as regs
from corpus.case import Case
from corpus.isa.form import Form
from corpus.isa.table import FORMS
from corpus.ops import GetReg, GetVls, HostRun, ReadAll, Run, SetReg
from corpus.trace import Trace
from fuzz.generate.facts import FACTS, LENGTHS, Tracker, fact

T = TypeVar("T")
N = TypeVar("N", bound=np.generic)

FORM_INDEX = {name: index for index, name in enumerate(FORMS)}
LENGTHS_AND_NONE = len(LENGTHS) + 1
LONGEST, EFFECTIVE, NUMBER = 0, LENGTHS_AND_NONE, 2 * LENGTHS_AND_NONE
FORM_FACTS = NUMBER + 32
"""Columns of the core: longest VL and effective VL in quadwords, first operand."""

REGISTER_INDEX = {reg: index for index, reg in enumerate(regs.BY_ID)}
_OF_FORMS = len(FORM_INDEX) * FORM_FACTS
CORE = _OF_FORMS + len(REGISTER_INDEX) * LENGTHS_AND_NONE
"""Triples of the core."""

_SELF_SEEN = (GetReg, GetVls)
"""Ops that are a look themselves."""

Block = tuple[list[int], NDArray[np.int64]]


@dataclass(slots=True)
class Gain:
    """What a case brought: how many pairs that none had brought before, and some of them, by
    which it is remembered. A pair is first * FACTS + second."""

    new: int = 0
    some: list[int] = field(default_factory=list)


SOME, MOST = 6, 24
"""Pairs by which a case is remembered: of each call at most, and then no more calls."""


class Pairs:
    """Counts of pairs of facts, and of forms with theirs."""

    def __init__(self) -> None:
        self._counts: NDArray[np.uint32] = np.zeros(FACTS * FACTS, np.uint32)
        self._core: NDArray[np.uint32] = np.zeros(CORE, np.uint32)
        self.forms, self.sets = of_core(self._core)
        """How often a look came behind the execution of a form, by FORM_FACTS, and behind the SET
        of a register, by longest VL in quadwords."""
        self.fresh: list[NDArray[np.int64]] = []
        """Pairs met for the first time since somebody emptied this."""
        self.fresh_core: list[NDArray[np.int64]] = []
        """Triples of the core likewise."""

    @property
    def counts(self) -> NDArray[np.uint32]:
        """How often facts were met together, those of the call first."""
        return self._counts.reshape(FACTS, FACTS)

    def add(self, case: Case, trace: Trace) -> Gain:
        """Count what `case` exercised and looked at."""
        gain = Gain()
        tracker = Tracker()
        pending: dict[int, list[Block]] = {}
        core: dict[int, list[int]] = {}
        for op, seen in zip(case.ops, trace.observations, strict=False):
            slot = getattr(op, "vcpu", 0)
            block = tracker.facts(op, seen.err)
            pending.setdefault(slot, []).append(block)
            if isinstance(op, Run | HostRun) and not seen.err:
                core.setdefault(slot, []).extend(_executed(op, *tracker.lengths(slot)))
            if isinstance(op, SetReg) and not seen.err and op.reg in REGISTER_INDEX:
                core.setdefault(slot, []).append(_set_at(op.reg, tracker.lengths(slot)[0]))
            if isinstance(op, ReadAll) and not seen.err:
                self._flush(pending.pop(slot), gain)
                self._count(core.pop(slot, []))
            elif isinstance(op, _SELF_SEEN):
                self._flush([pending[slot].pop()], gain, calls_only=True)
            tracker.done(op, seen.err)
        return gain

    def _flush(self, blocks: Sequence[Block], gain: Gain, calls_only: bool = False) -> None:
        """Count blocks once each, and what was around the last of them with itself."""
        flat = []
        for about, around in blocks:
            calls = np.array(about, np.int64)
            both = np.concatenate((calls, around))
            flat.append((calls[:, None] * FACTS + both).ravel())
        if not calls_only:
            around = blocks[-1][1]
            flat.append((around[:, None] * FACTS + around).ravel())
        for pairs in flat:
            before = self._counts[pairs]
            if not before.all():
                new = pairs[before == 0]
                gain.new += new.size
                if len(gain.some) < MOST:
                    gain.some += new[:SOME].tolist()
                self.fresh.append(new)
            self._counts[pairs] = before + 1

    def _count(self, triples: Sequence[int]) -> None:
        """Count triples of the core."""
        if triples:
            places = np.array(triples)
            self.fresh_core.append(np.unique(places[self._core[places] == 0]))
            np.add.at(self._core, places, 1)

    def rarity(self, around: NDArray[np.int64], candidates: Sequence[int]) -> NDArray[np.float64]:
        """How rare each candidate fact is together with those around: higher is rarer."""
        both = self._counts[np.array(candidates)[:, None] * FACTS + around]
        found: NDArray[np.float64] = (1.0 / (1.0 + both)).sum(axis=1)
        return found

    def rarity_of(self, gain: Gain) -> float:
        """How rare what a case once brought is by now."""
        return float((1.0 / np.maximum(self._counts[gain.some], 1)).sum()) if gain.some else 0.0


def _executed(op: Run | HostRun, longest: int, effective: int) -> Iterator[int]:
    for insn in op.program:
        row = FORM_INDEX[insn.form.name] * FORM_FACTS
        yield row + LONGEST + longest
        yield row + EFFECTIVE + effective
        if insn.args and insn.form.operands[0].name[0] in "zvpx":
            yield row + NUMBER + insn.args[0] % 32


def _set_at(reg: int, longest: int) -> int:
    return _OF_FORMS + REGISTER_INDEX[reg] * LENGTHS_AND_NONE + longest


def of_core(core: NDArray[N]) -> tuple[NDArray[N], NDArray[N]]:
    """The part of the forms, FORM_FACTS each, and that of the registers, a length each."""
    return core[:_OF_FORMS].reshape(-1, FORM_FACTS), core[_OF_FORMS:].reshape(-1, LENGTHS_AND_NONE)


class Met(NamedTuple):
    """Combinations that were met: `pairs` FACTS x FACTS, the facts of the call first; `core`
    flat, as `of_core` takes it apart."""

    pairs: NDArray[np.bool_]
    core: NDArray[np.bool_]

    def __or__(self, other: Met) -> Met:
        return Met(self.pairs | other.pairs, self.core | other.core)


class Chooser:
    """Draws values for one case: often the one of a few that is least covered together with what
    the case has so far. Without `pairs`, evenly."""

    FEW, FEW_FORMS = 4, 12
    """There are many more forms than values of any factor."""

    def __init__(self, rng: random.Random, pairs: Pairs | None = None) -> None:
        self.rng = rng
        self._pairs = pairs
        self._forms: dict[tuple[int, int], list[int]] = {}

    def pick(self, factor: str, values: Sequence[T], around: NDArray[np.int64]) -> T:
        """One of `values` of `factor`."""
        if self._pairs is None or self.rng.random() < 0.5:
            return one(self.rng, values)
        few = [one(self.rng, values) for _ in range(self.FEW)]
        rarity = self._pairs.rarity(around, [fact(factor, value) for value in few])
        return few[int(rarity.argmax())]

    def form(self, draw: Callable[[], Form], longest: int, effective: int) -> Form:
        """An instruction form, for a vcpu with these vector lengths in quadwords."""
        if self._pairs is None or self.rng.random() < 0.25:
            return draw()
        counts = self._executed(self._pairs, longest, effective)
        drawn = (draw() for _ in range(self.FEW_FORMS))
        return min(drawn, key=lambda form: counts[FORM_INDEX[form.name]])

    def _executed(self, pairs: Pairs, longest: int, effective: int) -> list[int]:
        """How often each form was, at these lengths. While a case is drawn nothing is counted."""
        found = self._forms.get((longest, effective))
        if found is None:
            at = pairs.forms[:, LONGEST + longest].astype(np.int64)
            found = (at + pairs.forms[:, EFFECTIVE + effective]).tolist()
            self._forms[longest, effective] = found
        return found

    def register(self, ids: Sequence[int], longest: int) -> int:
        """A register to SET, of a vcpu with this longest vector length in quadwords."""
        few = [one(self.rng, ids) for _ in range(self.FEW)]
        if self._pairs is None or self.rng.random() < 0.25:
            return few[0]
        counts = self._pairs.sets
        return min(few, key=lambda reg: int(counts[REGISTER_INDEX[reg], longest]))


def one(rng: random.Random, values: Sequence[T]) -> T:
    """As rng.choice, for short sequences and several times faster."""
    return values[int(rng.random() * len(values))]
