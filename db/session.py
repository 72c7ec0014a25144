"""Opening a database: the engine, SQLite's settings, migration, and errors put in words."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

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
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SAWarning
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.records import Gone, StoreError
from db.schema import REVISION, VERSION_TABLE

BUSY_SECONDS = 30.0
CONNECT_SECONDS = 10
"""After which a server that does not answer is given up."""

_CONNECT_OPTION = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pg8000": "timeout",
    "asyncpg": "timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "mariadbconnector": "connect_timeout",
}
"""Driver -> what it calls the seconds to wait for a server."""

_SECRET = re.compile(
    r"((?:://|^\w+:/)[^\s:/@]*:)[^\s]*(?=@)|((?:password|passwd|pwd)=)[^\s&;]*", re.I
)

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
        told = masked(text)
        raise StoreError(f"{told!r} is not a database URL such as sqlite:///vcpufuzz.db") from None


def sqlite_file(url: URL) -> Path | None:
    """The file behind an SQLite URL; None for memory, `file:` URIs and other servers."""
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def shown(url: URL | str) -> str:
    """How a message names the database: the file, or the URL without its password."""
    url = parse_url(url) if isinstance(url, str) else url
    path = sqlite_file(url)
    return masked(str(path) if path else url.render_as_string(hide_password=True))


def masked(text: str) -> str:
    """What a user said or a driver says, without the password that a URL in it may hold."""
    return _SECRET.sub(lambda match: f"{match[1] or match[2]}***", text)


@contextmanager
def in_words(url: URL) -> Iterator[None]:
    """Turn database errors into a StoreError of one sentence."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as error:
        why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        why = _without_password(url, why)
        for sign, sentence in _SENTENCES:
            if sign in why:
                told = sentence.format(db=shown(url), why=why, busy=BUSY_SECONDS)
                raise StoreError(told) from error
        raise StoreError(f"{shown(url)}: {why or type(error).__name__}") from error
    except json.JSONDecodeError as error:
        raise StoreError(
            f"{shown(url)} is damaged: a document in it is no JSON: {error}"
        ) from error


def _without_password(url: URL, why: str) -> str:
    password = str(url.password or "")
    return masked(why.replace(password, "***") if len(password) > 2 else why)


def connect(text: str) -> tuple[Engine, URL]:
    """An engine for a migrated database, made if there is none. Raises StoreError."""
    url = parse_url(text)
    path = sqlite_file(url)
    if path is not None:
        if path.is_dir():
            raise StoreError(f"{path} is a directory, not a database file")
        if not path.absolute().parent.is_dir():
            raise StoreError(f"the directory of the database {path} does not exist")
    try:
        with catch_warnings():
            # SQLAlchemy only warns of what it leaves out, such as mode=ro, and writes then.
            simplefilter("error", SAWarning)
            engine = create_engine(
                url,
                json_serializer=partial(json.dumps, default=str),
                connect_args=_connect_args(url),
            )
    except SAWarning as warning:
        said = str(warning).partition(";")[0]
        raise StoreError(f"{shown(url)}: {said}") from None
    except (ArgumentError, NoSuchModuleError, TypeError):
        raise StoreError(f"{shown(url)}: this kind of database is not supported") from None
    except ImportError as error:
        raise StoreError(f"{shown(url)} needs the Python package {error.name}") from None
    ready(engine, url)
    if path is not None:
        event.listen(engine, "begin", _same_file_check(path))
    return engine, url


def _connect_args(url: URL) -> dict[str, object]:
    option = _CONNECT_OPTION.get(url.drivername.partition("+")[2] or _default_driver(url))
    if option is None or option in url.query:
        return {}
    return {option: CONNECT_SECONDS}


def _default_driver(url: URL) -> str:
    try:
        return url.get_driver_name()
    except (ArgumentError, NoSuchModuleError):
        return ""


def ready(engine: Engine, url: URL) -> Engine:
    """Set an engine up, and bring its database up to date. Raises StoreError."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with in_words(url):
            current = _is_current(engine, url)  # somebody else's is not even touched
            if engine.dialect.name == "sqlite":
                _use_wal(engine)
            if not current:
                _migrate(engine, url)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _same_file_check(path: Path) -> Callable[[Connection], None]:
    """What notices that the file of an open database was deleted or replaced: what is written
    then would be lost without a word."""
    opened = path.stat()

    def check(_connection: Connection) -> None:
        try:
            same = os.path.samestat(path.stat(), opened)
        except OSError:
            raise Gone(f"{path} was deleted while it was in use") from None
        if not same:
            raise Gone(f"{path} was replaced by another file while it was in use")

    return check


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
