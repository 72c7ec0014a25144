"""The emulator's worker as a process: framing, crashes, hangs, several at once."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from emulator_leg import EXIT, SVE_VCPU, Leg, get, open_leg, put, run, z

from corpus.domain import TextError
from corpus.trace import Ending
from corpus.wire import SVCR_SHIFT, Kind, WireError, WireOp, pack_request, unpack_response
from targets.emulator import build
from targets.emulator import transport as transport_module
from targets.emulator.legname import EmulatorSpec, open_transport, parse
from targets.emulator.transport import EmulatorTransport
from targets.transport import START_TRIES, TransportError

SMALL = pack_request([*SVE_VCPU, run(*EXIT)])


@pytest.fixture
def leg() -> Iterator[Leg]:
    with open_leg("emulator:keep") as opened:
        yield opened


def worker_pid(transport: EmulatorTransport) -> int:
    assert transport._worker is not None
    return transport._worker.process.pid


def test_leg_names() -> None:
    assert parse("emulator:keep") == EmulatorSpec("keep")
    assert parse("emulator:zero:vq=1,2,4") == EmulatorSpec("zero", (1, 2, 4))
    assert parse("emulator:keep:vq=1-4").vqs == (1, 2, 3, 4)
    for name in ("emulator:keep", "emulator:zero:vq=1,2,4"):
        assert parse(name).name == name
    assert parse("emulator:zero:vq=1-16").name == "emulator:zero"


@pytest.mark.parametrize(
    "name",
    [
        *("kvm:native", "emulator", "emulator:", "emulator:both", "emulator:keep:vq=1:x"),
        *("emulator:keep:lots", "emulator:keep:vq=2"),
    ],
)
def test_names_that_stand_for_nothing(name: str) -> None:
    with pytest.raises(TextError, match=r"^[^\n]+$"):
        parse(name)


def test_probe() -> None:
    with closing(open_transport(parse("emulator:zero:vq=1,2"))) as transport:
        probe = transport.start()
    assert probe["release"] == "emulator"
    assert (probe["vqs"], probe["tail"], probe["cap.sve"]) == ("1,2", "zero", "1")
    assert int(probe["id_aa64pfr0"], 0) >> 32 & 15 == 1
    assert probe["vixl"][0].isdigit()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"VFC1",
        SMALL[:-8],
        SMALL[:8] + struct.pack("<I", 9) + SMALL[12:],
        b"XXXX" + SMALL[4:],
        SMALL[:4] + struct.pack("<I", len(SMALL) + 8) + SMALL[8:],
        pack_request([WireOp(Kind.PROBE), WireOp(Kind.PROBE)]),
        pack_request([WireOp(Kind.INIT, 0, 5, 0, bytes(24))]),
        pack_request([WireOp(Kind.RUN, 0, 0, 0, bytes(0x3004))]),
        pack_request([WireOp(Kind.READ_ALL, 0, 0, 0, struct.pack("<II", 1, 0))]),
        pack_request([WireOp(Kind.GET_REG, 0, 0, 0x10002)]),
        pack_request([WireOp(Kind.HOST_RUN, 0, 0, 0, bytes(0x3004))]),
        pack_request([WireOp(Kind.HOST_RUN, 0, 0, 4 << SVCR_SHIFT)]),
        pack_request([WireOp(Kind.THREADS, 0, 0, 0, bytes(7))]),
        pack_request([WireOp(Kind.THREADS, 0, 0, 0, struct.pack("<II", 1, 2))]),
        pack_request([WireOp(Kind.MIGRATE, 0, 0, 0, bytes(31))]),
        pack_request([WireOp(Kind.MIGRATE, 0, 256, 0, bytes(32))]),
        pack_request([WireOp(Kind.MIGRATE, 0, 1, 0, bytes(32) + struct.pack("<II", 1, 0))]),
        SMALL[:16] + struct.pack("<H", len(Kind)) + SMALL[18:],
    ],
)
def test_malformed_requests_are_refused(leg: Leg, request_bytes: bytes) -> None:
    reply = leg.transport.collect(leg.transport.submit(request_bytes))
    assert reply.ending is Ending.OK
    assert reply.response is not None
    assert struct.unpack_from("<4I", reply.response)[2:] == (0, 1)
    with pytest.raises(WireError, match="status 1"):
        unpack_response(reply.response)


def test_a_response_that_does_not_fit_says_so(leg: Leg) -> None:
    ops = [WireOp(Kind.READ_MEM, 0, 0, 0x10000)] * 20
    reply = leg.transport.collect(leg.transport.submit(pack_request(ops)))
    assert reply.response is not None
    count, status = struct.unpack_from("<2I", reply.response, 8)
    assert status == 2
    assert 0 < count < 20


def test_every_request_gets_a_fresh_machine(leg: Leg) -> None:
    write = WireOp(Kind.WRITE_MEM, 0, 0x8000, 0, b"dirt")
    leg.do(*SVE_VCPU, put(z(0), b"\xab" * 256), write)
    seen = leg.do(*SVE_VCPU, get(z(0)), WireOp(Kind.READ_MEM, 0, 0x8000, 4))
    assert not any(seen[3].data)
    assert not any(seen[4].data)


def test_many_large_requests_in_flight(leg: Leg) -> None:
    """More bytes each way than the pipes hold, and nobody waits for the other for ever."""
    request = pack_request([WireOp(Kind.WRITE_MEM, 0, 0, 0, bytes([7]) * 0x10000)] * 3)
    reads = pack_request([WireOp(Kind.READ_MEM, 0, 0, 0x10000)] * 12)
    tickets = [leg.transport.submit(request if i % 2 else reads) for i in range(24)]
    replies = [leg.transport.collect(ticket) for ticket in reversed(tickets)]
    assert {reply.ending for reply in replies} == {Ending.OK}
    assert {len(reply.response or b"") for reply in replies} == {88, 16 + 12 * (24 + 0x10000)}


def test_a_worker_that_is_killed_as_it_starts_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary, script, mark = build.worker_binary(), tmp_path / "worker", tmp_path / "once"
    script.write_text(f'#!/bin/sh\n[ -e {mark} ] && exec {binary} "$@"\n: >{mark}\nkill -9 $$\n')
    script.chmod(0o755)
    monkeypatch.setattr(transport_module, "worker_binary", lambda: script)
    with closing(EmulatorTransport()) as transport:
        assert transport.start()["release"] == "emulator"
        assert transport.boots == 2
        (loss,) = transport.losses()
    assert loss.fault.place == "killed by SIGKILL"
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    with closing(EmulatorTransport()) as transport:
        with pytest.raises(
            TransportError, match=r"does not start: the emulator's worker was killed by SIGKILL\.$"
        ):
            transport.start()
        assert transport.boots == START_TRIES


def test_two_workers_at_once() -> None:
    with open_leg("emulator:keep") as keep, open_leg("emulator:zero") as zero:
        tickets = [(leg, leg.transport.submit(SMALL)) for leg in (keep, zero) * 4]
        for leg, ticket in reversed(tickets):
            assert leg.transport.collect(ticket).ending is Ending.OK


def test_the_worker_dies_with_its_parent() -> None:
    program = (
        "from targets.emulator.legname import *\n"
        "import os, signal\n"
        "t = open_transport(parse('emulator:keep')); t.start()\n"
        "pid = t._worker.process.pid\n"
        "os.kill(pid, signal.SIGSTOP)\n"  # it cannot see the end of its input
        "print(pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = subprocess.run(
        [shutil.which("python3") or "python3", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    ).stdout
    stat = Path(f"/proc/{int(out)}/stat")
    for _ in range(200):
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the worker outlived its parent")


@pytest.mark.parametrize(
    ("tool", "package"), [("g++", "g++"), ("pkg-config", "pkgconf"), ("", "libvixl-dev")]
)
def test_what_is_missing_is_named(
    tool: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("g++", "pkg-config"):
        if name != tool:
            (tmp_path / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PKG_CONFIG_LIBDIR", str(tmp_path))
    with pytest.raises(TransportError, match=rf"^[^\n]*apt install {package}"):
        build.worker_binary()


def test_a_vixl_without_its_simulator_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vixl.pc").write_text(
        "Name: vixl\nDescription: x\nVersion: 5.1.0\nCflags: -DVIXL_INCLUDE_TARGET_A64\n"
    )
    monkeypatch.setenv("PKG_CONFIG_LIBDIR", str(tmp_path))
    with pytest.raises(TransportError, match="simulator"):
        build.worker_binary()


def test_a_worker_that_refuses_its_options_is_one_sentence() -> None:
    with pytest.raises(TransportError, match=r"^[^\n]*--vq must contain 1[^\n]*$"):
        EmulatorTransport(("--vq", "2")).start()
