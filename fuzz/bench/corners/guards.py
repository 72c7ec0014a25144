"""What a guard is made of: predicates, each with the ops that bring it about."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from corpus import registers as regs
from corpus.fields import FEATURE_BITS
from corpus.isa.form import Insn
from corpus.isa.table import COMMON
from corpus.ops import (
    GetMp,
    GetReg,
    GetVls,
    Op,
    PreferredTarget,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetMp,
    SetReg,
    WriteMem,
)
from corpus.stream import Source
from corpus.values import Pattern
from fuzz.bench.corners.provoking import PROVOKING
from fuzz.bench.corners.recipe import ENABLE, NOISE, Recipe, Stage, set_named
from fuzz.bench.corners.watched import Moment
from targets.profile import Profile
from targets.spec.cpu import FPCR_STATEFUL, FPSR_STATEFUL, NZCV_SHIFT, ZCR_LEN
from targets.spec.semantics.system import CPACR_STATEFUL

LENGTHS = Profile().max_vq


def _nothing(recipe: Recipe) -> None:
    """The recipe is right as it is."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """One thing that has to hold just before the op: `provide` has a recipe bring it about,
    `deny` has one that does so by itself do something else."""

    family: str
    about: str
    holds: Callable[[Moment], bool]
    provide: Callable[[Recipe], None]
    deny: Callable[[Recipe], None] = _nothing


Draw = Callable[[random.Random, int], Predicate]
"""From a random source, and how many registers the op could name, to a predicate."""


def _number(rng: random.Random, count: int) -> Predicate:
    wanted = rng.randrange(count)

    def provide(recipe: Recipe) -> None:
        recipe.number = wanted

    def deny(recipe: Recipe) -> None:
        recipe.number = (wanted + 1) % count

    return Predicate(
        "register number",
        f"register number {wanted}",
        lambda moment: moment.number == wanted,
        provide,
        deny,
    )


def _longest(rng: random.Random, _: int) -> Predicate:
    vq = rng.randint(1, LENGTHS)

    def provide(recipe: Recipe) -> None:
        recipe.vqs = vq

    def deny(recipe: Recipe) -> None:
        recipe.vqs = vq % LENGTHS + 1

    return Predicate("longest VL", f"longest VL {16 * vq}", lambda m: m.max_vq == vq, provide, deny)


def _effective(rng: random.Random, _: int) -> Predicate:
    vq = rng.randint(1, LENGTHS)

    def provide(recipe: Recipe) -> None:
        recipe.controls["zcr_el1"] = vq - 1

    def deny(recipe: Recipe) -> None:
        recipe.controls["zcr_el1"] = vq % LENGTHS

    return Predicate(
        "effective VL", f"effective VL {16 * vq}", lambda m: m.vl == 16 * vq, provide, deny
    )


def _compared(guest: int, vcpu: int, host: int) -> str:
    """How three vector lengths in bytes relate."""
    first = "guest<vcpu" if guest < vcpu else "guest=vcpu"
    return f"{first}{'<' if vcpu < host else '='}host"


_RELATIONS = {
    "guest<vcpu<host": (2, 4),
    "guest=vcpu<host": (3, 3),
    "guest=vcpu=host": (16, 16),
    "guest<vcpu=host": (5, 16),
}
"""Relations, with lengths (guest, vcpu) in quadwords that stand in them."""


def _relation(rng: random.Random, _: int) -> Predicate:
    wanted = rng.choice(list(_RELATIONS))

    def put(recipe: Recipe, relation: str) -> None:
        guest, recipe.vqs = _RELATIONS[relation]
        recipe.controls["zcr_el1"] = guest - 1

    def holds(moment: Moment) -> bool:
        host = moment.world.profile.max_vq
        return bool(moment.max_vq) and wanted == _compared(moment.vl, 16 * moment.max_vq, 16 * host)

    other = next(name for name in _RELATIONS if name != wanted)
    return Predicate(
        "relation of VLs", wanted, holds, lambda r: put(r, wanted), lambda r: put(r, other)
    )


_FEATURES = {
    "psci_0_2": 1 << FEATURE_BITS["psci_0_2"],
    "pmu_v3": 1 << FEATURE_BITS["pmu_v3"],
    "ptrauth": 1 << FEATURE_BITS["ptrauth_address"] | 1 << FEATURE_BITS["ptrauth_generic"],
    "power_off": 1 << FEATURE_BITS["power_off"],
}


def _feature(rng: random.Random, _: int) -> Predicate:
    name = rng.choice(list(_FEATURES))
    bits = _FEATURES[name]

    def holds(moment: Moment) -> bool:
        vcpu = moment.vcpu
        if vcpu is None or not vcpu.initialised:
            return False
        return bits & ((moment.world.vm.features or 0) | vcpu.power_off) == bits

    def provide(recipe: Recipe) -> None:
        recipe.features |= bits

    return Predicate(f"vcpu feature {name}", f"the vcpu has {name}", holds, provide)


def _life(rng: random.Random, _: int) -> Predicate:
    def again(count: int) -> Callable[[Recipe], None]:
        def provide(recipe: Recipe) -> None:
            recipe.again = count

        return provide

    def run(recipe: Recipe) -> None:
        recipe.setup.append(Run(0, 0, ()))

    choices = (
        ("it had a second INIT", lambda m: m.world.past.inits.get(m.slot, 0) > 1, again(1)),
        ("it had a third INIT", lambda m: m.world.past.inits.get(m.slot, 0) > 2, again(2)),
        ("it has run", lambda m: m.slot in m.world.past.ran, run),
    )
    about, holds, provide = rng.choice(choices)
    return Predicate("life", about, holds, provide)


def _bits(mask: int) -> list[int]:
    return [1 << bit for bit in range(64) if mask >> bit & 1]


_CONTROL_BITS: tuple[tuple[str, int], ...] = (
    *(("zcr_el1", bit) for bit in _bits(ZCR_LEN)),
    *(("fpcr", bit) for bit in _bits(FPCR_STATEFUL)),
    *(("fpsr", bit) for bit in _bits(FPSR_STATEFUL)),
    *(("cpacr_el1", bit) for bit in _bits(CPACR_STATEFUL)),
    *(("pstate", bit) for bit in _bits(15 << NZCV_SHIFT)),
)


def _control(rng: random.Random, _: int) -> Predicate:
    name, bit = rng.choice(_CONTROL_BITS)

    def provide(recipe: Recipe) -> None:
        recipe.controls[name] = recipe.controls.get(name, 0) | bit

    where = f"{name.upper()} bit {bit.bit_length() - 1}"
    return Predicate(where, f"{where} is set", lambda m: bool(m.register(name) & bit), provide)


_SWAPPED_MODE = 0x5


def _mode(rng: random.Random, _: int) -> Predicate:
    def provide(recipe: Recipe) -> None:
        recipe.controls["pstate"] = recipe.controls.get("pstate", 0) | _SWAPPED_MODE

    def holds(moment: Moment) -> bool:
        vcpu = moment.vcpu
        return bool(vcpu and vcpu.initialised) and moment.register("pstate") & 0xF == 0

    return Predicate("mode", "the guest is at EL0", holds, provide)


def _returned(rng: random.Random, _: int) -> Predicate:
    failing = rng.choice(PROVOKING)
    op, err = failing.op, failing.err
    key = op.word, err

    def provide(recipe: Recipe) -> None:
        (recipe.setup if failing.stage is Stage.LATE else recipe.early).append(op)

    return Predicate(
        "earlier return",
        f"an earlier {op.word} returned errno {err}",
        lambda m: key in m.world.past.returned,
        provide,
    )


def _held(rng: random.Random, _: int) -> Predicate:
    names = [
        *(row.name for row in regs.REGISTERS.values() if row.kind in ("z", "p")),
        *(f"x{n}" for n in range(31)),
        *("fpcr", "fpsr", "zcr_el1", "cpacr_el1", "sp", "sp_el1", "elr_el1"),
    ]
    name = rng.choice(names)
    values = {"zcr_el1": 3, "fpsr": 1, "fpcr": 1 << 24, "cpacr_el1": 3 << 20}
    kind, value = name[0], values.get(name)
    pattern = Pattern("int", value) if value else NOISE
    if kind == "p":
        pattern = Pattern("ones", 32)

    def holds(moment: Moment) -> bool:
        return bool(moment.world.past.held.get(moment.slot, {}).get(name))

    def provide(recipe: Recipe) -> None:
        recipe.held.append(set_named(name, pattern))

    about = f"{name} was not 0 when INIT came again"
    return Predicate("held at INIT", about, holds, provide)


_PLAIN_GROUPS = sorted(
    {form.group for form in COMMON.values()}
    - {"sys", "core", "mem"}
    - {
        form.group
        for form in COMMON.values()
        if any(word in form.group for word in ("load", "store", "gather", "scatter"))
    }
)
_BY_GROUP = {
    group: [form for form in COMMON.values() if form.group == group] for group in _PLAIN_GROUPS
}


def _executed(rng: random.Random, _: int) -> Predicate:
    group = rng.choice(_PLAIN_GROUPS)
    rules = frozenset(f"isa.{form.name}" for form in _BY_GROUP[group])
    form = rng.choice(_BY_GROUP[group])
    insn = Insn(form, form.draw(Source(rng.randbytes(96))))

    def provide(recipe: Recipe) -> None:
        recipe.setup.append(Run(0, 0, (*ENABLE, insn)))

    return Predicate(
        "instruction before",
        f"one of {group} was executed before",
        lambda m: not rules.isdisjoint(m.world.rules),
        provide,
    )


def _second(rng: random.Random, _: int) -> Predicate:
    about, stage, ran = rng.choice(
        (
            ("exists", Stage.NEW, False),
            ("is initialised", Stage.EARLY, False),
            ("is finalised", Stage.LATE, False),
            ("has run", Stage.LATE, True),
        )
    )

    def holds(moment: Moment) -> bool:
        others = [v for slot, v in moment.world.vm.vcpus.items() if slot != moment.slot]
        if ran:
            return bool(moment.world.past.ran - {moment.slot})
        if stage is Stage.LATE:
            return any(v.finalised for v in others)
        return any(stage is Stage.NEW or v.initialised for v in others)

    def provide(recipe: Recipe) -> None:
        recipe.second, recipe.second_ran = stage, ran

    return Predicate("second vcpu", f"another vcpu {about}", holds, provide)


_QUIET: tuple[Op, ...] = (
    *(PreferredTarget(), GetVls(0), GetMp(0), SetMp(0, 0), ReadAll(0), RegList(0)),
    *(ReadMem(0xC000, 64), WriteMem(0xC400, Pattern("fill", 7), 64), Run(0, 0, ())),
    *(GetReg(0, regs.X_IDS[3]), SetReg(0, regs.X_IDS[9], Pattern("int", 0))),
)
"""Ops that prepare nothing by themselves."""


def _just_before(rng: random.Random, _: int) -> Predicate:
    op = rng.choice(_QUIET)

    def provide(recipe: Recipe) -> None:
        recipe.last.append(op)

    return Predicate(
        "op before",
        f"the op before was {op.word}",
        lambda m: m.world.past.words[-1:] == [op.word],
        provide,
    )


def _order(rng: random.Random, _: int) -> Predicate:
    first, then = rng.sample(_QUIET, 2)

    def holds(moment: Moment) -> bool:
        words = moment.world.past.words
        return any(pair == (first.word, then.word) for pair in pairwise(words))

    def provide(recipe: Recipe) -> None:
        recipe.setup += [first, then]

    return Predicate("order of ops", f"{then.word} came right after {first.word}", holds, provide)


def _value_bit(rng: random.Random, _: int) -> Predicate:
    bit = rng.randrange(64)

    def holds(moment: Moment) -> bool:
        op = moment.op
        if not isinstance(op, SetReg):
            return False
        return bool(int.from_bytes(op.value.expand(256), "little") >> bit & 1)

    def provide(recipe: Recipe) -> None:
        recipe.value = Pattern("int", 1 << bit)

    def deny(recipe: Recipe) -> None:
        recipe.value = Pattern("int", 1 << (bit + 1) % 64)

    return Predicate("bit of the value", f"bit {bit} of the value is 1", holds, provide, deny)


_EDGES = {"nothing": (0, 0), "a part of 16 bytes": (1, 15), "16 bytes or more": (16, 256)}


def _edge(rng: random.Random, _: int) -> Predicate:
    about, (low, high) = rng.choice(list(_EDGES.items()))

    def holds(moment: Moment) -> bool:
        edge = getattr(moment.op, "edge", None)
        return edge is not None and low <= edge <= high

    def provide(recipe: Recipe) -> None:
        recipe.edge = low

    def deny(recipe: Recipe) -> None:
        recipe.edge = 0 if low else 16

    return Predicate("buffer", f"{about} of the buffer is mapped", holds, provide, deny)


FAMILIES: tuple[tuple[int, Draw], ...] = (
    *((4, _number), (4, _longest), (4, _effective), (2, _relation), (4, _feature), (2, _life)),
    *((4, _control), (1, _mode), (4, _returned), (4, _held), (3, _executed), (3, _second)),
    *((2, _just_before), (2, _order), (2, _value_bit), (2, _edge)),
)
"""Families with weights."""


def draw_predicates(
    rng: random.Random, count: int, registers: int, faults: bool
) -> list[Predicate]:
    """`count` predicates of different families. `registers`: how many the op could name;
    `faults`: whether it has a buffer that ends early."""
    weights = [weight for weight, _ in FAMILIES]
    draws = [draw for _, draw in FAMILIES]
    found: dict[str, Predicate] = {}
    while len(found) < count:
        draw = rng.choices(draws, weights)[0]
        if (draw is _number and registers < 2) or (draw is _edge and not faults):
            continue
        predicate = draw(rng, registers)
        found.setdefault(predicate.family, predicate)
    return list(found.values())
