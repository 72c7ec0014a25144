"""Names for addresses of a kernel's code, kept by the hash of its image.

The lab boots without KASLR, so `/proc/kallsyms` of one boot holds for all.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from targets.cache import cache_dir
from targets.kvm.lab.coverage import areas
from targets.kvm.lab.coverage.areas import NoSymbols, Symbol


class Symbols:
    """The functions of one kernel. `text`: where its text begins."""

    def __init__(self, kallsyms: str) -> None:
        """Raises NoSymbols."""
        addresses, symbols = areas.parse(kallsyms)
        try:
            self.text, self._end = addresses["_stext"], addresses["_etext"]
        except KeyError as error:
            raise NoSymbols(f"the kernel has no symbol {error.args[0]}.") from None
        self._symbols: Sequence[Symbol] = symbols
        self._starts = [symbol.address for symbol in symbols]

    def address(self, name: str) -> int:
        """Where a function is. Raises NoSymbols."""
        for symbol in self._symbols:
            if symbol.name == name:
                return symbol.address
        raise NoSymbols(f"the kernel has no function {name}.")

    def name(self, address: int) -> str | None:
        """`function+0x10/0x80`, or None for what is not in the kernel's text."""
        if not self.text <= address < self._end:
            return None
        symbol = self._symbols[bisect_right(self._starts, address) - 1]
        return f"{symbol.name}+{address - symbol.address:#x}/{symbol.end - symbol.address:#x}"


def load(digest: str) -> Symbols | None:
    """The symbols of the image with hash `digest`, if they are kept."""
    try:
        return Symbols(gzip.decompress(_path(digest).read_bytes()).decode("ascii", "replace"))
    except (OSError, EOFError, NoSymbols):
        return None


def save(digest: str, kallsyms: str) -> Symbols:
    """Keep what the kernel's `/proc/kallsyms` says. Raises NoSymbols."""
    made = Symbols(kallsyms)
    path = _path(digest)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(gzip.compress(kallsyms.encode("ascii", "replace"), 6))
    os.replace(file.name, path)
    return made


def _path(digest: str) -> Path:
    kept = cache_dir() / "symbols"
    kept.mkdir(exist_ok=True)
    return kept / f"{digest[:32]}.gz"
