"""`vcpufuzz triage`: look through what was found, and decide about it."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.text import Text

from corpus.text import format_case
from db.records import BucketView, FindingView, Status, TraceView
from db.session import shown
from db.store import Store
from fuzz import output
from fuzz.cli import views
from fuzz.cli.console import console
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import OUTPUT_FILE, STDOUT, db_option, json_option
from fuzz.cli.table import print_table

_Callback = Callable[[click.Context, click.Parameter, str], tuple[str, int]]


def _key(kinds: str) -> _Callback:
    """Read B3 as a bucket, F12 as a finding, a bare number as the first of `kinds`."""
    words = {"B": "a bucket such as B3", "F": "a finding such as F12"}

    def read(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, int]:
        match = re.fullmatch(r"([BF]?)(\d{1,9})", text.upper())
        if match is None or (match[1] or kinds[0]) not in kinds:
            raise click.BadParameter(f"{text!r} is not {' or '.join(words[k] for k in kinds)}.")
        return match[1] or kinds[0], int(match[2])

    return read


_bucket = click.argument("bucket", callback=_key("B"))


@click.group()
def triage() -> None:
    """Look through what was found, and decide about it.

    A bucket (B3) holds all findings with one signature; a finding (F12) is one
    confirmed divergence with its minimal case.

    \b
    Example:
      vcpufuzz triage list --status new
      vcpufuzz triage show B3
    """


@triage.command("list")
@click.option("--status", type=click.Choice([s.value for s in Status]), help="Only these.")
@json_option
@db_option
def list_(url: str, status: str | None, as_json: bool) -> None:
    """List the buckets, the last seen first.

    \b
    Example:
      vcpufuzz triage list --status new
    """
    found: tuple[BucketView, ...] = ()
    broke = ""
    exists = Store.exists(url)
    if exists:
        with Store.read(url) as store:
            found = store.buckets(Status(status) if status else None)
            broke = views.incident_counts(store.incidents())
    if as_json:
        click.echo(json.dumps([views.bucket_json(bucket) for bucket in found], indent=2))
    elif found:
        print_table(views.BUCKET_COLUMNS, [views.bucket_row(bucket) for bucket in found])
    elif not exists:
        click.echo(
            "Nothing has been found yet: there is no database;"
            f" `vcpufuzz run` makes it ({shown(url)})."
        )
    else:
        click.echo(f"No bucket has the status {status}." if status else "Nothing found yet.")
    if broke and not as_json:
        click.echo(f"Machines broke: {broke}; `vcpufuzz triage incidents` lists them.")


@triage.command()
@click.option("--campaign", type=click.IntRange(1), help="Only of this one.")
@json_option
@db_option
def incidents(url: str, campaign: int | None, as_json: bool) -> None:
    """List what broke the legs' machines, oldest first, whether it became a finding or not.

    A machine that somebody killed is lost through no fault of a case. A panic, a warning or
    a hang is a finding, too. Those that were provoked while a finding was followed up are
    marked as investigating.

    \b
    Example:
      vcpufuzz triage incidents --json
    """
    with Store.read(url) as store:
        if campaign is not None:
            store.campaign(campaign)
        found = store.incidents(campaign)
    if as_json:
        click.echo(json.dumps([views.incident_json(one) for one in found], indent=2))
    elif found:
        print_table(views.INCIDENT_COLUMNS, [views.incident_row(one) for one in found])
    else:
        click.echo("No machine broke.")


@triage.command()
@click.argument("key", callback=_key("BF"), metavar="BUCKET|FINDING")
@json_option
@db_option
def show(url: str, key: tuple[str, int], as_json: bool) -> None:
    """Show a bucket with its first finding, or one finding.

    \b
    Example:
      vcpufuzz triage show B3
      vcpufuzz triage show F12 --json
    """
    kind, number = key
    with Store.read(url) as store:
        if kind == "B":
            bucket = store.bucket(number)
            findings = store.findings(number)
            finding = findings[0]
            others = findings[1:]
        else:
            finding = store.finding(number)
            bucket = store.bucket(finding.bucket_id)
            others = ()
        traces = store.traces(finding.id)
    if as_json:
        whole = {
            **views.bucket_json(bucket),
            "finding": views.finding_json(finding, traces),
            "more_findings": [f"F{other.id}" for other in others],
        }
        click.echo(json.dumps(whole, indent=2))
    else:
        _print_bucket(bucket)
        _print_finding(finding, traces)
        if others:
            click.echo(f"\nMore findings: {', '.join(f'F{other.id}' for other in others)}")


def _print_bucket(bucket: BucketView) -> None:
    console(soft_wrap=True).print(Text(f"B{bucket.id}  {bucket.title}", style="bold"))
    click.echo(
        f"{bucket.status}, {views.strictness(bucket.strict)}, seen {bucket.count} times, "
        f"{bucket.first_seen:%Y-%m-%d %H:%M} to {bucket.last_seen:%Y-%m-%d %H:%M} UTC; "
        f"reproduced {views.ratio(bucket.reproduced)}"
    )
    for leg, vote in sorted(bucket.votes.items()):
        click.echo(f"  {leg}: deviated {vote['deviated']} times, agreed {vote['agreed']}")
    for note in bucket.notes:
        click.echo(f"  note of {note.author}, {note.created:%Y-%m-%d}: {note.text}")


def _print_finding(finding: FindingView, traces: Sequence[TraceView]) -> None:
    click.echo(
        f"\nF{finding.id}  found {finding.created:%Y-%m-%d %H:%M} UTC, "
        f"reproduced {views.ratio(finding.reproduced)}, rule {finding.rule or '-'}\n"
    )
    click.echo(f"{finding.explanation}\n")
    _print_preceding(finding)
    click.echo(finding.minimal_text)
    click.echo(f"At op {finding.op_index}: {views.op_text(finding).partition(chr(10))[0]}")
    click.echo(f"  expected  {finding.expected}")
    click.echo(f"  observed  {finding.observed}  ({', '.join(finding.deviating) or 'no leg'})\n")
    if not traces:
        click.echo("The traces of this finding were not kept; those of the bucket's first were.")
        return
    print_table(views.LEG_COLUMNS, list(views.leg_rows(finding, traces)))
    for view in traces:
        excerpt = views.log_excerpt(view.trace)
        if excerpt:
            click.echo(f"\nLog of {view.leg.name}:")
            click.echo("\n".join(f"  {line}" for line in excerpt))


def _print_preceding(finding: FindingView) -> None:
    if not finding.preceding:
        return
    number, last = len(finding.preceding), finding.preceding[-1]
    if finding.reproduced[0]:
        click.echo(f"It takes {number} other cases before, in a fresh machine; the last of them:\n")
    else:
        click.echo(f"The machine had run {number} other cases or more; the last of them:\n")
    click.echo("\n".join(f"  {line}" for line in format_case(last.case).splitlines()))
    click.echo("\n--json tells them all. Then comes\n")


@triage.command("status")
@_bucket
@click.argument("new_status", type=click.Choice([s.value for s in Status]))
@db_option
def status_(url: str, bucket: tuple[str, int], new_status: str) -> None:
    """Give a bucket another status.

    \b
    Example:
      vcpufuzz triage status B3 known
    """
    with _existing(url) as store:
        before = store.bucket(bucket[1]).status
        store.set_status(bucket[1], Status(new_status))
    click.echo(f"B{bucket[1]}: {before} -> {new_status}")


@triage.command()
@_bucket
@click.argument("text")
@db_option
def note(url: str, bucket: tuple[str, int], text: str) -> None:
    """Write a note on a bucket.

    \b
    Example:
      vcpufuzz triage note B3 "also on hardware; reported upstream"
    """
    if not text.strip():
        raise click.UsageError("The note is empty.")
    with _existing(url) as store:
        store.add_note(bucket[1], text)
    click.echo(f"B{bucket[1]}: noted")


@triage.command()
@click.argument("finding", callback=_key("F"))
@click.argument("file", type=OUTPUT_FILE)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@db_option
def export(url: str, finding: tuple[str, int], file: Path, force: bool) -> None:
    """Write a finding's minimal case to FILE, with what went wrong as comment; - prints it.

    \b
    Example:
      vcpufuzz triage export F12 stale-ffr.case
    """
    with Store.read(url) as store:
        found = store.finding(finding[1])
    text = format_case(found.minimal, views.export_comment(found))
    if output.replaces(file) and not force:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))
    output.write(file, text)
    if file != STDOUT:
        click.echo(f"F{found.id}: written to {file}")


def _existing(url: str) -> Store:
    """The store, which must be there: nothing can be looked up in one that is made now."""
    if not Store.exists(url):
        raise UserError(f"there is no database {shown(url)}", Exit.USAGE)
    return Store.open(url)
