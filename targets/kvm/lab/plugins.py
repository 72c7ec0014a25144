"""Plugins of QEMU's TCG, compiled for the QEMU that is found."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import Entry
from targets.transport import TransportError

FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden")
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Plugin:
    """`since`: the first version of QEMU that has what it asks for; `includes`: files of ours."""

    name: str
    source: Path
    since: int
    includes: tuple[Path, ...] = ()


COVERAGE = Plugin(
    "the coverage plugin",
    _HERE / "coverage" / "blocks.c",
    5,
    (_HERE.parent / "guest" / "channel.h",),
)
NARROW = Plugin("the plugin for fewer physical addresses", _HERE / "narrow.c", 11)

_INTERFACES = (11, 7), (9, 2), (5, 1)
"""Version of QEMU -> of its plugin interface, the newest first."""


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("gcc") or shutil.which("cc")


def interface(plugin: Plugin, qemu_version: str) -> int:
    """The version of the plugin interface to ask for: QEMU 9 dropped 0 and 1 and speaks 2
    and more, QEMU 11 dropped all below 7. Raises TransportError where there is none for it."""
    major = int(qemu_version.partition(".")[0])
    if major < plugin.since:
        raise TransportError(
            f"QEMU {qemu_version} cannot have {plugin.name}: it takes {plugin.since}."
        )
    return next(version for least, version in _INTERFACES if major >= least)


def build(plugin: Plugin, qemu_version: str) -> Path:
    """A plugin for a QEMU of this version, compiled once. Raises TransportError."""
    version = interface(plugin, qemu_version)
    gcc = compiler()
    if gcc is None:
        raise TransportError(
            f"gcc is not installed: {plugin.name} is compiled with it (package gcc)."
        )
    flags = (*FLAGS, f"-DPLUGIN_API={version}")
    files = (plugin.source, *plugin.includes)
    digest = hashlib.sha256(repr(flags).encode() + b"".join(file.read_bytes() for file in files))
    path = cache_dir() / "plugins" / f"{digest.hexdigest()[:16]}.so"

    def make(staged: Path) -> None:
        argv = [gcc, *flags, "-o", str(staged), str(plugin.source)]
        compile_(argv, plugin.name, staged.parent)

    return Entry(path, plugin.name).get(make)
