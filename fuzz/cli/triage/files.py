"""`triage export`, `import` and `promote`: findings as files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import click

from corpus.text import format_case
from db.store import Store
from fuzz import output
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.inputs import read_within
from fuzz.cli.plain_options import OUTPUT_FILE, STDOUT, db_option, json_option
from fuzz.cli.together import use_of
from fuzz.cli.triage.keys import (
    Key,
    actor_option,
    bucket_argument,
    existing,
    parse_key,
)
from fuzz.report.findings import export_comment

EVERYTHING: Key = ("*", 0)
LARGEST = 2 << 30
"""Bytes of a file that is read."""


def _what(_ctx: click.Context, _param: click.Parameter, text: str) -> Key:
    return EVERYTHING if text.lower() == "all" else parse_key(text, "FB")


@click.command()
@click.argument("what", callback=_what, metavar="FINDING|BUCKET|all")
@click.argument("file", type=OUTPUT_FILE, required=False)
@click.option("--c", "program", type=OUTPUT_FILE, help="Write a finding as a C program.")
@click.option("--strace", "calls", type=OUTPUT_FILE, help="Write a finding's system calls.")
@click.option(
    "--legs",
    default=None,
    metavar="LEG,...",
    help="--c: run it on these besides those that deviate; by default, on one that agrees.",
)
@click.option("--no-run", is_flag=True, help="--c: do not compile it, nor run it.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@actor_option
@json_option
@db_option
def export(
    url: str,
    what: Key,
    file: Path | None,
    program: Path | None,
    calls: Path | None,
    legs: str | None,
    no_run: bool,
    force: bool,
    actor: str,
    as_json: bool,
) -> int:
    """Write a finding's minimal case to FILE, as text with what went wrong as comment; or a
    bucket, or everything, as a file that `triage import` reads; - is standard output.

    With --c a finding becomes one C file against the kernel's headers alone, which prints KTAP
    and ends as a kselftest does. It is compiled and run in the lab, on the legs that deviate and
    on one that agrees, and a note on the bucket says how that went.

    \b
    Example:
      vcpufuzz triage export F12 stale-ffr.case
      vcpufuzz triage export F12 --c stale-ffr.c --strace stale-ffr.txt
      vcpufuzz triage export B3 b3.vcpufuzz
      vcpufuzz triage export all everything.vcpufuzz
    """
    kind, number = what
    if file is None and program is None and calls is None:
        raise click.UsageError("Say where to: FILE, --c FILE or --strace FILE.")
    if (program or calls) and kind != "F":
        raise click.UsageError("--c and --strace take a finding, such as F12.")
    use_of({"": (), "--c": ("legs", "no_run", "actor")})
    name = "all" if kind == "*" else f"{kind}{number}"
    told: dict[str, object] = {"what": name}
    if file is not None:
        data = _exported(url, what)
        _write(file, data, force)
        told |= {"file": str(file), "bytes": len(data)}
    if calls is not None:
        from fuzz.cli.triage.reproduce import system_calls  # noqa: PLC0415

        _write(calls, system_calls(url, number), force)
        told["strace"] = str(calls)
    code = Exit.OK
    if program is not None:
        from fuzz.cli.triage.reproduce import tried_program  # noqa: PLC0415

        _refuse(program, force)
        done = tried_program(url, number, legs, no_run)
        _write(program, done.text, force)
        told |= {"c": str(program), **done.told}
        code = done.code
        if done.note:
            with existing(url) as store:
                store.add_note(store.finding(number).bucket_id, done.note, actor)
    if STDOUT in (file, calls, program):
        return code
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return code
    written = [str(told[key]) for key in ("file", "strace", "c") if key in told]
    click.echo(f"{name}: written to {', '.join(written)}")
    if "said" in told:
        click.echo(str(told["said"]))
    return code


def _exported(url: str, what: Key) -> str | bytes:
    kind, number = what
    with Store.read(url) as store:
        if kind == "F":
            found = store.finding(number)
            return format_case(found.minimal, export_comment(found))
        return store.export(number if kind == "B" else None)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@actor_option
@json_option
@db_option
def import_(url: str, file: Path, actor: str, as_json: bool) -> None:
    """Enter what `triage export` wrote: a bucket or a whole database. What is here already is
    left as it is; a file that is damaged changes nothing.

    \b
    Example:
      vcpufuzz triage import b3.vcpufuzz
    """
    data = read_within(file, LARGEST)
    with Store.open(url) as store:
        done = store.import_(data, str(file), actor)
    if as_json:
        told = {"what": done.what, "new": dict(done.rows), "buckets": list(done.buckets)}
        click.echo(json.dumps(told, indent=2))
        return
    new = ", ".join(
        f"{done.rows[name]} {name}" for name in ("buckets", "findings") if done.rows.get(name)
    )
    where = ", ".join(f"B{bucket}" for bucket in done.buckets[:10])
    click.echo(
        f"{file}: {new + ' are new' if new else 'nothing in it is new'}"
        + (f"; it is about {where}" if where and len(done.buckets) <= 10 else "")
    )


@click.command()
@bucket_argument
@click.option(
    "--as",
    "form",
    type=click.Choice(["regression", "known"]),
    default="regression",
    show_default=True,
    help="A case that has to agree, or one that records a true defect.",
)
@click.option("--name", default="", help="The file's name, without .case.")
@click.option("--effect", default="result", show_default=True, help="known: what it can spoil.")
@click.option("--about", default="", help="What to say of it; by default, its explanation.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to; by default, where `replay` and campaigns look.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
@db_option
def promote(
    url: str,
    bucket: Key,
    form: str,
    name: str,
    effect: str,
    about: str,
    folder: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Keep a bucket's shortest case for good: as a regression, or as a known defect of the legs
    that deviate, whose records campaigns take into account.

    A record names the legs by what they are: kernel, mode, QEMU or VIXL. Look at it before you
    commit it.

    \b
    Example:
      vcpufuzz triage promote B3
      vcpufuzz triage promote B3 --as known --name qemu-bfmlalb-rounds --effect result
    """
    from corpus.store import ROOT  # noqa: PLC0415
    from fuzz.report.promote import PromoteError, known_text, regression_text  # noqa: PLC0415

    if form != "known" and effect != "result":
        raise click.UsageError("--effect goes with --as known.")
    with Store.read(url) as store:
        view = store.bucket(bucket[1])
        finding = store.finding(store.best_finding(bucket[1]))
        traces = store.traces(finding.id)
    try:
        if form == "known":
            text = known_text(view, finding, [one.leg for one in traces], effect, about)
        else:
            text = regression_text(finding, about)
    except PromoteError as error:
        raise UserError(str(error), Exit.USAGE) from None
    word = "known" if form == "known" else "regressions"
    stem = name or "-".join((view.suspect.replace(" ", "-") or "case", finding.minimal.id[:8]))
    if Path(stem).name != stem or not stem.strip("."):
        raise UserError(f"{stem!r} is no name of a file", Exit.USAGE)
    path = (folder or ROOT / word) / f"{stem}.case"
    _write(path, text, force)
    if as_json:
        click.echo(json.dumps({"bucket": f"B{view.id}", "file": str(path), "as": form}))
    else:
        click.echo(f"B{view.id}: written to {path}")


def _refuse(path: Path, force: bool) -> None:
    """Raises FileExistsError for a file that is there, without `force`."""
    if output.replaces(path) and not force:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _write(path: Path, content: str | bytes, force: bool) -> None:
    """Write a file; one that is there only with `force`. Raises OSError, OutputError."""
    _refuse(path, force)
    output.write(path, content)


COMMANDS = (export, import_, promote)
