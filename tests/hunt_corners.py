"""Hunt defects of KVM in corners, on real KVM: `python tests/hunt_corners.py --help`.

Takes minutes per defect, so it is run by hand. Each kernel is built and hunted from the shipped
seeds, with cases as a campaign makes them, until one diverges; that case is minimised.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import click
from cornerdefects import CORNERS, SOURCE
from hunt_strangers import SEEDS, alone, kept, report

from corpus.store import load_case
from fuzz.followup.suspicion import Departure
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from fuzz.worker.steering import Steering
from targets.kvm.lab.variants import Edit, Tree, source_tree
from targets.transport import TransportError

EDITS = {edit.name: edit for edits in CORNERS.values() for edit in edits}


def hunt(legs: Everywhere, seconds: float, seed: int) -> Iterator[Departure]:
    """What diverges, until time is over."""
    (leg,) = legs.legs
    steering = Steering(seed)
    began = time.monotonic()
    made = (steering.child(el2_share=0) for _ in iter(int, 1))
    for count, case in enumerate(chain(map(load_case, SEEDS), made), 1):
        if time.monotonic() - began > seconds:
            click.echo(f"  not found in {count} cases")
            return
        trace = leg.run(case)
        steering.note(case, (trace,), 0)
        verdict = legs.judge_one(case, leg.name, trace)
        if isinstance(verdict, Diverge) and not legs.knowledge.explains(leg, case, verdict):
            spent = time.monotonic() - began
            click.echo(f"  case {count}, after {spent:.0f} s: {verdict.explanation}")
            yield Departure(case, leg.name, verdict)


def hunt_all(tree: Tree, chosen: Sequence[Edit], minutes: float, seed: int) -> int:
    """How many are found and confirmed."""
    tree.check(list(EDITS.values()))
    found = 0
    for edit in chosen:
        click.echo(f"{edit.name}: {edit.about}")
        with tree.edited(edit) as image, kept(image) as path, alone(f"kvm:{path}:vhe") as legs:
            suspicions = hunt(legs, 60 * minutes, seed)
            found += any(report(legs, suspicion) for suspicion in suspicions)
    return found


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(EDITS)))
@click.option("--minutes", default=10.0, help="For each kernel.", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--source", "folder", type=click.Path(exists=True, path_type=Path))
def main(only: Sequence[str], minutes: float, seed: int, folder: Path | None) -> None:
    """Build kernels with one defect each and hunt them. `--source`: a configured source tree,
    which is used as it is."""
    chosen = [EDITS[name] for name in only] or list(EDITS.values())
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # edits are taken back
    try:
        if folder:
            found = hunt_all(Tree(folder, 2), chosen, minutes, seed)
        else:
            with source_tree(SOURCE, say=click.echo) as tree:
                found = hunt_all(tree, chosen, minutes, seed)
    except TransportError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{found} of {len(chosen)} found")
    sys.exit(0 if found == len(chosen) else 1)


if __name__ == "__main__":
    main()
