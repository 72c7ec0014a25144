"""A PostgreSQL server of a test's own: Debian's, on a socket in a private directory."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BINARIES = Path("/usr/lib/postgresql")
USER = "postgres"
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Server:
    """A running one: its SQLAlchemy URL, and the process that all others descend from."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """What its processes that serve clients have computed so far."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if int(fields[1]) == self.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _binary(name: str) -> str:
    """The newest server's program; Debian keeps them out of the path."""
    found = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    assert found, f"{name} is not there: .ci/setup.sh installs postgresql"
    return str(found[-1])


def _as_nobody_special(command: list[str]) -> list[str]:
    """The server refuses to run as root."""
    return (
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
        if (os.geteuid() == 0)
        else command
    )


@contextmanager
def postgres() -> Iterator[Server]:
    """A server with an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = folder / "data"
        make = [_binary("initdb"), "-D", str(data), "-A", "trust", "-U", "vcpufuzz", "--no-sync"]
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run(
            _as_nobody_special([*make, "--encoding=UTF8"]),
            check=True,
            capture_output=True,
            cwd=folder,
            env=env,
        )
        serve = [_binary("postgres"), "-D", str(data), "-k", str(folder)]
        settings = [
            "-c",
            "listen_addresses=",
            "-c",
            "shared_buffers=64MB",
            "-c",
            "jit=off",
            "-c",
            "fsync=off",
        ]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                _as_nobody_special([*serve, *settings]), stdout=log, stderr=log, cwd=folder, env=env
            )
        try:
            _wait(folder, server)
            yield Server(f"postgresql+psycopg://vcpufuzz@/postgres?host={folder}", server.pid)
        finally:
            server.send_signal(signal.SIGINT)  # clients that are still there are not waited for
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(folder: Path, server: subprocess.Popen[bytes]) -> None:
    ready = [_binary("pg_isready"), "-q", "-h", str(folder)]
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(ready, check=False).returncode:
        assert server.poll() is None, (folder / "log").read_text(errors="replace")
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.1)
