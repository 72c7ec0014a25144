"""Cases that have much at once: many values of many factors meet in each, and are looked at.

A narrow defect needs two, three or four ordinary things together. So a case made here chooses
a value of nearly every factor, makes many calls among them, and prefers values that were
least seen together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.fields import FEATURE_BITS, MAX_PROGRAM
from corpus.isa.form import Form, Insn
from corpus.isa.system import ANY, RETURN_VECTORS
from corpus.isa.table import FORMS, insn
from corpus.ops import (
    FEATURE_PTRAUTH,
    FEATURE_SVE,
    CreateVcpu,
    Finalize,
    GetReg,
    Init,
    Op,
    ReadAll,
    Run,
    SetMp,
    SetReg,
    SetVls,
    WriteMem,
)
from corpus.values import Pattern
from fuzz.generate import edges
from fuzz.generate import el2 as of_el2
from fuzz.generate.calls import (
    CALLS,
    EARLY,
    FAILING,
    HIDDEN,
    PMU_READY,
    STOPS_JUDGING,
    Maker,
    Rows,
)
from fuzz.generate.facts import CONTROLS, LENGTHS, MODE, MODES, Tracker
from fuzz.generate.lives import out_of_place
from fuzz.generate.looks import Lives, look, with_looks
from fuzz.generate.pairs import Chooser, one
from fuzz.generate.programs import (
    GROUPS,
    IDIOMS,
    MIDDLE,
    RETURNING,
    enable_vectors,
    idiom,
    is_memory,
    memory_access,
    random_insn,
    synchronised_soon,
    system_access,
)
from fuzz.generate.reached import reached
from fuzz.generate.registers import draw_value
from fuzz.generate.results import Results
from fuzz.generate.signing import enabled_keys
from targets.spec.cpu import BASE_CAPS, FP_CAPS

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
_ENDING = frozenset({"svc", "brk", "udf", "hvc", "eret_to", "eret_el2_to", ANY})


def _drawn_by(table: Sequence[tuple[int, Rows]]) -> tuple[list[_Kind], list[int]]:
    """Calls to draw from, and their weights."""
    return [(list(dict(rows)), dict(rows)) for _, rows in table], [weight for weight, _ in table]


_Kind = tuple[list[tuple[str, bool]], dict[tuple[str, bool], Maker]]
_CALLS = {sve: _drawn_by(table) for sve, table in CALLS.items()}
_FAILING = _drawn_by(FAILING)
_LENGTHS_OF_CODE = (0, 8, 20, 36, MAX_PROGRAM, MAX_PROGRAM)


class _Draft:
    """The ops of a case so far, and what they make."""

    def __init__(self, rng: random.Random, chooser: Chooser) -> None:
        self.rng, self.chooser = rng, chooser
        self.ops: list[Op] = []
        self.tracker = Tracker()
        self._lives = Lives()

    def do(self, *ops: Op) -> None:
        """Append ops, which succeed where nothing speaks against it."""
        for op in ops:
            self.ops.append(op)
            fails = self._lives.due(op) and not isinstance(op, Init | Finalize | CreateVcpu)
            self.tracker.done(op, 22 if fails else 0)

    def around(self, slot: int = 0) -> NDArray[np.int64]:
        """Facts that the next op meets."""
        return self.tracker.around(slot)

    @property
    def room(self) -> int:
        """Ops that still fit, with a look."""
        return MAX_OPS - 5 - len(self.ops)


def combined_case(rng: random.Random, chooser: Chooser, el2_share: float = of_el2.SHARE) -> Case:
    """A life of a vcpu, often beside another, in which much comes together."""
    draft = _Draft(rng, chooser)
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
    return Case(tuple(with_looks(rng, draft.ops, 0.35)))


_LAST = 0.03
"""How often the last call is one after which no run is judged: what is made of such a case may
have runs behind it."""


_OUT_OF_PLACE = 0.3
"""How often ops are repeated or put where they do not belong, which the rest knows nothing of."""


def _last(rng: random.Random) -> list[Op]:
    reg = _ID[rng.choice(sorted(STOPS_JUDGING))]
    return [SetReg(0, reg, draw_value(rng)), GetReg(0, reg), ReadAll(0)]


def _features(rng: random.Random, el2_share: float) -> int:
    evenly = rng.random() < _ANY_FEATURES
    features = FEATURE_SVE if rng.random() < (0.7 if evenly else 0.92) else 0
    for share, bits in _SHARES:
        if rng.random() < (0.5 if evenly else share):
            features |= bits
    return of_el2.features(rng, features) if rng.random() < el2_share else features


def _second(rng: random.Random, features: int) -> list[Op]:
    """Some of another vcpu's life."""
    life: list[Op] = [Init(1, features & ~_POWER_OFF)]
    life += [Finalize(1)] if features & FEATURE_SVE else []
    life += [Run(1, 0, ()), ReadAll(1)]
    return life[: rng.choice((0, 1, 2, 3, 3, 4))]


def _round(draft: _Draft, features: int) -> None:
    """Controls, calls, a run and a look."""
    rng = draft.rng
    if rng.random() < 0.22:
        draft.do(*_fill(draft))
    if rng.random() < 0.3:
        _burst(draft, features)
    _controls(draft)
    if features & of_el2.HAS_EL2:
        draft.do(*of_el2.controls(rng, 0))
    if features & _POWER_OFF and rng.random() < 0.5:
        draft.do(SetMp(0, 0))
    for _ in range(rng.randrange(1, 9)):
        if draft.room > 2:
            draft.do(*_call(draft, bool(features & FEATURE_SVE)))
    if rng.random() < 0.8:
        draft.do(Run(0, 0, _program(draft, features)))
    if features & of_el2.HAS_EL2 and rng.random() < 0.5:
        draft.do(*of_el2.look(rng, 0))
    if rng.random() < 0.75:
        draft.do(*look(rng, 0))
    if rng.random() < 0.3:
        if rng.random() < 0.5:
            _burst(draft, features)
        draft.do(Init(0, features))


def _burst(draft: _Draft, features: int) -> None:
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


def _controls(draft: _Draft) -> None:
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
        mode = rng.choice(_USUAL_MODES)
        if mode is None:
            mode = chooser.pick("mode", MODES, draft.around())
        draft.do(_set("pstate", 0x3C0 | mode | _bits(draft, "pstate")))


def _bits(draft: _Draft, name: str) -> int:
    """Some bits of a control register."""
    chosen = 0
    for _ in range(draft.rng.choice((1, 1, 2, 3))):
        chosen |= draft.chooser.pick(name, CONTROLS[name], draft.around())
    return chosen


def _set(name: str, value: int) -> SetReg:
    return SetReg(0, _ID[name], Pattern("int", value))


def _call(draft: _Draft, sve: bool) -> list[Op]:
    """A call with drawn fields: of a few kinds, the one least seen with what is around."""
    rng, chooser = draft.rng, draft.chooser
    kinds, weights = _FAILING if rng.random() < 0.35 else _CALLS[sve]
    keys, makers = rng.choices(kinds, weights)[0]
    key = chooser.pick("call", keys, draft.tracker.next(0))
    number = chooser.pick("number", range(32), draft.around())
    return makers[key](rng, number)


def _program(draft: _Draft, features: int) -> tuple[Insn, ...]:
    rng = draft.rng
    longest, effective = draft.tracker.lengths(0)
    code: list[Insn] = enable_vectors(rng) if rng.random() < _enabling(draft) else []
    if rng.random() < RETURNING and not features & of_el2.HAS_EL2 and not _is_at_el0(draft):
        code.append(insn(RETURN_VECTORS))
    if (
        features & FEATURE_PTRAUTH == FEATURE_PTRAUTH
        and rng.random() < 0.4
        and not _is_at_el0(draft)
    ):
        code += enabled_keys(rng)
    want, results = rng.choice(_LENGTHS_OF_CODE), Results()
    drawn = partial(_form, rng, _WITH_SVE if longest or rng.random() < 0.1 else _WITHOUT_SVE)
    while len(code) < want:
        if rng.random() < IDIOMS / 2:
            code += idiom(rng)
            continue
        form = draft.chooser.form(drawn, longest, effective)
        if is_memory(form):
            code += memory_access(rng, form)
        elif form.name in ("mrs", "msr"):
            code.append(system_access(rng, form))
        else:
            code.append(results.spared(rng, random_insn(rng, form)))
    code = reached(
        rng,
        code,
        sve=longest > 0,
        pauth=features & FEATURE_PTRAUTH == FEATURE_PTRAUTH,
        at_el0=_is_at_el0(draft),
    )
    if features & of_el2.HAS_EL2:
        return of_el2.program(rng, tuple(code), MAX_PROGRAM)
    whole = tuple(synchronised_soon(rng, code)[:MAX_PROGRAM])
    if rng.random() < edges.SHARE and not _is_at_el0(draft):
        return edges.to_edges(rng, whole)
    return whole


def _enabling(draft: _Draft) -> float:
    """How often a program begins by enabling the vectors. What would trap at its first
    instruction runs none of the others: EL0 cannot enable them, others need it at most once."""
    if _is_at_el0(draft):
        return 0.1
    return 0.3 if draft.tracker.control(0, "cpacr_el1") & _ON == _ON else 0.95


def _is_at_el0(draft: _Draft) -> bool:
    pstate = draft.tracker.control(0, "pstate")
    return bool(pstate) and not pstate & MODE


_ON = 0x33 << 16


@dataclass(frozen=True, slots=True)
class _Forms:
    """Forms to draw from: by group, and all."""

    groups: tuple[tuple[Form, ...], ...]
    every: tuple[Form, ...]

    @classmethod
    def of(cls, wanted: Callable[[Form], bool]) -> _Forms:
        groups = [
            tuple(f for f in forms if f.name not in _ENDING and wanted(f))
            for forms in GROUPS.values()
        ]
        kept = tuple(group for group in groups if group)
        return cls(kept, tuple(form for group in kept for form in group))


_WITH_SVE = _Forms.of(lambda form: True)
_WITHOUT_SVE = _Forms.of(lambda form: form.cap in BASE_CAPS | FP_CAPS)


def _form(rng: random.Random, forms: _Forms) -> Form:
    """A form: some evenly, some from groups, which differ in size."""
    return one(rng, one(rng, forms.groups) if rng.random() < 0.6 else forms.every)


def _fill(draft: _Draft) -> list[Op]:
    """All vector registers loaded from noise in RAM, predicates and general registers set."""
    rng, base = draft.rng, 17
    code = enable_vectors(rng)[:3] if rng.random() < _enabling(draft) else []
    code.append(insn("lda", base, MIDDLE - 256))
    if draft.tracker.lengths(0)[0]:
        code += [insn("ldr_z", n, base, n % 8) for n in range(32) if rng.random() < 0.8]
        code += [random_insn(rng, FORMS["ptrue"]) for _ in range(8)]
    else:
        code += [insn("ldr_q", n, base, 16 * (n % 8)) for n in range(32) if rng.random() < 0.8]
    code += [insn("movz", n, rng.randrange(1, 1 << 16)) for n in rng.sample(range(1, 17), 6)]
    noise = WriteMem(MIDDLE - 256, Pattern("noise", rng.randrange(1 << 16)), 512)
    return [noise, Run(0, 0, tuple(code[:MAX_PROGRAM]))]
