"""`triage list`, `show`, `history` and `incidents`: what was found, the most urgent first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from corpus.text import format_case
from db.filters import BucketFilter, Order
from db.queries import Group
from db.records import TO_DO, BucketView, FindingView, KinView, Status, TraceView
from db.session import shown
from db.store import Store
from db.suspects import Suspect
from fuzz.cli import views as found_views
from fuzz.cli.console import print_bold
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import COUNT, WORD, db_option, json_option
from fuzz.cli.table import print_table
from fuzz.cli.triage import views
from fuzz.cli.triage.keys import Moment, key
from fuzz.report.findings import finding_json, log_excerpt, op_text, ratio
from fuzz.report.recorded import recorded_line

LARGE = 12
"""New buckets that are told in full; the others are counted."""
LINES = 100
"""Lines of a table on a screen; --all and --json have no limit."""


@click.group()
def triage() -> None:
    """Look through what was found, and decide about it.

    A bucket (B3) holds all findings with one cause; a finding (F12) is one
    confirmed divergence with its minimal case.

    \b
    Example:
      vcpufuzz triage list
      vcpufuzz triage show B3
      vcpufuzz triage status B3 confirmed
    """


@triage.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in Status]),
    help="Only these; may be given several times.",
)
@click.option("--leg", default="", metavar="PATTERN", type=WORD, help="Where such a leg deviates.")
@click.option(
    "--rule", default="", metavar="PATTERN", type=WORD, help="Where such a rule is broken."
)
@click.option(
    "--suspect", type=click.Choice([who.value for who in Suspect]), help="Whose fault it may be."
)
@click.option("--campaign", type=COUNT, help="What this one saw.")
@click.option("--since", type=Moment(), help="Seen since: 2026-01-31, 12h, 2d.")
@click.option("--owner", default=None, type=WORD, help="Whose they are; '' for those of nobody.")
@click.option("--text", default="", type=WORD, help="Where it says that.")
@click.option("--strict/--lenient", "strict", default=None, help="Only this class.")
@click.option("--muted", is_flag=True, help="Only what a mute covers.")
@click.option(
    "--order",
    type=click.Choice([order.value for order in Order]),
    default=Order.WEIGHT.value,
    show_default=True,
)
@click.option("--all", "everything", is_flag=True, help="However many they are.")
@json_option
@db_option
def list_(
    url: str,
    statuses: tuple[str, ...],
    leg: str,
    rule: str,
    suspect: str | None,
    campaign: int | None,
    since: datetime | None,
    owner: str | None,
    text: str,
    strict: bool | None,
    muted: bool,
    order: str,
    everything: bool,
    as_json: bool,
) -> None:
    """List the buckets: first what is new, last, in a line, what is known.

    With a filter, all that matches comes as one table. Patterns are those of a shell.

    \b
    Example:
      vcpufuzz triage list
      vcpufuzz triage list --status new --leg 'kvm:6.12:*' --since 2d
      vcpufuzz triage list --rule 'isa.*' --json
    """
    wanted = BucketFilter(
        statuses=frozenset(map(Status, statuses)),
        leg=leg,
        rule=rule,
        suspect=suspect or "",
        campaign=campaign,
        since=since,
        owner=owner,
        text=text,
        strict=strict,
        muted=True if muted else None,
    )
    if not Store.exists(url):
        if as_json:
            click.echo("[]")
        else:
            click.echo(
                "Nothing has been found yet: there is no database;"
                f" `vcpufuzz run` makes it ({shown(url)})."
            )
        return
    filtered = wanted != BucketFilter()
    with Store.read(url) as store:
        if campaign is not None:
            store.campaign(campaign)
        if as_json:
            found = store.buckets(wanted, Order(order))
            click.echo(json.dumps(list(_listed(found, store.proposals())), indent=2))
        elif filtered or everything:
            limit = None if everything else LINES
            found = store.buckets(wanted, Order(order), limit)
            _print_table(found, store.bucket_count(wanted), filtered)
        else:
            _print_urgent(store)


def _listed(found: Sequence[BucketView], kin: Sequence[KinView]) -> Iterator[dict[str, Any]]:
    for bucket in found:
        same = [views.kin_json(one) for one in kin if bucket.id == one.bucket_id]
        yield {**views.bucket_json(bucket), "same_as": same}


def _print_table(found: Sequence[BucketView], number: int, filtered: bool) -> None:
    if not found:
        click.echo("No bucket is like that." if filtered else "Nothing found yet.")
        return
    print_table(views.BUCKET_COLUMNS, [views.bucket_row(bucket) for bucket in found])
    if number > len(found):
        click.echo(f"and {number - len(found)} more; --all lists them")


def _print_urgent(store: Store) -> None:
    """What is new in full, what somebody has to do as a table, the rest in a line each."""
    groups = store.overview()
    if not groups:
        click.echo("Nothing found yet.")
    else:
        _print_new(store, groups)
        _print_to_do(store)
        _print_rest(groups)
    broke = store.incident_counts()
    if broke:
        told = ", ".join(f"{number} {kind}" for kind, number in broke.items())
        click.echo(f"Incidents: {told}; `vcpufuzz triage incidents` lists them.")
    for campaign in store.cut_off():
        last = campaign.beat or campaign.started
        click.echo(
            f"Campaign {campaign.id} was cut off (last heard of {last:%Y-%m-%d %H:%M} UTC);"
            " what it had found by then is here."
        )


def _print_new(store: Store, groups: Sequence[Group]) -> None:
    number = sum(g.buckets for g in groups if g.status is Status.NEW and not g.muted)
    if not number:
        click.echo("Nothing is new.\n")
        return
    new = BucketFilter(statuses=frozenset({Status.NEW}), muted=False)
    found = store.buckets(new, Order.WEIGHT, LARGE)
    kin = store.proposals()
    print_bold(f"{number} new:\n")
    for bucket in found:
        mine = [one for one in kin if bucket.id == one.bucket_id]
        print_bold("\n".join(views.headline(bucket, mine)))
        click.echo(found_views.indented(bucket.explanation) + "\n")
    if number > len(found):
        rest = number - len(found)
        click.echo(f"and {rest} more; `vcpufuzz triage list --status new` lists them\n")


def _print_to_do(store: Store) -> None:
    wanted = BucketFilter(statuses=TO_DO - {Status.NEW}, muted=False)
    found = store.buckets(wanted, Order.WEIGHT, LINES)
    if found:
        _print_table(found, store.bucket_count(wanted), True)
        click.echo()


def _print_rest(groups: Sequence[Group]) -> None:
    recorded: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for group in groups:
        if group.muted:
            rest["muted"] += group.buckets
        elif group.status is Status.KNOWN:
            recorded[group.suspect] += group.buckets
        elif group.status not in TO_DO:
            rest[group.status.value] += group.buckets
    if recorded:
        click.echo(recorded_line(recorded))
    if rest:
        click.echo(", ".join(f"{number} {word}" for word, number in sorted(rest.items())))


@triage.command()
@click.option("--campaign", type=COUNT, help="Only of this one.")
@click.option("--case", "wanted", metavar="ID", help="Print this case of one, for `exec`.")
@json_option
@db_option
def incidents(url: str, campaign: int | None, wanted: str | None, as_json: bool) -> None:
    """List what broke the legs' machines, and what did not show again, oldest first.

    A machine that somebody killed is lost through no fault of a case. A panic, a warning or
    a hang is a finding, too. Those that were provoked while a finding was followed up are
    marked as investigating. What a leg did wrong with a case once and not again is unconfirmed,
    and no finding; --json tells what it was, and --case prints the case.

    \b
    Example:
      vcpufuzz triage incidents --json
      vcpufuzz triage incidents --case 5aeba6b67d48 >once.case
    """
    with Store.read(url) as store:
        if campaign is not None:
            store.campaign(campaign)
        found = store.incidents(campaign)
        shows_cases = as_json or wanted is not None
        texts = store.case_texts(one.case_id or "" for one in found) if shows_cases else {}
    if wanted is not None:
        click.echo(_beginning_with(wanted, texts), nl=False)
    elif as_json:
        rows = [found_views.incident_json(one, texts.get(one.case_id or "")) for one in found]
        click.echo(json.dumps(rows, indent=2))
    elif found:
        print_table(found_views.INCIDENT_COLUMNS, [found_views.incident_row(one) for one in found])
    else:
        click.echo("No machine broke, and all that was suspected showed again.")


def _beginning_with(wanted: str, texts: Mapping[str, str]) -> str:
    """The text of the one case whose id does. Raises UserError."""
    having = [text for number, text in texts.items() if number.startswith(wanted)]
    if len(having) != 1:
        several = f"{len(having)} cases" if having else "No case"
        why = f"{several} of an incident with an id that begins with {wanted!r}."
        raise UserError(why, Exit.USAGE)
    return having[0]


@triage.command()
@click.argument("key", callback=key("BF"), metavar="BUCKET|FINDING")
@json_option
@db_option
def show(url: str, key: tuple[str, int], as_json: bool) -> None:
    """Show a bucket with its shortest finding, or one finding.

    \b
    Example:
      vcpufuzz triage show B3
      vcpufuzz triage show F12 --json
    """
    kind, number = key
    with Store.read(url) as store:
        if kind == "B":
            bucket = store.bucket(number)
            if bucket.duplicate_of is not None and not store.finding_lines(number, 1):
                number = bucket.duplicate_of
                if not as_json:
                    click.echo(f"B{bucket.id} is part of B{number} now:\n")
                bucket = store.bucket(number)
            finding = store.finding(store.best_finding(number))
            others = [one.id for one in store.finding_lines(number) if one.id != finding.id]
        else:
            finding = store.finding(number)
            bucket = store.bucket(finding.bucket_id)
            others = []
        traces = store.traces(finding.id)
        more = views.BucketExtras(
            signatures=store.signatures(bucket.id),
            kin=store.kin(bucket.id),
            matrix=store.matrix(bucket.id),
            retests=store.retests(bucket.id, 20),
            mutes=[mute for mute in store.mutes() if mute.id == bucket.muted_by],
        )
    if as_json:
        whole = {
            **views.bucket_json(bucket),
            **views.extras_json(more),
            "finding": finding_json(finding, traces),
            "more_findings": [f"F{other}" for other in others],
        }
        click.echo(json.dumps(whole, indent=2))
    else:
        _print_bucket(bucket, more)
        _print_finding(finding, traces)
        if others:
            shown = ", ".join(f"F{other}" for other in others[:20])
            rest = f" and {len(others) - 20} more" if len(others) > 20 else ""
            click.echo(f"\nMore findings: {shown}{rest}")


def _print_bucket(bucket: BucketView, more: views.BucketExtras) -> None:
    print_bold(f"B{bucket.id}  {bucket.title}")
    click.echo("\n".join(views.bucket_lines(bucket, more)))
    if more.matrix:
        print_table(views.CELL_COLUMNS, [views.cell_row(cell) for cell in more.matrix])


def _print_finding(finding: FindingView, traces: Sequence[TraceView]) -> None:
    gone = "; the specification permits it by now" if finding.gone else ""
    click.echo(
        f"\nF{finding.id}  found {finding.created:%Y-%m-%d %H:%M} UTC, "
        f"reproduced {ratio(finding.reproduced)}, rule {finding.rule or '-'}{gone}\n"
    )
    click.echo(f"{finding.explanation}\n")
    _print_preceding(finding)
    click.echo(finding.minimal_text)
    click.echo(f"At op {finding.op_index}: {op_text(finding).partition(chr(10))[0]}")
    click.echo(f"  expected  {finding.expected}")
    click.echo(f"  observed  {finding.observed}  ({', '.join(finding.deviating) or 'no leg'})\n")
    if not traces:
        click.echo("The traces of this finding were not kept; those of the bucket's first were.")
        return
    print_table(found_views.LEG_COLUMNS, list(found_views.leg_rows(finding, traces)))
    for view in traces:
        excerpt = log_excerpt(view.trace)
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


@triage.command()
@click.argument("bucket", callback=key("B"), default="0")
@click.option("--limit", type=COUNT, default=30, show_default=True)
@json_option
@db_option
def history(url: str, bucket: tuple[str, int], limit: int, as_json: bool) -> None:
    """List what was changed, in a bucket or at all, the latest first; `triage undo` takes the
    number in front.

    \b
    Example:
      vcpufuzz triage history
      vcpufuzz triage history B3 --json
    """
    with Store.read(url) as store:
        if bucket[1]:
            store.bucket(bucket[1])
        found = store.history(bucket[1] or None, limit)
    if as_json:
        click.echo(json.dumps([views.change_json(one) for one in found], indent=2))
    elif found:
        print_table(views.CHANGE_COLUMNS, [views.change_row(one) for one in found])
    else:
        click.echo("Nothing was changed yet.")
