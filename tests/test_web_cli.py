"""`vcpufuzz web`: what it refuses to start with, and how it starts and ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from web_rig import VCPUFUZZ, served

from db.store import Store
from fuzz.cli.main import main
from fuzz.web.access import access, is_loopback
from targets.kvm.remote.address import Address


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/t.db"
    Store.open(made).close()
    return made


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["--listen", "0.0.0.0:7099"], 2, "can be reached from other machines: give --password"),
        (["--listen", "[::]:7099"], 2, "can be reached from other machines"),
        (["--listen", "fuzz.example:7099"], 2, "can be reached from other machines"),
        (["--listen", "nonsense"], 2, "is no address such as"),
        (["--listen", "127.0.0.1:99999"], 2, "a TCP port is a number"),
        (["--trust-proxy-header", "X y"], 2, "is no name of a header"),
        (["--password-file", "open"], 3, "others may read the secret"),
        (["--password-file", "short"], 3, "must have 16 to"),
        (["--password-file", "none"], 3, "cannot be read"),
        (["--password-file", "good", "--trust-proxy-header", "X-User"], 2, "not both"),
        (["--db", "none.db"], 2, "there is no database none.db"),
        (["--db", "words.db"], 3, "words.db is not an SQLite database"),
        (["--db", "a b://"], 3, "is not a database URL"),
        (["--listen", "203.0.113.9:7012", "--password-file", "good"], 3, "nothing can listen at"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    url: str,
    args: list[str],
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content, mode in (
        ("open", "correct horse battery staple", 0o644),
        ("short", "correct", 0o600),
        ("good", "correct horse battery staple", 0o600),
    ):
        Path(name).write_text(content)
        Path(name).chmod(mode)
    Path("words.db").write_text("words, and no database\n" * 50)
    result = CliRunner(env={"VCPUFUZZ_DB": url}).invoke(main, ["web", *args])
    assert result.exit_code == code, result.output
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("none.db").exists()


@pytest.mark.long
def test_it_says_where_it_is_and_ends_when_asked(url: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with served(url) as (address, process):
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert answer.status == 200
                assert "server" not in {name.lower() for name in answer.headers}
            port = address.rstrip("/").rpartition(":")[2]
            if number == signal.SIGTERM:
                taken = subprocess.run(
                    [VCPUFUZZ, "web", "--db", url, "--listen", f"127.0.0.1:{port}"],
                    capture_output=True,
                    text=True,
                    timeout=120,
                    check=False,
                )
                assert taken.returncode == 3
                assert taken.stderr == (
                    f"vcpufuzz: nothing can listen at 127.0.0.1:{port}: address already in use\n"
                )
            with ExitStack() as silent:
                silent.enter_context(socket.create_connection(("127.0.0.1", int(port))))
                process.send_signal(number)
                with suppress(OSError):  # until nothing listens any more
                    while True:
                        silent.enter_context(
                            socket.create_connection(("127.0.0.1", int(port)), timeout=1)
                        )
                out, said = process.communicate(timeout=60)
        assert (process.returncode, out, said) == (0, "", "")


@pytest.mark.long
def test_half_a_request_leaves_no_traceback(url: str) -> None:
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    broken = "Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    with served(url) as (address, process):
        host = address.removeprefix("http://").rstrip("/")
        name, _, port = host.rpartition(":")
        for rest in (broken, form + broken, form + "Content-Length: 100\r\n\r\nabc"):
            with socket.create_connection((name, int(port)), timeout=60) as visitor:
                visitor.sendall(f"POST /undo HTTP/1.1\r\nHost: {host}\r\n{rest}".encode())
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert all(line.startswith("vcpufuzz: ") for line in said.splitlines())


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("localhost.example", False)),
    ],
)
def test_loopback_is_known(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize(
    ("host", "known"),
    [
        *(("127.0.0.1:7012", True), ("localhost", True), ("LOCALHOST:1", True), ("[::1]:7", True)),
        *(("fuzz.example", True), ("Fuzz.Example:443", True), ("192.0.2.7", True)),
        *(("evil.example", False), ("127.0.0.1.evil.example", False), ("", False), ("[::1", False)),
        *(("user@localhost.evil", False), ("localhost.", False)),
    ],
)
def test_a_host_is_one_of_the_names_of_this_server(host: str, known: bool) -> None:
    allowed = access(Address("127.0.0.1", 7012), names=["fuzz.example"])
    assert allowed.is_called(host) is known


def test_a_password_is_compared_as_a_whole() -> None:
    allowed = access(Address("0.0.0.0", 1), "pässwort mit ümlaut".encode())
    assert allowed.is_password(" pässwort mit ümlaut\n")
    assert not any(map(allowed.is_password, ("", "pässwort", "passwort mit umlaut")))
    assert not access(Address("::1", 1)).is_password("")
