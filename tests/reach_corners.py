"""How many random corners of KVM a search comes to: `python tests/reach_corners.py --help`.

One kernel gets the guards of `cornerguards`, none of which changes anything. It is searched as by a
campaign, from the shipped seeds, and what its coverage tells is printed: how many guards of so many
predicates were met after how many cases, and which were not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
from cornerguards import FEWEST, MOST, SOURCE, Guard, draw, edits
from hunting import in_tree, kept, seeds, source_option

from corpus.case import Case
from fuzz.oracle.knowledge import Knowledge
from fuzz.worker.feedback import USUAL
from fuzz.worker.marks import Marks
from fuzz.worker.session import Session
from fuzz.worker.steering import Steering
from targets.base import Target
from targets.kvm.lab.variants import Tree
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


def search(
    legs: Sequence[Target], reach: Reach, cases: int, seed: int, sources: Sequence[str]
) -> None:
    """Run the seeds and as many cases as that. Raises TransportError."""
    steering = Steering(seed, by_pairs="pairs" in sources)
    session = Session(
        *(legs, Marks(sources), lambda _: None, lambda _: None, lambda _: None),
        knowledge=Knowledge.shipped(),
        steering=steering,
    )

    def run(case: Case, number: int) -> None:
        session.execute(case.encoded)
        for reached in session.reached:
            reach.note(reached.blocks, number)
        session.reached.clear()

    for case in seeds():
        run(case, 0)
    for number in range(1, cases + 1):
        run(steering.child(), number)
        if number % EACH == 0:
            click.echo(f"{number:,} cases: {len(reach.first)} met")


def reach_all(
    tree: Tree, guards: Sequence[Guard], cases: int, seed: int, sources: Sequence[str]
) -> bool:
    """Build the kernel, search, and print the table. Whether all were met."""
    click.echo("building a kernel with the guards")
    with tree.edited(*edits(guards)) as image, kept(image) as path, ExitStack() as stack:
        legs = open_legs(["model", f"kvm:{path}:vhe"], coverage=True)
        for leg in legs:
            stack.callback(leg.close)
        reach = Reach(guards, next(leg for leg in legs if leg.kind == "kvm"))
        search(legs, reach, cases, seed, sources)
    for line in table(guards, reach.first, cases):
        click.echo(line)
    return len(reach.first) == len(guards)


@click.command()
@source_option
@click.option("--seed", default=1, show_default=True, help="Draws the guards.")
@click.option("--count", default=120, show_default=True, type=click.IntRange(1, 600))
@click.option("--cases", default=10_000, show_default=True, type=click.IntRange(1))
@click.option("--search-seed", default=1, show_default=True)
@click.option("--feedback/--no-feedback", default=True, help="Whether it steers the search.")
def main(
    folder: Path | None, seed: int, count: int, cases: int, search_seed: int, feedback: bool
) -> None:
    """Put guards into a kernel and say which are met."""
    guards, sources = draw(seed, count), USUAL if feedback else ()
    in_tree(folder, SOURCE, lambda tree: reach_all(tree, guards, cases, search_seed, sources))


if __name__ == "__main__":
    main()
