"""Calls by class of call, as the factors name them, each with what draws its fields."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from corpus import registers as regs
from corpus.fields import FEATURE_BITS
from corpus.opfields import fields_of
from corpus.ops import (
    EAGER_SPLIT,
    EXACT,
    FEATURE_SVE,
    NISV_TO_USER,
    ONE_LESS,
    PMU,
    PMU_INIT,
    PVTIME,
    CreateVcpu,
    DeviceAttr,
    EnableCap,
    Finalize,
    GetEvents,
    GetMp,
    GetReg,
    GetVls,
    HostRun,
    Init,
    Migrate,
    Op,
    PreferredTarget,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetEvents,
    SetMp,
    SetReg,
    SetVls,
    SmcccFilter,
    WriteMem,
)
from corpus.values import Pattern
from corpus.wire import Ask
from fuzz.generate.accesses import (
    BY_CLASS,
    HIDDEN,
    MALFORMED,
    STOPS_JUDGING,
    Maker,
    Row,
    accesses,
    faulting,
)
from fuzz.generate.facts import LENGTHS
from fuzz.generate.programs import MIDDLE, random_program, source
from fuzz.generate.registers import draw_value

Early: TypeAlias = Callable[[random.Random], list[Op]]


def _drawn(kind: type[Op], slot: int = 0) -> Maker:
    """Any fields, on one slot."""

    def make(rng: random.Random, _: int) -> list[Op]:
        values = [slot if f.name == "vcpu" else f.domain.draw(source(rng)) for f in fields_of(kind)]
        return [kind(*values)]

    return make


def _any_of(*makers: Maker) -> Maker:
    """One of several, evenly: each is another reason to refuse a call."""

    def make(rng: random.Random, number: int) -> list[Op]:
        return rng.choice(makers)(rng, number)

    return make


def _calls(draw: Callable[[random.Random], Op]) -> Maker:
    return lambda rng, _: [draw(rng)]


_PTRAUTH_HALVES = [1 << FEATURE_BITS[name] for name in ("ptrauth_address", "ptrauth_generic")]

_bad_init = _any_of(
    _calls(lambda rng: Init(0, FEATURE_SVE ^ 1 << rng.choice(list(FEATURE_BITS.values())))),
    _calls(lambda rng: Init(0, FEATURE_SVE | 1 << rng.randrange(7 * 32))),
    _calls(lambda rng: Init(0, FEATURE_SVE | rng.choice(_PTRAUTH_HALVES))),
    _calls(lambda rng: Init(0, FEATURE_SVE, rng.randrange(1, 7))),
    _drawn(Init),
)
"""INIT with other features, unknown ones, half of those that go together, another target."""

_bad_finalize = _any_of(
    _calls(lambda rng: Finalize(0)),
    _calls(lambda rng: Finalize(0, rng.choice((0, 1, 2, 3, 5, 9)))),
    _drawn(Finalize),
)
"""FINALIZE once more, or of something else."""

_TOO_LONG = 1 << LENGTHS[-1]

_bad_lengths = _any_of(
    _calls(lambda rng: SetVls(0, 0)),
    _calls(lambda rng: SetVls(0, _TOO_LONG << rng.randrange(48) | rng.choice((1, _TOO_LONG - 1)))),
    _calls(lambda rng: SetVls(0, (1 << rng.choice(LENGTHS)) - 1)),
    _drawn(SetVls),
)
"""No length, one that no host has, those of some host (after FINALIZE), any."""


def _syndrome(rng: random.Random) -> tuple[int, int]:
    """Of an SError: whether it has one, and which."""
    told = rng.randrange(2)
    return told, told * rng.getrandbits(25)


def _pend(rng: random.Random, _: int) -> list[Op]:
    """An SError, which setting no event does not take back."""
    more = _unless(rng, 0.6, SetEvents(0))
    return [SetEvents(0, 1, *_syndrome(rng)), *more, GetEvents(0)]


def _bad_events(rng: random.Random, _: int) -> list[Op]:
    wide = rng.random() < 0.5
    bad = SetEvents(0, 1, 1, 1 << 25) if wide else SetEvents(0, rng.randrange(2), reserved=1)
    return [bad, GetEvents(0)]


def _attr(rng: random.Random, _: int) -> list[Op]:
    """An attribute that is read, or that one vcpu in two takes."""
    roll = rng.random()
    if roll < 0.2:
        return [PMU_READY]
    ask, group = rng.choice((Ask.HAS, Ask.GET)), rng.randrange(3)
    return [DeviceAttr(0, ask, group, rng.choice((0, 0, 1, 2, 3)))]


def _bad_attr(rng: random.Random, _: int) -> list[Op]:
    if rng.random() < 0.4:
        return _drawn(DeviceAttr)(rng, 0)
    # Stolen time where it is not aligned, or no memory is.
    return [DeviceAttr(0, Ask.SET, PVTIME, 0, rng.choice((8, 0x4000_F020, 1 << 40)))]


PMU_READY = DeviceAttr(0, Ask.SET, PMU, PMU_INIT)
"""The PMU of a vcpu is set up, without which one with a PMU does not run."""


def _bad_cap(rng: random.Random, _: int) -> list[Op]:
    return [EnableCap(rng.choice((0, EAGER_SPLIT)), rng.randrange(2))]


def _filter(rng: random.Random, _: int) -> list[Op]:
    return [SmcccFilter(rng.choice((0x8400_0003, 0xC200_0000, 0xC600_0000)), rng.choice((1, 16)))]


def _on_nobody(rng: random.Random, _: int) -> list[Op]:
    kind = rng.choice((SetReg, GetReg, GetVls, SetVls, Finalize, Init, Run, GetMp, RegList))
    return _drawn(kind, 2)(rng, 0)


Rows: TypeAlias = tuple[Row, ...]

_NUMBERED = frozenset({"z", "p", "x", "v"})
"""Classes of many registers, each of which is to be read now and then."""


def _class(row: Row) -> str:
    """Of registers, that an access is to."""
    return row[0][0].split()[1]


def _accepted(sve: bool) -> Rows:
    """Accesses to what a vcpu has, with SVE or without, where V registers are not refused."""
    absent = ("v",) if sve else ("z", "p", "ffr", "zcr_el1", "vls")
    fine = (row for row in accesses() if not row[0][1] or _class(row) == "v")
    return tuple(((row[0][0], False), row[1]) for row in fine if _class(row) not in absent)


def _usual(sve: bool) -> tuple[tuple[int, Rows], ...]:
    accepted = _accepted(sve)
    return (
        (11, tuple(row for row in accepted if _class(row) not in _NUMBERED)),
        (2, tuple(row for row in accepted if _class(row) in _NUMBERED)),
        (7, _OTHERS),
    )


_OTHERS: Rows = (
    (("get-vls", False), lambda rng, _: [GetVls(0)]),
    (("get-mp", False), lambda rng, _: [GetMp(0)]),
    (("set-mp", False), lambda rng, _: [SetMp(0, 5), *_unless(rng, 0.2, SetMp(0, 0))]),
    (("get-events", False), lambda rng, _: [GetEvents(0)]),
    (("set-events", False), _pend),
    (("attr", False), _attr),
    (("enable-cap", False), lambda rng, _: [EnableCap(NISV_TO_USER)]),
    (("filter", False), _filter),
    (("reg-list", False), lambda rng, _: [RegList(0, rng.choice((1024, EXACT)))]),
    (("read-all", False), lambda rng, _: [ReadAll(0)]),
    (("preferred-target", False), lambda rng, _: [PreferredTarget()]),
    (
        ("read-mem", False),
        lambda rng, _: [ReadMem(MIDDLE + 256 * rng.randrange(-1, 2), 256)],
    ),
    (("write-mem", False), lambda rng, _: [WriteMem(MIDDLE, draw_value(rng), 256)]),
    (("run", False), lambda rng, _: [Run(0, 0, random_program(rng, rng.choice((0, 2))))]),
    (
        ("host-run", False),
        lambda rng, _: [HostRun(0, 16 * rng.choice(LENGTHS), program=random_program(rng, 2))],
    ),
    (("migrate", False), lambda rng, _: [Migrate(0, 2, FEATURE_SVE), ReadAll(2)]),
    (("create", False), lambda rng, _: [CreateVcpu(1)]),
)

CALLS = {sve: _usual(sve) for sve in (False, True)}
"""Calls that succeed where nothing is in their way, with weights; of vcpus with SVE and without."""


def _unless(rng: random.Random, share: float, op: Op) -> list[Op]:
    return [] if rng.random() < share else [op]


_TOO_FEW = (0, 1, 43, 75, 92, 93, 94, ONE_LESS, ONE_LESS, ONE_LESS)

_REFUSED = tuple(row for row in accesses() if row[0][1])
_OF_OTHERS = tuple(row for row in _REFUSED if _class(row) not in (*HIDDEN, "id"))


def _other_sve(rng: random.Random, _: int) -> list[Op]:
    """An ID register that denies what the vcpu has, or has what it denies."""
    return [SetReg(0, regs.REGISTERS["id_aa64pfr0_el1"].id, draw_value(rng))]


FAILING: tuple[tuple[int, Rows], ...] = (
    (
        4,
        tuple(
            ((f"{kind.word} {name}", True), faulting(kind, name))
            for kind in (GetReg, SetReg)
            for name in BY_CLASS
            if name not in HIDDEN and name not in STOPS_JUDGING
        ),
    ),
    (2, tuple(row for row in _REFUSED if _class(row) in HIDDEN)),
    (2, (*_OF_OTHERS, (("set id", True), _any_of(dict(_REFUSED)["set id", True], _other_sve)))),
    (
        2,
        (
            (("get other", True), _any_of(*(get for get, _ in MALFORMED))),
            (("set other", True), _any_of(*(put for _, put in MALFORMED))),
        ),
    ),
    (
        4,
        (
            (("finalize", True), _bad_finalize),
            (("set-vls", True), _bad_lengths),
            (("init", True), _bad_init),
            (("reg-list", True), lambda rng, _: [RegList(0, rng.choice(_TOO_FEW))]),
            (("set-mp", True), _drawn(SetMp)),
            (("create", True), lambda rng, _: [CreateVcpu(0)]),
            (("run", True), lambda rng, _: [Run(0, 1, ())]),
            (("get-vls", True), _on_nobody),
        ),
    ),
    (
        1,
        (
            (("set-events", True), _bad_events),
            (("attr", True), _bad_attr),
            (("enable-cap", True), _bad_cap),
            (("filter", True), _drawn(SmcccFilter)),
        ),
    ),
)
"""Calls that usually fail, with weights: buffers that fault, registers that are hidden, those that
this vcpu has not or that refuse what is written, ids of none, calls about the vcpu, and about what
is around it. There are many registers and few other calls: by weight neither is rare."""


_QUIET: tuple[Op, ...] = (
    *(GetMp(0), SetMp(0, 0), PreferredTarget(), ReadAll(0), ReadMem(MIDDLE, 256)),
    WriteMem(MIDDLE, Pattern("fill", 7), 256),
)
"""Calls that nothing refuses, and that change nothing others ask about."""

EARLY: tuple[Early, ...] = (
    lambda rng: [SetReg(0, rng.choice((*regs.Z_IDS, *regs.P_IDS)), draw_value(rng))],
    lambda rng: [GetReg(0, rng.choice((*regs.Z_IDS, *regs.P_IDS)))],
    lambda rng: [RegList(0)],
    lambda rng: [Run(0, 0, ())],
    lambda rng: [Finalize(0, rng.choice((0, 1, 2, 3, 5, 9)))],
    lambda rng: [SetVls(0, rng.choice((0, 5, rng.getrandbits(16), 1 << 20 | 1)))],
    lambda rng: [GetReg(0, regs.VLS_ID, rng.randrange(64))],
    lambda rng: [SetReg(0, regs.VLS_ID, Pattern("int", 3), rng.randrange(64))],
    lambda rng: [GetVls(0)],
    lambda rng: _bad_init(rng, 0),
    lambda rng: [CreateVcpu(0)],
    lambda rng: [rng.choice(_QUIET)],
    lambda rng: [rng.choice(_QUIET)],
    lambda rng: [GetEvents(0)],
    lambda rng: _attr(rng, 0),
)
"""Calls between INIT and FINALIZE, most of which fail then."""
