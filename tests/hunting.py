"""Hunting a defect that was put into a kernel, by hand: what the programs for that share."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import click

from corpus.case import Case
from corpus.store import load_case
from corpus.text import format_case
from corpus.trace import Trace
from db.records import FindingRecord
from fuzz.followup.breakage import Breakage
from fuzz.followup.investigate import Investigator
from fuzz.followup.steady import stand_ins
from fuzz.followup.suspicion import Departure
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Diverge
from targets.kvm.lab.variants import Tree, source_tree
from targets.legs import open_leg
from targets.model.target import is_avoided
from targets.transport import TransportError

MINIMISE_SECONDS = 180.0

Command = TypeVar("Command", bound=Callable[..., None])


def seeds() -> Iterator[Case]:
    """The shipped seeds."""
    folder = Path(__file__).parents[1] / "corpus/seeds"
    yield from map(load_case, sorted(folder.glob("*.case")))


@contextmanager
def alone(name: str) -> Iterator[Everywhere]:
    """A leg, with what is known of it."""
    with open_leg(name) as leg:
        yield Everywhere([leg], Knowledge.shipped())


@contextmanager
def kept(image: Path) -> Iterator[Path]:
    """The image where no later build takes its place."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(image, Path(folder) / "Image"))


def hunt(
    legs: Everywhere,
    cases: Iterable[Case],
    seconds: float,
    ran: Callable[[Case, Trace], None] = lambda *_: None,
) -> Iterator[Breakage | Departure]:
    """Those of `cases` that diverge, until the time is up, but for what the leg is to be kept from;
    `ran` is shown each."""
    (leg,) = legs.legs
    began = time.monotonic()
    for count, case in enumerate(cases, 1):
        if time.monotonic() - began > seconds:
            return
        if is_avoided(case, legs.machines[leg.name]):
            continue
        trace = leg.run(case)
        ran(case, trace)
        verdict = legs.judge_one(case, leg.name, trace)
        if isinstance(verdict, Diverge) and not legs.knowledge.explains(leg, case, verdict):
            spent = time.monotonic() - began
            click.echo(f"  case {count}, after {spent:.0f} s: {verdict.explanation}")
            if verdict.fault:
                yield Breakage(case, leg.name, verdict, trace)
            else:
                yield Departure(case, leg.name, verdict)


def report(legs: Everywhere, suspicion: Breakage | Departure) -> Case | None:
    """Minimise what was found, and say what is left of it."""
    investigator = Investigator(
        legs, lambda note: click.echo(f"  {note}"), MINIMISE_SECONDS, stand_ins=stand_ins
    )
    finding = investigator.follow(suspicion)
    if not isinstance(finding, FindingRecord):
        click.echo(f"  not confirmed: {finding}")
        return None
    if not finding.reproduced[0] and finding.minimal == finding.original:
        click.echo("  did not show again")
        return None
    click.echo(f"  {finding.reproduced[0]} of {finding.reproduced[1]}: {finding.explanation}")
    click.echo(format_case(finding.minimal))
    return finding.minimal


source_option = click.option(
    *("--source", "folder"),
    type=click.Path(exists=True, path_type=Path),
    help="A configured source tree, which is used as it is.",
)


def options(names: Iterable[str]) -> Callable[[Command], Command]:
    """What such a program is asked; `names` of the defects."""

    def add(command: Command) -> Command:
        for option in (
            source_option,
            click.option("--seed", default=1, show_default=True),
            click.option("--minutes", default=10.0, help="For each kernel.", show_default=True),
            click.option("--only", multiple=True, type=click.Choice(list(names))),
        ):
            command = option(command)
        return command

    return add


def in_tree(folder: Path | None, source: str, work: Callable[[Tree], bool]) -> None:
    """Do `work` in the user's tree or one of our own, and end with whether it was well done."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # edits are taken back
    try:
        with (
            nullcontext(Tree(folder, 2)) if folder else source_tree(source, say=click.echo) as tree
        ):
            good = work(tree)
    except TransportError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if good else 1)
