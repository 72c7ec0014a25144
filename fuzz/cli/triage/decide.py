"""What a person decides about buckets, each of it in the audit log, and undoable."""

from __future__ import annotations

import json
from datetime import datetime

import click

from db.records import BucketView, MuteRecord, Status
from fuzz.cli.plain_options import COUNT, WORD, db_option, json_option
from fuzz.cli.table import print_table
from fuzz.cli.together import use_of
from fuzz.cli.triage import views
from fuzz.cli.triage.keys import (
    Key,
    Moment,
    actor_option,
    bucket_argument,
    existing,
    key,
    keys,
    parse_key,
)


def _report(as_json: bool, said: str, *buckets: BucketView) -> None:
    """One line for people, or the buckets as they are now."""
    if as_json:
        click.echo(json.dumps([views.bucket_json(bucket) for bucket in buckets], indent=2))
    else:
        click.echo(said)


@click.command()
@bucket_argument
@click.argument("new_status", type=click.Choice([s.value for s in Status]))
@click.option("--of", "of", metavar="BUCKET", default="", help="duplicate: of which.")
@click.option(
    "--in", "fixed_in", metavar="VERSION", default="", type=WORD, help="fixed: since when."
)
@actor_option
@json_option
@db_option
def status(
    url: str, bucket: Key, new_status: str, of: str, fixed_in: str, actor: str, as_json: bool
) -> None:
    """Give a bucket another status.

    A duplicate hands its findings to the bucket that it is a duplicate of. A fixed one that
    is seen again is new again, and says that it returned.

    \b
    Example:
      vcpufuzz triage status B3 known
      vcpufuzz triage status B3 fixed --in 6.12.60
      vcpufuzz triage status B7 duplicate --of B3
    """
    number = bucket[1]
    if bool(of) != (new_status == Status.DUPLICATE):
        raise click.UsageError("Say `duplicate --of BUCKET`, and --of with nothing else.")
    if fixed_in and new_status != Status.FIXED:
        raise click.UsageError("--in goes with fixed.")
    target = parse_key(of, "B")[1] if of else 0
    with existing(url) as store:
        before = store.bucket(number).status
        if target:
            store.merge(target, [number], actor)
        else:
            store.set_status(number, Status(new_status), actor, fixed_in=fixed_in)
        after = store.bucket(number)
    said = f"B{number}: {before} -> {new_status}" + (f" of B{target}" if target else "")
    _report(as_json, said, after)


@click.command()
@bucket_argument
@click.argument("text")
@actor_option
@json_option
@db_option
def note(url: str, bucket: Key, text: str, actor: str, as_json: bool) -> None:
    """Write a note on a bucket.

    \b
    Example:
      vcpufuzz triage note B3 "also on hardware; reported upstream"
    """
    if not text.strip():
        raise click.UsageError("The note is empty.")
    with existing(url) as store:
        store.add_note(bucket[1], text, actor)
        after = store.bucket(bucket[1])
    _report(as_json, f"B{bucket[1]}: noted", after)


@click.command()
@bucket_argument
@click.argument("name", type=WORD)
@actor_option
@json_option
@db_option
def owner(url: str, bucket: Key, name: str, actor: str, as_json: bool) -> None:
    """Say who looks after a bucket; '' for nobody.

    \b
    Example:
      vcpufuzz triage owner B3 ada
    """
    with existing(url) as store:
        store.assign(bucket[1], actor, owner=name.strip())
        after = store.bucket(bucket[1])
    _report(as_json, f"B{bucket[1]}: owner is {after.owner or 'nobody'}", after)


@click.command()
@bucket_argument
@click.argument("where")
@actor_option
@json_option
@db_option
def link(url: str, bucket: Key, where: str, actor: str, as_json: bool) -> None:
    """Say where a bucket is tracked: a mail, a bug report; '' for nowhere.

    \b
    Example:
      vcpufuzz triage link B3 https://bugzilla.kernel.org/show_bug.cgi?id=1
    """
    with existing(url) as store:
        store.assign(bucket[1], actor, link=where.strip())
        after = store.bucket(bucket[1])
    _report(as_json, f"B{bucket[1]}: tracked at {after.link or 'no place'}", after)


@click.command()
@click.argument("target", callback=key("B"), metavar="BUCKET")
@click.argument("others", nargs=-1, required=True, callback=keys("B"), metavar="OTHER...")
@actor_option
@json_option
@db_option
def merge(url: str, target: Key, others: tuple[int, ...], actor: str, as_json: bool) -> None:
    """Merge buckets into the first: they become duplicates of it, and it gets their findings,
    those of today and those to come.

    \b
    Example:
      vcpufuzz triage merge B3 B7 B9
    """
    with existing(url) as store:
        store.merge(target[1], others, actor)
        after = store.bucket(target[1])
    named = ", ".join(f"B{other}" for other in others)
    _report(as_json, f"B{target[1]}: has the findings of {named} now", after)


@click.command()
@bucket_argument
@click.argument("findings", nargs=-1, required=True, callback=keys("F"), metavar="FINDING...")
@click.option("--title", default="", help="What to call the new bucket.")
@actor_option
@json_option
@db_option
def split(
    url: str, bucket: Key, findings: tuple[int, ...], title: str, actor: str, as_json: bool
) -> None:
    """Move findings of a bucket to a new one.

    \b
    Example:
      vcpufuzz triage split B3 F12 F15
    """
    with existing(url) as store:
        made = store.split(bucket[1], findings, title, actor)
        old, new = store.bucket(bucket[1]), store.bucket(made)
    number = f"{len(set(findings))} finding{'' if len(set(findings)) == 1 else 's'}"
    _report(as_json, f"B{bucket[1]}: {number} moved to B{made}", old, new)


@click.command()
@bucket_argument
@click.argument("other", callback=key("B"))
@click.option("--no", "different", is_flag=True, help="They are not the same.")
@actor_option
@json_option
@db_option
def same(url: str, bucket: Key, other: Key, different: bool, actor: str, as_json: bool) -> None:
    """Confirm that a bucket is the same as another, as `show` proposes, which merges it into
    that one; or say that it is not.

    \b
    Example:
      vcpufuzz triage same B7 B3
      vcpufuzz triage same B9 B3 --no
    """
    with existing(url) as store:
        store.settle_same(bucket[1], other[1], not different, actor)
        after = store.bucket(other[1])
    word = "is another than" if different else "is part of"
    _report(as_json, f"B{bucket[1]}: {word} B{other[1]}", after)


@click.command()
@click.option(
    "--rule", default="*", show_default=True, metavar="PATTERN", type=WORD, help="Of which rules."
)
@click.option(
    "--leg", default="*", show_default=True, metavar="PATTERN", type=WORD, help="Of which legs."
)
@click.option(
    "--from", "low", default="", metavar="VERSION", type=WORD, help="Kernels since, e.g. 6.1."
)
@click.option(
    "--to", "high", default="", metavar="VERSION", type=WORD, help="Kernels up to, e.g. 6.12."
)
@click.option("--until", type=Moment(ahead=True), help="When it expires: 2026-12-31, 4w.")
@click.option("--reason", default="", help="Why nobody wants to hear of it.")
@click.option("--end", type=COUNT, help="End the mute of that number instead.")
@actor_option
@json_option
@db_option
def mute(
    url: str,
    rule: str,
    leg: str,
    low: str,
    high: str,
    until: datetime | None,
    reason: str,
    end: int | None,
    actor: str,
    as_json: bool,
) -> None:
    """Hear no more of buckets whose every deviating leg matches; without options, list the
    mutes.

    \b
    Example:
      vcpufuzz triage mute
      vcpufuzz triage mute --rule 'isa.fmmla*' --leg 'kvm:6.1:*' --until 4w --reason "old QEMU"
      vcpufuzz triage mute --end 2
    """
    use_of({"": ("rule", "leg", "low", "high", "until", "reason"), "--end": ()})
    new = rule != "*" or leg != "*" or low or high
    if new and not reason.strip():
        raise click.UsageError("Say why, with --reason: others will ask.")
    if not new and (until or reason):
        raise click.UsageError("Say what to mute: --rule, --leg, --from or --to.")
    with existing(url) as store:
        if end is not None:
            store.unmute(end, actor)
        elif new:
            store.mute(MuteRecord(rule, leg, reason, low, high, until), actor)
        found = store.mutes()
    if as_json:
        click.echo(json.dumps([views.mute_json(one) for one in found], indent=2))
    elif end is not None:
        click.echo(f"mute {end}: ended")
    elif new:
        click.echo(f"mute {found[-1].id}: covers {found[-1].buckets} of today's buckets")
    elif found:
        print_table(views.MUTE_COLUMNS, [views.mute_row(one) for one in found])
    else:
        click.echo("Nothing is muted.")


@click.command()
@click.argument("number", type=COUNT, required=False)
@actor_option
@json_option
@db_option
def undo(url: str, number: int | None, actor: str, as_json: bool) -> None:
    """Take back a change: the last one, or that of a number from `triage history`. What undoes
    is a change, too, and can be undone by its number.

    \b
    Example:
      vcpufuzz triage undo
      vcpufuzz triage undo 17
    """
    with existing(url) as store:
        done = store.undo(number, actor)
    if as_json:
        click.echo(json.dumps(views.change_json(done), indent=2))
    else:
        click.echo(f"change {done.undoes} ({done.subject}) is undone, by change {done.id}")


COMMANDS = (status, note, owner, link, merge, split, same, mute, undo)
