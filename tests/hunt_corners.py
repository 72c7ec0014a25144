"""Hunt defects of KVM in corners, on real KVM: `python tests/hunt_corners.py --help`.

Takes minutes per defect, so it is run by hand. Each kernel is built and hunted from the shipped
seeds, with cases as a campaign makes them, until one diverges; that case is minimised.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import click
from cornerdefects import CORNERS, SOURCE
from hunting import alone, hunt, in_tree, kept, options, report, seeds

from fuzz.worker.steering import Steering
from targets.kvm.lab.variants import Edit, Tree

EDITS = {edit.name: edit for edits in CORNERS.values() for edit in edits}


def hunt_defect(image: Path, minutes: float, seed: int) -> bool:
    """Whether a defect is found and confirmed."""
    steering = Steering(seed)
    made = (steering.child(el2_share=0) for _ in iter(int, 1))
    with kept(image) as path, alone(f"kvm:{path}:vhe") as legs:
        found = hunt(
            legs,
            chain(seeds(), made),
            60 * minutes,
            ran=lambda case, trace: steering.note(case, (trace,), 0),
        )
        return any(report(legs, suspicion) for suspicion in found)


def hunt_all(tree: Tree, chosen: Sequence[Edit], minutes: float, seed: int) -> bool:
    """Whether all are found."""
    tree.check(list(EDITS.values()))
    found = 0
    for edit in chosen:
        click.echo(f"{edit.name}: {edit.about}")
        with tree.edited(edit) as image:
            found += hunt_defect(image, minutes, seed)
    click.echo(f"{found} of {len(chosen)} found")
    return found == len(chosen)


@click.command()
@options(EDITS)
def main(only: Sequence[str], minutes: float, seed: int, folder: Path | None) -> None:
    """Build kernels with one defect each and hunt them."""
    chosen = [EDITS[name] for name in only] or list(EDITS.values())
    in_tree(folder, SOURCE, lambda tree: hunt_all(tree, chosen, minutes, seed))


if __name__ == "__main__":
    main()
