"""`vcpufuzz window`: when a stranger has to strike that a case shows what is wrong."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import click

from corpus.blocks import has_block
from corpus.case import Case
from corpus.store import load_case
from corpus.text import format_case, format_op
from fuzz import output
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import resolve_leg
from fuzz.cli.plain_options import COUNT, OUTPUT_FILE, STDOUT
from fuzz.followup.steady import (
    ALIKE_RUNS,
    RESTARTS,
    SURE_RUNS,
    Often,
    fewest,
    shares,
    steady_names,
)
from fuzz.followup.surer import Told, once, ways
from fuzz.followup.window import ENOUGH, Timing, found, judged_alone, timing_of, with_delay
from fuzz.oracle.attribution import alike
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Diverge
from targets.legs import default_kvm, open_leg


@click.command("window")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--leg", "name", help="On which it shows; else on the default KVM leg.")
@click.option(
    "--runs",
    default=20,
    show_default=True,
    type=COUNT,
    help="Of each kind; 3 by instructions where each costs a restart.",
)
@click.option(
    "--save",
    type=OUTPUT_FILE,
    help="Write the case with the delays that show it most surely by instructions; - prints it.",
)
def command(file: Path, name: str | None, runs: int, save: Path | None) -> int:
    """Say in how many runs a disturbed case shows what is wrong, and in which range of delays
    its strangers have to strike: on the leg, and where its clock goes by instructions, too.

    Ends with 77 if it shows, else with 0.

    \b
    Example:
      vcpufuzz window found.case --leg kvm:small-6.12:nvhe --save steady.case
      vcpufuzz exec steady.case --legs kvm:small-6.12:nvhe:icount=4 --times 20
    """
    case = load_case(file)
    if not any(map(has_block, case.ops)):
        raise UserError(
            f"{file} has neither a stranger nor a second thread: there is no delay in it.",
            Exit.USAGE,
        )
    leg = resolve_leg(default_kvm() if name is None else name, "a window is sought on one leg")
    to_standard_output = save == STDOUT
    with redirect_stdout(sys.stderr if to_standard_output else sys.stdout):
        told = once(case)
        shown = _tell(leg, told, runs)
        steady = _steadily(leg, told.case, runs)
    if save and steady:
        output.write(save, format_case(steady.told.whole))
    elif save:
        click.echo(f"vcpufuzz: {save} was not written: by instructions nothing shows.", err=True)
    return Exit.DIVERGENCE if shown or steady else Exit.OK


@dataclass(frozen=True, slots=True)
class _Shown:
    """A case with the delays that show it most surely, and in which part of the runs they do."""

    told: Told
    part: float


def _steadily(name: str, case: Case, runs: int) -> _Shown | None:
    """The same on the legs whose clock goes by instructions, until it shows in nearly all runs."""
    best: _Shown | None = None
    for steady, told in product(steady_names(name, case), ways(case)):
        shown = _tell(steady, told, runs, SURE_RUNS)
        if shown and (best is None or shown.part > best.part):
            best = shown
        if best and best.part >= ENOUGH:
            break
    return best


def _tell(name: str, told: Told, runs: int, sure: int = 0) -> _Shown | None:
    """What shows on a leg, if anything does, in some of `runs` runs or in each of `sure`."""
    with open_leg(name) as leg:
        legs = Everywhere([leg], Knowledge.shipped())
        verdict = _verdict(legs, told, min(sure, _tries(told)) or runs)
        if verdict is None:
            click.echo(f"{name}: nothing shows, whatever the delay{told.row}")
            return None
        click.echo(f"{name}: {verdict.explanation}")
        worth = min(runs, RESTARTS) if sure and verdict.fault else runs
        found: Timing | None = None
        for index, op in enumerate(told.case.ops):
            if not has_block(op):
                continue
            case = told.case
            timing = timing_of(legs, case, index, verdict, worth, min(sure, worth), told.as_told)
            click.echo(f"{name}: {_line(case, index, timing, sure)}{told.row}")
            if timing:
                told, found = told.at(with_delay(case, index, timing.delay)), timing
        if found is None:
            return None
        if not sure:
            return _Shown(told, found.part)
        told, often = fewest(told, lambda other: _often(legs, other, verdict, worth))
        click.echo(f"{name}: in fresh machines it shows in {often} runs{told.row}")
        return _Shown(told, often.part)


def _tries(told: Told) -> int:
    """In how many runs by instructions something has to show itself: one that is long has many
    chances."""
    return ALIKE_RUNS if told.times > 1 else SURE_RUNS


def _often(legs: Everywhere, told: Told, verdict: Diverge, runs: int) -> Often:
    seen = 0
    for part in shares(runs):
        legs.legs[0].restart()
        seen += sum(alike(judged_alone(legs, told.whole), verdict) for _ in range(part))
    return Often(seen, runs)


def _verdict(legs: Everywhere, told: Told, tries: int) -> Diverge | None:
    """What is wrong, as the case is or with the first of its strangers at another time."""
    case = told.case
    at = next(i for i, op in enumerate(case.ops) if has_block(op))
    verdicts: list[Diverge] = []

    def shows(delay: int) -> bool:
        for _ in range(tries):
            seen = judged_alone(legs, told.as_told(with_delay(case, at, delay)))
            if isinstance(seen, Diverge):
                verdicts.append(seen)
                return True
        return False

    stranger = case.ops[at]
    assert has_block(stranger)
    return verdicts[0] if found(shows, stranger.after) is not None else None


def _line(case: Case, index: int, timing: Timing | None, sure: int) -> str:
    what = f"op {index} ({format_op(case.ops[index])})"
    if timing is None:
        return f"{what}: no delay shows it"
    return (
        f"{what}: shows in {timing.often} of {timing.runs} runs at {timing.delay} ns,"
        f" in {'each' if sure else 'some'} from {timing.window.first} to {timing.window.last} ns"
    )
