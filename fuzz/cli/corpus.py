"""`vcpufuzz corpus`: look after directories of cases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from corpus.case import Case
from corpus.fields import parse_vqs
from corpus.store import keep
from fuzz import output
from fuzz.campaign import shelf
from fuzz.campaign.bring import SOURCES, Bringing
from fuzz.campaign.distil import adding, smallest
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import json_option, kernel_option, resolve_legs
from fuzz.cli.plain_options import OUTPUT_DIRECTORY
from fuzz.cli.table import Column, print_table
from targets.legs import open_legs

PLACES = click.argument(
    "places", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
BY = ("rules", "semantic", "kernel")
"""Combinations are left out unless asked for: there are so many that every case brings some."""


class _By(click.ParamType[tuple[str, ...]]):
    name = "source,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        for name in names:
            if name not in SOURCES:
                self.fail(f"{name!r} is none of {', '.join(SOURCES)}.", param, ctx)
        return names


def _brought(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of commands that run cases to see what they bring."""
    for option in (
        click.option(
            "--by", type=_By(), default=",".join(BY), show_default=True, help="What counts."
        ),
        click.option(
            "--legs",
            metavar="LEG,...",
            default="model",
            show_default=True,
            help="What cases are run on to see what they bring.",
        ),
        kernel_option,
        json_option,
    ):
        command = option(command)
    return command


@click.group()
def corpus() -> None:
    """Look after directories of cases, in text or as libFuzzer keeps them.

    What is written is named by its content, as libFuzzer's own tools do, and is written whole or
    not at all.

    \b
    Example:
      vcpufuzz corpus stats kept
      vcpufuzz corpus minimize small kept
    """


@corpus.command()
@PLACES
@_brought
def stats(
    places: tuple[Path, ...], by: tuple[str, ...], legs: str, kernel: Path | None, as_json: bool
) -> int:
    """Tell what is in directories, and how much of it is needed.

    \b
    Example:
      vcpufuzz corpus stats kept
    """
    found = _read(places)
    features = _features(found.cases, by, legs, kernel)
    ops = Counter(op.word for case in found.cases.values() for op in case.ops)
    lengths = sorted(len(case.ops) for case in found.cases.values())
    told = {
        "cases": len(found.cases),
        "again": found.again,
        "refused": len(found.refused),
        "not_run": len(found.cases) - len(features),
        "features": len(set().union(*features.values())),
        "needed": len(smallest(features, _sizes(found))),
        "ops": dict(ops.most_common()),
        "ops_median": lengths[len(lengths) // 2] if lengths else 0,
        "bytes": sum(_sizes(found).values()),
    }
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return _code(found, places)
    click.echo(
        f"{told['cases']} cases, {told['bytes']} bytes, {told['ops_median']} ops each (median);"
        f" {found.again} files say a case again, {len(found.refused)} say none"
    )
    click.echo(
        f"{told['features']} features ({', '.join(by)}); {told['needed']} cases have all of them"
    )
    if told["not_run"]:
        click.echo(f"{told['not_run']} cases take a longer vector length than the legs have")
    columns = (Column("Op"), Column("Times", "right"))
    print_table(columns, [(word, str(count)) for word, count in ops.most_common()])
    return _code(found, places)


@corpus.command()
@click.argument("into", type=OUTPUT_DIRECTORY)
@PLACES
@_brought
def merge(
    into: Path,
    places: tuple[Path, ...],
    by: tuple[str, ...],
    legs: str,
    kernel: Path | None,
    as_json: bool,
) -> int:
    """Add to INTO the cases of other places that bring something new.

    \b
    Example:
      vcpufuzz corpus merge kept other/kept --legs model,kvm:6.12:vhe
    """
    there = _found([into]) if into.is_dir() else shelf.Shelf()
    found = _read(places)
    for name in there.cases.keys() & found.cases.keys():
        del found.cases[name]
    # Together: legs are started once.
    features = _features({**there.cases, **found.cases}, by, legs, kernel)
    have: set[Hashable] = set()
    have.update(*(features.pop(name, ()) for name in there.cases))
    chosen = adding(features, _sizes(found), have)
    written = _put(into, [found.cases[name] for name in chosen])
    _tell(as_json, into, written, len(found.cases), len(shelf.read([into]).cases))
    return _code(found, places)


@corpus.command()
@click.argument("into", type=OUTPUT_DIRECTORY)
@PLACES
@_brought
def minimize(
    into: Path,
    places: tuple[Path, ...],
    by: tuple[str, ...],
    legs: str,
    kernel: Path | None,
    as_json: bool,
) -> int:
    """Write to INTO, which must be empty or new, few and small cases that bring all that those of
    other places do.

    \b
    Example:
      vcpufuzz corpus minimize small kept
    """
    _has_place(into, "the smallest set has")
    found = _read(places)
    features = _features(found.cases, by, legs, kernel)
    chosen = smallest(features, _sizes(found))
    _has_place(into, "the smallest set has")  # that took a while
    written = _put(into, [found.cases[name] for name in chosen])
    _tell(as_json, into, written, len(found.cases), written)
    return _code(found, places)


@corpus.command("import")
@click.argument("into", type=OUTPUT_DIRECTORY)
@PLACES
@json_option
def import_(into: Path, places: tuple[Path, ...], as_json: bool) -> int:
    """Add to INTO every case of other places, whatever it brings.

    \b
    Example:
      vcpufuzz corpus import kept corpus/regressions a.case
    """
    found = _read(places)
    written = _put(into, list(found.cases.values()))
    _tell(as_json, into, written, len(found.cases), None)
    return _code(found, places)


@corpus.command()
@click.argument("places", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--kselftest",
    "into",
    required=True,
    type=OUTPUT_DIRECTORY,
    metavar="DIR",
    help="A directory of the kernel's selftests, empty or new.",
)
@click.option(
    "--lengths",
    default="1-16",
    show_default=True,
    metavar="VQ,...",
    help="Vector lengths of the machines to say it for, in units of 128 bits, where they matter.",
)
@json_option
def export(places: tuple[Path, ...], into: Path, lengths: str, as_json: bool) -> int:
    """Write cases, by default the regressions, as C programs with a Makefile: a directory for
    tools/testing/selftests of a kernel tree. Each is skipped where what it needs is missing.

    \b
    Example:
      vcpufuzz corpus export --kselftest linux/tools/testing/selftests/kvm_sve
    """
    from corpus.kept import load_kept  # noqa: PLC0415
    from corpus.store import kept_files  # noqa: PLC0415
    from fuzz.reproduce.kselftest import reference, selftests  # noqa: PLC0415

    _has_place(into, "the selftests have")
    files = [file for place in places for file in _case_files(place)]
    if places and not files:
        raise UserError(f"{_named(places)} holds no .case file.", Exit.USAGE)
    files = files or kept_files("regressions")
    vqs = parse_vqs(lengths)
    if not vqs:
        raise UserError("--lengths names no vector length.", Exit.USAGE)
    machine = reference(vqs)
    made = selftests([load_kept(file) for file in files], into.absolute().name, machine)
    _has_place(into, "the selftests have")  # that took a while
    into.mkdir(parents=True, exist_ok=True)
    for name, text in made.files.items():
        output.write(into / name, text)
    programs = sum(name.endswith(".c") for name in made.files)
    for why in made.refused:
        click.echo(f"vcpufuzz: passed over {why}", err=True)
    if as_json:
        click.echo(json.dumps({"written": programs, "refused": list(made.refused)}))
    else:
        click.echo(f"{programs} of {len(files)} cases written to {into}")
    return Exit.USAGE if made.refused else Exit.OK


def _has_place(into: Path, what: str) -> None:
    """Raises UserError where something else is already."""
    if into.is_dir() and any(into.iterdir()):
        raise UserError(f"{into}: it is not empty, so {what} no place.", Exit.USAGE)


def _case_files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.case")) if place.is_dir() else [place]


def _named(places: Sequence[Path]) -> str:
    return ", ".join(map(str, places))


def _read(places: Sequence[Path]) -> shelf.Shelf:
    """All cases that are there. Raises UserError where there are files, and none is a case."""
    found = _found(places)
    if found.refused and not found.cases:
        raise UserError(f"{_named(places)}: no case is in it.", Exit.USAGE)
    return found


def _found(places: Sequence[Path]) -> shelf.Shelf:
    found = shelf.read(places)
    for why in found.refused.values():
        click.echo(f"vcpufuzz: passed over {why}", err=True)
    return found


def _code(found: shelf.Shelf, places: Sequence[Path]) -> Exit:
    """In a directory may lie what is no case; a file that was named has to be one."""
    return Exit.USAGE if found.refused.keys() & {*places} else Exit.OK


def _sizes(found: shelf.Shelf) -> dict[str, int]:
    return {name: len(case.encoded) for name, case in found.cases.items()}


def _features(
    cases: Mapping[str, Case], by: Sequence[str], legs: str, kernel: Path | None
) -> dict[str, frozenset[Hashable]]:
    """By case id, what a case brings on the legs; without cases that they cannot run."""
    if not cases:
        return {}
    with _opened(resolve_legs(legs, kernel), "kernel" in by) as opened:
        bringing = Bringing(opened, by)
        return {n: bringing.of(c) for n, c in cases.items() if bringing.fits(c)}


@contextmanager
def _opened(names: Sequence[str], coverage: bool) -> Iterator[list[Any]]:
    opened = open_legs(names, coverage=coverage)
    try:
        yield opened
    finally:
        for leg in opened:
            leg.close()


def _put(into: Path, cases: Sequence[Case]) -> int:
    into.mkdir(parents=True, exist_ok=True)
    return sum(keep(into, case) for case in cases)


def _tell(as_json: bool, into: Path, written: int, of: int, total: int | None) -> None:
    if as_json:
        click.echo(json.dumps({"written": written, "of": of, "total": total}))
    else:
        holds = "" if total is None else f"; it holds {total}"
        click.echo(f"{written} of {of} cases written to {into}{holds}")
