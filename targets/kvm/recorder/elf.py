"""Whether a file can be run in a guest of the lab, by its head. Pure."""

from __future__ import annotations

import struct

HEAD = 4096
"""Bytes of a file that tell."""
_IDENT = b"\x7fELF\x02\x01"
"""Of a little-endian file of 64 bits (elf(5))."""
_AARCH64 = 183
_HEADER = struct.Struct("<16s2HI3QI6H")
_SEGMENT = struct.Struct("<2I6Q")
_INTERPRETER = 3
"""PT_INTERP: where the name of the loader is."""


def trouble(head: bytes, with_loader: bool) -> str:
    """Why a program cannot be run, as the rest of a sentence about it, or nothing. `with_loader`:
    whether there are packages, in which one may be."""
    if head.startswith(b"#!"):
        return (
            "" if with_loader else "is a script: name the package of its interpreter by --package"
        )
    if not head.startswith(_IDENT) or len(head) < _HEADER.size:
        return "is no arm64 program"
    _, _, machine, _, _, at, _, _, _, size, count, *_ = _HEADER.unpack_from(head)
    if machine != _AARCH64:
        return "is no arm64 program, but one for another machine"
    if with_loader or size < _SEGMENT.size:
        return ""
    for place in range(at, at + size * count, size):
        if place + _SEGMENT.size > len(head):
            break
        if _SEGMENT.unpack_from(head, place)[0] == _INTERPRETER:
            return (
                "needs a loader: link it statically, or name packages by --package, such as libc6"
            )
    return ""
