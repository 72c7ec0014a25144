"""Hunt defects that only strangers show, on real KVM: `python tests/hunt_strangers.py --help`.

Takes minutes per defect, so it is run by hand. Each kernel is built, hunted from the shipped
seeds until a case diverges, and that case is minimised and its window sought; last, the kernel
as it is must agree in as many cases.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import click
from hunting import alone, hunt, in_tree, kept, options, report, seeds
from strangerdefects import DEFECTS, SOURCE, Defect

from corpus.blocks import has_block
from corpus.case import Case
from fuzz.followup.steady import COUNTED_RUNS, SURE_RUNS, steady_names
from fuzz.followup.surer import ways
from fuzz.followup.window import ENOUGH, timing_of
from fuzz.generate.mutate import fresh
from fuzz.generate.strangers import Beside, accompanied
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.kvm.lab.variants import Tree
from targets.legs import UnknownLeg
from targets.transport import TransportError

CALM = ("vhe:smp=2", "nvhe", "protected")
"""Where the kernel as it is has to agree."""


def cases(leg: Target, seed: int) -> Iterator[Case]:
    """The shipped seeds, then disturbed cases without end."""
    yield from seeds()
    rng, beside = random.Random(seed), Beside.of([leg.profile])
    while True:
        yield accompanied(rng, fresh(rng, el2_share=0), beside)


def tell_window(name: str, case: Case, verdict: Diverge) -> None:
    """How often a case shows it where time goes by instructions, and from when to when, with its
    first delay as it shows most surely."""
    at = next((index for index, op in enumerate(case.ops) if has_block(op)), None)
    if at is None:
        return
    for steady, told in product(steady_names(name, case), ways(case)):
        with alone(steady) as legs:
            runs = COUNTED_RUNS, SURE_RUNS
            timing = timing_of(legs, told.case, at, verdict, *runs, told.as_told)
        click.echo(f"  {steady}: {timing or 'no delay shows it'}{told.row}")
        if timing and timing.part >= ENOUGH:
            break


def hunt_defect(image: Path, defect: Defect, minutes: float, seed: int) -> bool:
    """Whether a defect is found and confirmed."""
    with kept(image) as path, alone(f"kvm:{path}:{defect.mode}") as legs:
        for suspicion in hunt(legs, cases(legs.legs[0], seed), 60 * minutes):
            minimal = report(legs, suspicion)
            if minimal is not None:
                tell_window(f"kvm:{path}:{defect.mode}", minimal, suspicion.verdict)
                return True
        click.echo(f"  not found in {minutes} minutes")
        return False


def agrees(name: str, minutes: float, seed: int) -> bool:
    """Whether nothing that a leg does is wrong."""
    with alone(name) as legs:
        found = [
            each
            for each in hunt(legs, cases(legs.legs[0], seed), 60 * minutes)
            if report(legs, each)
        ]
        click.echo(f"  {name}: {legs.legs[0].executions} cases in {minutes} minutes")
        return not found


def calm(image: Path, mode: str, minutes: float, seed: int) -> bool:
    """Whether the kernel as it is agrees."""
    with kept(image) as path:
        return agrees(f"kvm:{path}:{mode}", minutes, seed)


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
    return all([good, *(calm(image, mode, minutes, seed) for mode in CALM)])


@click.command()
@options(defect.edit.name for defect in DEFECTS)
@click.option(
    "--calm",
    "legs",
    multiple=True,
    help="A leg that has to agree, such as kvm:small-6.12-lockdep:vhe: then nothing is built.",
)
def main(
    only: Sequence[str], minutes: float, seed: int, folder: Path | None, legs: Sequence[str]
) -> None:
    """Build kernels with one defect each, and the driver, and hunt them."""
    if legs:
        try:
            wrong = [name for name in legs if not agrees(name, minutes, seed)]
        except (UnknownLeg, TransportError) as error:
            raise click.ClickException(str(error)) from error
        sys.exit(1 if wrong else 0)
    chosen = [defect for defect in DEFECTS if not only or defect.edit.name in only]
    in_tree(folder, SOURCE, lambda tree: hunt_all(tree, chosen, minutes, seed))


if __name__ == "__main__":
    main()
