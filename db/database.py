"""An open database, and its two kinds of transaction.

Every writing one is durable when it returns: a killed process or a full disk loses nothing
that was stored before. Both raise StoreError with one sentence when the database fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeVar

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from db.reading import connect_to_read
from db.session import connect, in_words, parse_url, sqlite_file, writing

T = TypeVar("T")

_ATTEMPTS = 5

_MEANS_AGAIN = ("deadlock", "could not serialize")
"""What a server says to one of two that were in each other's way."""


class Database:
    """An open database. Use `open`; close it, or use it in a `with`. It does not survive a
    fork: open it in the process that uses it."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine, self._url = engine, url

    @classmethod
    def open(cls, url: str) -> Self:
        """Open, create or migrate the database at `url` (or the SQLite file of that name)."""
        return cls(*connect(url))

    @classmethod
    def read(cls, url: str) -> Self:
        """Open the database at `url`, which must be there, to look things up: it may lie where
        nothing can be written. Raises NotFound."""
        return cls(*connect_to_read(url))

    @staticmethod
    def exists(url: str) -> bool:
        """Whether there is a database to read; servers are taken to exist."""
        path = sqlite_file(parse_url(url))
        return path is None or path.exists()

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, work: Callable[[Session], T]) -> T:
        with in_words(self._url), Session(self._engine) as db:
            return work(db)

    def _write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction; again if another process was first with a row."""
        with in_words(self._url):
            for _ in range(_ATTEMPTS - 1):
                try:
                    return self._transact(work)
                except IntegrityError:
                    continue
                except DBAPIError as error:
                    if not any(sign in str(error.orig) for sign in _MEANS_AGAIN):
                        raise
            return self._transact(work)

    def _transact(self, work: Callable[[Session], T]) -> T:
        with Session(writing(self._engine)) as db, db.begin():
            return work(db)
