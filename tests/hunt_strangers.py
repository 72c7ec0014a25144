"""Hunt defects that only strangers show, on real KVM: `python tests/hunt_strangers.py --help`.

Takes minutes per defect, so it is run by hand. Each kernel is built, hunted from the shipped
seeds until a case diverges, and that case is minimised and its window sought; last, the kernel
as it is must agree in as many cases.
"""

from __future__ import annotations

import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from strangerdefects import DEFECTS, SOURCE, Defect

from corpus.blocks import has_block
from corpus.case import Case
from corpus.store import load_case
from corpus.text import format_case
from db.records import FindingRecord
from fuzz.followup.breakage import Breakage
from fuzz.followup.investigate import Investigator
from fuzz.followup.steady import stand_in, steady_name
from fuzz.followup.suspicion import Departure
from fuzz.followup.window import timing_of
from fuzz.generate.mutate import fresh
from fuzz.generate.strangers import Beside, accompanied
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.kvm.lab.variants import Tree, source_tree
from targets.legs import open_leg
from targets.transport import TransportError

SEEDS = sorted((Path(__file__).parents[1] / "corpus/seeds").glob("*.case"))
MINIMISE_SECONDS = 180.0


def cases(leg: Target, seed: int) -> Iterator[Case]:
    """The shipped seeds, then disturbed cases without end."""
    yield from map(load_case, SEEDS)
    rng, beside = random.Random(seed), Beside.of([leg.profile])
    while True:
        yield accompanied(rng, fresh(rng, el2_share=0), beside)


@contextmanager
def alone(name: str) -> Iterator[Everywhere]:
    """A leg, with what is known of it."""
    with open_leg(name) as leg:
        yield Everywhere([leg], Knowledge.shipped())


def hunt(legs: Everywhere, seconds: float, seed: int) -> Iterator[Breakage | Departure]:
    """Cases that diverge, until the time is up."""
    (leg,) = legs.legs
    deadline = time.monotonic() + seconds
    for count, case in enumerate(cases(leg, seed), 1):
        if time.monotonic() > deadline:
            return
        trace = leg.run(case)
        verdict = legs.judge_one(case, leg.name, trace)
        if isinstance(verdict, Diverge) and not legs.knowledge.explains(leg, case, verdict):
            left = seconds - (deadline - time.monotonic())
            click.echo(f"  case {count}, after {left:.0f} s: {verdict.explanation}")
            if verdict.fault:
                yield Breakage(case, leg.name, verdict, trace)
            else:
                yield Departure(case, leg.name, verdict)


def report(legs: Everywhere, suspicion: Breakage | Departure) -> Case | None:
    """Minimise what was found, and say what is left of it."""
    investigator = Investigator(
        legs, lambda note: click.echo(f"  {note}"), MINIMISE_SECONDS, stand_in=stand_in
    )
    finding = investigator.follow(suspicion)
    if not isinstance(finding, FindingRecord):
        click.echo(f"  not confirmed: {finding}")
        return None
    if not finding.reproduced[0]:
        click.echo("  did not show again")
        return None
    click.echo(f"  {finding.reproduced[0]} of {finding.reproduced[1]}: {finding.explanation}")
    click.echo(format_case(finding.minimal))
    return finding.minimal


def tell_window(name: str, case: Case, verdict: Diverge) -> None:
    """How often a case shows it where time goes by instructions, and from when to when."""
    at = next((index for index, op in enumerate(case.ops) if has_block(op)), None)
    if at is None:
        return
    steady = steady_name(name, case)
    assert steady
    with alone(steady) as legs:
        timing = timing_of(legs, case, at, verdict, 5)
        click.echo(f"  {steady}: {timing or 'no delay shows it'}")


@contextmanager
def kept(image: Path) -> Iterator[Path]:
    """The image where no later build takes its place."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(image, Path(folder) / "Image"))


def hunt_defect(image: Path, defect: Defect, minutes: float, seed: int) -> bool:
    """Whether a defect is found and confirmed."""
    with kept(image) as path, alone(f"kvm:{path}:{defect.mode}") as legs:
        for suspicion in hunt(legs, 60 * minutes, seed):
            minimal = report(legs, suspicion)
            if minimal is not None:
                tell_window(f"kvm:{path}:{defect.mode}", minimal, suspicion.verdict)
                return True
        click.echo(f"  not found in {minutes} minutes")
        return False


def calm(image: Path, mode: str, minutes: float, seed: int) -> bool:
    """Whether the kernel as it is agrees."""
    with kept(image) as path, alone(f"kvm:{path}:{mode}") as legs:
        found = [each for each in hunt(legs, 60 * minutes, seed) if report(legs, each)]
        click.echo(f"  {mode}: {legs.legs[0].executions} cases in {minutes} minutes")
        return not found


def hunt_all(tree: Tree, chosen: Sequence[Defect], minutes: float, seed: int) -> bool:
    """Whether all of it comes out as it should."""
    tree.check([defect.edit for defect in DEFECTS])
    good = True
    for defect in chosen:
        click.echo(f"{defect.edit.name}: {defect.edit.about} ({defect.mode})")
        with tree.edited(defect.edit) as image:
            good = hunt_defect(image, defect, minutes, seed) and good
    click.echo("the kernel as it is")
    image = tree.build()
    return all([good, *(calm(image, mode, minutes, seed) for mode in ("vhe:smp=2", "nvhe"))])


@click.command()
@click.option("--only", multiple=True, type=click.Choice([d.edit.name for d in DEFECTS]))
@click.option("--minutes", default=10.0, help="For each kernel.", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--source", "folder", type=click.Path(exists=True, path_type=Path))
def main(only: Sequence[str], minutes: float, seed: int, folder: Path | None) -> None:
    """Build kernels with one defect each and hunt them. `--source`: a configured source tree
    with the driver, which is used as it is."""
    chosen = [defect for defect in DEFECTS if not only or defect.edit.name in only]
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # edits are taken back
    try:
        if folder:
            good = hunt_all(Tree(folder, 2), chosen, minutes, seed)
        else:
            with source_tree(SOURCE, say=click.echo) as tree:
                good = hunt_all(tree, chosen, minutes, seed)
    except TransportError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
