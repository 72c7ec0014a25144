"""The emulator's worker as a process: framing, crashes, hangs, several at once."""

from __future__ import annotations

import os
import shutil
import signal
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
from corpus.wire import Kind, WireError, WireOp, pack_request, unpack_response
from targets.emulator import build
from targets.emulator.legname import EmulatorSpec, open_transport, parse
from targets.emulator.transport import EmulatorTransport
from targets.transport import TransportError

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
        pack_request([WireOp(Kind.HOST_RUN, 0, 0, 0x10000)]),
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


def test_a_crash_is_told_and_the_next_request_works(leg: Leg) -> None:
    pid = worker_pid(leg.transport)
    os.kill(pid, signal.SIGSTOP)
    at_fault, behind = leg.transport.submit(SMALL), leg.transport.submit(SMALL)
    os.kill(pid, signal.SIGABRT)
    os.kill(pid, signal.SIGCONT)
    reply = leg.transport.collect(at_fault)
    assert (reply.ending, reply.response) == (Ending.CRASH, None)
    assert "SIGABRT" in reply.log
    assert leg.transport.collect(behind).ending is Ending.LOST
    assert leg.errs(*SVE_VCPU) == [0, 0, 0]
    assert worker_pid(leg.transport) != pid


def test_a_worker_that_died_idle_is_replaced(leg: Leg) -> None:
    pid = worker_pid(leg.transport)
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert leg.errs(*SVE_VCPU) == [0, 0, 0]


def test_a_hang_ends_and_the_next_request_works() -> None:
    with closing(EmulatorTransport(limit=0.3)) as transport:
        transport.start()
        os.kill(worker_pid(transport), signal.SIGSTOP)
        reply = transport.collect(transport.submit(SMALL))
        assert (reply.ending, reply.response) == (Ending.HANG, None)
        assert "0.3 s" in reply.log
        assert transport.collect(transport.submit(SMALL)).ending is Ending.OK


def test_close_ends_the_worker_and_may_be_repeated(leg: Leg) -> None:
    pid = worker_pid(leg.transport)
    leg.transport.close()
    leg.transport.close()
    assert not Path(f"/proc/{pid}").exists()


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


def test_an_unknown_ticket_is_refused(leg: Leg) -> None:
    with pytest.raises(TransportError, match="No request 99"):
        leg.transport.collect(99)
