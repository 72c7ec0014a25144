"""Holds Hypothesis's minimal cases against ours: `python -m quality.shrinkers --help` with
PYTHONPATH=tests:. of the checkout.

Both begin with the case that Hypothesis meets first, and keep to the bucket that it is in. What
counts is what a person has to read: ops, instructions in them, and characters of the text.
"""

from __future__ import annotations

import click
import hypothesis
from hypothesis import HealthCheck, Phase, settings

from corpus.case import Case
from corpus.ops import HostRun, Run
from corpus.text import format_case
from fuzz.followup.cause import at_face_value
from fuzz.followup.signature import signature
from fuzz.generate.strategies import cases
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from quality.hunting import leg_of, minimal
from targets.mutants import MUTANTS


class Shown:
    """Whether a case shows a defect as the first that did: in the same bucket."""

    def __init__(self, name: str) -> None:
        self.first: Case | None = None
        self._name = name
        self._leg = leg_of(name)
        self._bucket = ""
        self._tried: set[bytes] = set()

    @property
    def runs(self) -> int:
        """Cases that were run since the first that showed it."""
        return len(self._tried)

    def __call__(self, case: Case) -> bool:
        self._tried.add(case.encoded)
        verdict = judge(case, self._leg.run(case), self._leg.profile)
        if not isinstance(verdict, Diverge):
            return False
        own = signature(verdict.oracle, at_face_value(case, verdict), self._name).title
        if self.first is None:
            self.first, self._bucket = case, own
            self._tried.clear()
        return own == self._bucket


Size = tuple[int, int, int]


def size(case: Case) -> Size:
    """Ops, instructions and characters."""
    programs = [op.program for op in case.ops if isinstance(op, Run | HostRun)]
    return len(case.ops), sum(map(len, programs)), len(format_case(case))


def compare(name: str, examples: int) -> tuple[Size, Size, int] | None:
    """Ours, Hypothesis's, and the cases that it ran for that; None if it met the defect in none
    of so many examples."""
    shows = Shown(name)
    quiet = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        theirs = hypothesis.find(cases(), shows, settings=quiet)
    except hypothesis.errors.NoSuchExample:
        return None
    assert shows.first is not None
    return size(minimal(name, shows.first).minimal), size(theirs), shows.runs


@click.command()
@click.option("--examples", default=5000, show_default=True, help="That Hypothesis may draw.")
@click.argument("names", nargs=-1, type=click.Choice(sorted(MUTANTS)), metavar="[NAME]...")
def main(examples: int, names: tuple[str, ...]) -> None:
    """Compare for every seeded defect, or those named."""
    click.echo(f"{'defect':34} {'ours':>14} {'Hypothesis':>14} {'runs':>6}   ops/instructions/text")
    tally = {"ours": 0, "alike": 0, "Hypothesis": 0, "not met": 0}
    for name in names or sorted(MUTANTS):
        both = compare(name, examples)
        if both is None:
            tally["not met"] += 1
            click.echo(f"{name:34} not met in {examples} examples")
            continue
        ours, theirs, runs = both
        tally["alike" if ours == theirs else "ours" if ours < theirs else "Hypothesis"] += 1
        shown = ("/".join(map(str, one)) for one in (ours, theirs))
        click.echo(f"{name:34} {next(shown):>14} {next(shown):>14} {runs:6}")
    click.echo("smaller: " + ", ".join(f"{who} {count}" for who, count in tally.items()))


if __name__ == "__main__":
    main()
