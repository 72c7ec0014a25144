"""Bringing a database up to date with the migrations."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from db.records import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"

_one_at_a_time = Lock()  # alembic's context is one global for all threads


def config() -> Config:
    """Where alembic finds the migrations."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return made


def upgrade(connection: Connection, revision: str | None, name: str) -> None:
    """Migrate the database called `name` from `revision`, in the open transaction.

    Raises StoreError if that revision is none of ours.
    """
    settings = config()
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(
            f"{name} was written by a newer vcpufuzz (revision {revision}): "
            "update vcpufuzz or name another database"
        )
    settings.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(settings, "head")
