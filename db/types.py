"""The column types: the one file that knows how values look in SQL.

`schema` builds tables from them and the migrations build its history from them, so a
value has the same form in SQLite and on a shared server.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
)

WORD = 255
"""Characters of a word."""


class _Utf8(TypeDecorator[str]):
    """Text a server will accept: logs of a crashing kernel hold NULs and half characters."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class _Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite and MySQL keep no time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


Flag = Boolean(create_constraint=False)
Number = Integer()
Count = BigInteger()
Word = String(WORD)
Digest = String(64)
Prose = _Utf8()
Blob = LargeBinary(1 << 24)
Document = JSON()
Instant = _Instant()
