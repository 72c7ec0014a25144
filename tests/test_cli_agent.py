"""`vcpufuzz agent` as a process: who starts it, who uses it, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_strangers_lab import case as disturbed
from test_strangers_lab import struck
from whole_runs import run_whole

from corpus.kept import load_kept
from corpus.ops import Disturb
from corpus.store import kept_files
from corpus.trace import Ending
from corpus.wire import Kind, WireOp, pack_request
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.suites.replay import Outcome, replay
from targets.base import Target
from targets.kvm import native
from targets.kvm.remote import address, secret
from targets.kvm.remote.address import Address
from targets.kvm.remote.agent import Agent
from targets.kvm.remote.client import RemoteTransport
from targets.kvm.remote.session import Service
from targets.legs import open_leg, open_legs
from targets.transport import TransportError

pytestmark = pytest.mark.long

KEY = "correct horse battery"
SMALL = pack_request([WireOp(Kind.CREATE_VCPU)])
WITH_FAKES = {
    **os.environ,
    "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}",
}
SEEDS = [load_kept(path) for path in kept_files("seeds")]
TRAPS = next(path for path in kept_files("regressions") if path.stem == "traps-order")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret.VARIABLE, KEY)


class Running:
    """An agent's process, from the moment it serves."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from fuzz.cli.main import main; main()", "agent", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        if not self.greeting:
            raise AssertionError(self.process.communicate()[1])
        self.leg = next(word for word in self.greeting.split() if "tcp=" in word).rstrip(";")
        self.address = address.parse(self.leg.removeprefix("kvm:tcp="))

    def children(self) -> list[int]:
        """Its processes for clients, those that ended and were not yet looked for included."""
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and all it said on standard error."""
        os.killpg(self.process.pid, number)  # as a terminal does
        said = self.process.communicate(timeout=30)[1]
        return self.process.returncode, said


@contextmanager
def serving(leg: str, listen: str = "127.0.0.1:0") -> Iterator[Running]:
    running = Running("--leg", leg, "--listen", listen)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(secret.VARIABLE, KEY)
        with serving("emulator:zero") as running:
            yield running


def _lives(pid: int) -> bool:
    """Whether a process has not ended, waited for or not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _agent(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["agent", *arguments])


def test_kept_cases_run_over_there_as_they_do_here(emulator: Running) -> None:
    with open_leg("emulator:zero") as here, open_leg(emulator.leg) as there:
        for kept in SEEDS:
            assert there.run(kept.case).observations == here.run(kept.case).observations
        assert there.fingerprint["agent.leg"] == "emulator:zero"
        assert there.fingerprint["vixl"] == here.fingerprint["vixl"]
        assert there.profile == here.profile


def test_clients_come_and_go_and_several_at_once(emulator: Running) -> None:
    for _ in range(2):
        legs = open_legs([emulator.leg, "model"])
        assert {r.outcome for r in replay(SEEDS, legs)} == {Outcome.OK}
        for leg in legs:
            leg.close()
    endings: list[Ending] = []

    def client() -> None:
        with closing(RemoteTransport(emulator.address)) as transport:
            transport.start()
            for _ in range(20):
                endings.append(transport.collect(transport.submit(SMALL)).ending)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert endings == [Ending.OK] * 80


def test_the_command_line_tells_a_wrong_secret(
    emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(secret.VARIABLE, "another one altogether")
    result = CliRunner().invoke(main, ["exec", str(TRAPS), "--legs", emulator.leg])
    assert result.exit_code == Exit.UNAVAILABLE
    assert "the secret is another one here" in result.stderr
    assert result.stderr.count("\n") == 1


def test_garbage_does_not_disturb_those_who_are_served(emulator: Running) -> None:
    with closing(RemoteTransport(emulator.address)) as transport:
        transport.start()
        for data in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 5000, b"\x01\0\0\0"):
            where = (emulator.address.host, emulator.address.port)
            with socket.create_connection(where) as other:
                other.sendall(data)
        assert transport.collect(transport.submit(SMALL)).ending is Ending.OK
    assert emulator.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_with_all_it_started(number: signal.Signals) -> None:
    with serving("emulator:zero") as running, closing(RemoteTransport(running.address)) as client:
        client.start()
        children = running.children()
        code, said = running.end(number)
        assert code == Exit.OK
        assert "Traceback" not in said
        assert said.endswith("stopped.\n")
        assert children
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)
        # Bound again at once: nothing holds the port.
        with serving("emulator:zero", str(running.address)):
            assert client.collect(client.submit(SMALL)).ending is Ending.OK


def test_a_signal_while_the_leg_is_tried_is_no_error() -> None:
    script = """if True:
        import time
        from remote_fakes import Echo
        from targets.kvm.remote.address import Address
        from targets.kvm.remote.agent import Agent
        from targets.kvm.remote.session import Service
        class Slow(Echo):
            def start(self):
                print("starting", flush=True)
                time.sleep(60)
        agent = Agent(Address("127.0.0.1", 0), Service("slow", Slow, b""), print)
        agent.run(print)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=WITH_FAKES
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "starting\n"
    process.terminate()
    assert process.communicate(timeout=30)[0] == "stopped.\n"
    assert process.returncode == 0


def test_a_process_that_is_told_to_end_as_it_ends_says_nothing() -> None:
    script = """if True:
        import os, signal, time
        from multiprocessing import util
        from remote_fakes import Echo
        from targets.kvm.remote.address import Address
        from targets.kvm.remote.agent import Agent
        from targets.kvm.remote.session import Service
        util._exit_function = lambda: time.sleep(0.5)  # after a process has done its work
        agent = Agent(Address("127.0.0.1", 0), Service("echo", Echo, b""), print)
        agent.run(lambda _: os.kill(os.getpid(), signal.SIGTERM))
    """
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=WITH_FAKES, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped.\n", "")


def test_a_killed_agent_takes_its_processes_along_and_is_found_again() -> None:
    with serving("emulator:zero") as running:
        client = RemoteTransport(running.address, patience=1)
        client.start()
        (child,) = running.children()
        running.process.kill()
        running.process.wait()
        end = time.monotonic() + 10
        while _lives(child):
            assert time.monotonic() < end
            time.sleep(0.05)
        with pytest.raises(TransportError, match="no agent answers"):
            client.submit(SMALL)
        with serving("emulator:zero", str(running.address)):
            assert client.collect(client.submit(SMALL)).ending is Ending.OK
            assert client.boots == 2
            client.close()


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        result = _agent("--listen", where, "--leg", "emulator:zero")
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr == f"vcpufuzz: nothing can listen at {where}: address already in use\n"


@pytest.mark.skipif(native.unavailable() is None, reason="this machine has the leg")
def test_a_leg_this_machine_has_not_is_told_at_once() -> None:
    result = _agent("--listen", "127.0.0.1:0")
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr == f"vcpufuzz: {(native.unavailable() or '').removesuffix('.')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--leg", leg) for leg in ("model", "mutant:finalize-twice", "kvm:5.4:vhe", "nothing")),
        *(("--listen", where) for where in ("7011", "::1:7011", "host", "127.0.0.1:99999")),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: tuple[str, str]) -> None:
    result = _agent(*arguments)
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith("vcpufuzz: ")
    assert result.stderr.count("\n") == 1


def test_a_bad_secret_file_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(KEY)
    file.chmod(0o644)
    result = _agent("--secret-file", str(file))
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr == (
        f"vcpufuzz: others may read the secret in {file}: run chmod 600 {file}\n"
    )


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("192.0.2.1:0", "cannot assign requested address"),
        ("no-such-host.invalid:0", ""),
        (f"{'x' * 70}.example:0", ""),
    ],
)
def test_an_address_of_no_use_is_a_sentence(where: str, why: str) -> None:
    result = _agent("--listen", where, "--leg", "emulator:zero")
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr.startswith(f"vcpufuzz: nothing can listen at {where}: ")
    assert why in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_secret_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, why in (
        (tmp_path / "none", "no such file or directory"),
        (Path("/proc/self/mem"), "input/output error"),
    ):
        result = _agent("--secret-file", str(file), "--leg", "emulator:zero")
        assert result.exit_code == Exit.UNAVAILABLE
        assert result.stderr.lower() == f"vcpufuzz: the secret in {file} cannot be read: {why}\n"
    assert _agent("--secret-file", str(tmp_path)).exit_code == Exit.USAGE
    monkeypatch.setenv(secret.VARIABLE, "short")
    result = _agent("--leg", "emulator:zero")
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr == (
        "vcpufuzz: the secret in VCPUFUZZ_SECRET must have 16 to 4096 characters\n"
    )


def test_idle_connections_lock_nobody_out(emulator: Running) -> None:
    where = (emulator.address.host, emulator.address.port)
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(where))
        with closing(RemoteTransport(emulator.address)) as client:
            client.start()
            assert client.collect(client.submit(SMALL)).ending is Ending.OK


def test_only_loopback_is_private_and_ipv6_has_brackets() -> None:
    def listening(host: str) -> Agent:
        return Agent(Address(host, 0), Service("", RemoteTransport, b""), lambda _: None)  # type: ignore[arg-type]

    for host, private in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        agent = listening(host)
        assert agent.is_private is private
        agent._listener.close()
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
        agent = listening("::1")
        assert agent.is_private
        assert str(agent.address).startswith("[::1]:")
        agent._listener.close()


def test_an_agent_that_others_can_reach_warns() -> None:
    with serving("emulator:zero", "0.0.0.0:0") as running:
        code, said = running.end()
    assert code == Exit.OK
    assert said.startswith(f"warning: whoever reaches {running.address} and knows the secret")


def test_more_clients_than_it_takes_are_turned_away() -> None:
    script = f"""if True:
        from remote_fakes import Echo
        from targets.kvm.remote.address import Address
        from targets.kvm.remote.agent import Agent
        from targets.kvm.remote.session import Service
        agent = Agent(Address("127.0.0.1", 0), Service("echo", Echo, {KEY.encode()!r}), print, 1)
        agent.run(lambda _: print(agent.address, flush=True))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=WITH_FAKES,
    )
    try:
        assert process.stdout is not None
        where = address.parse(process.stdout.readline().strip())
        with closing(RemoteTransport(where)) as first:
            first.start()
            with pytest.raises(TransportError, match="1 clients are served already"):
                RemoteTransport(where).start()
        end = time.monotonic() + 20
        while True:
            with closing(RemoteTransport(where)) as next_one:
                try:
                    next_one.start()
                    break
                except TransportError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def strangers_strike(leg: Target) -> None:
    """Each kind that needs no driver and one CPU strikes in the middle of a run, which goes on."""
    assert leg.profile.strangers == {"thread", "signal", "step"}
    for stranger in ("thread after=300000 vl=32", "signal after=300000", "step"):
        case = disturbed(stranger)
        trace = run_whole(leg, case)
        verdict = judge(case, trace, leg.profile)
        assert isinstance(verdict, Agree)
        assert verdict.judged == len(case.ops)
        at = next(index for index, op in enumerate(case.ops) if isinstance(op, Disturb))
        fired, missed = struck(trace.observations[at])
        assert fired >= 1
        assert not missed


@pytest.mark.lab
def test_the_lab_is_served_with_its_coverage() -> None:
    leg = "kvm:6.12:vhe"
    with serving(leg) as running:
        with open_leg(running.leg, coverage=True) as there:
            assert there.fingerprint["release"].startswith("6.12.")
            assert there.fingerprint["agent.leg"] == leg
            results = list(replay([*SEEDS, load_kept(TRAPS)], [there]))
            assert {r.outcome for r in results} == {Outcome.OK}
            assert there.code is not None, there.no_coverage
            names = {f.name for b in there.blocks if (f := there.code.function_at(b))}
            assert "kvm_vcpu_ioctl" in names
            strangers_strike(there)
            requests = there.executions
        end = time.monotonic() + 30
        while running.children() and time.monotonic() < end:
            time.sleep(0.1)
        code, said = running.end()
    assert code == Exit.OK
    assert requests > len(results)
    assert f"left after {requests} requests" in said
