"""The paths that one run can take, and what is left of the VM behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from corpus.isa.form import Insn
from corpus.isa.mte import BLOCKS
from corpus.isa.stage1 import STAGE_1_ON
from corpus.isa.system import ANY
from targets.spec.errors import Decides, Unpredictable
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.semantics import maybe, mops, pauth
from targets.spec.sets import ZERO, either
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

MOST_PATHS = 64
"""More paths than this through one run are not followed."""

_FORKS = (
    frozenset({"msr", "mrs", ANY, STAGE_1_ON})
    | BLOCKS
    | maybe.FORKING
    | mops.FORKING
    | pauth.FORKING
)
"""Forms without which a run has one path, unless ZCR_ELx may hold one value or another, or stage 1
is on: its Device memory may have an access fault."""

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class State:
    """The VM at one moment: what a run can change of each vcpu, by slot, and its RAM."""

    vcpus: dict[int, dict[str, Any]]
    mem: Memory


@dataclass(frozen=True, slots=True)
class Path(Generic[E]):
    """How a run ended, and the VM then (None: as it is now, for there is no other path)."""

    ended: E
    after: State | None


def explore(world: World, program: Sequence[Insn], execute: Callable[[Forks], E]) -> list[Path[E]]:
    """Every path of a run, the one on which writes take effect at once first; the VM is left
    as that path leaves it. Raises Unpredictable, also where any path does."""
    forks = Forks()
    if not (any(insn.form.name in _FORKS for insn in program) or _may_fork(world)):
        ended = execute(forks)
        if forks.taken:
            raise Unpredictable("a choice that no form is known to have", Decides.NOTHING)
        return [Path(ended, None)]
    before = capture(world)
    ended = execute(forks)
    if not forks.taken:
        return [Path(ended, None)]
    paths = [Path(ended, capture(world))]
    scripts = list(forks.others())
    while scripts:
        if len(paths) == MOST_PATHS:
            raise Unpredictable("a control that is not synchronised matters often", Decides.NOTHING)
        restore(world, before)
        forks = Forks(scripts.pop(0))
        try:
            ended = execute(forks)
        except Unpredictable as stop:
            raise Unpredictable(str(stop), Decides.NOTHING) from None
        paths.append(Path(ended, capture(world)))
        scripts += forks.others()
    assert paths[0].after
    restore(world, paths[0].after)
    return paths


def _may_fork(world: World) -> bool:
    return any(
        vcpu.mapped or any(len(vcpu.sys.get(name, ZERO)) > 1 for name in ("zcr_el1", "zcr_el2"))
        for vcpu in world.vm.vcpus.values()
    )


_FIELDS = tuple(field.name for field in fields(Vcpu))


def _copied(value: Any) -> Any:
    return copy(value) if isinstance(value, list | dict) else value


def capture(world: World) -> State:
    """The VM now."""
    return State(
        {
            slot: {name: _copied(getattr(vcpu, name)) for name in _FIELDS}
            for slot, vcpu in world.vm.vcpus.items()
        },
        world.mem.copy(),
    )


def restore(world: World, state: State) -> None:
    """The VM as it was."""
    for slot, values in state.vcpus.items():
        for name, value in values.items():
            setattr(world.vm.vcpus[slot], name, _copied(value))
    world.mem.become(state.mem)


def united(a: State, b: State) -> State:
    """What may be either. Raises Unpredictable where that is more than sets can say."""
    vcpus = {
        slot: {name: _either(name, value, b.vcpus[slot][name]) for name, value in values.items()}
        for slot, values in a.vcpus.items()
    }
    mem = a.mem.copy()
    mem.unite(b.mem)
    return State(vcpus, mem)


def _either(name: str, a: Any, b: Any) -> Any:
    if a == b or name == "origins":
        return a
    if name == "signed":
        return {}
    if name == "fault":
        return None
    if name in ("z", "own_v", "p", "ffr", "x"):
        return [
            one if one == other else either((*one, *other)) for one, other in zip(a, b, strict=True)
        ]
    if name in ("core", "sys"):
        return {key: a[key] if a[key] == b[key] else either((*a[key], *b[key])) for key in a}
    raise Unpredictable("a control that is not synchronised decides on a call", Decides.NOTHING)
