"""Kernels with a defect put into their text, to see how the lab copes with real faults."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from targets.kvm.lab import kernels, symbols
from targets.kvm.lab.boot import Bootloader, LabSpec, read_file
from targets.kvm.lab.channel import Layout

UDF = 0x0000_0000
LOOP = 0x1400_0000  # b .
NOP = 0xD503_201F
RET = 0xD65F_03C0
_BRK_BUG = 0xD421_0000
"""brk #0x800: WARN and BUG."""
_ROWS = 40
"""So many rows of BRKs in a row are the table of bugs."""

_PAGES = 1 << 21  # an Image is linked to run from a multiple of this
_CAVE = "vgic_its_save_tables_v0"  # a long one that no case calls


class FaultyKernel:
    """An Image of `release` to change."""

    def __init__(self, release: str) -> None:
        kernel = kernels.fetch(release)
        self._image = bytearray(kernel.path.read_bytes())
        self.names = symbols.load(kernel.sha256) or self._ask(release)
        self._base = self.names.text & -_PAGES

    @staticmethod
    def _ask(release: str) -> symbols.Symbols:
        spec = LabSpec("to name", lambda: kernels.fetch(release), "vhe")
        booted = Bootloader(spec, Layout()).boot()
        try:
            text = read_file(booted.vm, "/proc/kallsyms").decode()
        finally:
            booted.vm.close()
        return symbols.save(kernels.fetch(release).sha256, text)

    def plant(self, function: str, *words: int) -> None:
        """Replace the first instructions of a function."""
        at = self.names.address(function) - self._base
        struct.pack_into(f"<{len(words)}I", self._image, at, *words)

    def erase(self, function: str, instruction: int, mask: int) -> None:
        """Put NOPs in place of the instructions that match, from a function's start to its
        first return."""
        at = self.names.address(function) - self._base
        while (word := struct.unpack_from("<I", self._image, at)[0]) != RET:
            if word & mask == instruction:
                struct.pack_into("<I", self._image, at, NOP)
            at += 4

    def plant_counted(self, function: str, count: int) -> None:
        """Let a function end in an undefined instruction when it is called for the `count`th
        time since boot. It counts in DBGBVR0_EL1, which nobody here uses, in fours: the two
        lowest bits are none. Stock kernels keep process ids in CONTEXTIDR."""
        entry, cave = self.names.address(function), self.names.address(_CAVE)
        (displaced,) = struct.unpack_from("<I", self._image, entry - self._base)
        self.plant(
            _CAVE,
            0xD5300089,  # mrs x9, dbgbvr0_el1
            0x91001129,  # add x9, x9, #4
            0xD5100089,  # msr dbgbvr0_el1, x9
            0xF100013F | 4 * count << 10,  # cmp x9, #(4 * count)
            0x54000041,  # b.ne over the next
            UDF,
            displaced,
            _branch(cave + 7 * 4, entry + 4),
        )
        self.plant(function, _branch(entry, cave))

    def plant_call(self, function: str, called: str, text: bytes) -> None:
        """Let a function begin with a jump to another, whose first argument is the address of
        some text of the kernel's."""
        entry, target = self.names.address(function), self._base + self._image.index(text)
        pages = (target >> 12) - (entry >> 12)
        self.plant(
            function,
            0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5,  # adrp x0, page
            0x9100_0000 | (target & 0xFFF) << 10,  # add x0, x0, #offset
            _branch(entry + 8, self.names.address(called)),
        )

    def plant_report(self, function: str, *, warning: bool) -> None:
        """Let a function begin with a WARN() that goes on after it, or with a BUG(): the kernel
        knows it by a row of its table of both, which was another's."""
        entry, cave = self.names.address(function), self.names.address(_CAVE)
        (displaced,) = struct.unpack_from("<I", self._image, entry - self._base)
        row = self._row(warning=warning)
        self.plant(_CAVE, _BRK_BUG, displaced, _branch(cave + 8, entry + 4))
        self.plant(function, _branch(entry, cave))
        struct.pack_into("<i", self._image, row, cave - self._base - row)

    def _row(self, *, warning: bool) -> int:
        """Where in the Image a row of that table is. It leads with its first word to a BRK and
        ends with its flags: 1 for a WARN, 2 for one that is to be told once."""
        words = np.frombuffer(self._image, np.int32)
        places = np.arange(len(words)) + (words >> 2)
        inside = (words & 3 == 0) & (places >= 0) & (places < len(words))
        leads = np.zeros(len(words), bool)
        leads[inside] = words[places[inside]] == np.int32(_BRK_BUG - (1 << 32))
        for size in (3, 4):
            for start in np.flatnonzero(leads[: -_ROWS * size]):
                if leads[start : start + _ROWS * size : size].all():
                    return self._flagged(int(start), size, leads, warning=warning)
        raise LookupError("the kernel's table of bugs has another form")

    def _flagged(self, start: int, size: int, leads: np.ndarray, *, warning: bool) -> int:
        row = start
        while leads[row]:
            (flags,) = struct.unpack_from("<H", self._image, 4 * (row + size) - 2)
            if flags & 3 == int(warning):
                return 4 * row
            row += size
        raise LookupError("the kernel's table of bugs has no such row")

    def write(self, path: Path) -> Path:
        """The changed Image as a file."""
        path.write_bytes(self._image)
        return path


def _branch(here: int, there: int) -> int:
    return 0x1400_0000 | (there - here >> 2) & 0x3FF_FFFF
