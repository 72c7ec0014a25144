"""Files with the header of an arm64 Image, and little else."""

from __future__ import annotations

import struct

BANNER = b"\0Linux version 6.12.9 (nobody@nowhere)\n\0"


def arm64_image(
    inside: bytes = BANNER, *, efi: bool = False, image_size: int = 1 << 20, flags: int = 0xA
) -> bytes:
    """An Image that holds `inside`; with `efi` its header also tells where it ends."""
    body = inside + bytes(64)
    head = struct.pack("<2I3Q24x4sI", 0, 0, 0, image_size, flags, b"ARM\x64", 64 if efi else 0)
    if not efi:
        return head + body
    optional = bytes(16)
    coff = struct.pack("<4s2H12x2H", b"PE\0\0", 0xAA64, 2, len(optional), 0) + optional
    size = len(head) + len(coff) + 80 + len(body)
    sections = b"".join(
        struct.pack("<8s4I16x", name, 0, 0, raw, at)
        for name, raw, at in ((b".text", 8, 64), (b".data", len(body), size - len(body)))
    )
    return b"MZ" + head[2:] + coff + sections + body
