"""The executor compiled into a Python extension (cffi API mode), for arm64 hosts."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from cffi import FFI, VerificationError

from targets.cache import cache_dir
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
    ffi = builder()
    kept = _kept_in(cache)
    kept.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=kept) as work:
        source, built = Path(work) / f"{MODULE}.c", Path(work) / "built"
        with redirect_stdout(None):  # cffi tells what it does
            ffi.emit_c_code(str(source))
        options = [*FLAGS, *(f"-D{name}" for name, _ in MACROS), "-fPIC", "-shared"]
        includes = [f"-I{path}" for path in (*headers, EXECUTOR)]
        done = subprocess.run(
            [compiler, *options, *includes, "-o", str(built), str(source), *_sources()],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "")
            raise TransportError(
                f"the executor does not compile for arm64: {first or done.stderr.strip()}"
            )
        os.replace(built, kept / f"{MODULE}{suffix}")


def _sources() -> list[str]:
    return [str(path) for path in sorted(EXECUTOR.glob("*.c"))]


def _kept_in(cache: Path) -> Path:
    return cache / "native" / key()


def key() -> str:
    """The hash of all the extension is made of."""
    digest = hashlib.sha256(CDEF.encode())
    for path in sorted(EXECUTOR.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def load() -> ModuleType:
    """The extension of the current sources, compiled once. Raises TransportError."""
    kept = _kept_in(cache_dir())
    path = kept / f"{MODULE}{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    if not path.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=kept) as work:
            try:
                built = builder().compile(tmpdir=work)
            except (VerificationError, OSError) as error:
                raise TransportError(
                    "the executor does not compile on this host"
                    f" (a C compiler and Python's headers are needed): {error}"
                ) from error
            os.replace(built, path)
    loader = importlib.machinery.ExtensionFileLoader(MODULE, str(path))
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
