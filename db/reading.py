"""Opening a database to look things up: nothing is made, and nothing need be writable."""

from __future__ import annotations

import json
import os
import sqlite3
from functools import partial
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import StaticPool

from db.records import NotFound
from db.session import connect, in_words, parse_url, ready, shown, sqlite_file


def connect_to_read(text: str) -> tuple[Engine, URL]:
    """An engine for a database that must be there; nothing is made. Where nothing can be
    written, all of it is read into memory first. Raises StoreError, NotFound."""
    url = parse_url(text)
    path = sqlite_file(url)
    if path is None:
        return connect(text)
    if not path.exists():
        raise NotFound(f"there is no database {shown(url)}: `vcpufuzz run` makes it")
    if path.is_dir() or (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)):
        return connect(text)
    with in_words(url):
        memory = sqlite3.connect(":memory:", check_same_thread=False)
        _copy_into(memory, path)
    engine = create_engine(
        URL.create("sqlite"),
        creator=lambda: memory,
        poolclass=StaticPool,
        json_serializer=partial(json.dumps, default=str),
    )
    return ready(engine, url), url


def _copy_into(memory: sqlite3.Connection, path: Path) -> None:
    """Read a database that lies where nothing can be written."""
    journal = path.with_name(f"{path.name}-wal")
    if journal.exists() and journal.stat().st_size:
        # What stands in the journal counts, and only a writer may join the two.
        with TemporaryDirectory(prefix="vcpufuzz-") as scratch:
            copy = Path(scratch) / path.name
            copyfile(path, copy)
            copyfile(journal, copy.with_name(journal.name))
            _back_up(str(copy), memory)
    else:
        _back_up(f"{path.absolute().as_uri()}?immutable=1", memory)


def _back_up(name: str, memory: sqlite3.Connection) -> None:
    source = sqlite3.connect(name, uri=name.startswith("file:"))
    try:
        source.backup(memory)
    finally:
        source.close()
