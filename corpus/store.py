"""The cases kept in the repository, and the files and directories of users."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from corpus.case import Case
from corpus.domain import TextError
from corpus.inputs import is_text, read_document
from corpus.lines import MAX_SIZE, decoded
from corpus.text import Document, parse_document

ROOT = Path(__file__).parent
KEPT = ("seeds", "regressions", "known")


def load_document(path: Path) -> Document:
    """What a file says, in text or bytes; one named .case is text. Raises TextError, which
    names the file, and OSError."""
    data = _read(path)
    try:
        return parse_document(decoded(data)) if path.suffix == ".case" else read_document(data)
    except TextError as error:
        raise TextError(f"{path}: {error}") from None


def load_text(path: Path) -> str:
    """The text that a file holds. Raises TextError, which names the file, and OSError."""
    try:
        return decoded(_read(path))
    except TextError as error:
        raise TextError(f"{path}: {error}") from None


def load_case(path: Path) -> Case:
    """The case of a file. Raises TextError, OSError."""
    return load_document(path).case


def adopt_texts(directory: Path) -> None:
    """Put the bytes of each case in text that lies in a corpus beside it, for libFuzzer, which
    takes whatever it finds for bytes and cuts it. Raises TextError, OSError."""
    for folder, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if not name.startswith(".")]  # as libFuzzer does
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_file() and is_text(_read(path)):
                case = load_case(path)
                place = directory / case.id
                if not place.is_file() or place.read_bytes() != case.encoded:
                    place.write_bytes(case.encoded)


def keep(directory: Path, case: Case) -> bool:
    """Write a case under the name of its content, as libFuzzer does: whole or not at all; False
    if it is there. Raises OSError."""
    data = case.encoded
    place = directory / hashlib.sha1(data, usedforsecurity=False).hexdigest()
    with suppress(FileNotFoundError):
        if place.read_bytes() == data:
            return False
    directory.mkdir(parents=True, exist_ok=True)
    # libFuzzer passes over what begins with a dot.
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, place)
    except BaseException:
        os.unlink(name)
        raise
    return True


def _read(path: Path) -> bytes:
    """A file, or enough of it to see that it is too long. Raises OSError, which names it."""
    with naming(path), path.open("rb") as file:
        return file.read(MAX_SIZE + 1)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What goes wrong within is told of this file: an OSError of reading or writing names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def kept_files(folder: str) -> list[Path]:
    """The case files of one kept folder, sorted."""
    return sorted((ROOT / folder).glob("*.case"))


def kept_cases(folder: str) -> Iterator[Case]:
    """The cases of one kept folder. Raises TextError."""
    for path in kept_files(folder):
        yield load_case(path)
