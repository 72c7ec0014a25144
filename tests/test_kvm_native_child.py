"""The forked executor of `kvm:native`, with a function of ours in place of the C one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from native_fakes import module, probed

from corpus.fault import FaultKind
from corpus.trace import Ending
from corpus.wire import RESPONSE_MAGIC
from targets.kvm import build_native, native
from targets.kvm.kmsg import KernelLog
from targets.kvm.native import NativeTransport
from targets.kvm.remote import address, secret
from targets.kvm.remote.client import RemoteTransport
from targets.transport import START_TRIES, TransportError

WITH_TESTS = {
    **os.environ,
    "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}",
    "VCPUFUZZ_SECRET": "correct horse battery",
}


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> Iterator[NativeTransport]:
    monkeypatch.setattr(native, "unavailable", lambda: None)
    monkeypatch.setattr(build_native, "load", module)
    with closing(NativeTransport()) as opened:
        yield opened


def ask(transport: NativeTransport, request: bytes) -> bytes:
    reply = transport.collect(transport.submit(request))
    assert reply.ending is Ending.OK
    assert reply.response is not None
    return reply.response


def test_the_child_keeps_nothing_open_but_its_line(transport: NativeTransport) -> None:
    with Path("/dev/null").open() as file:
        descriptors = [int(fd) for fd in ask(transport, b"descriptors").split()]
        assert file.fileno() > 2
    # The line, and the directory that is being listed.
    assert len([fd for fd in descriptors if fd > 2]) == 2


def test_a_probe_is_a_fingerprint(
    transport: NativeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = probed(b"release=6.12.1\nvqs=1,2\nno fact\n")
    monkeypatch.setattr(build_native, "load", lambda: module(answer))
    facts = transport.start()
    assert (facts["release"], facts["vqs"]) == ("6.12.1", "1,2")
    assert facts["native.executor"] == build_native.key()
    assert "native.kernel_log" in facts


def test_an_agent_serves_it_and_outlives_its_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    script = textwrap.dedent("""
        from native_fakes import module, probed
        from targets.kvm import build_native, native
        from targets.kvm.remote.address import Address
        from targets.kvm.remote.agent import Agent
        from targets.kvm.remote.session import Service
        native.unavailable = lambda: None
        build_native.load = lambda: module(probed(b"release=6.12.1"))
        leg = lambda coverage: native.NativeTransport(coverage=coverage)
        service = Service("kvm:native", leg, b"correct horse battery")
        agent = Agent(Address("127.0.0.1", 0), service, print)
        agent.run(lambda facts: print(facts["release"], agent.address, flush=True))
    """)
    monkeypatch.setenv(secret.VARIABLE, "correct horse battery")
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=WITH_TESTS
    ) as process:
        try:
            assert process.stdout is not None
            release, where = process.stdout.readline().split()
            assert release == "6.12.1"
            with closing(RemoteTransport(address.parse(where), coverage=True)) as remote:
                remote.start()
                assert remote.no_coverage == "only the kernels in QEMU are watched."
                first = remote.collect(remote.submit(b"pid"))
                died = remote.collect(remote.submit(b"signal%d" % signal.SIGSEGV))
                second = remote.collect(remote.submit(b"pid"))
        finally:
            process.terminate()
        assert " after 3 requests: " in process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert (first.ending, second.ending) == (Ending.OK, Ending.OK)
    assert first.response != second.response
    assert died.ending is Ending.CRASH
    assert died.log.endswith("the executor was killed by SIGSEGV\n")
    assert remote.boots == 2


def test_a_probe_that_answers_nonsense_is_a_sentence(transport: NativeTransport) -> None:
    assert ask(transport, RESPONSE_MAGIC.to_bytes(4, "little"))
    with pytest.raises(TransportError, match=r"gives no VM\.$"):
        transport.start()


def test_the_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, signal
        from native_fakes import module
        from targets.kvm import build_native, native
        native.unavailable = lambda: None
        build_native.load = module
        transport = native.NativeTransport()
        print(transport.collect(transport.submit(b"pid")).response.decode(), flush=True)
        transport.submit(b"sleep")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=WITH_TESTS,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = Path(f"/proc/{int(done.stdout)}/stat")
    end = time.monotonic() + 10
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def kmsg(tmp_path: Path) -> Iterator[int]:
    """The writing end of what stands for /dev/kmsg; it is tmp_path / "kmsg"."""
    os.mkfifo(tmp_path / "kmsg")
    fd = os.open(tmp_path / "kmsg", os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_kernel_at_fault_is_told_even_if_the_case_finished(
    transport: NativeTransport, tmp_path: Path, kmsg: int
) -> None:
    transport._kernel_log = KernelLog(tmp_path / "kmsg")
    os.write(kmsg, b"6,1,5000000,-;usb 1-1: new device\n SUBSYSTEM=usb\n")
    reply = transport.collect(transport.submit(b"fine"))
    assert (reply.ending, reply.log) == (Ending.OK, "[    5.000000] usb 1-1: new device\n")
    os.write(kmsg, b"4,2,71000123,-;WARNING: CPU: 0 PID: 1 at arch/arm64/kvm/fpsimd.c:42\n")
    reply = transport.collect(transport.submit(b"fine"))
    assert (reply.ending, reply.response) == (Ending.HOST_LOG, None)
    assert reply.log == "[   71.000123] WARNING: CPU: 0 PID: 1 at arch/arm64/kvm/fpsimd.c:42\n"
    assert ask(transport, b"again") == b"again"
    assert transport.boots == 2


def test_a_child_that_a_kernel_at_fault_killed_is_no_loss(
    transport: NativeTransport, tmp_path: Path, kmsg: int
) -> None:
    transport._kernel_log = KernelLog(tmp_path / "kmsg")
    ask(transport, b"fine")
    os.write(kmsg, b"0,2,71000123,-;Internal error: Oops - Undefined instruction: 0000000002\n")
    reply = transport.collect(transport.submit(b"signal%d" % signal.SIGKILL))
    assert (reply.ending, reply.response) == (Ending.CRASH, None)
    assert reply.log.endswith(
        "Undefined instruction: 0000000002\nthe executor was killed by SIGKILL\n"
    )
    assert reply.fault is not None
    assert reply.fault.kind is FaultKind.OOPS
    assert transport.losses() == []


def test_the_kernel_is_heard_again_after_a_close(
    transport: NativeTransport, tmp_path: Path, kmsg: int
) -> None:
    transport._kernel_log = KernelLog(tmp_path / "kmsg")
    ask(transport, b"fine")
    transport.close()
    ask(transport, b"fine")
    os.write(kmsg, b"4,2,71000123,-;WARNING: CPU: 0 PID: 1 at arch/arm64/kvm/fpsimd.c:42\n")
    assert transport.collect(transport.submit(b"fine")).ending is Ending.HOST_LOG


def test_a_second_request_has_to_wait(transport: NativeTransport) -> None:
    first = transport.submit(b"first")
    with pytest.raises(TransportError, match="one request at a time"):
        transport.submit(b"second")
    assert transport.collect(first).response == b"first"


def test_a_child_that_is_killed_as_it_starts_is_replaced(
    transport: NativeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = iter([False, False, True])

    def load() -> object:
        return module(probed(b"release=6.12.1") if next(lives) else b"", kill=signal.SIGKILL)

    monkeypatch.setattr(build_native, "load", load)
    assert transport.start()["release"] == "6.12.1"
    assert (transport.boots, len(transport.losses())) == (3, 2)
    monkeypatch.setattr(build_native, "load", lambda: module(kill=signal.SIGKILL))
    transport.restart()
    with pytest.raises(TransportError, match=r"the executor died when .* was probed\.$"):
        transport.start()
    assert transport.boots == 3 + START_TRIES


def test_a_kernel_log_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    log = KernelLog(tmp_path / "none")
    assert log.trouble.endswith("no such file or directory")
    assert log.new() == ""
    log.close()


def test_what_is_no_record_is_passed_over(tmp_path: Path, kmsg: int) -> None:
    log = KernelLog(tmp_path / "kmsg")
    os.write(kmsg, b"nonsense\n6,x;y\n6,1,z,-;y\n\xff\xfe;\n6,1,1500000,c;right; and so on\n")
    assert log.new() == "[    1.500000] right; and so on\n"
    assert log.new() == ""
    log.close()
    log.close()
