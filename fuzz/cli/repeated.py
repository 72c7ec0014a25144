"""A case run many times over: in how many runs does each leg diverge?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from corpus.case import Case
from fuzz.cli.errors import Exit
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Diverge
from targets.base import Target


@dataclass(frozen=True, slots=True)
class Repeated:
    """In how many of how many runs a leg diverged, but for what is recorded, and how at first."""

    diverged: int
    runs: int
    explanation: str

    def __str__(self) -> str:
        told = f": {self.explanation}" if self.explanation else ""
        return f"diverges in {self.diverged} of {self.runs} runs{told}"


def repeated(case: Case, leg: Target, runs: int) -> Repeated:
    """Run a case on a leg, each time in a VM of its own. Raises TransportError."""
    legs = Everywhere([leg])
    known = Knowledge.shipped()
    verdicts = [legs.judge_one(case, leg.name, leg.run(case)) for _ in range(runs)]
    wrong = [
        verdict.explanation
        for verdict in verdicts
        if isinstance(verdict, Diverge) and not known.explains(leg, case, verdict)
    ]
    return Repeated(len(wrong), runs, wrong[0] if wrong else "")


def tell(case: Case, legs: Sequence[Target], runs: int, *, as_json: bool) -> int:
    """Say so of each leg; the exit code. Raises TransportError."""
    seen = {leg.name: repeated(case, leg, runs) for leg in legs}
    if as_json:
        told = {name: asdict(one) for name, one in seen.items()}
        click.echo(json.dumps({"case": case.id, "legs": told}, indent=2))
    else:
        for name, one in seen.items():
            click.echo(f"{name}: {one}")
    return Exit.DIVERGENCE if any(one.diverged for one in seen.values()) else Exit.OK
