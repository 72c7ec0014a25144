"""The executor compiled into a Python extension (cffi API mode), for arm64 hosts."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from cffi import FFI, VerificationError

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import Entry
from targets.transport import TransportError

MODULE = "_vcpufuzz_executor"
EXECUTOR = Path(__file__).resolve().parent / "executor"
FLAGS = ["-std=c11", "-O2"]
MACROS = [("_GNU_SOURCE", None)]
CDEF = """
size_t vf_execute(const uint8_t *req, size_t req_len, uint8_t *resp, size_t resp_cap);
"""


def builder() -> FFI:
    """The extension's description; `emit_c_code` of it needs no arm64 host."""
    ffi = FFI()
    ffi.cdef(CDEF)
    ffi.set_source(
        MODULE,
        '#include "executor.h"',
        sources=_sources(),
        include_dirs=[str(EXECUTOR)],
        define_macros=MACROS,
        extra_compile_args=FLAGS,
    )
    return ffi


def cross_compile(compiler: str, headers: Sequence[Path], suffix: str, cache: Path) -> None:
    """Put the extension where `load` of a machine with the cache directory `cache` finds it.

    `headers`: include directories of that machine's Python; `suffix`: of its extensions.
    Raises TransportError.
    """

    def make(staged: Path) -> None:
        source = staged.with_name(f"{MODULE}.c")
        with redirect_stdout(None):  # cffi tells what it does
            builder().emit_c_code(str(source))
        options = [*FLAGS, *(f"-D{name}" for name, _ in MACROS), "-fPIC", "-shared"]
        includes = [f"-I{path}" for path in (*headers, EXECUTOR)]
        argv = [compiler, *options, *includes, "-o", str(staged), str(source), *_sources()]
        compile_(argv, "the executor for arm64", staged.parent)

    _entry(cache, suffix).get(make)


def _sources() -> list[str]:
    return [str(path) for path in sorted(EXECUTOR.glob("*.c"))]


def _entry(cache: Path, suffix: str) -> Entry:
    return Entry(cache / "native" / key() / f"{MODULE}{suffix}", "the executor of this machine")


def key() -> str:
    """The hash of all the extension is made of."""
    digest = hashlib.sha256(CDEF.encode())
    for path in sorted(EXECUTOR.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def load() -> ModuleType:
    """The extension of the current sources, compiled once. Raises TransportError."""

    def make(staged: Path) -> None:
        try:
            built = builder().compile(tmpdir=str(staged.parent))
        except (VerificationError, OSError) as error:
            raise TransportError(
                "the executor does not compile on this host"
                f" (it needs gcc, libc6-dev and python3-dev): {error}"
            ) from error
        Path(built).rename(staged)

    path = _entry(cache_dir(), importlib.machinery.EXTENSION_SUFFIXES[0]).get(make)
    loader = importlib.machinery.ExtensionFileLoader(MODULE, str(path))
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
