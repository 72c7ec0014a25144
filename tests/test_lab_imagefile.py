"""Files that are no arm64 Image, or not all of one, are told at once, each for what it is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import BANNER, arm64_image

from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from targets.kvm import legname
from targets.kvm.lab import image, imagefile, kernels
from targets.transport import TransportError

RAW = arm64_image()
EFI = arm64_image(efi=True)


def elf(machine: int, kind: int = 2, order: str = "<") -> bytes:
    start = b"\x7fELF" + bytes([2, 1 if order == "<" else 2]) + bytes(10)
    return start + struct.pack(f"{order}2H", kind, machine) + bytes(100)


def zboot(kind: bytes) -> bytes:
    """A kernel in the form of vmlinuz.efi, its payload packed by gzip."""
    payload = gzip.compress(RAW)
    head = struct.pack("<2s2x4s2I8x32s", b"MZ", b"zimg", 128, len(payload), kind)
    return head.ljust(128, b"\0") + payload


def at(offset: int, mark: bytes) -> bytes:
    return bytes(offset) + mark + bytes(1024)


NOT_ONE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one byte": (b"x", "no kind that is known"),
    "text": (b"hello\n" * 100, "no kind that is known"),
    "zeros": (bytes(100_000), "no kind that is known"),
    "a script": (b"#!/bin/sh\n" + bytes(200), "it is a script"),
    "gzip": (gzip.compress(RAW), "compressed with gzip: unpack it with gzip -dc < PATH > Image"),
    "bzip2": (bz2.compress(RAW), "unpack it with bzip2 -dc < PATH > Image"),
    "xz": (lzma.compress(RAW), "unpack it with xz -dc < PATH > Image"),
    "lzma": (
        lzma.compress(RAW, lzma.FORMAT_ALONE),
        "unpack it with xz --format=lzma -dc < PATH > Image",
    ),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "unpack it with zstd -dc < PATH > Image"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(100), "unpack it with lz4 -dc < PATH > Image"),
    "lz4, old": (b"\x02\x21\x4c\x18" + bytes(100), "unpack it with lz4 -dc < PATH > Image"),
    "lzo": (b"\x89LZO\0\r\n\x1a\n" + bytes(100), "unpack it with lzop -dc < PATH > Image"),
    "zboot": (zboot(b"gzip"), "an EFI zboot image: unpack it with tail -c +129 PATH | head -c "),
    "zboot, zstd": (zboot(b"zstd22"), "| zstd -dc > Image"),
    "zboot, unknown": (zboot(b"new"), "an EFI zboot image: name the Image beside it"),
    "zboot, cut": (zboot(b"gzip")[:10], "an EFI zboot image"),
    "vmlinux": (elf(183), "an ELF file such as vmlinux: name the Image of the same build, or"),
    "vmlinux, x86": (elf(62), "an ELF file for x86-64"),
    "vmlinux, other": (elf(8, order=">"), "an ELF file for machine 8"),
    "a module": (elf(183, 1), "a module or an object file"),
    "ELF, cut": (b"\x7fELF", "an ELF file for machine 0"),
    "bzImage": (b"MZ" + at(0x200, b"HdrS"), "a kernel for x86 (bzImage)"),
    "zImage": (at(0x24, b"\x18\x28\x6f\x01"), "a kernel for 32-bit Arm"),
    "RISC-V": (b"MZ" + at(0x36, b"RSC\x05"), "a kernel for RISC-V"),
    "LoongArch": (b"MZ" + at(0x36, b"\xcd\x23\x82\x81"), "a kernel for LoongArch"),
    "uImage": (at(0, b"\x27\x05\x19\x56"), "a U-Boot image"),
    "FIT": (at(0, b"\xd0\x0d\xfe\xed"), "a device tree or a U-Boot FIT"),
    "Android": (at(0, b"ANDROID!"), "an Android boot image"),
    "cpio": (at(0, b"070701"), "an initramfs"),
    "deb": (at(0, b"!<arch>\ndebian-binary   "), "a Debian package"),
    "rpm": (at(0, b"\xed\xab\xee\xdb"), "an RPM package"),
    "tar": (at(0x101, b"ustar"), "a tar archive"),
    "EFI program": (at(0, b"MZ"), "an EFI program, but no Image"),
    "header cut": (RAW[:62], "is cut off: it ends within its header"),
    "big-endian": (arm64_image(flags=0xB), "a big-endian kernel"),
    "no size": (arm64_image(image_size=0), "older than any kernel with SVE"),
    "too large": (arm64_image(image_size=1 << 31), "takes 2048 MiB of memory, where 480 are"),
    "EFI, cut": (EFI[:-1], f"is cut off: it has {len(EFI) - 1} bytes of {len(EFI)}"),
    "EFI, cut to its headers": (EFI[:200], f"is cut off: it has 200 bytes of {len(EFI)}"),
    "EFI, cut in its headers": (EFI[:120], "its header promises an EFI program"),
    "EFI header alone": (EFI[:64], "its header promises an EFI program"),
    "EFI, junk": (EFI[:64] + b"\xa5" * 500, "its header promises an EFI program"),
    "EFI, far away": (RAW[:60] + struct.pack("<I", 1 << 31) + RAW[64:], "an EFI program"),
    "junk after the header": (arm64_image(b"\xa5" * 5000), "does not say which version of Linux"),
    "zeros after the header": (arm64_image(bytes(5000)), "does not say which version of Linux"),
}


@pytest.mark.parametrize("what", NOT_ONE)
def test_a_file_that_is_no_image_is_told_for_what_it_is(what: str, tmp_path: Path) -> None:
    content, why = NOT_ONE[what]
    path = tmp_path / "Image"
    path.write_bytes(content)
    with pytest.raises(TransportError) as caught:
        kernels.own(path)
    said = str(caught.value)
    assert said.startswith(f"{path} ")
    assert why.replace("PATH", str(path)) in said
    assert said.endswith(".")
    assert "\n" not in said
    assert kernels.image_version(path) == (0, 0)


def relocated(reach: int, start: int = 0xFFFF_8000_0800_0000, count: int = 100) -> bytes:
    """An Image with relocations for its first `reach` bytes and no further."""
    places = [start + reach - 8 * (count - n) for n in range(count)]
    return arm64_image(
        BANNER.ljust(64, b"\0") + b"".join(struct.pack("<3Q", p, 0x403, start) for p in places)
    )


@pytest.mark.parametrize("start", [0xFFFF_8000_0800_0000, 0xFFFF_8000_8000_0000])
def test_relocations_tell_what_is_missing_of_an_image(start: int, tmp_path: Path) -> None:
    path = tmp_path / "Image"
    size = len(relocated(0x1000))
    path.write_bytes(relocated(size, start))
    assert kernels.own(path).path == path
    path.write_bytes(relocated(size + 1, start))
    with pytest.raises(TransportError) as caught:
        kernels.own(path)
    assert str(caught.value) == f"{path} is cut off: it has {size} bytes of {size + 1} or more."


@pytest.mark.parametrize("count", [5, 100])
def test_what_only_looks_like_relocations_is_no_reason(count: int, tmp_path: Path) -> None:
    """Too few of them, or for more than the kernel takes in memory."""
    path = tmp_path / "Image"
    path.write_bytes(relocated(1 << (12 if count == 5 else 22), count=count))
    assert kernels.own(path).path == path


@pytest.mark.parametrize("content", [RAW, EFI, EFI + b"a signature"])
def test_an_image_is_taken(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "Image"
    path.write_bytes(content)
    assert kernels.own(path).path == path
    assert kernels.image_version(path) == (6, 12)


def test_the_kernels_of_the_lab_are_taken_and_each_part_of_one_is_not(tmp_path: Path) -> None:
    kept = kernels.fetch("6.12")
    assert kernels.own(kept.path).sha256 == kept.sha256
    assert kernels.image_version(kept.path) == (6, 12)
    part = tmp_path / "part"
    shutil.copyfile(kept.path, part)
    size = part.stat().st_size
    # The last bytes are a signature, which no kernel needs.
    for left in (size - 8192, size * 9 // 10, size // 2, 1 << 20, 4096, 512, 64, 63, 60, 1):
        os.truncate(part, left)
        with pytest.raises(TransportError, match=r"is cut off|damaged|no arm64 Image"):
            kernels.own(part)


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda p: None, "kernel image PATH cannot be read: no such file or directory."),
    "a directory": (lambda p: p.mkdir(), "PATH is a directory, and no arm64 Image."),
    "a pipe": (os.mkfifo, "PATH is a pipe, and no arm64 Image."),
    "a device": (lambda p: p.symlink_to("/dev/zero"), "PATH is a device, and no arm64 Image."),
    "nowhere": (lambda p: p.symlink_to("none"), "PATH cannot be read: no such file or directory."),
    "itself": (lambda p: p.symlink_to(p), "PATH cannot be read: too many levels of symbolic"),
    "a socket": (
        lambda p: socket.socket(socket.AF_UNIX).bind(str(p)),
        "PATH is a socket, and no arm64 Image.",
    ),
    "unreadable": (lambda p: p.symlink_to("/proc/self/mem"), "PATH cannot be read: input"),
    "in a file": (lambda p: None, "FILE/Image cannot be read: not a directory."),
}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_told_without_waiting(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make, why = NO_FILES[what]
    (tmp_path / "FILE").touch()
    path = tmp_path / "FILE/Image" if what == "in a file" else Path("./Image")
    make(path)
    with pytest.raises(TransportError) as caught:
        kernels.own(path)
    assert why.replace("PATH", str(path)) in str(caught.value)
    assert kernels.image_version(path) == (0, 0)


def test_a_file_that_may_not_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Image"
    path.write_bytes(RAW)

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(TransportError, match=f"{path} cannot be read: permission denied"):
        kernels.own(path)


@given(content=st.binary(max_size=300), at=st.integers(0, 300), header=st.booleans())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_an_internal_error(content: bytes, at: int, header: bool) -> None:
    whole = EFI if header else RAW
    damaged = whole[:at] + content + whole[at + len(content) :]
    said = imagefile.trouble("path", damaged[: imagefile.HEAD], len(damaged))
    assert "\n" not in said
    if not said:
        assert imagefile.reach(damaged) <= 1 << 64
        imagefile.version(damaged)
    assert said == "" or said.startswith("path is ") or said.startswith("path says ")


@pytest.mark.parametrize(
    ("kind", "pack"), [("gzip", gzip.compress), ("xz", lzma.compress), ("bzip2", bz2.compress)]
)
def test_the_command_that_is_told_unpacks_it(
    kind: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    packed = tmp_path / "with space" / "vmlinuz"
    packed.parent.mkdir()
    packed.write_bytes(pack(RAW))
    with pytest.raises(TransportError) as caught:
        kernels.own(packed)
    command = str(caught.value).partition("unpack it with ")[2].rstrip(".")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / "Image").read_bytes() == RAW


def test_the_command_for_a_zboot_image_unpacks_it(tmp_path: Path) -> None:
    packed = tmp_path / "vmlinuz.efi"
    packed.write_bytes(zboot(b"gzip") + bytes(64))
    with pytest.raises(TransportError) as caught:
        kernels.own(packed)
    command = str(caught.value).partition("unpack it with ")[2].rstrip(".")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / "Image").read_bytes() == RAW


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        *(["lab", "boot", "kvm:{}:vhe"], ["lab", "log", "kvm:{}:nvhe"]),
        ["exec", "corpus/regressions/init-refused-leaves-nothing.case", "--legs", "kvm:{}"],
        ["replay", "corpus/regressions", "--legs", "kvm", "--kernel", "{}"],
        ["agent", "--leg", "kvm:{}:vhe", "--listen", "127.0.0.1:0"],
        ["run", "--legs", "kvm", "--kernel", "{}", "--cases", "5", "--db", "{}.db"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_commands_tell_it_in_seconds(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "Image"
    path.write_bytes(EFI[:-10])
    began = time.monotonic()
    result = CliRunner().invoke(main, [word.format(path) for word in command])
    assert time.monotonic() - began < 60
    assert result.exit_code == Exit.UNAVAILABLE
    said = result.stderr.splitlines()[-1]
    assert said.startswith("vcpufuzz: ")
    assert f"{path} is cut off: it has {len(EFI) - 10} bytes of {len(EFI)}" in said


@pytest.mark.lab
def test_a_kernel_that_goes_astray_is_not_waited_for(tmp_path: Path) -> None:
    """What no header tells: the kernel runs into what is not there."""
    path = tmp_path / "Image"
    path.write_bytes(arm64_image(BANNER + b"\xff" * 100_000))
    image.build()
    leg = legname.open_transport(legname.parse(f"kvm:{path}:vhe"))
    began = time.monotonic()
    try:
        with pytest.raises(TransportError, match="went astray before it said a word"):
            leg.start()
    finally:
        leg.close()
    assert time.monotonic() - began < 100
