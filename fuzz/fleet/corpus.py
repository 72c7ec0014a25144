"""The corpus of a fleet: cases by their content at a URL, and snapshots that list them.

What is there never changes, so that a copy of it is as good, and nothing is sent twice: a worker
fetches what it has not, and leaves only what is new.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Collection, Hashable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from corpus.case import Case, decode
from corpus.store import kept_cases
from targets import cache
from targets.cache import CacheError, cache_dir

CACHED = "fleet-corpus"
"""Where in the cache copies of cases lie that come from elsewhere."""

SHARED = "write a URL that all of them reach, such as s3://bucket/corpus or file:///shared/corpus"
"""What a fleet of several machines is asked for."""


class CorpusError(RuntimeError):
    """The corpus cannot be read or written; the message is one sentence."""


class Snapshot(msgspec.Struct, frozen=True):
    """Cases by id, in the order in which they came, and the digest of the features that they have
    together, which only who merges asks for."""

    cases: tuple[str, ...] = ()
    features: str = ""


class CorpusStore:
    """Cases at `url`, which fsspec understands; a path is a local directory. Everything raises
    CorpusError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fetched = self.sent = 0
        """Bytes that were read from elsewhere and written there."""
        try:
            self._fs, self._root = url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise CorpusError(f"{url}: {_words(error)}") from None
        self._local = isinstance(self._fs, LocalFileSystem)

    def check(self) -> None:
        """Find out whether it can be written."""
        place = f"{self._root}/.writable"
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(place, b"")
            self._fs.rm_file(place)
        except Exception as error:  # each file system has errors of its own
            raise CorpusError(f"the corpus {self.url} cannot be written: {_words(error)}") from None

    def put(self, cases: Iterable[Case]) -> tuple[str, ...]:
        """Leave cases there; the ids of all of them, each once."""
        found = {case.id: case for case in cases}
        for name, case in found.items():
            self._write(self._place(name), case.encoded)
        return tuple(found)

    def get(self, ids: Collection[str]) -> list[Case]:
        """Cases by id, in order."""
        places = {name: self._place(name) for name in dict.fromkeys(ids)}
        return [decode(self._read(place)) for place in places.values()]

    def save(self, cases: Sequence[str], features: Iterable[int]) -> str:
        """Leave a snapshot there; its digest, by which it is known from then on."""
        words = np.array(sorted(features), "<u8").tobytes()
        snapshot = Snapshot(tuple(cases), self._keep("features", words))
        return self._keep("snapshots", msgspec.json.encode(snapshot))

    def load(self, digest: str) -> Snapshot:
        """A snapshot by its digest; that of "" holds nothing: a corpus begins with the seeds."""
        if not digest:
            return Snapshot()
        return msgspec.json.decode(self._kept("snapshots", digest), type=Snapshot)

    def features(self, snapshot: Snapshot) -> set[int]:
        """The features that the cases of a snapshot have."""
        if not snapshot.features:
            return set()
        return set(np.frombuffer(self._kept("features", snapshot.features), "<u8").tolist())

    def _keep(self, room: str, data: bytes) -> str:
        packed = zlib.compress(data, 6)
        digest = hashlib.sha256(packed).hexdigest()
        self._write(f"{self._root}/{room}/{digest}", packed)
        return digest

    def _kept(self, room: str, digest: str) -> bytes:
        return zlib.decompress(self._read(f"{self._root}/{room}/{digest}"))

    def _place(self, name: str) -> str:
        return f"{self._root}/cases/{name[:2]}/{name}"

    def _write(self, place: str, data: bytes) -> None:
        """Whole or not at all, and only if it is not there."""
        try:
            if self._fs.exists(place):
                return
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            # A local file would be there by half while it is written, maybe by two processes.
            half = f"{place}.{secrets.token_hex(8)}.part"
            if self._local:
                self._fs.pipe_file(half, data)
                self._fs.mv(half, place)
            else:
                self._fs.pipe_file(place, data)
        except Exception as error:
            raise CorpusError(f"the corpus {self.url} cannot be written: {_words(error)}") from None
        self.sent += len(data)

    def _read(self, place: str) -> bytes:
        """What lies there, which its name is the digest of; a copy is kept near."""
        name = place.rpartition("/")[2]
        near = cache_dir() / CACHED / name
        if not self._local:
            with suppress(OSError):
                data = near.read_bytes()
                if _is(data, name):
                    return data
        data = self._fetch(place)
        if not _is(data, name):
            where = "/".join(place.split("/")[-2:])
            raise CorpusError(f"{where} of {self.url} is damaged")
        if not self._local:
            with suppress(CacheError, OSError):  # it is fetched again, then
                near.parent.mkdir(parents=True, exist_ok=True)
                cache.write(near, data)
        return data

    def _fetch(self, place: str) -> bytes:
        try:
            data: bytes = self._fs.cat_file(place)
        except FileNotFoundError:
            name = place.rpartition("/")[2]
            raise CorpusError(f"{self.url} lacks {name}, which it had") from None
        except Exception as error:
            raise CorpusError(f"the corpus {self.url} cannot be read: {_words(error)}") from None
        self.fetched += len(data)
        return data


def _is(data: bytes, name: str) -> bool:
    """Whether a name is that of some content: a digest, or for a case the beginning of one."""
    return hashlib.sha256(data).hexdigest().startswith(name)


def is_url(corpus: str) -> bool:
    """Whether it says where it is; a path is on whichever machine one is."""
    return "://" in corpus


def lay_out(store: CorpusStore, digest: str, directory: Path) -> frozenset[str]:
    """Put the cases of a snapshot into a directory for libFuzzer; the names of its files."""
    snapshot = store.load(digest)
    cases = store.get(snapshot.cases) if digest else list(kept_cases("seeds"))
    directory.mkdir(parents=True, exist_ok=True)
    for case in cases:
        (directory / case.id).write_bytes(case.encoded)
    return frozenset(case.id for case in cases)


def gathered(directory: Path, before: Collection[str]) -> list[Case]:
    """The cases that a campaign left in a directory beside those that were there; none twice."""
    found: dict[str, Case] = {}
    for path in sorted(directory.iterdir()):
        if path.name in before or path.name.startswith("."):
            continue
        data = path.read_bytes()
        # libFuzzer was killed where a file is not what its name says.
        if hashlib.sha1(data, usedforsecurity=False).hexdigest() == path.name:
            case = decode(data)
            found[case.id] = case
    return [case for name, case in found.items() if name not in before]


def numbered(features: Collection[Hashable]) -> frozenset[int]:
    """Features as numbers that are the same in every process."""
    return frozenset(
        int.from_bytes(hashlib.blake2b(repr(one).encode(), digest_size=8).digest(), "little")
        for one in features
    )


def _words(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())[:300]
