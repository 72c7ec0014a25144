"""A user's kernel tree, read and never written.

A repository of our own borrows the objects of the user's, if there is one, and takes up what
stands in the directory as a commit. Whatever is checked out, built or bisected is ours, so
that neither the user's files nor index, refs or list of worktrees ever change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir, using
from targets.kvm.lab import build
from targets.transport import TransportError

SHORT = 12
"""Digits of a commit that stand in a leg's name."""

_MARK = "arch/arm64/kvm"
"""What no tree of another project has."""

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "core.looseCompression": "1",
    "core.quotePath": "false",
    "core.sparseCheckout": "true",
    "gc.auto": "0",
    "advice.detachedHead": "false",
    "user.name": "vcpufuzz",
    "user.email": "vcpufuzz@localhost",
}
"""Settings that hold in the repository of ours, whatever those of the user are."""

_EPOCH = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
"""So that the same files are the same commit."""


class TreeError(TransportError):
    """A tree or a revision that cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit to build. `short` stands in the leg's name: digits of the commit, then, of what
    is not committed, `+` and digits of the files."""

    commit: str
    short: str
    subject: str


class Shadow:
    """The repository of ours for one tree. What writes to it wants `home` locked."""

    def __init__(self, tree: Path) -> None:
        """Raises TreeError for a directory that holds no kernel."""
        self.tree = tree.resolve()
        self.theirs = _repository(self.tree)
        if self.theirs is None and not (self.tree / _MARK).is_dir():
            raise TreeError(f"{tree} is no kernel tree: it has no {_MARK}.")
        digest = hashlib.sha256(os.fsencode(self.tree)).hexdigest()[:8]
        self.home = cache_dir() / "trees" / f"{self.label}-{digest}"
        self.source = self.home / "source"
        self._git_dir = self.home / "git"

    @property
    def label(self) -> str:
        """The directory's name as it stands in a leg's name."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.tree.name).strip("-.") or "tree"

    def open(self) -> None:
        """Make the repository, or bring what it knows of the user's up to date. Raises
        TransportError."""
        with using(self.home):
            self.source.mkdir(parents=True, exist_ok=True)
            if not (self._git_dir / "HEAD").exists():
                shutil.rmtree(self._git_dir, ignore_errors=True)
                _run(["git", "init", "--quiet", "--bare", str(self._git_dir)], self.home)
                self.git("config", "core.bare", "false")
            for left in self._git_dir.glob("*.lock"):  # a killed process's
                left.unlink()
            info = self._git_dir / "info"
            info.mkdir(exist_ok=True)
            left_out = "".join(f"!/{p.removeprefix('*/')}\n" for p in build.LEFT_OUT)
            (info / "sparse-checkout").write_text(f"/*\n{left_out}")
            self._borrow()

    def _borrow(self) -> None:
        if self.theirs is None:
            return
        objects = _git_path(self.tree, "objects")
        (self._git_dir / "objects/info/alternates").write_bytes(os.fsencode(objects) + b"\n")
        shallow, ours = _git_path(self.tree, "shallow"), self._git_dir / "shallow"
        if shallow.exists():
            shutil.copyfile(shallow, ours)
        else:
            ours.unlink(missing_ok=True)

    def git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """What git says in our repository. Raises TreeError."""
        where = [f"--git-dir={self._git_dir}", f"--work-tree={self.source}"]
        settings = [word for pair in _SETTINGS.items() for word in ("-c", "=".join(pair))]
        return _run(["git", *settings, *where, *arguments], self.source, env)

    def resolve(self, revision: str) -> Revision:
        """The commit that the user's repository means by a revision. Raises TreeError."""
        if self.theirs is None:
            raise TreeError(
                f"{self.tree} is no git repository, so it has no revision {revision!r}."
            )
        if revision.startswith("-"):
            raise TreeError(f"{revision!r} is no revision.")
        try:
            commit = _ask(self.tree, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except TreeError:
            raise TreeError(f"{self.tree} has no revision {revision!r}.") from None
        with suppress(TreeError):
            _ask(self.tree, "cat-file", "-e", f"{commit}:{_MARK}")
            return self.described(commit)
        raise TreeError(f"{revision} in {self.tree} is no kernel tree: it has no {_MARK}.")

    def described(self, commit: str) -> Revision:
        """A commit of the user's, by its full id. Raises TreeError."""
        return Revision(commit, commit[:SHORT], self._subject(commit))

    def author(self, revision: Revision) -> str:
        """Who wrote a commit, and when, as `Name, 2026-01-31`. Raises TreeError."""
        return self.git("show", "--no-patch", "--format=%an, %as", revision.commit)

    def _subject(self, commit: str) -> str:
        return _ask(self.tree, "show", "--no-patch", "--format=%s", commit)

    def snapshot(self) -> Revision:
        """The directory as it stands, without what its .gitignore leaves out; the user's own
        last commit if nothing is changed. Raises TreeError."""
        if not (self.tree / _MARK).is_dir():
            raise TreeError(f"{self.tree} holds no files of a kernel: name a commit to build.")
        head = self._head()
        index = self.home / "snapshot.index"
        if head:
            # Theirs knows which files are unchanged, and which are tracked though ignored.
            theirs = _git_path(self.tree, "index")
            with using(self.home):
                if theirs.exists():
                    shutil.copyfile(theirs, index)
        env = {"GIT_INDEX_FILE": str(index)}
        where = [f"--git-dir={self._git_dir}", f"--work-tree={self.tree}"]
        settings = [word for pair in _SETTINGS.items() for word in ("-c", "=".join(pair))]
        settings += ["-c", "core.sparseCheckout=false"]
        with using(self.home):
            _run(["git", *settings, *where, "add", "--all"], self.tree, env)
        files = self.git("write-tree", env=env)
        if head and files == _ask(self.tree, "rev-parse", f"{head}^{{tree}}"):
            return self.described(head)
        parent = ["-p", head] if head else []
        commit = self.git("commit-tree", *parent, "-m", "As it stands", files, env=_EPOCH)
        short = f"{head[:SHORT]}+{files[:6]}" if head else files[:SHORT]
        return Revision(commit, short, "the directory as it stands")

    def _head(self) -> str:
        if self.theirs is None:
            return ""
        try:
            return _ask(self.tree, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except TreeError:  # nothing is committed yet
            return ""

    def check_out(self, revision: Revision) -> None:
        """Have `source` hold a revision; files that are the same keep their times. Raises
        TransportError."""
        with using(self.home):
            self.git("checkout", "--quiet", "--force", "--detach", revision.commit)


def _repository(tree: Path) -> str | None:
    """The git directory of a tree, if it is the top of a repository or a bare one."""
    if not tree.is_dir():
        raise TreeError(f"{tree} is no directory.")
    try:
        found = _ask(tree, "rev-parse", "--absolute-git-dir")
        if _ask(tree, "rev-parse", "--is-bare-repository") == "true":
            return found
        top = _ask(tree, "rev-parse", "--show-toplevel")
    except TreeError as error:
        if "dubious ownership" in str(error):
            raise
        return None
    return found if Path(top) == tree else None


def _git_path(tree: Path, name: str) -> Path:
    return tree / _ask(tree, "rev-parse", "--git-path", name)


def _ask(tree: Path, *arguments: str) -> str:
    """What git says of the user's repository; nothing is written there. Raises TreeError."""
    return _run(["git", "-c", "core.fsmonitor=false", *arguments], tree)


def _run(argv: Sequence[str], where: Path, env: Mapping[str, str] | None = None) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    clean |= {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            argv,
            cwd=where,
            env={**clean, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise TreeError("git is not installed: trees are read with it (package git).") from None
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in said if line.startswith("fatal:")), said[0] if said else "")
        raise TreeError(f"git says of {where}: {why.removeprefix('fatal: ') or 'nothing'}.")
    return done.stdout.strip()
