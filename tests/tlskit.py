"""Authorities, certificates from them, and a scheduler that asks for one."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

from fleet_chaos import BIN, Part

from fuzz.fleet import worker
from fuzz.fleet.place import Certificates, ClusterError, Place


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """An authority of that name: its key and its own certificate."""
    folder.mkdir()
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}", "-days", "2"),
        *("-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem")),
    )
    return folder


def issued(folder: Path, trusted: Path | None = None) -> Certificates:
    """A certificate from an authority, for one that trusts that one or another."""
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=fleet", "-keyout", str(folder / "key.pem"), "-out", str(folder / "csr")),
    )
    openssl(
        *("x509", "-req", "-in", str(folder / "csr"), "-days", "2", "-CAcreateserial"),
        *("-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key")),
        *("-out", str(folder / "cert.pem")),
    )
    return Certificates((trusted or folder) / "ca.pem", folder / "cert.pem", folder / "key.pem")


def options(files: Certificates) -> list[str]:
    """The same for a part of a fleet of ours."""
    return [
        *("--tls-ca", str(files.authority), "--tls-cert", str(files.certificate)),
        *("--tls-key", str(files.key)),
    ]


def scheduler(port: int, files: Certificates, log: Path) -> Part:
    """Dask's own, on this machine's loopback."""
    words = [
        *(str(BIN / "dask"), "scheduler", "--protocol", "tls", "--no-dashboard"),
        *("--host", "127.0.0.1", "--port", str(port), "--tls-ca-file", str(files.authority)),
        *("--tls-cert", str(files.certificate), "--tls-key", str(files.key)),
    ]
    return Part(words, log)


def await_scheduler(where: Place, log: Path) -> None:
    """Wait until it lets one in."""
    deadline = time.monotonic() + 120
    while True:
        try:
            asyncio.run(worker._knock(where))
            return
        except ClusterError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(1)
