"""What an op met: the factors whose values are to be combined, all derived from tables.

A *fact* is a value of a factor, as a number: a class of call, a register number, a longest
vector length, a bit of a control register that is set, an errno that an earlier call returned,
and so on. `Tracker` tells them op by op, from what was asked and what was returned.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from corpus import registers as regs
from corpus.fields import FEATURE_BITS
from corpus.isa.table import FORMS
from corpus.ops import (
    FEATURE_SVE,
    OPS,
    CreateVcpu,
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
    SetReg,
    SetVls,
    WriteMem,
)
from corpus.values import Pattern
from targets.profile import Profile
from targets.spec import errno
from targets.spec.cpu import FPCR_STATEFUL, FPSR_STATEFUL, NZCV_SHIFT, ZCR_LEN
from targets.spec.semantics.system import CPACR_STATEFUL
from targets.spec.vcpu import OPTIONAL_PSTATE

MODE = 0xF
LENGTHS = range(1, Profile().max_vq + 1)
EDGES = range(10)
"""Numbers of bits of a buffer's mapped bytes: 0 to 256 bytes."""


def bits_of(mask: int) -> list[int]:
    """The bits that are set, each as a mask."""
    return [1 << bit for bit in range(mask.bit_length()) if mask >> bit & 1]


CONTROLS: dict[str, tuple[int, ...]] = {
    name: tuple(bits_of(mask))
    for name, mask in (
        ("zcr_el1", ZCR_LEN),
        ("fpcr", FPCR_STATEFUL),
        ("fpsr", FPSR_STATEFUL),
        ("cpacr_el1", CPACR_STATEFUL),
        ("pstate", 15 << NZCV_SHIFT | OPTIONAL_PSTATE),
    )
}
"""Control registers, and their bits with a meaning."""

MODES = (0x0, 0x4, 0x5, 0x8, 0x9)
ERRNOS = tuple(sorted({n for name, n in vars(errno).items() if name.isupper()}))
_OTHER = "other"


def class_of(reg: int) -> str:
    """What KVM and the specification treat alike."""
    row = regs.BY_ID.get(reg)
    if row is None:
        return _OTHER
    if row.id in regs.X_IDS:
        return "x"
    return row.name if row.kind in ("core", "sysreg") else row.kind


CLASSES = tuple(dict.fromkeys([*map(class_of, regs.BY_ID), _OTHER]))
_SECOND = ("exists", "initialised", "finalised", "has run")
_LIVES = ("new", "initialised", "finalised", "has run", "second INIT", "third INIT")
_GROUPS = tuple(dict.fromkeys(form.group for form in FORMS.values()))


def _calls() -> Iterator[tuple[str, bool]]:
    for word, kind in OPS.items():
        classes = CLASSES if kind in (GetReg, SetReg) else ("",)
        for name in classes:
            yield from ((f"{word} {name}".strip(), failed) for failed in (False, True))


FACTORS: dict[str, tuple[Hashable, ...]] = {
    "call": tuple(_calls()),
    "number": tuple(range(32)),
    "buffer": tuple(EDGES),
    "longest VL": tuple(LENGTHS),
    "effective VL": tuple(LENGTHS),
    "feature": tuple(FEATURE_BITS),
    "life": _LIVES,
    **CONTROLS,
    "mode": MODES,
    "returned": tuple((word, err) for word in OPS for err in ERRNOS),
    "held at INIT": tuple(row.name for row in regs.REGISTERS.values() if row.kind != "id"),
    "executed": _GROUPS,
    "second vcpu": _SECOND,
    "op before": tuple(OPS),
}
"""Every factor with its values."""

_PLACES: dict[tuple[str, Hashable], int] = {
    (factor, value): place
    for place, (factor, value) in enumerate(
        (factor, value) for factor, values in FACTORS.items() for value in values
    )
}
FACTS = len(_PLACES)
NAMES: tuple[tuple[str, Hashable], ...] = tuple(_PLACES)
"""Factor and value of each fact."""


def fact(factor: str, value: Hashable) -> int:
    """The number of a factor's value. Raises KeyError."""
    return _PLACES[factor, value]


def known(factor: str, value: Hashable) -> Iterator[int]:
    """The same, or nothing for a value that no table has."""
    place = _PLACES.get((factor, value))
    if place is not None:
        yield place


@dataclass(slots=True)
class _Vcpu:
    features: int = 0
    inits: int = 0
    finalised: bool = False
    ran: bool = False
    max_vq: int = 0
    controls: dict[str, int] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    held: tuple[str, ...] = ()
    """In order: which pairs a case is remembered by must not hang on how names are hashed."""


_MSR = FORMS["msr"].operands[0].domain


class Tracker:
    """Follows a case op by op; `facts` of a call are those about it, and those around it."""

    def __init__(self, max_vq: int = LENGTHS[-1]) -> None:
        self._host = max_vq
        self._vcpus: dict[int, _Vcpu] = {}
        self._returned: dict[int, None] = {}
        self._executed: dict[int, None] = {}
        self._before = ""
        self._around: dict[int, NDArray[np.int64]] = {}

    def facts(self, op: Op, err: int) -> tuple[list[int], NDArray[np.int64]]:
        """Facts about a call, and of what it met, before it changes that."""
        return list(self._about(op, err)), self.around(getattr(op, "vcpu", 0))

    def around(self, slot: int) -> NDArray[np.int64]:
        """What an op on a slot meets."""
        found = self._around.get(slot)
        if found is None:
            found = self._around[slot] = np.array(list(self._context(slot)), np.int64)
        return found

    def _about(self, op: Op, err: int) -> Iterator[int]:
        word, reg = op.word, getattr(op, "reg", None)
        if reg is not None:
            word = f"{word} {class_of(reg)}"
            row = regs.BY_ID.get(reg)
            if row and row.name[1:].isdigit():
                yield fact("number", int(row.name[1:]))
        yield fact("call", (word, bool(err)))
        edge = getattr(op, "edge", None)
        if edge is not None:
            yield fact("buffer", min(edge.bit_length(), EDGES[-1]))
        yield from known("op before", self._before)

    def _context(self, slot: int) -> Iterator[int]:
        vcpu = self._vcpus.get(slot, _NOBODY)
        yield from _of_life(
            *(vcpu.features, min(vcpu.inits, 3), vcpu.finalised, vcpu.ran, vcpu.max_vq),
            *(tuple(vcpu.controls.items()), vcpu.held, self.effective(vcpu)),
        )
        yield from self._returned
        yield from self._executed
        for other, vcpu_there in self._vcpus.items():
            if other != slot:
                yield fact("second vcpu", _stage(vcpu_there))
                break

    def effective(self, vcpu: _Vcpu) -> int:
        """The guest's vector length in quadwords."""
        return min((vcpu.controls.get("zcr_el1", 0) & ZCR_LEN) + 1, vcpu.max_vq)

    def lengths(self, slot: int) -> tuple[int, int]:
        """The longest and the effective vector length of a slot's vcpu; 0 where none is."""
        vcpu = self._vcpus.get(slot, _NOBODY)
        return vcpu.max_vq, self.effective(vcpu) if vcpu.max_vq else 0

    def next(self, slot: int) -> NDArray[np.int64]:
        """What an op on a slot meets, and which op it comes right after."""
        before = [*known("op before", self._before)]
        return np.concatenate((self.around(slot), np.array(before, np.int64)))

    def control(self, slot: int, name: str) -> int:
        """What a slot's control register was set to, as far as is known; 0 if never."""
        return self._vcpus.get(slot, _NOBODY).controls.get(name, 0)

    def done(self, op: Op, err: int) -> None:
        """The op is over."""
        self._before = op.word
        if err or not _changes_nothing(op):
            self._around.clear()
        if err:
            self._returned.update((place, None) for place in known("returned", (op.word, err)))
            return
        if isinstance(op, CreateVcpu):
            self._vcpus[op.vcpu] = _Vcpu()
            return
        vcpu = self._vcpus.get(getattr(op, "vcpu", 0))
        if vcpu is None:
            return
        if isinstance(op, Init):
            self._reset(vcpu, op.features)
        elif isinstance(op, SetVls):
            vcpu.max_vq = min(op.vqs.bit_length(), LENGTHS[-1])  # a draft may ask for more
        elif isinstance(op, Finalize):
            vcpu.finalised = True
        elif isinstance(op, SetReg):
            _set(vcpu, op.reg, op.value)
        elif isinstance(op, Run | HostRun):
            vcpu.ran = True
            self._run(vcpu, op)
        elif isinstance(op, Migrate):
            self._vcpus[op.to] = _Vcpu(
                op.features, 1, vcpu.finalised, False, vcpu.max_vq, dict(vcpu.controls)
            )

    def _reset(self, vcpu: _Vcpu, features: int) -> None:
        if vcpu.inits:
            vcpu.held = tuple(sorted(vcpu.filled))
        vcpu.inits += 1
        vcpu.features = features
        vcpu.controls, vcpu.filled = {}, set()
        if not features & FEATURE_SVE:
            vcpu.max_vq = 0
        elif not vcpu.finalised:
            vcpu.max_vq = self._host

    def _run(self, vcpu: _Vcpu, op: Run | HostRun) -> None:
        constants: dict[int, int] = {}
        for insn in op.program:
            name, args = insn.form.name, insn.args
            self._executed[fact("executed", insn.form.group)] = None
            if name == "movz":
                constants[args[0]] = args[1]
            elif name == "movz16":
                constants[args[0]] = args[1] << 16
            elif name == "msr":
                written = _MSR.format(args[0])
                if written in CONTROLS:
                    vcpu.controls[written] = constants.get(args[1], 0)
            operands = insn.form.operands
            if operands and operands[0].name[1:] in ("d", "t") and operands[0].name[0] in "zvpx":
                vcpu.filled.add(f"{operands[0].name[0]}{args[0]}".replace("v", "z"))


@lru_cache(maxsize=1 << 14)
def _of_life(
    features: int,
    inits: int,
    finalised: bool,
    ran: bool,
    max_vq: int,
    controls: tuple[tuple[str, int], ...],
    held: tuple[str, ...],
    effective: int,
) -> tuple[int, ...]:
    """Facts of one vcpu. Remembered: most ops change nothing of them."""
    found = [fact("life", _life(inits, finalised))]
    if ran and finalised:
        found.append(fact("life", "has run"))
    if inits > 1:
        found.append(fact("life", "second INIT" if inits == 2 else "third INIT"))
    found += (fact("feature", name) for name, bit in FEATURE_BITS.items() if features >> bit & 1)
    if max_vq:
        found += (*known("longest VL", max_vq), *known("effective VL", effective))
    values = dict(controls)
    for name, bits in CONTROLS.items():
        value = values.get(name, 0)
        found += (fact(name, bit) for bit in bits if value & bit)
    found += known("mode", values.get("pstate", 5) & MODE)
    found += (place for name in held for place in known("held at INIT", name))
    return tuple(found)


def _life(inits: int, finalised: bool) -> str:
    if not inits:
        return "new"
    return "finalised" if finalised else "initialised"


def _set(vcpu: _Vcpu, reg: int, value: Pattern) -> None:
    row = regs.BY_ID.get(reg)
    if row is None:
        return
    number = int.from_bytes(value.expand(32), "little")
    if row.name in CONTROLS:
        vcpu.controls[row.name] = number & (1 << 64) - 1
    (vcpu.filled.add if number else vcpu.filled.discard)(row.name)


def _stage(vcpu: _Vcpu) -> str:
    if vcpu.ran:
        return "has run"
    if vcpu.finalised:
        return "finalised"
    return "initialised" if vcpu.inits else "exists"


def _changes_nothing(op: Op) -> bool:
    """Whether an op that succeeded leaves what later ones meet as it is."""
    if isinstance(op, SetReg):
        row = regs.BY_ID.get(op.reg)
        return row is None or row.name not in CONTROLS
    return isinstance(op, _CHANGE_NOTHING)


_NOBODY = _Vcpu()
_CHANGE_NOTHING = (
    *(GetReg, GetVls, GetMp, GetEvents, ReadAll, RegList, ReadMem, WriteMem),
    PreferredTarget,
)
