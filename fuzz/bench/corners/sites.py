"""Where defects are put: kinds of calls, calls that fail, and instructions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from corpus import registers as regs
from corpus.isa.form import Form, Insn
from corpus.isa.table import COMMON
from corpus.ops import (
    FEATURE_SVE,
    Finalize,
    GetMp,
    GetReg,
    GetVls,
    Init,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetMp,
    SetReg,
    SetVls,
)
from corpus.stream import Source
from corpus.values import Pattern
from corpus.wire import RAM_BASE
from fuzz.bench.corners import outcomes
from fuzz.bench.corners.outcomes import Drawer
from fuzz.bench.corners.provoking import PROVOKING
from fuzz.bench.corners.recipe import NOISE, Recipe, Stage, set_named
from targets.spec.permitted import Permitted

_ID = {name: row.id for name, row in regs.REGISTERS.items()}


def _succeeds(permitted: Permitted) -> bool:
    return not permitted.anything and permitted.outcomes[0].err == 0


@dataclass(frozen=True, slots=True)
class Site:
    """A kind of op and what class of fields it has. `matches`: asked before the op, `fits`
    after it; `registers`: how many different ones it may name."""

    about: str
    kind: type[Op]
    stage: Stage
    make: Callable[[Recipe], list[Op]]
    wrongs: tuple[Drawer, ...]
    matches: Callable[[Op], bool] = lambda _: True
    fits: Callable[[Permitted], bool] = _succeeds
    needs: tuple[Op, ...] = ()
    registers: int = 1
    features: int = FEATURE_SVE
    value: Pattern = NOISE
    faults: bool = False
    form: Form | None = None

    def recipe(self) -> Recipe:
        """A case with this op, and nothing else of interest."""
        return Recipe(
            self.stage,
            self.make,
            list(self.needs),
            self.features,
            value=self.value,
        )


def _classes() -> dict[str, tuple[regs.Register, ...]]:
    """Registers that user space may write, by class."""
    found: dict[str, list[regs.Register]] = {}
    for row in regs.REGISTERS.values():
        kind = "x" if row.id in regs.X_IDS else row.kind
        if kind == "sysreg":
            if row.name not in ("zcr_el1", "cpacr_el1", "tpidr_el0", "tpidr_el1", "sctlr_el1"):
                continue
            kind = row.name
        if kind not in ("vls", "id"):
            found.setdefault(kind, []).append(row)
    return {kind: tuple(rows) for kind, rows in found.items()}


_VALUES = {
    **{"p": Pattern("ones", 200), "ffr": Pattern("ones", 200), "zcr_el1": Pattern("int", 5)},
    **{"pstate": Pattern("int", 0xA000_03C5), "cpacr_el1": Pattern("int", 0x33 << 16)},
    **{"fpcr": Pattern("int", 3 << 24), "fpsr": Pattern("int", 0x1F)},
}


def _access(kind: str, rows: tuple[regs.Register, ...]) -> tuple[Site, Site]:
    ids = frozenset(row.id for row in rows)
    features = 0 if kind == "v" else FEATURE_SVE
    value = _VALUES.get(kind, NOISE)
    first = rows[0].name

    def setter(recipe: Recipe) -> list[Op]:
        return [SetReg(0, rows[recipe.number % len(rows)].id, recipe.value)]

    def getter(recipe: Recipe) -> list[Op]:
        reg = rows[recipe.number % len(rows)].id
        return [SetReg(0, reg, recipe.value), GetReg(0, reg)]

    wrongs: tuple[Drawer, ...] = (
        *(outcomes.lost, outcomes.lost, outcomes.written_bit, outcomes.written_bit),
        *(outcomes.bystander, outcomes.errno, outcomes.upper_half),
    )
    if len(rows) > 1 and first[1:].isdigit():
        wrongs = (*wrongs, outcomes.neighbour)
    count = len(rows) if first[1:].isdigit() else 1

    def whole(op: Op) -> bool:
        return op.reg in ids and op.edge is None  # type: ignore[attr-defined]

    return (
        Site(
            *(f"SET of {kind}", SetReg, Stage.LATE, setter, wrongs, whole),
            registers=count,
            features=features,
            value=value,
        ),
        Site(
            *(f"GET of {kind}", GetReg, Stage.LATE, getter),
            (outcomes.told_bit, outcomes.told_bit, outcomes.errno, outcomes.bystander),
            whole,
            registers=count,
            features=features,
            value=value,
        ),
    )


_QUIET = (outcomes.errno, outcomes.bystander, outcomes.length, outcomes.power)


def _filled(recipe: Recipe) -> list[Op]:
    """Registers that hold something, and then another INIT."""
    fills: list[Op] = [set_named(name, NOISE) for name in ("z0", "z31", "x0", "sp")]
    return [*fills, Init(0, recipe.features)]


def _calls() -> tuple[Site, ...]:
    late, early = Stage.LATE, Stage.EARLY
    told = outcomes.told_bit
    return (
        Site(
            *("INIT of a new vcpu", Init, Stage.NEW, lambda r: [], _QUIET),
            fits=lambda p: p.rule == "init.first",
        ),
        Site(
            *("INIT of a vcpu that had one", Init, late, _filled),
            (outcomes.kept, outcomes.kept, outcomes.lost, *_QUIET),
            fits=lambda p: p.rule == "init.again",
        ),
        Site("FINALIZE", Finalize, early, lambda r: [Finalize(0)], _QUIET),
        Site("SET of the lengths", SetVls, early, _lengths, (outcomes.lost, *_QUIET)),
        Site("GET of the lengths", GetVls, late, lambda r: [GetVls(0)], (told, *_QUIET)),
        Site(
            *("REG_LIST", RegList, late),
            lambda r: [RegList(0)],
            (outcomes.listed, outcomes.listed, *_QUIET),
            fits=lambda p: p.rule in ("reg-list.sve-block", "reg-list.core-first"),
        ),
        Site("SET_MP_STATE", SetMp, late, lambda r: [SetMp(0, 5)], (outcomes.lost, *_QUIET)),
        Site("GET_MP_STATE", GetMp, late, lambda r: [GetMp(0)], (told, *_QUIET)),
        Site("KVM_RUN", Run, late, lambda r: [Run(0, 0, ())], (told, *_QUIET, outcomes.bystander)),
        Site("a look at RAM", ReadMem, late, lambda r: [ReadMem(0xC000, 64)], (told, *_QUIET)),
        Site("a look at registers", ReadAll, late, lambda r: [ReadAll(0)], (told, *_QUIET)),
        Site(
            *("a migration", Migrate, late),
            lambda r: [Migrate(0, 2, r.features), ReadAll(2)],
            (outcomes.errno, outcomes.bystander),
        ),
    )


def _lengths(recipe: Recipe) -> list[Op]:
    return [SetVls(0, (1 << (recipe.vqs or 7)) - 1)]


def _failing() -> tuple[Site, ...]:
    sites: dict[str, Site] = {}
    for failing in PROVOKING:
        stage, op, rule = failing.stage, failing.op, failing.rule
        about = f"{op.word} refused by {rule}"
        sites.setdefault(
            about,
            Site(
                *(about, type(op), stage, _again(op)),
                (outcomes.bystander,) * 4 + (outcomes.errno, outcomes.success, outcomes.length),
                fits=_refused_by(rule),
                faults=getattr(op, "edge", None) is not None,
            ),
        )
    return tuple(sites.values())


def _again(op: Op) -> Callable[[Recipe], list[Op]]:
    def make(recipe: Recipe) -> list[Op]:
        if recipe.edge is None:
            return [op]
        if isinstance(op, SetReg):
            return [SetReg(op.vcpu, op.reg, op.value, recipe.edge)]
        assert isinstance(op, GetReg)
        return [GetReg(op.vcpu, op.reg, recipe.edge)]

    return make


def _refused_by(rule: str) -> Callable[[Permitted], bool]:
    return lambda permitted: permitted.rule == rule and bool(permitted.outcomes[0].err)


CALLS = (
    *(site for kind, rows in _classes().items() for site in _access(kind, rows)),
    *_calls(),
)
FAILURES = _failing()

_GROUPS: dict[str, list[Form]] = {}
for _form in COMMON.values():
    if _form.group not in ("sys",):
        _GROUPS.setdefault(_form.group, []).append(_form)

_COUNTS = {"z": 32, "v": 32, "p": 16, "x": 31}


def instruction(rng: random.Random) -> Site:
    """An instruction with operands, and registers that hold something."""
    form = rng.choice(_GROUPS[rng.choice(sorted(_GROUPS))])
    args = form.draw(Source(rng.randbytes(96)))
    needs: list[Op] = [set_named("cpacr_el1", 0x33 << 16)]
    for operand, value in zip(form.operands[1:], args[1:], strict=True):
        needs += _holding(operand.name, value)
    first = form.operands[0].name if form.operands else ""
    count = _COUNTS.get(first[:1], 1) if len(first) == 2 else 1

    def make(recipe: Recipe) -> list[Op]:
        chosen = args
        if count > 1 and recipe.number < count:
            given = (recipe.number, *args[1:])
            if not form.valid or form.valid(given):
                chosen = given
        return [Run(0, 0, (Insn(form, chosen),))]

    return Site(
        *(f"instruction {form.name}", Run, Stage.LATE, make, ()),
        needs=tuple(needs[:7]),
        registers=count,
        form=form,
    )


def _holding(name: str, number: int) -> list[Op]:
    kind = name[:1]
    if len(name) < 2 or kind not in "zvpx":
        return []
    if kind == "p":
        return [set_named(f"p{number % 16}", Pattern("ones", 256))]
    if kind == "x":
        value = RAM_BASE + 0xC000 if name == "xn" else 8
        return [set_named(f"x{number}", value)] if number < 31 else []
    return [set_named(f"z{number % 32}", Pattern("noise", number))]


__all__ = ["CALLS", "FAILURES", "Site", "instruction"]
