"""`vcpufuzz coverage --pairs`: what came together in campaigns, and what never did."""

from __future__ import annotations

from functools import reduce
from operator import or_

import click
import msgspec

from db.store import Store
from fuzz.campaign.combinations import met
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.table import Column, print_table
from fuzz.report.combined import Combined, combined

_COLUMNS = (
    *(Column("Factors"), Column("Pairs met", "right"), Column("Of", "right")),
    *(Column("Part", "right"), Column("Never together, for instance", wrap=True)),
)


def show_pairs(store: Store, campaign: int | None, as_json: bool) -> None:
    """Of one campaign, or of all together. Raises UserError, NotFound."""
    if campaign:
        store.campaign(campaign)
    stored = [
        c.statistics["combinations"]
        for c in store.campaigns()
        if campaign in (None, c.id) and "combinations" in c.statistics
    ]
    maps = [found for one in stored if (found := met(one)) is not None]
    if not maps:
        which = f" of campaign {campaign}" if campaign else ""
        other = " by this version's tables" if stored else ""
        raise UserError(
            f"no combinations{which} are stored{other}: `vcpufuzz run` records them at its end.",
            Exit.USAGE,
        )
    rows = combined(reduce(or_, maps))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    print_table(_COLUMNS, [_row(row) for row in rows])
    together, possible = (sum(getattr(row, name) for row in rows) for name in ("met", "possible"))
    click.echo(
        f"{together} of {possible} pairs of values that were each met came together, and were"
        f" looked at afterwards, in {len(maps)} campaign(s)."
    )


def _row(row: Combined) -> tuple[str, ...]:
    part = f"{100 * row.met / max(row.possible, 1):.0f} %"
    return (
        f"{row.first} x {row.second}",
        *(str(row.met), str(row.possible), part, "; ".join(row.missing)),
    )
