"""How many random corners of KVM a search comes to: `python tests/reach_corners.py --help`.

One kernel gets the guards of `cornerguards`, none of which changes anything. It is searched as by a
campaign, from the shipped seeds, and what its coverage tells is printed: how many guards of so many
predicates were met after how many cases, and which were not.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from cornerguards import FEWEST, MOST, SOURCE, Guard, draw, edits
from hunting import kept, seeds

from fuzz.oracle.knowledge import Knowledge
from fuzz.worker.feedback import USUAL
from fuzz.worker.marks import Marks
from fuzz.worker.session import Session
from fuzz.worker.steering import Steering
from targets.base import Target
from targets.kvm.lab.variants import Tree, source_tree
from targets.legs import open_legs
from targets.transport import TransportError

EACH = 1000
"""Cases after which it is told how things stand."""


class Reach:
    """After how many cases each guard was met first; of seeds: 0."""

    def __init__(self, guards: Sequence[Guard], leg: Target) -> None:
        """Raises TransportError for a kernel that lacks some of them."""
        if leg.code is None:
            raise TransportError(f"{leg.name}: no kernel coverage: {leg.no_coverage}")
        by_name = {guard.function: guard for guard in guards}
        self._at = {f.offset: by_name[f.name] for f in leg.code.functions if f.name in by_name}
        if len(self._at) != len(guards):
            raise TransportError(f"{len(guards) - len(self._at)} guards are not in the kernel.")
        self.first: dict[int, int] = {}

    def note(self, blocks: Sequence[int], cases: int) -> None:
        """These blocks were reached for the first time."""
        for block in blocks:
            if guard := self._at.get(block):
                self.first.setdefault(guard.number, cases)


def table(guards: Sequence[Guard], first: dict[int, int], cases: int) -> Iterator[str]:
    """How many were met, by predicates, as the search went on; then those that were not."""
    steps = [step for step in (0, 100, 300, 1000, 3000, 10_000, 30_000, 100_000) if step < cases]
    yield "predicates " + "".join(f"{step:>9,}" for step in (*steps, cases)) + " cases"
    for count in range(FEWEST, MOST + 1):
        those = [guard.number for guard in guards if len(guard.predicates) == count]
        met = (sum(first.get(n, cases + 1) <= step for n in those) for step in (*steps, cases))
        yield f"{count:>10} " + "".join(f"{f'{n} of {len(those)}':>9}" for n in met)
    for guard in guards:
        if guard.number not in first:
            yield f"not met: {guard}"


@contextmanager
def built(folder: Path | None, guards: Sequence[Guard]) -> Iterator[Path]:
    """The kernel with them. Raises TransportError."""
    with nullcontext(Tree(folder, 2)) if folder else source_tree(SOURCE, say=click.echo) as tree:
        click.echo("building a kernel with the guards")
        with tree.edited(*edits(guards)) as image, kept(image) as path:
            yield path


def search(image: Path, guards: Sequence[Guard], cases: int, seed: int, feedback: bool) -> None:
    """Search, and print the table. Raises TransportError."""
    sources = USUAL if feedback else ()
    legs = open_legs(["model", f"kvm:{image}:vhe"], coverage=True)
    steering = Steering(seed, by_pairs="pairs" in sources)
    session = Session(
        *(legs, Marks(sources), lambda _: None, lambda _: None, lambda _: None),
        knowledge=Knowledge.shipped(),
        steering=steering,
    )
    reach = Reach(guards, next(leg for leg in legs if leg.name != "model"))

    def run(data: bytes, number: int) -> None:
        session.execute(data)
        for reached in session.reached:
            reach.note(reached.blocks, number)
        session.reached.clear()

    for case in seeds():
        run(case.encoded, 0)
    for number in range(1, cases + 1):
        run(steering.child().encoded, number)
        if number % EACH == 0:
            click.echo(f"{number:,} cases: {len(reach.first)} of {len(guards)} met")
    for line in table(guards, reach.first, cases):
        click.echo(line)
    for leg in legs:
        leg.close()


@click.command()
@click.option("--seed", default=1, show_default=True, help="Draws the guards.")
@click.option("--count", default=120, show_default=True, type=click.IntRange(1, 600))
@click.option("--cases", default=10_000, show_default=True, type=click.IntRange(1))
@click.option("--search-seed", default=1, show_default=True)
@click.option("--feedback/--no-feedback", default=True, help="Whether it steers the search.")
@click.option(
    *("--source", "folder"),
    type=click.Path(exists=True, path_type=Path),
    help="A configured source tree, which is used as it is.",
)
def main(
    seed: int, count: int, cases: int, search_seed: int, feedback: bool, folder: Path | None
) -> None:
    """Put guards into a kernel and say which are met."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    guards = draw(seed, count)
    try:
        with built(folder, guards) as image:
            search(image, guards, cases, search_seed, feedback)
    except TransportError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
