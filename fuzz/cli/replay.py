"""`vcpufuzz replay`: kept cases against the legs, for CI."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

import click

from corpus.kept import KeptCase, load_kept
from fuzz import output
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import kernel_option, legs_option, resolve_legs
from fuzz.cli.plain_options import OUTPUT_FILE, STDOUT
from fuzz.cli.table import Column, print_table
from fuzz.report.junit import junit as junit_document
from fuzz.suites.replay import Outcome, Result
from fuzz.suites.replay import replay as run_replay
from targets.base import Target
from targets.legs import open_legs

_WORDS = {
    Outcome.OK: "ok",
    Outcome.KNOWN: "known",
    Outcome.REGRESSION: "REGRESSION",
    Outcome.GONE: "GONE",
    Outcome.NOT_RUN: "not run",
}


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@legs_option
@kernel_option
@click.option("--junit", type=OUTPUT_FILE, help="Write JUnit XML; - prints it.")
def replay(paths: tuple[Path, ...], legs: str, kernel: Path | None, junit: Path | None) -> int:
    """Run the cases of folders or files on every leg and print a matrix.

    A kept case may record a known divergence of a leg; anything else must agree.
    Ends with 0 if all is as recorded, 1 on a regression, 3 if a leg could not run all.

    \b
    Example:
      vcpufuzz replay corpus/regressions --junit report.xml
    """
    kept = [load_kept(path) for path in _files(paths)]
    names = resolve_legs(legs, kernel)
    opened: list[Target] = []
    results: list[Result] = []
    try:
        opened = open_legs(names)
        results += run_replay(kept, opened)
    finally:
        for leg in opened:
            leg.close()
        # Whatever ended it, what was run so far is not lost.
        if opened:
            _tell(kept, [leg.name for leg in opened], results, junit)
    return _exit_code(results)


def _tell(kept: list[KeptCase], legs: list[str], results: list[Result], junit: Path | None) -> None:
    """Print the matrix, and write the document if one is wanted."""
    stdout = sys.stdout
    with redirect_stdout(sys.stderr if junit == STDOUT else stdout):
        _print(kept, legs, results)
    if junit:
        output.write(junit, junit_document(results))


def _files(paths: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(path.rglob("*.case"))
        if not inside:
            raise UserError(f"nothing was checked: {path} holds no .case file.")
        found += inside
    return found


def _print(kept: list[KeptCase], legs: list[str], results: list[Result]) -> None:
    by_place = {(r.kept.path, r.leg): r for r in results}
    columns = (Column("Case", wrap=True), *(Column(leg, wrap=True) for leg in legs))
    rows = [
        (item.path.stem, *(_word(by_place.get((item.path, leg))) for leg in legs)) for item in kept
    ]
    rows.append(("bits that may vanish", *(_profile(results, leg) for leg in legs)))
    print_table(columns, rows)
    for result in results:
        if result.outcome in (Outcome.REGRESSION, Outcome.GONE, Outcome.NOT_RUN):
            word = _WORDS[result.outcome]
            click.echo(f"{word}: {result.kept.path.name} on {result.leg}: {result.explanation}")
    counts = Counter(result.outcome for result in results)
    click.echo(", ".join(f"{n} {_WORDS[o]}" for o, n in counts.items()) or "No case was run.")


def _word(result: Result | None) -> str:
    """How a case did; a command that was stopped did not come to every one."""
    return "-" if result is None else _WORDS[result.outcome]


def _profile(results: list[Result], leg: str) -> str:
    """The leg's choice profile over these cases."""
    kept = sum(r.choices[0] for r in results if r.leg == leg)
    cleared = sum(r.choices[1] for r in results if r.leg == leg)
    return f"kept {kept}, cleared {cleared}" if kept or cleared else "-"


def _exit_code(results: list[Result]) -> int:
    outcomes = {result.outcome for result in results}
    if outcomes & {Outcome.REGRESSION, Outcome.GONE}:
        return Exit.REGRESSION
    return Exit.UNAVAILABLE if Outcome.NOT_RUN in outcomes else Exit.OK
