"""An agent that is told to stop: what it says, how soon it ends, and whom its clients blame."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from remote_fakes import KEY
from test_cli_agent import SMALL, serving

from corpus.trace import Ending
from targets.kvm.remote import address, secret
from targets.kvm.remote.address import Address
from targets.kvm.remote.client import RemoteTransport

pytestmark = pytest.mark.slow

SCRIPT = """if True:
    import os, signal, sys, time
    from corpus.trace import Ending
    from remote_fakes import Echo
    from targets.kvm.remote import session
    from targets.kvm.remote.address import parse
    from targets.kvm.remote.agent import Agent
    from targets.kvm.remote.session import Service
    from targets.transport import Reply

    where, key, uptime, close_s = sys.argv[1:5]
    session._uptime_id = lambda: uptime

    class Leg(Echo):
        def collect(self, ticket):
            if self.requests[ticket - 1] == b"killed with it":
                os.kill(os.getppid(), signal.SIGTERM)
                return Reply(Ending.CRASH, None, "the executor was killed by SIGTERM", 0.1)
            return super().collect(ticket)

        def close(self):
            if self.requests:
                time.sleep(float(close_s))

    agent = Agent(parse(where, any_port=True), Service("echo", Leg, key.encode()), print)
    agent.run(lambda _: print(agent.address, flush=True))
"""


class Process:
    """An agent with a leg of fakes. `uptime` tells one boot of its machine from another,
    `close_s` is how long its leg takes to close."""

    def __init__(
        self, where: str = "127.0.0.1:0", uptime: str = "one", close_s: float = 0, shell: str = ""
    ) -> None:
        paths = (Path(__file__).parent, Path(__file__).parents[1])
        argv = [sys.executable, "-c", SCRIPT, where, KEY, uptime, str(close_s)]
        self.process = subprocess.Popen(
            # Who runs the tests may ignore a hang-up, and that is inherited.
            ["env", "--default-signal=HUP", *shell.split(), *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(map(str, paths))},
        )
        assert self.process.stdout is not None
        self.address: Address = address.parse(self.process.stdout.readline().strip())

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def wait(self) -> tuple[int, str]:
        """Its exit code, and all it said."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out + err

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret.VARIABLE, KEY)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("uptime", ["one", "two"])
def test_who_has_requests_under_way_waits_and_blames_none(
    number: signal.Signals, uptime: str
) -> None:
    with Process() as first, closing(RemoteTransport(first.address, patience=60)) as client:
        client.start()
        assert client.collect(client.submit(b"a")).ending is Ending.OK
        tickets = [client.submit(request) for request in (b"sleep20", b"b", b"c")]
        time.sleep(0.2)
        first.process.send_signal(number)
        code, said = first.wait()
        assert code == 0
        assert "stopped.\n" in said
        assert "Traceback" not in said
        again: list[Process] = []
        back = threading.Timer(1, lambda: again.append(Process(str(first.address), uptime)))
        back.start()
        replies = [client.collect(ticket) for ticket in tickets]
        assert [reply.ending for reply in replies] == [Ending.LOST] * 3
        (loss,) = client.losses()
        assert loss.log == f"connection to the agent at {first.address}: it was stopped.\n"
        assert client.collect(client.submit(b"a")).response == b"aa"
        back.join()
        client.close()
        again[0].__exit__()


def test_an_executor_that_ends_with_its_agent_is_not_the_requests_fault() -> None:
    with Process() as first, closing(RemoteTransport(first.address, patience=60)) as client:
        client.start()
        ticket = client.submit(b"killed with it")
        assert first.wait()[0] == 0
        with Process(str(first.address)):
            assert client.collect(ticket).ending is Ending.LOST
            client.close()


def test_a_second_signal_ends_it_at_once() -> None:
    with Process(close_s=30) as agent, closing(RemoteTransport(agent.address)) as client:
        client.start()
        client.collect(client.submit(b"a"))
        (child,) = agent.children()
        agent.process.terminate()
        time.sleep(1)
        assert agent.process.poll() is None
        began = time.monotonic()
        agent.process.terminate()
        assert agent.process.wait(10) == -signal.SIGTERM
        assert time.monotonic() - began < 2
        while not is_gone(child):
            assert time.monotonic() - began < 5
            time.sleep(0.05)
        client._drop()


def test_a_terminal_that_is_closed_may_say_so_twice() -> None:
    with Process(close_s=1) as agent, closing(RemoteTransport(agent.address)) as client:
        client.start()
        client.collect(client.submit(b"a"))
        for _ in range(3):
            agent.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
        code, said = agent.wait()
        assert code == 0
        assert "stopped.\n" in said
        client._drop()


def test_nohup_is_heeded() -> None:
    with Process(shell="nohup") as agent, closing(RemoteTransport(agent.address)) as client:
        client.start()
        agent.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert client.collect(client.submit(b"a")).ending is Ending.OK
        agent.process.terminate()
        assert agent.wait()[0] == 0
        client._drop()


def test_a_leg_that_does_not_start_is_a_sentence_and_nothing_else() -> None:
    script = """if True:
        from targets.kvm.remote.address import Address
        from targets.kvm.remote.agent import Agent
        from targets.kvm.remote.session import Service
        from targets.transport import TransportError

        def fail(coverage):
            raise TransportError("there is no such leg.")

        agent = Agent(Address("127.0.0.1", 0), Service("none", fail, b""), print)
        for _ in range(20):
            try:
                agent.run(print)
            except TransportError as error:
                print(error)
            agent = Agent(Address("127.0.0.1", 0), Service("none", fail, b""), print)
    """
    root = Path(__file__).parents[1]
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=root)
    assert (done.stdout, done.stderr) == ("there is no such leg.\n" * 20, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_of_a_busy_agents_processes_blames_no_case(number: signal.Signals) -> None:
    """As a terminal or a service manager sends it: the leg's own process may end first."""
    endings: list[Ending] = []
    with serving("emulator:zero") as running:
        client = RemoteTransport(running.address, patience=60)
        client.start()
        enough = threading.Event()

        def work() -> None:
            while not enough.is_set():
                tickets = [client.submit(SMALL) for _ in range(6)]
                endings.extend(client.collect(ticket).ending for ticket in tickets)

        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(0.5)
        code, said = running.end(number)
        assert (code, "Traceback" in said) == (0, False)
        with serving("emulator:zero", str(running.address)):
            before = len(endings)
            while len(endings) < before + 12:
                time.sleep(0.05)
                assert worker.is_alive()
            enough.set()
            worker.join(60)
            client.close()
    # Lost or not begun: none of them is the case's own fault.
    assert set(endings) <= {Ending.OK, Ending.LOST}
    assert Ending.OK in endings
