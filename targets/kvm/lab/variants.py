"""Small kernels that differ from each other in a line: built one after the other in one tree.

Only what a change touches is compiled again, so that each takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from targets import cache
from targets.cache import cache_dir, locked
from targets.kvm.lab import build
from targets.transport import TransportError


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a file of the kernel's source: `new` in place of `old`, which stands there
    once. `about`: what is wrong then; `more`: such pairs that belong to it."""

    name: str
    about: str
    file: str
    old: str
    new: str
    more: tuple[tuple[str, str], ...] = ()

    def applied(self, text: str) -> str:
        """The file with the change. Raises TransportError if it does not fit."""
        for old, new in ((self.old, self.new), *self.more):
            count = text.count(old)
            if count != 1:
                raise TransportError(
                    f"{self.name} does not fit {self.file}: what it changes is there {count} times."
                )
            text = text.replace(old, new)
        return text


class Tree:
    """A configured source tree, in which kernels are built."""

    def __init__(self, root: Path, jobs: int) -> None:
        self._root, self._jobs = root, jobs
        self.log = root.parent / "build.log"

    def build(self) -> Path:
        """The Image of the tree as it is; the next one takes its place. Raises TransportError."""
        self.log.write_bytes(b"")
        build.make(self._root, self.log, [f"-j{self._jobs}", "Image"])
        return self._root / build.IMAGE

    @contextmanager
    def edited(self, *edits: Edit) -> Iterator[Path]:
        """The Image with changes, of a file each, which are taken back afterwards. Raises
        TransportError."""
        before = {edit.file: self._text(edit.file) for edit in edits}
        after = {edit.file: edit.applied(before[edit.file]) for edit in edits}
        try:
            for file, text in after.items():
                (self._root / file).write_text(text)
            yield self.build()
        finally:
            for file, text in before.items():
                (self._root / file).write_text(text)

    def check(self, edits: Sequence[Edit]) -> None:
        """Raises TransportError for a change that does not fit the source."""
        for edit in edits:
            edit.applied(self._text(edit.file))

    def _text(self, file: str) -> str:
        try:
            return (self._root / file).read_text()
        except FileNotFoundError:
            raise TransportError(f"{self._root} has no {file}, as a kernel's source has.") from None


@contextmanager
def source_tree(
    source: str,
    jobs: int = 0,
    say: Callable[[str], None] = lambda _: None,
    checks: Sequence[str] = (),
) -> Iterator[Tree]:
    """The source of a release's small kernel, configured, with these self-checks; gone
    afterwards. Raises TransportError."""
    build.check_tools()
    work = cache_dir() / "variants"
    with locked(work, "building kernels"), cache.scratch(work) as scratch:
        say(f"fetching the source of kernel {source}")
        root, _ = build.fetch_source(source, scratch, say)
        tree = Tree(root, jobs or build.cpus())
        build.configure(root, tree.log, source, checks)
        yield tree
