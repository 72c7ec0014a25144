"""`vcpufuzz window`: when a stranger has to strike that a case shows what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from corpus.blocks import has_block
from corpus.case import Case
from corpus.store import load_case
from corpus.text import format_op
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import resolve_legs
from fuzz.followup.steady import steady_name
from fuzz.followup.window import Timing, found, judged_alone, timing_of, with_delay
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Diverge
from targets.legs import default_kvm, open_leg


@click.command("window")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--leg", "name", help="On which it shows; else on the default KVM leg.")
@click.option("--runs", default=10, show_default=True, type=click.IntRange(1), help="Of each kind.")
def command(file: Path, name: str | None, runs: int) -> int:
    """Say in how many runs a disturbed case shows what is wrong, and in which range of delays
    its strangers have to strike: on the leg, and where its clock goes by instructions, too.

    Ends with 77 if it shows, else with 0.

    \b
    Example:
      vcpufuzz window found.case --leg kvm:small-6.12:nvhe
    """
    case = load_case(file)
    if not any(map(has_block, case.ops)):
        raise UserError(
            f"{file} has neither a stranger nor a second thread: there is no delay in it.",
            Exit.USAGE,
        )
    legs = resolve_legs(default_kvm() if name is None else name, None)
    if len(legs) > 1:
        raise UserError(f"{', '.join(legs)}: a window is sought on one leg.", Exit.USAGE)
    shown = [_tell(each, case, runs) for each in _clocks(legs[0], case)]
    return Exit.DIVERGENCE if any(shown) else Exit.OK


def _clocks(name: str, case: Case) -> Iterator[str]:
    yield name
    steady = steady_name(name, case)
    if steady:
        yield steady


def _tell(name: str, case: Case, runs: int) -> bool:
    """Whether it shows on a leg."""
    with open_leg(name) as leg:
        legs = Everywhere([leg], Knowledge.shipped())
        verdict = _verdict(legs, case, runs)
        if verdict is None:
            click.echo(f"{name}: nothing shows, whatever the delay")
            return False
        click.echo(f"{name}: {verdict.explanation}")
        for index, op in enumerate(case.ops):
            if has_block(op):
                timing = timing_of(legs, case, index, verdict, runs)
                click.echo(f"{name}: {_line(case, index, timing)}")
    return True


def _verdict(legs: Everywhere, case: Case, runs: int) -> Diverge | None:
    """What is wrong, as the case is or with the first of its strangers at another time."""
    at = next(i for i, op in enumerate(case.ops) if has_block(op))
    verdicts: list[Diverge] = []

    def shows(delay: int) -> bool:
        for _ in range(runs):
            seen = judged_alone(legs, with_delay(case, at, delay))
            if isinstance(seen, Diverge):
                verdicts.append(seen)
                return True
        return False

    stranger = case.ops[at]
    assert has_block(stranger)
    return verdicts[0] if found(shows, stranger.after) is not None else None


def _line(case: Case, index: int, timing: Timing | None) -> str:
    what = f"op {index} ({format_op(case.ops[index])})"
    if timing is None:
        return f"{what}: no delay shows it"
    return (
        f"{what}: shows in {timing.often} of {timing.runs} runs at {timing.delay} ns,"
        f" in some from {timing.window.first} to {timing.window.last} ns"
    )
