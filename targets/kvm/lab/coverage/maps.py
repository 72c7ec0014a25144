"""Maps of kernels that were booted before, kept by the hash of the image."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from targets.cache import cache_dir
from targets.codemap import CodeMap, Function
from targets.kvm.lab.coverage import areas


class _Stored(msgspec.Struct, array_like=True):
    text: int
    text_size: int
    functions: list[tuple[int, int, str, str]]


def _path(digest: str) -> Path:
    # A map is also made of our own knowledge of what belongs where.
    made_by = hashlib.sha256()
    for module in ("areas.py", "names.py"):
        made_by.update(Path(__file__).with_name(module).read_bytes())
    kept = cache_dir() / "maps"
    kept.mkdir(exist_ok=True)
    return kept / f"{digest[:32]}-{made_by.hexdigest()[:8]}.json"


def load(digest: str) -> CodeMap | None:
    """The map of the image with hash `digest`, if it is kept."""
    try:
        stored = msgspec.json.decode(_path(digest).read_bytes(), type=_Stored)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    functions = tuple(Function(*one) for one in stored.functions)
    return CodeMap(stored.text, stored.text_size, functions)


def save(digest: str, kallsyms: str) -> CodeMap:
    """Make the map from the kernel's `/proc/kallsyms`, and keep it. Raises NoSymbols."""
    made = areas.code_map(kallsyms)
    plain = [(f.offset, f.size, f.name, f.area) for f in made.functions]
    path = _path(digest)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(msgspec.json.encode(_Stored(made.text, made.text_size, plain)))
    os.replace(file.name, path)
    return made
