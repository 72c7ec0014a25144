"""Small kernel trees in git: a Makefile of a few lines, and what makes a directory a kernel's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MAKEFILE = """\
allnoconfig:
\tcp $(KCONFIG_ALLCONFIG) $(O)/.config
Image: build
.PHONY: build
build:
\t@grep -q BROKEN arch/arm64/kvm/guest.c && { echo "guest.c:1: error: broken"; exit 1; } || :
\techo once >> $(O)/made
\tmkdir -p $(O)/arch/arm64/boot
\tcp arch/arm64/kvm/guest.c $(O)/arch/arm64/boot/Image
"""

GUEST = "arch/arm64/kvm/guest.c"


class Tree:
    """A tree to try things on."""

    def __init__(self, path: Path, *, git: bool = True) -> None:
        self.path = path
        self.write(GUEST, "first\n")
        self.write("Makefile", MAKEFILE)
        self.write("drivers/misc/Makefile", "obj-y += other.o\n")
        self.write(".gitignore", "*.o\n")
        if git:
            self.git("init", "--quiet", "--initial-branch=master")
            self.git("config", "user.name", "Dev")
            self.git("config", "user.email", "dev@example.org")
            self.commit("Begin")

    def write(self, name: str, text: str) -> None:
        """A file of the tree."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, subject: str, text: str = "") -> str:
        """Commit all there is, with `text` as guest.c; return the commit."""
        if text:
            self.write(GUEST, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """What git says."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=clean,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def everything(self) -> dict[str, tuple[int, bytes]]:
        """Every file, those of git as well, with its time and content. Of an object of git's the
        content: who needs it marks it as used now, so that it is not cleaned away."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file())
        objects = self.path / ".git" / "objects"
        return {
            str(p.relative_to(self.path)): (
                0 if p.is_relative_to(objects) else p.stat().st_mtime_ns,
                p.read_bytes(),
            )
            for p in files
        }
