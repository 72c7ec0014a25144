"""The in-process backend: compiles for arm64 everywhere, runs only there."""

from __future__ import annotations

import platform
import socket
import struct
import sysconfig
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cffi import FFI

from corpus.trace import Ending
from corpus.wire import Kind, WireOp, pack_request, unpack_response
from targets.kvm import build_native, native
from targets.kvm.lab.image import CROSS_COMPILER
from targets.transport import TransportError

ARM64 = platform.machine() == "aarch64"


@pytest.mark.skipif(ARM64, reason="an arm64 host has the backend")
def test_other_machines_are_told_why() -> None:
    with pytest.raises(TransportError, match="not aarch64"):
        native.NativeTransport().start()


@pytest.mark.skipif(native.unavailable() is not None, reason=str(native.unavailable()))
def test_probe_and_case_on_this_machine() -> None:
    transport = native.NativeTransport()
    try:
        assert transport.start()["api_version"] == "12"
        reply = transport.collect(transport.submit(pack_request([WireOp(Kind.CREATE_VCPU)])))
        assert reply.ending is Ending.OK
        assert reply.response is not None
        assert unpack_response(reply.response)[0].err == 0
    finally:
        transport.close()


@pytest.mark.long
def test_extension_compiles_for_arm64(tmp_path: Path) -> None:
    """Against this machine's headers; tests/test_native_in_lab.py takes arm64's and runs it."""
    headers = [Path(sysconfig.get_paths()["include"])]
    build_native.cross_compile(CROSS_COMPILER, headers, ".arm64.so", tmp_path)
    (extension,) = tmp_path.rglob("*.so")
    magic_and_machine = extension.read_bytes()[:20]
    assert magic_and_machine[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", magic_and_machine, 18) == (183,)  # EM_AARCH64


@pytest.mark.long
def test_an_extension_that_does_not_compile_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"^the executor for arm64 .*pyconfig\.h[^\n]*$"):
        build_native.cross_compile(CROSS_COMPILER, [], ".so", tmp_path)


def test_child_serves_until_its_line_closes() -> None:
    """The child's loop, with a function that echoes in the executor's place."""
    ffi = FFI()

    def echo(request: Any, size: int, response: Any, cap: int) -> int:
        ffi.memmove(response, request, size)
        return size

    module: Any = SimpleNamespace(ffi=ffi, lib=SimpleNamespace(vf_execute=echo))
    ours, theirs = socket.socketpair()
    child = threading.Thread(target=native.serve, args=(theirs, module), daemon=True)
    child.start()
    for text in (b"first", b"x" * 100_000):
        ours.sendall(struct.pack("<I", len(text)) + text)
        assert ours.recv(4, socket.MSG_WAITALL) == struct.pack("<I", len(text))
        assert ours.recv(len(text), socket.MSG_WAITALL) == text
    ours.close()
    child.join(10)
    assert not child.is_alive()
