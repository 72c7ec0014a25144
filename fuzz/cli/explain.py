"""`vcpufuzz explain`: walk through a case with the specification."""

from __future__ import annotations

import json
from pathlib import Path

import click

from corpus.store import load_document
from fuzz.cli.errors import Exit
from fuzz.cli.plain_options import json_option


@click.command("explain")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--leg",
    default=None,
    help="The machine to explain it for; by default, one of the newest kernel with everything.",
)
@json_option
def explain(file: Path, leg: str | None, as_json: bool) -> int:
    """Walk through the case in FILE: what each call does, which rule makes it fail, and what order
    would have worked. Nothing is run, unless a leg is asked what its machine is.

    \b
    Example:
      vcpufuzz explain corpus/regressions/traps-order.case
      vcpufuzz explain mine.case --leg kvm:6.1:nvhe
    """
    from fuzz.cli.options import resolve_leg  # noqa: PLC0415
    from fuzz.report.remarks import remarks_of, short  # noqa: PLC0415
    from fuzz.report.walk import any_machine, folded, lines, walk  # noqa: PLC0415
    from targets.legs import open_leg  # noqa: PLC0415

    document = load_document(file)
    case, remarks = document.case, remarks_of(document)
    profile = any_machine(case)
    if leg is not None:
        with open_leg(resolve_leg(leg, "a case is explained for one leg")) as opened:
            profile = opened.profile
    steps = list(walk(case, profile, remarks))
    if as_json:
        told = [
            {
                "op": step.op.word,
                "rule": step.rule,
                "errnos": list(step.outcomes),
                "values": dict(step.values),
                "order": step.order,
                "silent": step.silent,
                "recorded": step.recorded,
                "ran": list(step.ran),
                "beside": list(step.beside),
            }
            for step in steps
        ]
        click.echo(json.dumps(told, indent=2))
        return Exit.OK
    if remarks.leg:
        click.echo(f"A recording, made on {remarks.leg}; explained for {leg or 'a new machine'}.")
    for text in remarks.first:
        click.echo(f"At first, in no op: {short(text)}.")
    for number, count, step in folded(steps):
        click.echo("\n".join(lines(number, step, count)))
    left = len(case.ops) - len(steps)
    if left:
        click.echo(f"{left} more are not told.")
    return Exit.OK
