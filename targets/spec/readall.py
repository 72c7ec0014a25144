"""ReadAll's usual answer, as one string of bytes.

Most registers of a vcpu are known exactly; comparing them as one byte string is far
cheaper than looking at every register's set.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, TypeAlias

from corpus import registers as regs
from corpus.readgroups import READ_GROUPS
from targets.spec.errno import EINVAL, ENOENT
from targets.spec.permitted import Hole, Part
from targets.spec.sets import ZERO
from targets.spec.vcpu import Vcpu

_HEADER = struct.Struct("<II")
_ENTRY_OF_KIND = {"z": "z", "p": "p", "ffr": "ffr", "v": "z"}


_Place: TypeAlias = tuple[Any, int, int, str]
"""A register's key in its container, its offset, size and name."""


@cache
def _layout(
    sve: bool, pauth: bool, mte: bool
) -> tuple[bytes, tuple[tuple[str, tuple[_Place, ...]], ...]]:
    """The answer for a vcpu whose registers are all zero, and where each register is, by
    attribute of Vcpu, each in order."""
    data = bytearray()
    places: dict[str, list[_Place]] = {}
    for group in READ_GROUPS:
        for reg in group:
            row = regs.BY_ID[reg]
            refused = _refused(row, sve=sve, pauth=pauth, mte=mte)
            size = 0 if refused else regs.size_of(reg)
            data += _HEADER.pack(refused, size)
            if refused:
                break
            attribute, key = _home(row)
            places.setdefault(attribute, []).append((key, len(data), size, row.name))
            data += bytes(size + (-size & 7))
    return bytes(data), tuple((name, tuple(found)) for name, found in places.items())


def _refused(row: regs.Register, *, sve: bool, pauth: bool, mte: bool) -> int:
    if row.kind in ("key", "tagging"):
        return 0 if (pauth if row.kind == "key" else mte) else ENOENT
    if sve:
        return EINVAL if row.kind == "v" else 0
    return ENOENT if row.kind in ("z", "p", "ffr") or row.name == "zcr_el1" else 0


def _home(row: regs.Register) -> tuple[str, int | str]:
    if row.kind in _ENTRY_OF_KIND:
        number = row.name[1:]
        return _ENTRY_OF_KIND[row.kind], int(number) if number.isdigit() else 0
    if row.id in regs.X_IDS:
        return "x", regs.X_IDS.index(row.id)
    return ("sys" if row.kind in ("sysreg", "key", "tagging") else "core"), row.name


def usual_answer(vcpu: Vcpu) -> tuple[bytes, tuple[Hole, ...]] | None:
    """The data of ReadAll, with a hole (zeros) for every register whose value is not known
    exactly. None where the vcpu's state makes the answer another one."""
    if not vcpu.initialised or (vcpu.sve and not vcpu.finalised):
        return None
    zeros, places = _layout(vcpu.sve, vcpu.pauth, vcpu.mte)
    data = bytearray(zeros)
    holes: list[Hole] = []
    for attribute, registers in places:
        container = getattr(vcpu, attribute)
        for key, offset, size, name in registers:
            candidates = container[key]
            if candidates is ZERO:
                continue
            value, mask = candidates[0]
            if mask or len(candidates) > 1:
                holes.append((offset, Part(name, size, candidates, (container, key))))
            elif value:
                data[offset : offset + size] = value.to_bytes(size, "little")
    return bytes(data), tuple(holes)
