"""Opening a database: the engine, SQLite's settings, migration, and errors put in words."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Text,
    column,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.records import StoreError
from db.schema import REVISION, VERSION_TABLE

BUSY_SECONDS = 30.0

# SQLite names its failures only in English; most telling first.
_SENTENCES = (
    ("file is not a database", "{db} is not an SQLite database"),
    ("malformed", "{db} is damaged; `sqlite3 FILE .recover` may save its content"),
    ("disk is full", "the disk is full: {db} keeps what was stored so far, but takes no more"),
    ("readonly", "{db} cannot be written to: it is read-only"),
    ("unable to open", "{db} cannot be opened: check that the directory exists and is writable"),
    ("disk I/O error", "reading or writing {db} failed with a disk I/O error"),
    ("is locked", "{db} has been locked by another process for {busy:.0f} s"),
    ("no such table", "{db} lacks a table of vcpufuzz: {why}"),
)


def parse_url(text: str) -> URL:
    """The database a user means; a text without `://` is the path of an SQLite file."""
    if not text.strip():
        raise StoreError("the database URL is empty")
    try:
        return make_url(text) if "://" in text else URL.create("sqlite", database=text)
    except (ArgumentError, ValueError):
        raise StoreError(f"{text!r} is not a database URL such as sqlite:///vcpufuzz.db") from None


def sqlite_file(url: URL) -> Path | None:
    """The file behind an SQLite URL; None for memory, `file:` URIs and other servers."""
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def shown(url: URL) -> str:
    """How a message names the database: the file, or the URL without its password."""
    path = sqlite_file(url)
    return str(path) if path else url.render_as_string(hide_password=True)


@contextmanager
def in_words(url: URL) -> Iterator[None]:
    """Turn database errors into a StoreError of one sentence."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        for sign, sentence in _SENTENCES:
            if sign in why:
                told = sentence.format(db=shown(url), why=why, busy=BUSY_SECONDS)
                raise StoreError(told) from error
        raise StoreError(f"{shown(url)}: {why}") from error


def connect(text: str) -> tuple[Engine, URL]:
    """An engine for a migrated database. Raises StoreError."""
    url = parse_url(text)
    path = sqlite_file(url)
    if path is not None:
        if path.is_dir():
            raise StoreError(f"{path} is a directory, not a database file")
        if not path.absolute().parent.is_dir():
            raise StoreError(f"the directory of the database {path} does not exist")
    try:
        engine = create_engine(url, json_serializer=partial(json.dumps, default=str))
    except (ArgumentError, NoSuchModuleError, TypeError):
        raise StoreError(f"{shown(url)}: this kind of database is not supported") from None
    except ImportError as error:
        raise StoreError(f"{shown(url)} needs the Python package {error.name}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with in_words(url):
            if engine.dialect.name == "sqlite":
                _use_wal(engine)
            _migrate(engine, url)
    except BaseException:
        engine.dispose()
        raise
    return engine, url


def writing(engine: Engine) -> Engine:
    """The same engine, for transactions that will write."""
    return engine.execution_options(write=True)


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions late and by guesswork; `_begin_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer fails at once instead of waiting, so writers say so first.
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _use_wal(engine: Engine) -> None:
    """Switch the journal to WAL; the switch ignores the busy time-out, so wait for it here."""
    deadline = time.monotonic() + BUSY_SECONDS
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        while True:
            try:
                mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
                if mode in ("wal", "memory"):
                    return
                cursor.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
    finally:
        raw.close()


def _migrate(engine: Engine, url: URL) -> None:
    """Bring the schema up to date, whoever else is doing the same right now."""
    if _is_current(engine, url):
        return
    # Only a database that is not up to date pays for the import.
    from db.migrate import upgrade  # noqa: PLC0415

    try:
        with writing(engine).begin() as connection:
            # Another process may have been first while this one waited for the lock.
            if not _stands_at_head(connection, url):
                upgrade(connection, _revision(connection), shown(url))
    except DBAPIError:
        # Servers without BEGIN IMMEDIATE let both try, and fail the later one.
        if not _is_current(engine, url):
            raise


def _is_current(engine: Engine, url: URL) -> bool:
    with engine.connect() as connection:
        return _stands_at_head(connection, url)


def _stands_at_head(connection: Connection, url: URL) -> bool:
    tables = inspect(connection).get_table_names()
    if tables and VERSION_TABLE not in tables:
        raise StoreError(f"{shown(url)} holds other tables and is no database of vcpufuzz")
    return bool(tables) and _revision(connection) == REVISION


def _revision(connection: Connection) -> str | None:
    """Where the database stands; None if it is empty."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = table(VERSION_TABLE, column("version_num", Text))
    found: str | None = connection.execute(select(version.c.version_num)).scalar()
    return found
