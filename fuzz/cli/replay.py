"""`vcpufuzz replay`: kept cases against the legs, for CI."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

import click

from corpus.kept import KeptCase, load_kept
from fuzz import output
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import json_option, kernel_option, legs_option, resolve_legs
from fuzz.cli.plain_options import OUTPUT_FILE, STDOUT
from fuzz.cli.screen import write_json
from fuzz.cli.table import Column, print_table
from fuzz.report.junit import junit as junit_document
from fuzz.report.naming import told_apart
from fuzz.report.sarif import sarif as sarif_document
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
@click.option("--sarif", type=OUTPUT_FILE, help="Write SARIF 2.1.0; - prints it.")
@json_option
def replay(
    paths: tuple[Path, ...],
    legs: str,
    kernel: Path | None,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
) -> int:
    """Run the cases of folders or files on every leg and print a matrix.

    A kept case may record a known divergence of a leg; anything else must agree.
    Ends with 0 if all is as recorded, 1 on a regression, 3 if a leg could not be had or could
    not run all; reports say which, and why.

    \b
    Example:
      vcpufuzz replay corpus/regressions --junit report.xml --sarif report.sarif
    """
    kept = [load_kept(path) for path in _files(paths)]
    names = resolve_legs(legs, kernel)
    missing: dict[str, str] = {}
    opened: list[Target] = []
    results: list[Result] = []
    try:
        opened = open_legs(names, missing=missing)
        results += run_replay(kept, opened, missing)
    finally:
        for leg in opened:
            leg.close()
        # Whatever ended it, what was run so far is not lost.
        if opened or missing:
            columns = [*(leg.name for leg in opened), *missing]
            _tell(kept, columns, results, as_json, quiet=STDOUT in (junit, sarif))
            if junit:
                output.write(junit, junit_document(results))
            if sarif:
                write_json(sarif, sarif_document(results, Path.cwd()))
    for name, why in missing.items():
        click.echo(f"vcpufuzz: {name} cannot be had: {why}", err=True)
    return _exit_code(results)


def _tell(
    kept: list[KeptCase], legs: list[str], results: list[Result], as_json: bool, *, quiet: bool
) -> None:
    """Print the matrix; `quiet`: standard output is for a document."""
    if as_json and not quiet:
        click.echo(json.dumps([_as_json(result) for result in results], indent=2))
        return
    with redirect_stdout(sys.stderr if quiet else sys.stdout):
        _print(kept, legs, results)


def _as_json(result: Result) -> dict[str, object]:
    return {
        "file": str(result.kept.path),
        "case": result.kept.case.id,
        "leg": result.leg,
        "outcome": result.outcome.value,
        "rule": result.rule,
        "strict": result.strict,
        "op_index": result.op_index,
        "explanation": result.explanation,
        "seconds": round(result.seconds, 4),
        "fingerprint": result.fingerprint,
    }


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
    once: dict[str, Path] = {}  # however often it is named
    for path in found:
        once.setdefault(os.path.realpath(path), path)
    return list(once.values())


def _print(kept: list[KeptCase], legs: list[str], results: list[Result]) -> None:
    by_place = {(r.kept.path, r.leg): r for r in results}
    columns = (Column("Case", wrap=True), *(Column(leg, wrap=True) for leg in legs))
    names = told_apart([item.path for item in kept])
    rows = [
        (
            str(names[item.path].with_suffix("")),
            *(_word(by_place.get((item.path, leg))) for leg in legs),
        )
        for item in kept
    ]
    rows.append(("bits that may vanish", *(_profile(results, leg) for leg in legs)))
    print_table(columns, rows)
    for result in results:
        if result.outcome in (Outcome.REGRESSION, Outcome.GONE, Outcome.NOT_RUN):
            word = _WORDS[result.outcome]
            click.echo(f"{word}: {names[result.kept.path]} on {result.leg}: {result.explanation}")
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
