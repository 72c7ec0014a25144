"""`vcpufuzz coverage --pairs`: what came together in campaigns, and what never did."""

from __future__ import annotations

import click
import msgspec
import numpy as np

from db.store import Store
from fuzz.campaign.combinations import met_pairs
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.table import Column, print_table
from fuzz.report.combined import Combined, combined

_COLUMNS = (
    *(Column("Factors"), Column("Pairs met", "right"), Column("Of", "right")),
    *(Column("Part", "right"), Column("Never together, for instance", wrap=True)),
)


def show_pairs(store: Store, campaign: int | None, as_json: bool) -> None:
    """Of one campaign, or of all together. Raises UserError."""
    stored = [
        c.statistics["combinations"]
        for c in store.campaigns()
        if campaign in (None, c.id) and "combinations" in c.statistics
    ]
    maps = [met for one in stored if (met := met_pairs(one)) is not None]
    if not maps:
        which = f" of campaign {campaign}" if campaign else ""
        other = " by this version's tables" if stored else ""
        raise UserError(
            f"no combinations{which} are stored{other}: `vcpufuzz run` records them at its end.",
            Exit.USAGE,
        )
    rows = combined(np.logical_or.reduce(maps))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    print_table(_COLUMNS, [_row(row) for row in rows])
    met, possible = (sum(getattr(row, name) for row in rows) for name in ("met", "possible"))
    click.echo(
        f"{met} of {possible} pairs of values that were each met came together, and were looked"
        f" at afterwards, in {len(maps)} campaign(s)."
    )


def _row(row: Combined) -> tuple[str, ...]:
    part = f"{100 * row.met / row.possible:.0f} %"
    return (
        f"{row.first} x {row.second}",
        *(str(row.met), str(row.possible), part, "; ".join(row.missing)),
    )
