"""Which combinations a campaign exercised and looked at."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fuzz.generate.facts import FACTS, NAMES
from fuzz.generate.pairs import CORE, FORM_INDEX, REGISTER_INDEX, Met

_LEVEL = 3
"""Of compression. A campaign stores this every other second; the best takes 17 times as long."""

TABLE = hashlib.sha256(repr((NAMES, [*FORM_INDEX], [*REGISTER_INDEX])).encode()).hexdigest()[:16]
"""Names the tables that a stored map of combinations is about."""


class Combinations:
    """Joins the workers of one campaign."""

    def __init__(self) -> None:
        self._met = np.zeros(FACTS * FACTS, bool)
        self._core = np.zeros(CORE, bool)

    def add(self, pairs: bytes, core: bytes) -> None:
        """What a worker met for the first time: 32-bit numbers, little-endian."""
        self._met[np.frombuffer(pairs, "<u4")] = True
        self._core[np.frombuffer(core, "<u4")] = True

    def statistics(self) -> dict[str, object]:
        """What is stored with a campaign."""
        return {
            "table": TABLE,
            "met": _packed(self._met),
            "core": _packed(self._core),
            "pairs": int(self._met.sum()),
            "triples": int(self._core.sum()),
        }


def met(stored: Mapping[str, object]) -> Met | None:
    """What is stored with a campaign; None where it is about other tables than this version's."""
    if stored.get("table") != TABLE:
        return None
    pairs = _unpacked(str(stored["met"]), FACTS * FACTS)
    return Met(pairs.reshape(FACTS, FACTS), _unpacked(str(stored["core"]), CORE))


def _packed(bits: NDArray[np.bool_]) -> str:
    return base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), _LEVEL)).decode()


def _unpacked(text: str, count: int) -> NDArray[np.bool_]:
    raw = zlib.decompress(base64.b64decode(text))
    return np.unpackbits(np.frombuffer(raw, np.uint8))[:count].astype(bool)
