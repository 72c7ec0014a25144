"""Wrong outcomes of ops: an errno, a value, a write lost, a register that had no part in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from corpus import registers as regs
from fuzz.bench.corners.watched import Moment, Watched
from targets.spec.errno import E2BIG, EFAULT, EINVAL, ENOENT, EPERM, error_name
from targets.spec.permitted import Outcome, Part, Permitted, fails
from targets.spec.sets import Set, exact
from targets.spec.steps.lists import head
from targets.spec.vcpu import MP_RUNNABLE, MP_STOPPED, Vcpu

_ERRNOS = (EINVAL, EPERM, ENOENT, EFAULT, E2BIG)


@dataclass(slots=True)
class Before:
    """What a vcpu was before an op."""

    groups: tuple[list[Set], ...]
    core: dict[str, Set]
    sys: dict[str, Set]
    max_vq: int
    finalised: bool
    stopped: int

    @classmethod
    def of(cls, vcpu: Vcpu) -> Before:
        """The vcpu as it is."""
        groups = tuple(map(list, (vcpu.z, vcpu.p, vcpu.ffr, vcpu.x)))
        core, system = dict(vcpu.core), dict(vcpu.sys)
        return cls(groups, core, system, vcpu.max_vq, vcpu.finalised, vcpu.stopped)

    def restore(self, vcpu: Vcpu) -> None:
        """As if nothing had happened."""
        for now, was in zip((vcpu.z, vcpu.p, vcpu.ffr, vcpu.x), self.groups, strict=True):
            now[:] = was
        vcpu.core, vcpu.sys = dict(self.core), dict(self.sys)
        vcpu.max_vq, vcpu.finalised, vcpu.stopped = self.max_vq, self.finalised, self.stopped


@dataclass(frozen=True, slots=True)
class Context:
    """An op that was done: `before` is None where there was no vcpu."""

    world: Watched
    moment: Moment
    vcpu: Vcpu | None
    before: Before | None


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong outcome of an op, made of the right one."""

    about: str
    change: Callable[[Context, Permitted], Permitted]


def flipped(candidates: Set, bits: int) -> Set:
    """The set with some bits the other way round, where they are known."""
    return tuple((value ^ bits & ~mask, mask) for value, mask in candidates)


def home_of(vcpu: Vcpu, name: str) -> tuple[Any, Any]:
    """Where a register lives."""
    groups: dict[str, list[Set]] = {"z": vcpu.z, "v": vcpu.z, "p": vcpu.p, "x": vcpu.x}
    if name[0] in groups and name[1:].isdigit():
        return groups[name[0]], int(name[1:])
    if name == "ffr":
        return vcpu.ffr, 0
    return (vcpu.core if name in vcpu.core else vcpu.sys), name


def _width(vcpu: Vcpu, name: str) -> int:
    if name[0] in "zv" and name[1:].isdigit():
        return vcpu.vector_bits
    if (name[0] == "p" and name[1:].isdigit()) or name == "ffr":
        return vcpu.vector_bits // 8
    return {"fpsr": 28, "fpcr": 27, "zcr_el1": 4}.get(name, 64)


def flip_register(vcpu: Vcpu, name: str, bit: int) -> None:
    """One bit of a register the other way round, if the vcpu has it."""
    home, key = home_of(vcpu, name)
    if isinstance(home, list) or key in home:
        home[key] = flipped(home[key], 1 << bit % _width(vcpu, name))


BYSTANDERS = (
    *(f"z{n}" for n in range(32)),
    *(f"p{n}" for n in range(16)),
    *(f"x{n}" for n in range(31)),
    *("ffr", "sp", "fpsr", "fpcr", "zcr_el1", "cpacr_el1", "elr_el1"),
)


def errno(rng: random.Random) -> Wrong:
    """The op fails where it should not, or otherwise."""
    err = rng.choice(_ERRNOS)

    def change(_: Context, permitted: Permitted) -> Permitted:
        wrong = err if permitted.outcomes[0].err != err else EINVAL ^ 1
        return fails(permitted.rule, wrong)

    return Wrong(f"it returns {error_name(err)}", change)


def success(_: random.Random) -> Wrong:
    """The op succeeds where it should fail."""
    return Wrong("it returns 0", lambda _, permitted: Permitted(permitted.rule, (Outcome(),)))


def lost(_: random.Random) -> Wrong:
    """Nothing is written."""

    def change(context: Context, permitted: Permitted) -> Permitted:
        if context.vcpu and context.before:
            context.before.restore(context.vcpu)
        return permitted

    return Wrong("what it writes is lost", change)


def bystander(rng: random.Random) -> Wrong:
    """A register that has no part in the op changes."""
    name, bit = rng.choice(BYSTANDERS), rng.randrange(2048)

    def change(context: Context, permitted: Permitted) -> Permitted:
        if context.vcpu and context.vcpu.initialised:
            flip_register(context.vcpu, name, bit)
        return permitted

    return Wrong(f"a bit of {name} changes", change)


def length(_: random.Random) -> Wrong:
    """The vcpu's longest vector changes."""

    def change(context: Context, permitted: Permitted) -> Permitted:
        if context.vcpu and context.vcpu.sve:
            context.vcpu.max_vq = max(1, context.vcpu.max_vq - 1) if context.vcpu.max_vq > 1 else 2
        return permitted

    return Wrong("the longest VL changes", change)


def power(_: random.Random) -> Wrong:
    """The vcpu stops, or runs."""

    def change(context: Context, permitted: Permitted) -> Permitted:
        if context.vcpu:
            running = context.vcpu.stopped == MP_RUNNABLE
            context.vcpu.stopped = MP_STOPPED if running else MP_RUNNABLE
        return permitted

    return Wrong("MP_STATE changes", change)


def kept(rng: random.Random) -> Wrong:
    """A register survives a reset."""
    name = rng.choice(BYSTANDERS)

    def change(context: Context, permitted: Permitted) -> Permitted:
        if context.vcpu and context.before:
            now, then = home_of(context.vcpu, name), _home_before(context.before, name)
            if then is not None:
                now[0][now[1]] = then
        return permitted

    return Wrong(f"{name} keeps what it held", change)


def _home_before(before: Before, name: str) -> Set | None:
    places = {"z": 0, "p": 1, "x": 3}
    if name[0] in places and name[1:].isdigit():
        return before.groups[places[name[0]]][int(name[1:])]
    if name == "ffr":
        return before.groups[2][0]
    return before.core.get(name) or before.sys.get(name)


def written_bit(rng: random.Random) -> Wrong:
    """What SET wrote has a wrong bit."""
    bit = rng.randrange(2048)

    def change(context: Context, permitted: Permitted) -> Permitted:
        row = regs.BY_ID.get(getattr(context.moment.op, "reg", 0))
        if context.vcpu and row:
            flip_register(context.vcpu, row.name, bit)
        return permitted

    return Wrong("a bit of what it writes is wrong", change)


def beside(name: str) -> str:
    """The register next to a numbered one, or X0."""
    kind, digits = name[0], name[1:]
    if not digits.isdigit():
        return "x0"
    return _LAST_PAIR.get(name, f"{kind}{int(digits) ^ 1}")


_LAST_PAIR = {"x30": "x29"}
"""Of which the other would be no register."""


def neighbour(rng: random.Random) -> Wrong:
    """The register beside the named one changes."""
    bit = rng.randrange(2048)

    def change(context: Context, permitted: Permitted) -> Permitted:
        row = regs.BY_ID.get(getattr(context.moment.op, "reg", 0))
        if context.vcpu and row:
            flip_register(context.vcpu, beside(row.name), bit)
        return permitted

    return Wrong("a bit of the register beside it changes", change)


def upper_half(_: random.Random) -> Wrong:
    """What SET wrote lacks its upper half."""

    def change(context: Context, permitted: Permitted) -> Permitted:
        row = regs.BY_ID.get(getattr(context.moment.op, "reg", 0))
        if context.vcpu and row:
            home, key = home_of(context.vcpu, row.name)
            if isinstance(home, list) or key in home:
                ones = (1 << _width(context.vcpu, row.name) // 2) - 1
                home[key] = tuple((v & ones, m & ones) for v, m in home[key])
        return permitted

    return Wrong("the upper half of what it writes is 0", change)


def told_bit(rng: random.Random) -> Wrong:
    """A bit of what user space is told is wrong."""
    place, bit = rng.random(), rng.randrange(2048)

    def change(_: Context, permitted: Permitted) -> Permitted:
        outcome = permitted.outcomes[0]
        parts = list(outcome.parts)
        if not parts:
            return permitted
        at = int(place * len(parts))
        part = parts[at]
        parts[at] = Part(
            part.label, part.size, flipped(part.candidates, 1 << bit % (8 * part.size))
        )
        return Permitted(permitted.rule, (Outcome(outcome.err, tuple(parts), outcome.aux),))

    return Wrong("a bit of what it tells is wrong", change)


def listed(rng: random.Random) -> Wrong:
    """An entry of the list of registers is wrong."""
    place, bit = rng.random(), rng.choice((0, 1, 5, 16, 52, 53))

    def change(context: Context, permitted: Permitted) -> Permitted:
        if context.vcpu is None:
            return permitted
        entries = list(head(context.vcpu))
        at = int(place * len(entries))
        entries[at] = Part("", 8, flipped(entries[at].candidates, 1 << bit))
        count = Part("n", 8, exact(len(entries)))
        return Permitted(permitted.rule, (Outcome(0, (count, *entries), open_ended=True),))

    return Wrong("an entry of the list is wrong", change)


Drawer = Callable[[random.Random], Wrong]
"""What draws a wrong outcome."""


def draw_wrong(rng: random.Random, among: Sequence[Drawer]) -> Wrong:
    """One of several."""
    return rng.choice(among)(rng)
