"""Cases that have much at once: many values of many factors meet in each, and are looked at.

A narrow defect needs two, three or four ordinary things together. So a case made here chooses
a value of nearly every factor, makes many calls among them, and prefers values that were
least seen together.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus import registers as regs
from corpus.case import Case
from corpus.fields import FEATURE_BITS
from corpus.ops import (
    FEATURE_PTRAUTH,
    FEATURE_SVE,
    CreateVcpu,
    Finalize,
    GetReg,
    HostRun,
    Init,
    Op,
    ReadAll,
    Run,
    SetMp,
    SetReg,
    SetVls,
)
from corpus.values import Pattern
from fuzz.generate import el2 as of_el2
from fuzz.generate.accesses import HIDDEN, STOPS_JUDGING, Maker
from fuzz.generate.calls import CALLS, EARLY, FAILING, PMU_READY, Rows
from fuzz.generate.crowded import crowded, filling
from fuzz.generate.draft import Draft
from fuzz.generate.facts import CONTROLS, LENGTHS, MODES
from fuzz.generate.lives import out_of_place
from fuzz.generate.looks import look, with_looks
from fuzz.generate.pairs import Chooser
from fuzz.generate.registers import MODES_OF_32, draw_value, unusual_masks

_ID = {name: row.id for name, row in regs.REGISTERS.items()}
_PMU_V3 = 1 << FEATURE_BITS["pmu_v3"]
_SHARES = (
    (0.45, 1 << FEATURE_BITS["psci_0_2"]),
    (0.3, FEATURE_PTRAUTH),
    (0.07, _PMU_V3),
    (0.12, 1 << FEATURE_BITS["power_off"]),
)
"""How often a vcpu has which features."""
_ANY_FEATURES = 0.25
"""How often it has any set of those instead, so that each three of them meet."""
_POWER_OFF = 1 << FEATURE_BITS["power_off"]
_EL1_32BIT, _NOT_OF_32 = 1 << FEATURE_BITS["el1_32bit"], FEATURE_SVE | FEATURE_PTRAUTH
_AARCH32 = 0.04
"""How often a vcpu has AArch32 at EL1. Its registers are judged, and no run of it, so that it
mostly has none."""


def _drawn_by(table: Sequence[tuple[int, Rows]]) -> tuple[list[_Kind], list[int]]:
    """Calls to draw from, and their weights."""
    return [(list(dict(rows)), dict(rows)) for _, rows in table], [weight for weight, _ in table]


_Kind = tuple[list[tuple[str, bool]], dict[tuple[str, bool], Maker]]
_CALLS = {sve: _drawn_by(table) for sve, table in CALLS.items()}
_FAILING = _drawn_by(FAILING)


def combined_case(rng: random.Random, chooser: Chooser, el2_share: float = of_el2.SHARE) -> Case:
    """A life of a vcpu, often beside another, in which much comes together."""
    draft = Draft(rng, chooser)
    features = _features(rng, el2_share)
    sve = bool(features & FEATURE_SVE)
    second = chooser.rng.random() < 0.4
    draft.do(CreateVcpu(0), *([CreateVcpu(1)] if second else []), Init(0, features))
    if sve and rng.random() < 0.75:
        longest = chooser.pick("longest VL", LENGTHS, draft.around())
        draft.do(SetVls(0, (1 << longest) - 1))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        draft.do(*rng.choice(EARLY)(rng))
    if sve and rng.random() < 0.97:
        draft.do(Finalize(0))
    if features & _PMU_V3 and rng.random() < 0.8:
        draft.do(PMU_READY)
    if second:
        draft.do(*_second(rng, features))
    while draft.room > 0:
        _round(draft, features)
        if rng.random() < 0.25:
            break
    if rng.random() < _LAST:
        draft.do(*_last(rng))
    if rng.random() < _OUT_OF_PLACE:
        out_of_place(rng, draft.ops, features)
    ops = draft.ops
    if features & _EL1_32BIT and rng.random() < 0.9:
        ops = [op for op in ops if not _runs(op)]
    if second and rng.random() < _ON_SECOND:
        ops = exchanged(ops)
    return Case(tuple(with_looks(rng, ops, 0.35)))


_ON_SECOND = 0.3
"""Of the cases with another vcpu, how many have the other one do what this one was to do."""


_SLOTS = ("vcpu", "to")
"""Fields of ops that name a vcpu."""


def exchanged(ops: Sequence[Op]) -> list[Op]:
    """The ops with vcpus 0 and 1 exchanged."""
    return [
        replace(op, **{slot: 1 - getattr(op, slot) for slot in _SLOTS if _is_one(op, slot)})
        for op in ops
    ]


def _is_one(op: Op, slot: str) -> bool:
    return getattr(op, slot, None) in (0, 1)


def _runs(op: Op) -> bool:
    """Whether the guest comes to execute something."""
    return isinstance(op, HostRun) or (isinstance(op, Run) and not op.immediate)


_LAST = 0.03
"""How often the last call is one after which no run is judged: what is made of such a case may
have runs behind it."""


_OUT_OF_PLACE = 0.3
"""How often ops are repeated or put where they do not belong, which the rest knows nothing of."""


def _last(rng: random.Random) -> list[Op]:
    reg = _ID[rng.choice(sorted(STOPS_JUDGING))]
    return [SetReg(0, reg, draw_value(rng)), GetReg(0, reg), ReadAll(0)]


def _features(rng: random.Random, el2_share: float) -> int:
    aarch32 = rng.random() < _AARCH32
    evenly = aarch32 or rng.random() < _ANY_FEATURES
    features = FEATURE_SVE if rng.random() < (0.7 if evenly else 0.92) else 0
    for share, bits in _SHARES:
        if rng.random() < (0.5 if evenly else share):
            features |= bits
    if aarch32:
        return features & ~_NOT_OF_32 | _EL1_32BIT
    return of_el2.features(rng, features) if rng.random() < el2_share else features


def _second(rng: random.Random, features: int) -> list[Op]:
    """Some of another vcpu's life."""
    life: list[Op] = [Init(1, features & ~_POWER_OFF)]
    life += [Finalize(1)] if features & FEATURE_SVE else []
    life += [Run(1, 0, ()), ReadAll(1)]
    return life[: rng.choice((0, 1, 2, 3, 3, 4))]


def _round(draft: Draft, features: int) -> None:
    """Controls, calls, a run and a look."""
    rng = draft.rng
    if rng.random() < 0.22:
        draft.do(*filling(draft))
    if rng.random() < 0.3:
        _burst(draft, features)
    _controls(draft, MODES_OF_32 if features & _EL1_32BIT else _USUAL_MODES)
    if features & of_el2.HAS_EL2:
        draft.do(*of_el2.controls(rng, 0))
    if features & _POWER_OFF and rng.random() < 0.5:
        draft.do(SetMp(0, 0))
    for _ in range(rng.randrange(1, 9)):
        if draft.room > 2:
            draft.do(*_call(draft, bool(features & FEATURE_SVE)))
    if rng.random() < 0.8:
        draft.do(Run(0, 0, crowded(draft, features)))
    if features & of_el2.HAS_EL2 and rng.random() < 0.5:
        draft.do(*of_el2.look(rng, 0))
    if rng.random() < 0.75:
        draft.do(*look(rng, 0))
    if rng.random() < 0.3:
        if rng.random() < 0.5:
            _burst(draft, features)
        draft.do(Init(0, features))


def _burst(draft: Draft, features: int) -> None:
    """SETs of registers that only hold a value, each all of it."""
    rng, longest = draft.rng, draft.tracker.lengths(0)[0]
    for _ in range(min(rng.choice((3, 6, 9, 12)), draft.room)):
        reg = draft.chooser.register(_HOLD[bool(features & FEATURE_SVE)], longest)
        whole = rng.random() < 0.7
        value = Pattern("noise", rng.randrange(1 << 16)) if whole else draw_value(rng)
        draft.do(SetReg(0, reg, value))


_ACTING = frozenset({"pc", "pstate", "vls", "cpacr_el1", "zcr_el1", "fpcr"}) | STOPS_JUDGING
_NOT_EVERYWHERE = frozenset({"fpmr", *regs.TAGGING_NAMES})
_HOLD = {
    sve: [
        row.id
        for row in regs.REGISTERS.values()
        if row.name not in _ACTING | HIDDEN | _NOT_EVERYWHERE
        and row.kind not in (("id", "v") if sve else ("id", "z", "p", "ffr"))
    ]
    for sve in (False, True)
}
"""With SVE and without, the registers that take any value, which does nothing else."""


_USUAL_MODES = (5, 5, 0, 0, None)


def _controls(draft: Draft, modes: Sequence[int | None]) -> None:
    """`modes`: of the vcpu, of which None stands for any that it may have with AArch64."""
    rng, chooser = draft.rng, draft.chooser
    if rng.random() < 0.7:
        # Lengths beyond the vcpu's longest are asked for, too: they are cut to it.
        length = chooser.pick("effective VL", LENGTHS, draft.around())
        draft.do(_set("zcr_el1", length - 1))
    if rng.random() < 0.6:
        draft.do(_set("cpacr_el1", 0x33 << 16))
    for name in ("fpcr", "fpsr"):
        if rng.random() < 0.35:
            draft.do(_set(name, _bits(draft, name)))
    if rng.random() < 0.3:
        # Of the modes in which guests run, EL0 is the one that they seldom come to by themselves.
        mode = rng.choice(modes)
        if mode is None:
            mode = chooser.pick("mode", MODES, draft.around())
        draft.do(_set("pstate", unusual_masks(rng) | mode | _bits(draft, "pstate")))


def _bits(draft: Draft, name: str) -> int:
    """Some bits of a control register."""
    chosen = 0
    for _ in range(draft.rng.choice((1, 1, 2, 3))):
        chosen |= draft.chooser.pick(name, CONTROLS[name], draft.around())
    return chosen


def _set(name: str, value: int) -> SetReg:
    return SetReg(0, _ID[name], Pattern("int", value))


def _call(draft: Draft, sve: bool) -> list[Op]:
    """A call with drawn fields: of a few kinds, the one least seen with what is around."""
    rng, chooser = draft.rng, draft.chooser
    kinds, weights = _FAILING if rng.random() < 0.35 else _CALLS[sve]
    keys, makers = rng.choices(kinds, weights)[0]
    key = chooser.pick("call", keys, draft.tracker.next(0))
    number = chooser.pick("number", range(32), draft.around())
    return makers[key](rng, number)
