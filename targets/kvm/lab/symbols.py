"""Names for addresses of a kernel's code, kept by the hash of its image.

The lab boots without KASLR, so `/proc/kallsyms` of one boot holds for all.
"""

from __future__ import annotations

import gzip
from bisect import bisect_right
from collections.abc import Sequence

from targets.cache import cache_dir
from targets.entry import Entry
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
    """The symbols of the image with hash `digest`, if they are kept. Raises CacheError."""
    entry = _entry(digest)
    if not entry.kept():
        return None
    try:
        return Symbols(gzip.decompress(entry.path.read_bytes()).decode("ascii", "replace"))
    except (OSError, EOFError, NoSymbols):  # gone this moment, or of another version of ours
        return None


def save(digest: str, kallsyms: str) -> Symbols:
    """Keep what the kernel's `/proc/kallsyms` says. Raises NoSymbols, CacheError."""
    made = Symbols(kallsyms)
    packed = gzip.compress(kallsyms.encode("ascii", "replace"), 6)
    _entry(digest).put(lambda staged: staged.write_bytes(packed))
    return made


def _entry(digest: str) -> Entry:
    return Entry(cache_dir() / "symbols" / f"{digest[:32]}.gz", "the list of the kernel's symbols")
