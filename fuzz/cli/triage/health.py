"""`triage health`: whether the records of known defects still hold."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from db.records import LegRecord
from db.session import shown
from db.store import Store
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import DEFAULT_DB, db_option, json_option
from fuzz.cli.table import Column, print_table
from fuzz.cli.triage.views import moment

if TYPE_CHECKING:
    from corpus.kept import KeptCase
    from fuzz.report.health import Health, Trial

_COLUMNS = (
    *(Column("Record", wrap=True), Column("Standing"), Column("Tried", "right"), Column("Seen")),
    Column("What", wrap=True),
)


@click.command()
@click.option("--legs", default=None, metavar="LEG,...", help="Run the records on these now, too.")
@json_option
@db_option
def health(url: str, legs: str | None, as_json: bool) -> int:
    """Tell which records of known defects no longer show, expired, or never matched a leg.

    Campaigns run the cases in corpus/known that are about their legs; what came of that is in
    the database. With --legs they are run now, on those that they are about.

    \b
    Example:
      vcpufuzz triage health
      vcpufuzz triage health --legs emulator:keep,kvm --json
    """
    from corpus.kept import load_kept  # noqa: PLC0415
    from corpus.store import kept_files  # noqa: PLC0415
    from fuzz.report.health import health as judge  # noqa: PLC0415
    from fuzz.report.health import trials_of  # noqa: PLC0415

    kept = [load_kept(path) for path in kept_files("known")]
    trials: Mapping[str, list[Trial]] = defaultdict(list)
    seen: list[LegRecord] = []
    if not Store.exists(url):
        if url != DEFAULT_DB and legs is None:
            raise UserError(f"there is no database {shown(url)}", Exit.USAGE)
        click.echo(f"No campaign is counted: there is no database {shown(url)}.", err=True)
    else:
        with Store.read(url) as store:
            showed = store.campaigns_showing({item.case.id for item in kept})
            campaigns = store.campaigns()
            trials = trials_of(kept, campaigns, showed)
            seen = [leg for campaign in campaigns for leg in campaign.legs]
    missing: dict[str, str] = {}
    if legs is not None:
        for name, trial in _tried_now(kept, legs, missing):
            trials[name].append(trial)
    ended = Exit.UNAVAILABLE if missing else Exit.OK
    found = judge(kept, trials, seen)
    if as_json:
        click.echo(json.dumps([_json(one) for one in found], indent=2))
        return ended
    rest = [one for one in found if one.standing != "shows"]
    if rest:
        print_table(_COLUMNS, [_row(one) for one in rest])
    counted = Counter(one.standing.value for one in found)
    told = ", ".join(f"{number} {standing}" for standing, number in counted.items())
    click.echo(f"{len(found)} records: {told}")
    return ended


def _tried_now(
    kept: Sequence[KeptCase], legs: str, missing: dict[str, str]
) -> Iterator[tuple[str, Trial]]:
    """Each record on the legs that it is about, by its file's name. `missing` takes the legs
    that cannot be had."""
    from fuzz.cli.options import resolve_legs  # noqa: PLC0415
    from fuzz.report.health import Trial  # noqa: PLC0415
    from fuzz.suites.replay import Outcome, replay  # noqa: PLC0415
    from targets.legs import open_legs  # noqa: PLC0415

    opened = open_legs(resolve_legs(legs, None), missing=missing)
    for name, why in missing.items():
        click.echo(f"vcpufuzz: {name} cannot be had: {why}", err=True)
    try:
        for item in kept:
            about = [leg for leg in opened if item.recorded(leg)]
            for result in replay([item], about) if about else ():
                if result.outcome is not Outcome.NOT_RUN:
                    shows = result.outcome is Outcome.KNOWN
                    when = datetime.now(UTC)
                    yield item.path.name, Trial(when, "a run now", result.leg, shows)
    finally:
        for leg in opened:
            leg.close()


def _row(one: Health) -> tuple[str, ...]:
    last = moment(one.last) if one.last else "never"
    return one.name, one.standing.value, str(one.matched), last, one.said or "-"


def _json(one: Health) -> dict[str, object]:
    return {
        "record": one.name,
        "standing": one.standing.value,
        "tried": one.matched,
        "last_seen": one.last.isoformat() if one.last else None,
        "said": one.said,
    }


COMMANDS = (health,)
