"""What all tables share: their registry, and which migration they stand for."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

REVISION = "0005"
"""The newest migration: what a database must be at for these tables."""

VERSION_TABLE = "vcpufuzz_version"
"""Where a database says which migration it is at."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Shared metadata; constraints have names so that a migration can change them."""

    metadata = MetaData(naming_convention=NAMING)
