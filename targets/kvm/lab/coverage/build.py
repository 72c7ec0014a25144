"""The coverage plugin, compiled for the QEMU that is found."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import Entry
from targets.transport import TransportError

SOURCE = Path(__file__).with_name("blocks.c")
CHANNEL = Path(__file__).parents[2] / "guest" / "channel.h"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden")


_INTERFACES = (11, 7), (9, 2), (5, 1)
"""Version of QEMU -> of its plugin interface, the newest first."""


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("gcc") or shutil.which("cc")


def plugin_api(qemu_version: str) -> int:
    """The version of the plugin interface to ask for: QEMU 9 dropped 0 and 1 and speaks 2
    and more, QEMU 11 dropped all below 7. Raises TransportError where there are no plugins."""
    major = int(qemu_version.partition(".")[0])
    if major < 5:
        raise TransportError(f"QEMU {qemu_version} knows no plugins: kernel coverage needs 5.")
    return next(api for least, api in _INTERFACES if major >= least)


def build(qemu_version: str) -> Path:
    """The plugin for a QEMU of this version, compiled once. Raises TransportError."""
    gcc = compiler()
    if gcc is None:
        raise TransportError(
            "gcc is not installed: the coverage plugin is compiled with it (package gcc)."
        )
    flags = (*FLAGS, f"-DPLUGIN_API={plugin_api(qemu_version)}")
    digest = hashlib.sha256(repr(flags).encode() + SOURCE.read_bytes() + CHANNEL.read_bytes())
    path = cache_dir() / "plugins" / f"{digest.hexdigest()[:16]}.so"

    def make(staged: Path) -> None:
        argv = [gcc, *flags, "-o", str(staged), str(SOURCE)]
        compile_(argv, "the coverage plugin", staged.parent)

    return Entry(path, "the coverage plugin").get(make)
