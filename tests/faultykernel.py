"""Kernels with a defect put into their text, to see how the lab copes with real faults."""

from __future__ import annotations

import struct
from pathlib import Path

from targets.kvm.lab import kernels, symbols
from targets.kvm.lab.boot import Bootloader, LabSpec, read_file
from targets.kvm.lab.channel import Layout

UDF = 0x0000_0000
LOOP = 0x1400_0000  # b .
NOP = 0xD503_201F
RET = 0xD65F_03C0

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

    def write(self, path: Path) -> Path:
        """The changed Image as a file."""
        path.write_bytes(self._image)
        return path


def _branch(here: int, there: int) -> int:
    return 0x1400_0000 | (there - here >> 2) & 0x3FF_FFFF
