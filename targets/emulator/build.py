"""The emulator's worker program, compiled once per state of its sources."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import Entry
from targets.transport import TransportError

SOURCES = Path(__file__).resolve().parent / "worker"
FLAGS = ("-std=c++17", "-O2")
SIMULATOR_MACRO = "-DVIXL_INCLUDE_SIMULATOR_AARCH64"


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TransportError(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def check_tools() -> None:
    """Raises TransportError naming the Debian package that is missing."""
    for tool, package in (("g++", "g++"), ("pkg-config", "pkgconf")):
        if shutil.which(tool) is None:
            raise TransportError(
                f"The emulator needs {tool}, which is missing: apt install {package}."
            )
    if subprocess.run(("pkg-config", "--exists", "vixl"), check=False).returncode != 0:
        raise TransportError("The emulator needs VIXL, which is missing: apt install libvixl-dev.")
    if SIMULATOR_MACRO not in _run("pkg-config", "--cflags", "vixl").split():
        raise TransportError(
            "The installed libvixl-dev lacks VIXL's AArch64 simulator (Debian's arm64 build"
            " leaves it out): install libvixl-dev on an amd64 machine and run the emulator there."
        )


def vixl_version() -> str:
    """The version of the installed VIXL, such as 5.1.0."""
    return _run("pkg-config", "--modversion", "vixl")


def _key(flags: list[str]) -> str:
    digest = hashlib.sha256("\0".join((vixl_version(), *flags)).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def worker_binary() -> Path:
    """The worker for the current sources; compiles it if need be. Raises TransportError."""
    check_tools()
    flags = [*FLAGS, *_run("pkg-config", "--cflags", "vixl").split()]
    sources = [str(path) for path in sorted(SOURCES.glob("*.cc"))]

    def make(staged: Path) -> None:
        libraries = _run("pkg-config", "--libs", "vixl").split()
        argv = ["g++", *flags, *sources, "-o", str(staged), *libraries]
        compile_(argv, "the emulator's worker", staged.parent)

    path = cache_dir() / "emulator" / _key(flags) / "worker"
    return Entry(path, "the emulator's worker").get(make)
