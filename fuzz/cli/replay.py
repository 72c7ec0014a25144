"""`vcpufuzz replay`: kept cases against the legs, for CI."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from corpus.kept import KeptCase, load_kept
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import json_option, kernel_option, legs_option, resolve_legs
from fuzz.cli.screen import write_json
from fuzz.cli.table import Column, print_table
from fuzz.report.junit import write_junit
from fuzz.report.sarif import sarif as as_sarif
from fuzz.suites.replay import Outcome, Result
from fuzz.suites.replay import replay as run_replay
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
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="JUnit XML.")
@click.option("--sarif", type=click.Path(dir_okay=False, path_type=Path), help="SARIF 2.1.0.")
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
    opened = open_legs(names, missing=missing)
    try:
        results = list(run_replay(kept, opened, missing))
    finally:
        for leg in opened:
            leg.close()
    if junit:
        write_junit(results, junit)
    if sarif:
        write_json(sarif, as_sarif(results, Path.cwd()))
    for name, why in missing.items():
        click.echo(f"vcpufuzz: {name} cannot be had: {why}", err=True)
    if as_json:
        click.echo(json.dumps([_as_json(result) for result in results], indent=2))
    else:
        _print(kept, [*(leg.name for leg in opened), *missing], results)
    return _exit_code(results)


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
            raise UserError(f"{path} holds no .case file.", Exit.USAGE)
        found += inside
    return found


def _print(kept: list[KeptCase], legs: list[str], results: list[Result]) -> None:
    by_place = {(r.kept.path, r.leg): r for r in results}
    columns = (Column("Case", wrap=True), *(Column(leg, wrap=True) for leg in legs))
    rows = [
        (item.path.stem, *(_WORDS[by_place[item.path, leg].outcome] for leg in legs))
        for item in kept
    ]
    rows.append(("bits that may vanish", *(_profile(results, leg) for leg in legs)))
    print_table(columns, rows)
    for result in results:
        if result.outcome in (Outcome.REGRESSION, Outcome.GONE, Outcome.NOT_RUN):
            word = _WORDS[result.outcome]
            click.echo(f"{word}: {result.kept.path.name} on {result.leg}: {result.explanation}")
    counts = Counter(result.outcome for result in results)
    click.echo(", ".join(f"{n} {_WORDS[o]}" for o, n in counts.items()))


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
