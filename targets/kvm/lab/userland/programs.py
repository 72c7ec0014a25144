"""Debian's arm64 packages of programs that are to run in a guest, unpacked into the cache."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from corpus.domain import TextError
from targets.cache import cache_dir
from targets.entry import Entry
from targets.kvm.lab import kernels
from targets.kvm.lab.apt import AptRoot
from targets.kvm.lab.userland.packages import SUITE
from targets.kvm.lab.userland.tree import below

LIBC = "libc6"
LEFT_OUT = (
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*"),
    *("usr/share/perl*", "usr/lib/*/gconv/*", "var/*", "etc/*", "usr/sbin/*"),
)
"""What of them no program needs here: patterns over paths."""


def tree(names: Sequence[str]) -> Path:
    """The packages with all they depend on, as the root of a file system; downloaded if not
    kept. Raises TransportError, and TextError for what is no name."""
    wrong = next((name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name)), None)
    if wrong is not None:
        raise TextError(f"{wrong!r} is no name of a Debian package")
    wanted = sorted({LIBC, *names})
    entry = Entry(
        cache_dir() / "userland" / "programs" / f"{SUITE}-{'-'.join(wanted)}",
        f"the userland with {', '.join(wanted)}",
        how="is fetched anew",
    )

    def download(staged: Path) -> None:
        root = AptRoot(SUITE)
        root.update()
        for name in wanted:
            for deb in root.download_with_dependencies(name):
                kernels.unpack(deb, staged)
                deb.unlink()
        for path in list(below(staged)):
            if any(fnmatchcase(str(path), pattern) for pattern in LEFT_OUT):
                (staged / path).unlink()
        for place in ("bin", "lib", "sbin"):  # as in a merged /usr, whatever a package says
            if (staged / place).is_dir() and not (staged / place).is_symlink():
                shutil.copytree(staged / place, staged / "usr" / place, dirs_exist_ok=True)
                shutil.rmtree(staged / place)

    return entry.get(download)
