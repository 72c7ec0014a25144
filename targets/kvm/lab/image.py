"""The lab guest's initramfs: the executor and its init, cross-compiled into one static file."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir
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
    kept = cache_dir() / "images"
    kept.mkdir(exist_ok=True)
    path = kept / f"{key}.cpio"
    if path.is_file():
        return Image(path, key)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=kept) as name:
        binary = Path(name) / "init"
        objects = [str(path) for path in _sources() if path.suffix == ".c"]
        done = subprocess.run(
            [compiler, *FLAGS, "-o", str(binary), *objects],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "")
            raise TransportError(f"the lab guest does not compile: {first or done.stderr.strip()}")
        staged = Path(name) / "initramfs"
        staged.write_bytes(
            cpio.archive(
                [
                    cpio.directory("dev"),
                    cpio.character_device("dev/console", 5, 1),
                    cpio.executable("init", binary.read_bytes()),
                ]
            )
        )
        os.replace(staged, path)
    return Image(path, key)
