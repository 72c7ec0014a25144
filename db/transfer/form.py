"""The file: a line that says what it is, a digest, and rows by table; read with all checks.

Whatever is wrong with a file is one sentence, before anything is written.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

import msgspec
from sqlalchemy import Column, Table

from corpus import tracecode
from corpus.case import decode
from db import schema as s
from db import types as t
from db.records import Refused, Status
from db.schema import REVISION, Base

FORMAT = 1
MAGIC = b"vcpufuzz export\n"
MOST = 4 << 30
"""Bytes that a file may unfold to."""

Rows = dict[str, list[dict[str, Any]]]


class Content(msgspec.Struct):
    """What a file holds. `what`: a bucket, as `B3`, or `database`; `tables`: rows by table,
    each a column's value by name; `program`: what wrote it."""

    format: int
    schema: str
    program: str
    what: str
    tables: Rows


def pack(what: str, tables: Rows) -> bytes:
    """The bytes of a file."""
    content = Content(FORMAT, REVISION, version("vcpufuzz"), what, tables)
    body = zlib.compress(msgspec.msgpack.encode(content), 6)
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpack(data: bytes, name: str) -> Content:
    """The inverse; `name` is how messages call the file. Raises Refused."""
    if not data.startswith(MAGIC):
        raise Refused(f"{name} is no export of vcpufuzz")
    digest, newline, body = data[len(MAGIC) :].partition(b"\n")
    if not newline or hashlib.sha256(body).hexdigest().encode() != digest:
        raise Refused(f"{name} is damaged or cut off: its content does not match its digest")
    try:
        inflate = zlib.decompressobj()
        plain = inflate.decompress(body, MOST)
        if inflate.unconsumed_tail:
            raise Refused(f"{name} unfolds to more than {MOST >> 30} GiB")
        content = msgspec.msgpack.decode(plain, type=Content)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise Refused(f"{name} cannot be read: {error}") from None
    if content.format > FORMAT or content.schema > REVISION:
        raise Refused(
            f"{name} was written by a newer vcpufuzz ({content.program}, schema {content.schema}):"
            " update vcpufuzz"
        )
    if content.schema < REVISION:
        raise Refused(
            f"{name} was written by an older vcpufuzz ({content.program}, schema"
            f" {content.schema}): import it with that one into a database, which this one migrates"
        )
    _check(content.tables, name)
    return content


def _check(tables: Rows, name: str) -> None:
    """Every row is one of its table, refers to rows that are there, and holds what it says."""
    known = {table.name: table for table in Base.metadata.sorted_tables}
    for table in tables:
        if table not in known:
            raise Refused(f"{name} holds a table {table!r}, which is none of vcpufuzz")
    keys = {
        table: {row.get(column.name) for row in tables.get(table, ())}
        for table, spec in known.items()
        if len(spec.primary_key.columns) == 1
        for column in spec.primary_key.columns
    }
    for table, rows in tables.items():
        for number, row in enumerate(rows, 1):
            wrong = _wrong(known[table], row, keys)
            if wrong:
                raise Refused(f"{name}: row {number} of {table} {wrong}")


def _wrong(table: Table, row: Mapping[str, Any], keys: Mapping[str, set[Any]]) -> str:
    """What is wrong with a row; nothing if it is as it should be."""
    columns = {column.name: column for column in table.columns}
    if row.keys() != columns.keys():
        odd = sorted(row.keys() ^ columns.keys())
        return f"has a column too many or too few: {', '.join(odd)}"
    for name, column in columns.items():
        if not _fits(column, row[name]):
            return f"has no {name} that could be"
        for reference in column.foreign_keys:
            target = reference.column.table.name
            if row[name] is not None and row[name] not in keys.get(target, ()):
                return f"refers to {target} {row[name]}, which is not there"
    check = _CONTENT.get(table.name)
    return check(row) if check else ""


def _fits(column: Column[Any], value: Any) -> bool:
    if value is None:
        return bool(column.nullable)
    if column.type is t.Document:
        return isinstance(value, dict | list)
    if column.type is t.Instant:
        return isinstance(value, datetime) and value.tzinfo is not None
    kind = _PLAIN.get(type(column.type))
    fits = isinstance(value, kind) if kind else isinstance(value, str)
    return fits and (kind is bool or not isinstance(value, bool))


_PLAIN: dict[type, type] = {
    type(t.Number): int,
    type(t.Count): int,
    type(t.Flag): bool,
    type(t.Blob): bytes,
}


def _case(row: Mapping[str, Any]) -> str:
    return "" if decode(row["encoded"]).id == row["id"] else "is a case under a wrong name"


def _trace(row: Mapping[str, Any]) -> str:
    try:
        tracecode.unpack(row["packed"])
    except tracecode.TraceError:
        return "is a trace that cannot be read"
    return ""


def _bucket(row: Mapping[str, Any]) -> str:
    return "" if row["status"] in list(Status) else f"has an unknown status {row['status']!r}"


_CONTENT: dict[str, Callable[[Mapping[str, Any]], str]] = {
    s.CaseRow.__tablename__: _case,
    s.TraceRow.__tablename__: _trace,
    s.Bucket.__tablename__: _bucket,
}
"""What only a row's content can tell."""
