"""The lab guest's initramfs: the executor and its init, cross-compiled into one static file."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import Entry
from targets.kvm.lab import cpio
from targets.transport import TransportError

KVM = Path(__file__).resolve().parent.parent
EXECUTOR = KVM / "executor"
GUEST = KVM / "guest"
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static")
CROSS_COMPILER = "aarch64-linux-gnu-gcc"


@dataclass(frozen=True, slots=True)
class Image:
    """An initramfs; `key` is the hash of all it was made from."""

    path: Path
    key: str


def find_compiler() -> str:
    """The compiler of the lab guest. Raises TransportError."""
    names = [CROSS_COMPILER, *(["gcc", "cc"] if platform.machine() == "aarch64" else [])]
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise TransportError(
        f"{CROSS_COMPILER} is not installed: the lab guest is compiled with it"
        " (package gcc-aarch64-linux-gnu)."
    )


def _sources() -> list[Path]:
    return sorted(path for d in (EXECUTOR, GUEST) for path in d.glob("*.[ch]"))


def _key(compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(repr((FLAGS, version)).encode())
    for path in _sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build() -> Image:
    """The initramfs of the current sources, compiled once. Raises TransportError."""
    compiler = find_compiler()
    key = _key(compiler)

    def make(staged: Path) -> None:
        binary = staged.with_name("init")
        objects = [str(path) for path in _sources() if path.suffix == ".c"]
        compile_([compiler, *FLAGS, "-o", str(binary), *objects], "the lab guest", staged.parent)
        files = [
            cpio.directory("dev"),
            cpio.character_device("dev/console", 5, 1),
            cpio.executable("init", binary.read_bytes()),
        ]
        staged.write_bytes(cpio.archive(files))

    entry = Entry(cache_dir() / "images" / f"{key}.cpio", "the lab guest's initramfs")
    return Image(entry.get(make), key)
