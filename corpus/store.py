"""The cases kept in the repository: seeds, regressions and known divergences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.case import Case, decode
from corpus.domain import TextError
from corpus.text import parse_case

ROOT = Path(__file__).parent
KEPT = ("seeds", "regressions", "known")


def load_case(path: Path) -> Case:
    """A case from a file, text or binary. Raises TextError, OSError."""
    data = path.read_bytes()
    if path.suffix == ".case":
        try:
            return parse_case(data.decode())
        except UnicodeDecodeError:
            raise TextError(f"{path} is named .case but is not text") from None
        except TextError as error:
            raise TextError(f"{path}: {error}") from None
    if _looks_like_text(data):
        return parse_case(data.decode())
    case = decode(data)
    if not case.ops:
        raise TextError(f"{path} holds no case")
    return case


def _looks_like_text(data: bytes) -> bool:
    head = data[:200]
    return bool(head) and all(32 <= byte < 127 or byte in (9, 10, 13) for byte in head)


def kept_files(folder: str) -> list[Path]:
    """The case files of one kept folder, sorted."""
    return sorted((ROOT / folder).glob("*.case"))


def kept_cases(folder: str) -> Iterator[Case]:
    """The cases of one kept folder. Raises TextError."""
    for path in kept_files(folder):
        yield load_case(path)
