"""With certificates, only those get in whose certificate comes from the right authority."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_chaos import BIN, Part, ended, free_port
from tlskit import authority, await_scheduler, issued, options, scheduler

from fuzz.fleet import slices, worker
from fuzz.fleet.cluster import Cluster, Ended
from fuzz.fleet.place import Certificates, ClusterError, Place, place
from fuzz.fleet.slices import Kind, Order


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """A scheduler with TLS: who gets in, and one whose certificate another authority signed."""
    folder = tmp_path_factory.mktemp("tls")
    ours = issued(authority(folder / "ours", "ours"))
    theirs = issued(authority(folder / "theirs", "theirs"), folder / "ours")
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    good, bad = (place(address, one) for one in (ours, theirs))
    part = scheduler(port, ours, folder / "scheduler.log")
    with ended([part]):
        part.start()
        await_scheduler(good, part.log)
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
    words = [str(BIN / "vcpufuzz"), "fleet", "worker", good.address, "--slots", "1"]
    helper = Part([*words, *options(files)], tmp_path / "worker.log")
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


@pytest.mark.long
def test_tls_and_certificates_go_together(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="takes --tls-ca"):
        place("tls://h:1")
    files = Certificates(tmp_path, tmp_path, tmp_path)
    with pytest.raises(ClusterError, match="does without certificates"):
        place("tcp://h:1", files)
