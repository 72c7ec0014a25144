"""Which combinations a campaign exercised and looked at."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fuzz.generate.facts import FACTS, NAMES

TABLE = hashlib.sha256(repr(NAMES).encode()).hexdigest()[:16]
"""Names the table of facts that a stored map of pairs is about."""


class Combinations:
    """Joins the workers of one campaign."""

    def __init__(self) -> None:
        self._met = np.zeros(FACTS * FACTS, bool)

    def add(self, pairs: bytes) -> None:
        """Pairs that a worker met for the first time: 32-bit numbers, little-endian."""
        self._met[np.frombuffer(pairs, "<u4")] = True

    def statistics(self) -> dict[str, object]:
        """What is stored with a campaign."""
        packed = zlib.compress(np.packbits(self._met).tobytes(), 9)
        return {
            "table": TABLE,
            "met": base64.b64encode(packed).decode(),
            "pairs": int(self._met.sum()),
        }


def met_pairs(stored: Mapping[str, object]) -> NDArray[np.bool_] | None:
    """The map of pairs, FACTS x FACTS, the facts of the call first; None where it is about
    another table of facts than this version's."""
    if stored.get("table") != TABLE:
        return None
    raw = zlib.decompress(base64.b64decode(str(stored["met"])))
    bits = np.unpackbits(np.frombuffer(raw, np.uint8))[: FACTS * FACTS]
    return bits.astype(bool).reshape(FACTS, FACTS)
