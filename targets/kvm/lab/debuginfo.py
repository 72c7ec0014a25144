"""File and line of the kernel's functions, where its debug symbols are at hand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from targets.codemap import CodeMap

TOOLS = ("aarch64-linux-gnu-addr2line", "llvm-addr2line", "addr2line")
SYSTEM = Path("/usr/lib/debug")
"""Where Debian's -dbg packages put them."""
_LIMIT_S = 120


def vmlinux(image: Path, release: str, system: Path = SYSTEM) -> Path | None:
    """The kernel with its symbols: beside the Image, at the root of the tree that it was built
    in, or from a -dbg package."""
    places = [
        image.parent / "vmlinux",
        *(parent / "vmlinux" for parent in image.parents if (parent / "arch/arm64").is_dir()),
        system / "boot" / f"vmlinux-{release}",
        system / "lib/modules" / release / "vmlinux",
    ]
    return next((place for place in places if place.is_file()), None)


def lines(symbols: Path, code: CodeMap, names: Sequence[str]) -> Mapping[str, str]:
    """`file:line` by function, as far as the symbols say; nothing without a tool."""
    tool = next((found for name in TOOLS if (found := shutil.which(name))), None)
    wanted = [f for f in code.functions if f.name in set(names)]
    if tool is None or not wanted:
        return {}
    argv = [tool, "-e", str(symbols), *(f"{code.text + f.offset:#x}" for f in wanted)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    told = zip(wanted, done.stdout.splitlines(), strict=False)
    return {f.name: line.split(" ")[0] for f, line in told if not line.startswith("??")}
