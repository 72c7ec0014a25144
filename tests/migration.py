"""MIGRATE as a test meets it: the op, and its observation taken apart."""

from __future__ import annotations

import struct
from typing import NamedTuple

from corpus.ops import Migrate
from corpus.trace import Observation
from corpus.wire import Record, WireOp, unpack_migration, unpack_values


class Move(NamedTuple):
    """A MIGRATE observation."""

    err: int
    stage: int
    groups: list[tuple[int, bytes]]
    listed: int
    records: list[Record]


def migrate(features: int, to: int = 2, vcpu: int = 0) -> WireOp:
    return Migrate(vcpu, to, features).lower()


def moved(seen: Observation) -> Move:
    """Take the observation apart."""
    (length,) = struct.unpack_from("<Q", seen.data)
    groups = unpack_values(seen.data[8 : 8 + length])
    return Move(seen.err, seen.aux, groups, *unpack_migration(seen.data[8 + length :]))
