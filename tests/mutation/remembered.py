"""What is known of this very tree already: a hunt takes long, and may be ended at any time. Which
survivors are listed makes no difference to it."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from mutation import survivors
from mutation.covering import Covering
from mutation.forks import Fate
from mutation.operators import Mutant

Key = tuple[str, str, str, str, int]
_SOURCES = ("corpus", "targets", "fuzz", "db", "tests")
KEPT = 6
"""Trees, or questions about them, of which something is known."""
_SUFFIXES = frozenset({".py", ".c", ".h", ".cc", ".toml", ".case", ".html", ".md", ".json"})


class Remembered:
    """Covering and fates, by the contents of the tree and by what is asked: `question`."""

    def __init__(self, folder: Path, root: Path, question: Iterable[str]) -> None:
        self.folder = folder / _digest(root, question)
        self._fates = self.folder / "fates.jsonl"
        self._covering = self.folder / "covering.pickle"

    def covering(self) -> Covering | None:
        """Which tests come to what, if that was found out."""
        if not self._covering.exists():
            return None
        found: Covering = pickle.loads(self._covering.read_bytes())
        return found

    def keep_covering(self, found: Covering) -> None:
        """For the next hunt; of trees that were looked at long before, nothing stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        others = sorted(self.folder.parent.glob("*/"), key=lambda path: path.stat().st_mtime)
        for old in others[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        part = self._covering.with_suffix(".part")
        part.write_bytes(pickle.dumps(found))
        part.rename(self._covering)

    def fates(self) -> Mapping[Key, Fate]:
        """Of mutants that were tried. A line that was cut is of one that was not."""
        found: dict[Key, Fate] = {}
        for line in self._fates.read_text().splitlines() if self._fates.exists() else ():
            try:
                path, scope, before, after, nth, fate = json.loads(line)
            except ValueError:
                continue
            found[path, scope, before, after, nth] = Fate[fate]
        return found

    def keep_fate(self, mutant: Mutant, fate: Fate) -> None:
        """As soon as it is known."""
        with self._fates.open("a") as file:
            file.write(json.dumps([*mutant.key, fate.name]) + "\n")


def _digest(root: Path, question: Iterable[str]) -> str:
    digest = hashlib.sha256(json.dumps([*question]).encode())
    for name in _SOURCES:
        for path in sorted((root / name).rglob("*")):
            ours = path.suffix in _SUFFIXES and path.name != survivors.FILE.name
            if ours and path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
