"""`triage report`: a finding for people who have never heard of this tool."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.store import Store
from fuzz import output
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import OUTPUT_FILE, STDOUT, db_option
from fuzz.cli.triage.keys import Key, key
from targets.codemap import CodeMap
from targets.transport import TransportError

if TYPE_CHECKING:
    from fuzz.cli.triage.reproduce import Stored
    from fuzz.followup.nearest import Hint
    from fuzz.reproduce.tried import Tried


NONE: Mapping[str, str] = {}


@click.command()
@click.argument("finding", callback=key("FB"), metavar="FINDING|BUCKET")
@click.option("--markdown", "as_markdown", is_flag=True, help="Markdown instead of a mail.")
@click.option("--output", "file", type=OUTPUT_FILE, default=STDOUT, help="Where to; - by default.")
@click.option(
    "--no-run",
    is_flag=True,
    help="Tell what is stored: do not run the program, nor look for the place.",
)
@db_option
def report(url: str, finding: Key, as_markdown: bool, file: Path, no_run: bool) -> int:
    """Write a finding up, as plain text for a mailing list: what was done, what was expected and
    by which rule, what was observed, where it shows and where not, a hint at the place in the
    kernel, and a C program. A bucket stands for its shortest finding.

    The program is compiled and run in the lab, on the legs that deviate and on one that agrees;
    the hint comes from running the case and its neighbours with kernel coverage.

    \b
    Example:
      vcpufuzz triage report F12
      vcpufuzz triage report F12 --markdown --output f12.md
    """
    from fuzz.cli.triage import reproduce  # noqa: PLC0415
    from fuzz.followup import origin  # noqa: PLC0415
    from fuzz.report.story import Story, markdown, plain  # noqa: PLC0415

    kind, number = finding
    with Store.read(url) as store:
        number = number if kind == "F" else store.best_finding(number)
        bucket = store.bucket(store.finding(number).bucket_id)
        views = store.traces(number)
        cells = store.matrix(bucket.id)
    found = reproduce.stored(url, number)
    tried, program, unsaid = _program(found, no_run)
    hint, silent, lines = (None, "", NONE) if no_run else _place(found)
    story = Story(
        found.finding,
        bucket.title,
        bucket.suspect,
        views,
        cells,
        tried,
        program,
        unsaid,
        hint,
        silent,
        lines,
        origin.told(one.text for one in bucket.notes),
    )
    output.write(file, markdown(story) if as_markdown else plain(story))
    return Exit.OK


def _program(found: Stored, no_run: bool) -> tuple[Sequence[Tried], str, str]:
    """How the finding's program did, its text, and why there is none."""
    from fuzz.cli.triage import reproduce  # noqa: PLC0415

    try:
        made = reproduce.made(found)
        tried = [] if no_run else reproduce.try_it(found, made, ())
    except UserError as why:
        return (), "", str(why)
    return tried, made.text(tried), ""


def _place(found: Stored) -> tuple[Hint | None, str, Mapping[str, str]]:
    """What only the case executes, or why that is not known, and where functions stand."""
    from fuzz.followup.nearest import hint  # noqa: PLC0415
    from fuzz.reproduce.tried import can_run  # noqa: PLC0415
    from targets.legs import open_leg  # noqa: PLC0415

    name = next((name for name in found.finding.deviating if can_run(name)), "")
    if not name:
        return None, "no leg of the lab deviates", NONE
    if found.finding.preceding:
        return None, "it takes other cases before", NONE
    with open_leg(name, coverage=True) as leg:
        if leg.code is None:
            why = leg.no_coverage.rstrip(".") or f"{name} records no coverage"
            return None, why, NONE
        try:
            best = hint(found.finding.minimal, leg, leg.profile)
        except TransportError as error:
            return None, str(error).rstrip("."), NONE
        names = [function.name for function in best.functions] if best else []
        trace = found.traces.get(name)
        names += _FRAME.findall(trace.log) if trace else []
        lines = _lines(name, leg.fingerprint.get("release", ""), leg.code, names)
    return best, "" if best else "none of its neighbours that were tried behaves", lines


_FRAME = re.compile(r"\b([A-Za-z_][\w.]*)\+0x")


def _lines(leg: str, release: str, code: CodeMap, names: Sequence[str]) -> Mapping[str, str]:
    from targets.kvm import legname  # noqa: PLC0415
    from targets.kvm.lab import debuginfo, kernels  # noqa: PLC0415

    kernel = legname.parse(leg).kernel
    image = kernel if isinstance(kernel, Path) else kernels.fetch(str(kernel)).path
    symbols = debuginfo.vmlinux(image, release)
    return debuginfo.lines(symbols, code, names) if symbols else NONE


COMMANDS = (report,)
