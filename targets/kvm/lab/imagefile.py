"""What a file is that should be an arm64 kernel Image, told from its header, its size and, of a
kernel, that it names its version. Pure.

Header: Documentation/arch/arm64/booting.rst; with CONFIG_EFI the Image is a PE file, too, and
its sections tell where it ends. An EFI zboot image: drivers/firmware/efi/libstub/zboot-header.S.
"""

from __future__ import annotations

import re
import shlex
import struct

HEAD = 4096
"""Bytes from the beginning that `trouble` wants to see."""

MOST = 480 << 20
"""Bytes of memory that a kernel may take: the lab's machine has little more."""

_MAGIC = b"ARM\x64"
_HEADER = struct.Struct("<2I3Q24x4sI")  # code, text offset, image size, flags, magic, PE offset
_BIG_ENDIAN = 1
_SECTION = 40
_VERSION = re.compile(rb"Linux version (\d+)\.(\d+)")

_LINKED_AT = 1 << 27
"""What the address is a multiple of at which a kernel is linked: modules lie just below, in a
region of as many bytes (arch/arm64/include/asm/memory.h)."""
_RELATIVE = b"\xff\xff\x03\x04" + bytes(6)
_RELOCATIONS = re.compile(b"(?:.{6}" + re.escape(_RELATIVE) + b".{8}){64,}", re.DOTALL)
"""Elf64_Rela of type R_AARCH64_RELATIVE, for addresses of the kernel."""

_UNPACK = {
    "gzip": "gzip",
    "bzip2": "bzip2",
    "xz": "xz",
    "xzkern": "xz",
    "lzma": "xz --format=lzma",
    "lzo": "lzop",
    "lz4": "lz4",
    "zstd": "zstd",
    "zstd22": "zstd",
}
"""How a kernel may be compressed -> the program that unpacks it from its standard input."""

_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"\x89LZO\0", "lzo"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)

_KINDS = (
    (0x202, b"HdrS", "a kernel for x86 (bzImage)"),
    (0x24, b"\x18\x28\x6f\x01", "a kernel for 32-bit Arm (zImage)"),
    (0x38, b"RSC\x05", "a kernel for RISC-V"),
    (0x38, b"\xcd\x23\x82\x81", "a kernel for LoongArch"),
    (0, b"\x27\x05\x19\x56", "a U-Boot image: name the Image that was put in it"),
    (0, b"\xd0\x0d\xfe\xed", "a device tree or a U-Boot FIT: name the Image that was put in it"),
    (0, b"ANDROID!", "an Android boot image: name the Image that was put in it"),
    (0, b"070701", "an initramfs (cpio)"),
    (0, b"!<arch>\ndebian-binary", "a Debian package: unpack it with dpkg-deb -x"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0x101, b"ustar", "a tar archive"),
    (0, b"hsqs", "a squashfs"),
    (0, b"#!", "a script"),
    (0, b"MZ", "an EFI program, but no Image"),
)
"""(offset, bytes there, what it is), the most telling first."""

_MACHINES = {3: "x86", 40: "32-bit Arm", 62: "x86-64", 183: "arm64", 243: "RISC-V"}


def trouble(path: str, head: bytes, size: int) -> str:
    """Why a file of `size` bytes that begins with `head` is no arm64 Image or only a part of
    one, in one sentence; else nothing. `path` is how the user names it."""
    if size == 0:
        return f"{path} is empty, and no arm64 Image."
    if head[56:60] != _MAGIC:
        what = _other(shlex.quote(path), head) or "of no kind that is known here"
        return f"{path} is no arm64 Image (arch/arm64/boot/Image of a kernel build): it is {what}."
    if size < _HEADER.size:
        return f"{path} is cut off: it ends within its header."
    *_, image_size, flags, _, pe = _HEADER.unpack_from(head)
    if flags & _BIG_ENDIAN:
        return f"{path} is a big-endian kernel, and the lab's guest is little-endian."
    if image_size == 0:
        return f"{path} is older than any kernel with SVE: its header tells no size."
    if image_size > MOST:
        return (
            f"{path} says that it takes {image_size >> 20} MiB of memory, where {MOST >> 20} are"
            " the most: it is damaged, or too large for the lab."
        )
    if not pe:
        return ""
    end = _end(head, pe)
    if end is None:
        return f"{path} is damaged: its header promises an EFI program, and none is there."
    if size < end:
        return f"{path} is cut off: it has {size} bytes of {end}."
    return ""


def version(content: bytes) -> tuple[int, int] | None:
    """(major, minor) of the kernel in an Image, as every kernel has it among its constants."""
    found = _VERSION.search(content)
    return (int(found[1]), int(found[2])) if found else None


def reach(content: bytes) -> int:
    """Bytes that an Image without an EFI header has at least, by its own relocations, which are
    for what is in the file and spread over most of that; 0 if it has none, or packed ones."""
    _, _, text_offset, image_size, _, _, pe = _HEADER.unpack_from(content)
    if pe:
        return 0
    at = content.find(_RELATIVE)
    while at >= 0:
        table = _RELOCATIONS.match(content, at - 6)
        if table:
            places = [place for place, _, _ in struct.iter_unpack("<3Q", table[0])]
            last: int = max(places) + 8 - (min(places) & -_LINKED_AT) - text_offset
            return last if last <= image_size else 0
        at = content.find(_RELATIVE, at + 1)
    return 0


def _end(head: bytes, pe: int) -> int | None:
    """Where the last section of a PE file ends in it; None if `head` holds no such header."""
    try:
        signature, count, optional = struct.unpack_from("<4s2xH12xH", head, pe)
        at = pe + 24 + optional
        ends = [sum(struct.unpack_from("<2I", head, at + n * _SECTION + 16)) for n in range(count)]
    except struct.error:
        return None
    return max(ends) if signature == b"PE\0\0" and ends else None


def _other(path: str, head: bytes) -> str:
    """What a file is that is no Image, and what to do about it; empty if that is unknown."""
    for mark, kind in _PACKED:
        if head.startswith(mark):
            return f"compressed with {kind}: unpack it with {_UNPACK[kind]} -dc < {path} > Image"
    if head[:2] == b"MZ" and head[4:8] == b"zimg":
        return _zboot(path, head)
    if head[:4] == b"\x7fELF":
        return _elf(path, head)
    for offset, mark, what in _KINDS:
        if head[offset : offset + len(mark)] == mark:
            return what
    return ""


def _zboot(path: str, head: bytes) -> str:
    start, size = struct.unpack_from("<2I", head.ljust(64, b"\0"), 8)
    kind = head[24:56].split(b"\0")[0].decode("ascii", "replace")
    if kind not in _UNPACK:
        return "an EFI zboot image: name the Image beside it"
    part = f"tail -c +{start + 1} {path} | head -c {size} | {_UNPACK[kind]} -dc"
    return f"an EFI zboot image: unpack it with {part} > Image"


def _elf(path: str, head: bytes) -> str:
    order = ">" if head[5:6] == b"\2" else "<"
    kind, machine = struct.unpack_from(f"{order}2H", head.ljust(64, b"\0"), 16)
    name = _MACHINES.get(machine, f"machine {machine}")
    if name != "arm64":
        return f"an ELF file for {name}"
    if kind == 1:
        return "a module or an object file"
    drop = "-R .note -R .note.gnu.build-id -R .comment -S"
    return (
        "an ELF file such as vmlinux: name the Image of the same build, or make one with"
        f" aarch64-linux-gnu-objcopy -O binary {drop} {path} Image"
    )
