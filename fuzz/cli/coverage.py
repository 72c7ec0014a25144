"""`vcpufuzz coverage`: what campaigns reached in the kernels, and what they never did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click

from db.store import Store
from fuzz import output
from fuzz.cli.coverage_pairs import show_pairs
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import COUNT, OUTPUT_DIRECTORY, db_option, json_option
from fuzz.cli.table import Column, print_table
from fuzz.cli.together import use_of
from fuzz.report.reached import MARKS_S, AreaSeen, LegSeen, summarise
from fuzz.report.reached import as_json as leg_json
from fuzz.report.reached_html import pages
from fuzz.report.unjudged import unjudged

_AREAS = (
    Column("Area"),
    Column("Functions reached", "right"),
    Column("Of known", "right"),
    Column("Blocks seen", "right"),
    Column("Never reached, for instance", wrap=True),
)
_FUNCTIONS = (
    Column("Function"),
    Column("Blocks seen", "right"),
    Column("Bytes", "right"),
    Column("First case"),
    Column("Campaign", "right"),
    Column("After", "right"),
)
_CAMPAIGNS = (
    Column("Campaign", "right"),
    Column("Blocks", "right"),
    Column("New", "right"),
    *(Column(f"{s} s" if s < 60 else f"{s // 60} min", "right") for s in MARKS_S),
)
_EXAMPLES = 3
_USES = {
    "": ("leg", "campaign"),
    "--area": ("leg", "campaign"),
    "--html": ("leg", "campaign"),
    "--unjudged": ("leg", "campaign"),
    "--pairs": ("campaign",),
}
"""By what is shown, the options that it takes."""
_UNJUDGED = (
    Column("Leg"),
    Column("Executions", "right"),
    Column("Not judged", "right"),
    Column("Share", "right"),
    Column("Why", wrap=True),
)


@click.command()
@click.option("--leg", metavar="NAME", help="Only this leg.")
@click.option("--area", metavar="AREA", help="Every function of an area, such as guest.c.")
@click.option("--campaign", type=COUNT, help="Only what this campaign reached.")
@click.option(
    "--html",
    metavar="DIR",
    type=OUTPUT_DIRECTORY,
    help="Write pages, with every block and the case that first reached it.",
)
@click.option(
    "--unjudged",
    "stops",
    is_flag=True,
    help="What stopped verdicts before the last op instead: counts and examples.",
)
@click.option(
    "--pairs", is_flag=True, help="Show instead which values of which factors came together."
)
@json_option
@db_option
def coverage(
    url: str,
    leg: str | None,
    area: str | None,
    campaign: int | None,
    html: Path | None,
    stops: bool,
    pairs: bool,
    as_json: bool,
) -> None:
    """Show what campaigns reached in the lab's kernels, and what they never did.

    Per leg and part of the source: functions reached of those known, and blocks seen (how
    many blocks there are is not known), over time, with the case that was first.

    With --pairs: for each pair of factors (call, register number, vector length, bits of
    control registers, earlier errnos, ...) how many pairs of values came together and were
    looked at afterwards, of those whose values were each met.

    \b
    Example:
      vcpufuzz coverage
      vcpufuzz coverage --area guest.c
      vcpufuzz coverage --html report
      vcpufuzz coverage --unjudged --campaign 3
      vcpufuzz coverage --pairs
    """
    use_of(_USES)
    if stops:
        _show_unjudged(url, leg, campaign, as_json)
        return
    with Store.read(url) as store:
        if pairs:
            show_pairs(store, campaign, as_json)
            return
        legs = summarise(store.coverage(campaign))
        if leg is not None:
            legs = [one for one in legs if one.name == leg]
        if not legs:
            which = f" of a leg {leg}" if leg else ""
            raise UserError(
                f"no kernel coverage{which} is stored: `vcpufuzz run` with a leg of the lab"
                " records it.",
                Exit.USAGE,
            )
        if area is not None:
            legs = _of_area(legs, area)
        if html is not None:
            _write_html(html, legs, store)
    if as_json:
        click.echo(json.dumps([leg_json(one) for one in legs], indent=2))
    elif html is not None:
        click.echo(f"{html / 'index.html'} is written.")
    elif area is not None:
        _show_area(legs, area)
    else:
        _show_all(legs)


def _show_unjudged(url: str, leg: str | None, campaign: int | None, as_json: bool) -> None:
    """Of one campaign, the last one unless it is named."""
    with Store.read(url) as store:
        campaigns = [store.campaign(campaign)] if campaign else store.campaigns()
    legs = unjudged(campaigns[0].statistics) if campaigns else []
    legs = [one for one in legs if leg in (None, one.leg)]
    if not legs:
        raise UserError("no campaign counted what was not judged on that leg.", Exit.USAGE)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in legs], indent=2))
        return
    rows = []
    for one in legs:
        rows.append((one.leg, str(one.executions), str(one.not_judged), f"{one.share:.1%}", ""))
        rows += [("", "", str(r.count), f"{r.share:.2%}", r.why) for r in one.reasons]
    print_table(_UNJUDGED, rows)
    shown = {r.why: r.example for one in legs for r in one.reasons[:_EXAMPLES] if r.example}
    for why, example in list(shown.items())[:_EXAMPLES]:
        click.echo(f"\nFor instance, {why}:\n{example.rstrip()}")


def _headline(leg: LegSeen) -> str:
    return (
        f"{leg.name} ({leg.release}): {leg.blocks} blocks seen in {leg.reached} functions"
        f" of {len(leg.functions)} known"
    )


def _show_all(legs: Sequence[LegSeen]) -> None:
    for leg in legs:
        click.echo(_headline(leg))
        print_table(_AREAS, [_area_row(area) for area in leg.areas])
        click.echo("\nBlocks over time, per campaign:")
        rows = [
            (
                *(str(g.campaign_id), str(g.blocks), str(g.new)),
                *(str(g.after(s)) if s * 1000 <= g.curve[-1][0] else "" for s in MARKS_S),
            )
            for g in leg.growth
        ]
        print_table(_CAMPAIGNS, rows)
        click.echo()
    click.echo("`vcpufuzz coverage --area AREA` lists functions, `--html DIR` writes every block.")


def _area_row(area: AreaSeen) -> tuple[str, ...]:
    never = area.never
    more = f" and {len(never) - _EXAMPLES} more" if len(never) > _EXAMPLES else ""
    shown = f"{', '.join(never[:_EXAMPLES])}{more}"
    return area.name, str(area.reached), str(len(area.functions)), str(area.blocks), shown


def _of_area(legs: Sequence[LegSeen], name: str) -> list[LegSeen]:
    """The legs that have an area, each with that alone. Raises UserError."""
    known = list(dict.fromkeys(area.name for leg in legs for area in leg.areas))
    if name not in known:
        raise UserError(f"there is no area {name}; there are {', '.join(known)}", Exit.USAGE)
    parts = [(leg, tuple(area for area in leg.areas if area.name == name)) for leg in legs]
    return [replace(leg, areas=areas) for leg, areas in parts if areas]


def _show_area(legs: Sequence[LegSeen], name: str) -> None:
    for leg in legs:
        (area,) = leg.areas
        click.echo(f"{leg.name}, {name}: {area.reached} of {len(area.functions)} functions")
        rows = []
        for function in area.functions:
            first = function.first
            if first is not None:
                rows.append(
                    (
                        *(function.name, str(len(function.blocks)), str(function.size)),
                        *(first.case_id, str(first.campaign_id), f"{first.after_ms / 1000:.1f} s"),
                    )
                )
        if rows:
            print_table(_FUNCTIONS, rows)
        if area.never:
            click.echo(f"Never reached: {', '.join(area.never)}")
        click.echo()


def _write_html(directory: Path, legs: Sequence[LegSeen], store: Store) -> None:
    ids = {b.case_id for leg in legs for f in leg.functions for b in f.blocks}
    (directory / "cases").mkdir(parents=True, exist_ok=True)
    for name, content in pages(legs, store.case_texts(ids)):
        output.write(directory / name, content)
