"""With certificates, only those get in whose certificate comes from the right authority."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_chaos import BIN, Part, ended, free_port

from fuzz.fleet import slices, worker
from fuzz.fleet.cluster import Certificates, Cluster, ClusterError, Ended, Place, place
from fuzz.fleet.slices import Kind, Order


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


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """A scheduler with TLS: who gets in, and one whose certificate another authority signed."""
    folder = tmp_path_factory.mktemp("tls")
    ours = issued(authority(folder / "ours", "ours"))
    theirs = issued(authority(folder / "theirs", "theirs"), folder / "ours")
    address = f"tls://127.0.0.1:{free_port()}"
    scheduler = Part(
        [
            *(str(BIN / "dask"), "scheduler", "--protocol", "tls", "--no-dashboard"),
            *("--host", "127.0.0.1", "--port", address.rpartition(":")[2]),
            *("--tls-ca-file", str(ours.authority), "--tls-cert", str(ours.certificate)),
            *("--tls-key", str(ours.key)),
        ],
        folder / "scheduler.log",
    )
    with ended([scheduler]):
        scheduler.start()
        good, bad = (place(address, one) for one in (ours, theirs))
        deadline = time.monotonic() + 120
        while True:
            try:
                asyncio.run(worker._knock(good))
                break
            except ClusterError:
                assert time.monotonic() < deadline, (folder / "scheduler.log").read_text()
                time.sleep(1)
        yield good, bad


@pytest.mark.slow
def test_a_wrong_certificate_does_not_get_in(secured: tuple[Place, Place]) -> None:
    _, bad = secured
    with pytest.raises(ClusterError, match="not from one authority"):
        asyncio.run(worker._knock(bad))
    cluster = Cluster(bad)
    with pytest.raises(ClusterError, match="tls://127"):
        cluster.open()
    assert not cluster.alive
    plain = Place(bad.address.replace("tls:", "tcp:"))
    with pytest.raises(ClusterError):
        asyncio.run(worker._knock(plain))


@pytest.mark.slow
def test_the_right_one_does_and_slices_are_done(
    secured: tuple[Place, Place], tmp_path: Path
) -> None:
    good, _ = secured
    files = good.certificates
    assert files is not None
    helper = Part(
        [
            *(str(BIN / "vcpufuzz"), "fleet", "worker", good.address, "--slots", "1"),
            *("--tls-ca", str(files.authority), "--tls-cert", str(files.certificate)),
            *("--tls-key", str(files.key)),
        ],
        tmp_path / "worker.log",
    )
    cluster = Cluster(good)
    with ended([helper]):
        helper.start()
        cluster.open()
        try:
            spec = {"folders": ["regressions"], "legs": ["model"]}
            one = slices.make(Kind.REPLAY, "model", spec)
            order = Order(one.id, one.kind, one.leg, one.spec, str(tmp_path))
            cluster.submit(order, slices.demand(["model"]), 0)
            heard = cluster.next(240)
            assert isinstance(heard, Ended), (tmp_path / "worker.log").read_text()
            assert heard.report is not None, heard.said
            assert heard.report.delivery.counts["ok"] > 0
        finally:
            cluster.close()


def test_files_that_are_no_certificates_are_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("no certificate")
    with pytest.raises(ClusterError, match="are no certificates and key"):
        Certificates(path, path, path).check()


@pytest.mark.parametrize("text", ["tcp://h", "host:1", "local:0", "udp://h:1", ""])
def test_what_is_no_cluster_is_a_sentence(text: str) -> None:
    with pytest.raises(ClusterError, match="is no cluster"):
        place(text)


def test_tls_and_certificates_go_together(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="takes --tls-ca"):
        place("tls://h:1")
    files = Certificates(tmp_path, tmp_path, tmp_path)
    with pytest.raises(ClusterError, match="does without certificates"):
        place("tcp://h:1", files)
