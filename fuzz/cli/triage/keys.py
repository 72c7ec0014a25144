"""How buckets, findings, moments and the rest are named on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from db.session import shown
from db.store import Store
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import WORD

Key = tuple[str, int]
_Callback = Callable[[click.Context, click.Parameter, str], Key]

_WORDS = {"B": "a bucket such as B3", "F": "a finding such as F12"}
_LARGEST = 1 << 31
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_key(text: str, kinds: str) -> Key:
    """B3 as a bucket, F12 as a finding, a bare number as the first of `kinds`. Raises
    BadParameter."""
    match = re.fullmatch(r"([BF]?)(\d{1,10})", text.strip().upper())
    if match is None or (match[1] or kinds[0]) not in kinds or int(match[2]) >= _LARGEST:
        words = " or ".join(_WORDS[kind] for kind in kinds)
        raise click.BadParameter(f"{text!r} is not {words}.")
    return match[1] or kinds[0], int(match[2])


def key(kinds: str) -> _Callback:
    """A callback that reads one key."""

    def read(_ctx: click.Context, _param: click.Parameter, text: str) -> Key:
        return parse_key(text, kinds)

    return read


def keys(
    kinds: str,
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[int, ...]]:
    """A callback that reads several keys of one kind, each once."""

    def read(
        _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
    ) -> tuple[int, ...]:
        return tuple(dict.fromkeys(parse_key(text, kinds)[1] for text in texts))

    return read


class Moment(click.ParamType[datetime]):
    """`2026-01-31`, `2026-01-31 12:00`, both in UTC, or `90m`, `12h`, `2d`, `1w`: so long ago,
    or, with `ahead`, so far in the future."""

    name = "when"

    def __init__(self, *, ahead: bool = False) -> None:
        self._ahead = ahead

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        match = re.fullmatch(r"(\d{1,6})([smhdw])", text)
        try:
            if match:
                span = timedelta(**{_UNITS[match[2]]: int(match[1])})
                now = datetime.now(UTC)
                return now + span if self._ahead else now - span
            found = datetime.fromisoformat(text)
            # In UTC a moment may be before the first year or behind the last.
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a day such as 2026-01-31 nor a time such as 2d.", param, ctx
            )


def existing(url: str) -> Store:
    """The store, which must be there: nothing can be looked up in one that is made now."""
    if not Store.exists(url):
        raise UserError(f"there is no database {shown(url)}", Exit.USAGE)
    return Store.open(url)


bucket_argument = click.argument("bucket", callback=key("B"))
actor_option = click.option(
    "--as",
    "actor",
    default="",
    metavar="NAME",
    type=WORD,
    help="Who does this; by default, the user.",
)
