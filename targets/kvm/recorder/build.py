"""The recorder, compiled into a static program for arm64."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import Entry
from targets.kvm.lab import image

HERE = Path(__file__).parent
RECORDER = ("memory.c", "notes.c", "recorder.c")
START = ("start.c",)
"""What starts it in a guest of the lab."""


def build(sources: Sequence[str] = RECORDER) -> Path:
    """A program of the current sources, compiled once. Raises TransportError."""
    return build_with(image.find_compiler(), sources)


def build_with(compiler: str, sources: Sequence[str] = RECORDER) -> Path:
    """The same by a compiler, also one for another machine."""
    digest = hashlib.sha256(repr((compiler, image.FLAGS, sources)).encode())
    for path in sorted(HERE.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")

    def make(staged: Path) -> None:
        argv = [compiler, *image.FLAGS, "-o", str(staged), *(str(HERE / name) for name in sources)]
        compile_(argv, "the recorder", staged.parent)

    path = cache_dir() / "recorder" / digest.hexdigest()[:16]
    return Entry(path, "the recorder").get(make)
