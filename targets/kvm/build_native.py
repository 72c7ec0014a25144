"""The executor compiled into a Python extension (cffi API mode), for arm64 hosts."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

from cffi import FFI, VerificationError

from targets.cache import cache_dir
from targets.transport import TransportError

MODULE = "_vcpufuzz_executor"
EXECUTOR = Path(__file__).resolve().parent / "executor"
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
        sources=[str(path) for path in sorted(EXECUTOR.glob("*.c"))],
        include_dirs=[str(EXECUTOR)],
        define_macros=[("_GNU_SOURCE", None)],
        extra_compile_args=["-std=c11", "-O2"],
    )
    return ffi


def _key() -> str:
    digest = hashlib.sha256(CDEF.encode())
    for path in sorted(EXECUTOR.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def load() -> ModuleType:
    """The extension of the current sources, compiled once. Raises TransportError."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    kept = cache_dir() / "native" / _key()
    path = kept / f"{MODULE}{suffix}"
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
