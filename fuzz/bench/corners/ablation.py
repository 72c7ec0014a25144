"""What each source of guidance brings: the same hunts with all of them, without one, with none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median

import msgspec

from fuzz.bench.corners.hunt import Plan
from fuzz.bench.corners.searches import Search
from fuzz.worker.feedback import SOURCES

Setting = tuple[str, tuple[str, ...]]
"""A name, and the sources that are on."""

NO_KERNEL = tuple(source for source in SOURCES if source not in ("kernel", "schedules"))
"""The specification has no kernel, nor anything that interrupts it, so hunts have these only."""


def settings() -> list[Setting]:
    """All, all but one, one alone, none."""
    without = [(f"without {one}", tuple(s for s in NO_KERNEL if s != one)) for one in NO_KERNEL]
    alone = [(f"{one} alone", (one,)) for one in NO_KERNEL]
    return [("all", NO_KERNEL), *without, *alone, ("none", ())]


class Effect(msgspec.Struct, frozen=True):
    """What a setting reached. `corner_cases`, `mutant_cases`: medians, over defects and
    searches, of the cases until one was found, the budget where it was not; `sooner`: by what
    factor corners were found sooner than with no guidance, as a median of ratios."""

    name: str
    sources: list[str]
    corners: float
    corner_cases: float
    mutants: float
    mutant_cases: float
    sooner: float
    seconds: float


class Ablation(msgspec.Struct, frozen=True):
    """All of it."""

    seed: int
    count: int
    cases: int
    searches: list[int]
    mutants: int
    effects: list[Effect]


def ablate(
    seed: int,
    count: int,
    cases: int,
    searches: Sequence[int],
    mutants: int,
    search: Callable[[Plan], Search],
    say: Callable[[str], None],
) -> Ablation:
    """Run every setting with every seed of `searches`. Raises what `search` raises."""
    found: dict[str, list[Search]] = {}
    for name, sources in settings():
        for number in searches:
            say(f"{name}, search {number}")
            plan = Plan(seed, count, cases, number, mutants=True, feedback=sources)
            found.setdefault(name, []).append(search(plan))
    plain = found["none"]
    effects = [
        effect(name, sources, found[name], plain, (count, mutants, cases))
        for name, sources in settings()
    ]
    return Ablation(seed, count, cases, list(searches), mutants, effects)


def effect(
    name: str,
    sources: Sequence[str],
    runs: Sequence[Search],
    plain: Sequence[Search],
    sizes: tuple[int, int, int],
) -> Effect:
    """A setting's effect. `plain`: the same searches with no guidance; `sizes`: numbers of
    drawn defects, of mutants, and of cases."""
    count, mutants, budget = sizes
    corners, others = range(count), range(-1, -1 - mutants, -1)
    return Effect(
        name,
        list(sources),
        round(mean(_hits(run.found, corners) for run in runs), 2),
        median(_until(run.found, at, budget) for run in runs for at in corners),
        round(mean(_hits(run.found, others) for run in runs), 2),
        median(_until(run.found, at, budget) for run in runs for at in others),
        round(_sooner(runs, plain, corners, budget), 2),
        round(mean(run.seconds for run in runs), 1),
    )


def _hits(found: Mapping[int, int], among: Sequence[int]) -> int:
    return sum(at in found for at in among)


def _until(found: Mapping[int, int], index: int, budget: int) -> int:
    return found.get(index, budget)


def _sooner(
    runs: Sequence[Search], plain: Sequence[Search], among: Sequence[int], budget: int
) -> float:
    """Of defects that either found: those that neither did say nothing."""
    ratios = [
        _until(without.found, at, budget) / _until(run.found, at, budget)
        for run, without in zip(runs, plain, strict=True)
        for at in among
        if at in run.found or at in without.found
    ]
    return median(ratios) if ratios else 1.0
