"""A fleet with a worker on arm64: a machine with Debian's Python, in QEMU, behind a NAT.

The scheduler and the leader run here. What only the worker has is its `kvm:native`. It takes
minutes, so it is no part of the suite: `python -m pytest tests/fleet_arm64_lab.py`.
"""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from arm64_machine import HOST, Arm64Machine
from fleet_chaos import BIN, ended, free_port
from tlskit import authority, await_scheduler, issued, options, scheduler

from db.store import Store
from fuzz.cli.errors import Exit
from fuzz.fleet.place import place
from fuzz.fleet.slices import Kind

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1500)]

LEG = "kvm:native"
PATIENCE_S = 600.0
"""Python takes many times as long there as here."""

SCRIPT = """\
{{
    vcpufuzz fleet worker {address} \\
        --tls-ca ca.pem --tls-cert theirs-cert.pem --tls-key theirs-key.pem
    echo "another authority: $?"
}} &
vcpufuzz fleet worker {address} --slots 1 --name arm64 --contact 127.0.0.1:{port} \\
    --tls-ca ca.pem --tls-cert ours-cert.pem --tls-key ours-key.pem
"""


def test_a_worker_on_arm64_gets_in_and_does_slices_of_the_leg_that_it_alone_has(
    tmp_path: Path,
) -> None:
    ours = issued(authority(tmp_path / "ours", "ours"))
    theirs = issued(authority(tmp_path / "theirs", "theirs"))
    at, reached = free_port(), free_port()
    here = f"tls://127.0.0.1:{at}"
    script = SCRIPT.format(address=f"tls://{HOST}:{at}", port=reached)
    brought = {
        "worker.sh": script.encode(),
        "ca.pem": ours.authority.read_bytes(),
        **{f"ours-{p.name}": p.read_bytes() for p in (ours.certificate, ours.key)},
        **{f"theirs-{p.name}": p.read_bytes() for p in (theirs.certificate, theirs.key)},
    }
    part = scheduler(at, ours, tmp_path / "scheduler.log")
    url = f"sqlite:///{tmp_path}/fleet.db"
    leader = [
        *(str(BIN / "vcpufuzz"), "fleet", "start", here, "--db", url, "--legs", f"model,{LEG}"),
        # One worker has all that slices leave, so its memory will do.
        *("--corpus", "memory://corpus", "--slice", "30s", "--time", "20s", "--log", "json"),
        *options(ours),
    ]
    with ended([part]):
        part.start()
        await_scheduler(place(here, ours), part.log)
        machine = Arm64Machine(["sh", "worker.sh"], brought, reached, tmp_path)
        with closing(machine):
            machine.await_word("worker serves", PATIENCE_S)
            done = subprocess.run(
                leader, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
            assert done.returncode in (Exit.OK, Exit.DIVERGENCE), done.stderr + machine.said
            machine.await_word(f"another authority: {Exit.UNAVAILABLE:d}", PATIENCE_S)
            assert "certificate verify failed" in part.log.read_text()
    with Store.open(url) as store:
        (first, *_) = store.finished_slices(Kind.CAMPAIGN, 10)
        assert first.leg == LEG
        assert first.counts["cases"] > 0, done.stderr
        assert first.campaign_id is not None
        campaign = store.campaign(first.campaign_id)
        (native,) = (leg for leg in campaign.legs if leg.name == LEG)
        assert native.fingerprint["release"].startswith("6.12.")
