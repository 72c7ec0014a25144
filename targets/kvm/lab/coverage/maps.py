"""Maps of kernels that were booted before, kept by the hash of the image."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from targets.cache import cache_dir
from targets.codemap import CodeMap, Function
from targets.entry import Entry
from targets.kvm.lab.coverage import areas


class _Stored(msgspec.Struct, array_like=True):
    text: int
    text_size: int
    functions: list[tuple[int, int, str, str]]
    vectors: int | None


def _entry(digest: str) -> Entry:
    # A map is also made of our own knowledge of what belongs where.
    made_by = hashlib.sha256()
    for module in ("areas.py", "names.py"):
        made_by.update(Path(__file__).with_name(module).read_bytes())
    name = f"{digest[:32]}-{made_by.hexdigest()[:8]}.json"
    return Entry(cache_dir() / "maps" / name, "the map of the kernel's code")


def load(digest: str) -> CodeMap | None:
    """The map of the image with hash `digest`, if it is kept. Raises CacheError."""
    entry = _entry(digest)
    if not entry.kept():
        return None
    try:
        stored = msgspec.json.decode(entry.path.read_bytes(), type=_Stored)
    except (OSError, msgspec.MsgspecError):  # gone this moment, or of another version of ours
        return None
    functions = tuple(Function(*one) for one in stored.functions)
    return CodeMap(stored.text, stored.text_size, functions, stored.vectors)


def save(digest: str, kallsyms: str) -> CodeMap:
    """Make the map from the kernel's `/proc/kallsyms`, and keep it. Raises NoSymbols,
    CacheError."""
    made = areas.code_map(kallsyms)
    plain = [(f.offset, f.size, f.name, f.area) for f in made.functions]
    packed = msgspec.json.encode(_Stored(made.text, made.text_size, plain, made.vectors))
    _entry(digest).put(lambda staged: staged.write_bytes(packed))
    return made
