"""Several processes at once, a full disk, a killed writer: the database stays whole, nothing
that was stored is lost, and what happened is said in a sentence."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from db_crowd import crowd, lost
from postgres import postgres

from db.store import Store, StoreError

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
CROWD_SECONDS = 10


def integrity(path: Path) -> list[str]:
    """What SQLite itself finds wrong; `ok` alone if nothing."""
    with sqlite3.connect(path) as raw:
        found = [row[0] for row in raw.execute("PRAGMA integrity_check")]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    return found


def test_two_campaigns_a_person_a_reader_and_the_web_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/crowd.db"
    results = crowd(url, CROWD_SECONDS)
    assert all(number > 0 for one in results for number in one.values()), results
    assert lost(url, results) == []
    assert integrity(tmp_path / "crowd.db") == ["ok"]


def test_they_share_a_server() -> None:
    with postgres() as server:
        results = crowd(server.url, CROWD_SECONDS / 2)
        assert all(number > 0 for one in results for number in one.values()), results
        assert lost(server.url, results) == []


_WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from dataclasses import replace
from test_db_store import KVM, MODEL, RECORD, SIGNATURE
from corpus.trace import Observation, Trace
from db.store import Store, StoreError
import random
draw = random.Random(3)
try:
    store = Store.open(sys.argv[1])
    campaign = store.begin_campaign(1, [MODEL, KVM], {})
    number = 0
    while True:
        number += 1
        noise = Trace((Observation(0, 0, draw.randbytes(9000)),))
        signature = replace(SIGNATURE, register_class=f"r{number}")
        record = replace(RECORD, signature=signature, traces={"model": noise})
        print(store.add_finding(campaign, record).finding_id, flush=True)
except StoreError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


def writer(path: Path) -> list[str]:
    """The command of a process that stores findings, and says so, until it cannot."""
    return [sys.executable, "-c", _WRITER, f"sqlite:///{path}", str(HERE), str(HERE.parent)]


def stored(path: Path) -> list[int]:
    """The findings that are there."""
    with Store.open(f"sqlite:///{path}") as store:
        return sorted(
            line.id
            for bucket in store.buckets()
            for line in store.finding_lines(bucket.id)
            if store.traces(line.id)
        )


def test_a_writer_that_is_killed_leaves_a_whole_database(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    draw = random.Random(5)
    told: list[int] = []
    for _ in range(5):
        process = subprocess.Popen(writer(path), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(draw.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        told += map(int, [first, *process.stdout.read().split()])
        process.wait()
        assert integrity(path) == ["ok"]
    there = stored(path)
    assert set(told) <= set(there)
    assert len(there) <= len(told) + 5  # each may have stored one more than it could say
    with Store.open(f"sqlite:///{path}") as store:
        assert all(one.ended is None for one in store.campaigns())


_ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=1m none "$1"
shift
"$@"
"""


def test_a_full_disk_ends_in_a_sentence_and_keeps_what_was_stored(tmp_path: Path) -> None:
    """On a real, small file system, in a mount namespace of its own; what is left is copied
    out and looked at there."""
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    disk.mkdir()
    saved.mkdir()
    path = disk / "t.db"
    script = f"""{_ON_A_SMALL_DISK}"""
    inner = (
        'set +e; "$@"; code=$?; echo "code $code"; '
        f"cp {disk}/t.db* {saved}/; exec {sys.executable} -c "
        f'\'import sys; sys.path[:0]=["{HERE.parent}"]; from db.store import Store; '
        f's=Store.open("sqlite:///{path}"); print("reads", len(s.buckets()))\''
    )
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *user, "--mount", "bash", "-c", script, "bash", str(disk)]
    done = subprocess.run(
        [*command, "bash", "-c", inner, "bash", *writer(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stderr.strip()
    assert f"the disk is full: {path} keeps what was stored so far, but takes no more" in said, said
    assert "Traceback" not in said
    lines = done.stdout.split("\n")
    told = [int(line) for line in lines if line.isdigit()]
    assert told, done.stdout
    assert "code 3" in lines
    assert f"reads {len(told)}" in lines
    assert integrity(saved / "t.db") == ["ok"]
    assert set(told) <= set(stored(saved / "t.db"))


@pytest.mark.parametrize("name", ["t.db", "t.db-wal"])
def test_half_a_file_is_said_to_be_damaged_or_loses_its_end(name: str, tmp_path: Path) -> None:
    """A database that was cut off, as by a copy that did not end, is not read as if whole."""
    path = tmp_path / "t.db"
    process = subprocess.Popen(writer(path), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(30):
        process.stdout.readline()
    process.kill()
    process.communicate()
    cut = tmp_path / name
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    said, kept = "", []
    try:
        kept = stored(path)
    except StoreError as error:
        said = str(error)
    if said:
        assert "is damaged" in said or "lacks a table" in said
    else:
        assert kept == list(range(1, len(kept) + 1))
        assert integrity(path) == ["ok"]
