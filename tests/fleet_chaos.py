"""A fleet whose workers, scheduler and leader are killed again and again, and its books then.

    python tests/fleet_chaos.py --seconds 900     # four workers, PostgreSQL, a kill every 20 s
    python tests/fleet_chaos.py --seconds 900 --calm      # and then the same without kills

What campaigns say of themselves in their statistics is held against what the store has: no finding
may be lost, none may be there twice, and each slice must be accounted for. What kills cost is told
by what a fleet without them reaches in the same time.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from postgres import postgres

from db.filters import BucketFilter
from db.records import NotFound
from db.store import Store
from db.work import State, Wish
from fuzz.fleet.novelty import Novelty

BIN = Path(sys.executable).parent
LEGS = "model,mutant:finalize-twice,mutant:reinit-keeps-z"
DRAIN_S = 900.0
LEAST = 0.9
"""What a fleet has to reach of what it does without kills."""


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Part:
    """A process of the fleet that is started again when it is gone."""

    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"},
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether it is there."""
        return self.process is not None and self.process.poll() is None

    def kill(self, whole: bool = True) -> None:
        """kill -9: all of it, or only a process that does slices, which it starts again."""
        assert self.process is not None
        if not whole:
            inner = _workers_of(self.process.pid)
            if inner:
                os.kill(random.choice(inner), signal.SIGKILL)
                return
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """End it and all that it started."""
        if self.process is None:
            return
        if self.running():
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _workers_of(pid: int) -> list[int]:
    """Children of a process that are Dask's workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            said = (path / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid and b"spawn_main" in said:
            found.append(int(path.name))
    return found


@dataclass
class Books:
    """What the store says in the end. `pairs`, `blocks`: those that are distinct, by leg, and by
    kernel; `lost`, `double`: findings, by campaign and signature."""

    slices: Counter[str]
    campaigns: int = 0
    cases: int = 0
    pairs: int = 0
    blocks: int = 0
    buckets: int = 0
    findings: int = 0
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)


def books(store: Store) -> Books:
    """Hold what is there against what campaigns said."""
    counted = Counter({f"{one.kind} {one.state}": 0 for one in store.slice_counts()})
    for count in store.slice_counts():
        counted[f"{count.kind} {count.state}"] += count.slices
    found, novelty = Books(counted), Novelty()
    by_campaign: dict[int, Counter[str]] = {}
    # Each has another finding beside it, with a smaller case.
    smaller = Counter(
        one.spec["finding"]
        for one in store.finished_slices("minimise", 100_000)
        if one.counts["smaller"]
    )
    for bucket in store.buckets(BucketFilter()):
        found.buckets += 1
        for finding in store.findings(bucket.id):
            found.findings += 1
            told = by_campaign.setdefault(finding.campaign_id, Counter())
            told[bucket.title] += 1 - smaller[finding.id]
    for one in store.finished_slices("campaign", 100_000):
        found.cases += int(one.counts["cases"])
        if one.campaign_id is None:
            found.unaccounted.append(f"{one.id[:12]} has no campaign")
            continue
        campaign = store.campaign(one.campaign_id)
        found.campaigns += 1
        found.pairs += novelty.pairs(one.leg, campaign.statistics)
        if campaign.ended is None or campaign.options.get("slice") != one.id:
            found.unaccounted.append(f"{one.id[:12]} and campaign {campaign.id}")
        said = {bucket["title"] for bucket in campaign.statistics["buckets"]}
        kept = by_campaign.get(campaign.id, Counter())
        found.lost += [f"C{campaign.id}: {title}" for title in said - kept.keys()]
        found.double += [f"C{campaign.id}: {title}" for title, n in kept.items() if n > 1]
    for leg in store.coverage():
        for reached in leg.reached:
            found.blocks += len(novelty.blocks(leg.leg.digest, reached.blocks))
    running = [one for one in store.unfinished_slices() if one.state is State.RUNNING]
    found.unaccounted += [f"{one.id[:12]} still runs" for one in running]
    return found


@contextmanager
def ended(parts: Sequence[Part]) -> Iterator[None]:
    """Whatever happens, nothing of it is left."""
    try:
        yield
    finally:
        for part in reversed(parts):
            part.end()


def chaos(
    url: str,
    folder: Path,
    seconds: float,
    every: float,
    workers: int,
    slice_s: int = 15,
    legs: str = LEGS,
) -> Counter[str]:
    """Run a fleet for so long and kill a worker every so many seconds (0: none), the scheduler and
    the leader once each; return what was killed. It is drained in the end, but not before a slice
    was done: on a busy machine that takes long."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    scheduler = Part(
        [str(BIN / "dask"), "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"],
        folder / "scheduler.log",
    )
    posts = [
        Part(
            [str(BIN / "vcpufuzz"), "fleet", "worker", address, "--slots", "1", "--name", f"w{n}"],
            folder / f"worker-{n}.log",
        )
        for n in range(workers)
    ]
    leader = Part(
        [
            *(str(BIN / "vcpufuzz"), "fleet", "start", address, "--db", url, "--legs", legs),
            *("--slice", f"{slice_s}s", "--corpus", f"file://{folder}/corpus", "--log", "json"),
        ],
        folder / "leader.log",
    )
    parts = [scheduler, *posts, leader]
    killed: Counter[str] = Counter()
    with ended(parts), Store.open(url) as store:
        began = time.monotonic()
        next_kill = began + (every or seconds + 1)
        once = {"scheduler": (0.35, scheduler), "leader": (0.65, leader)} if every else {}
        while time.monotonic() - began < seconds or not _worked(store, began + seconds + DRAIN_S):
            for part in parts:
                if not part.running():
                    part.start()
                    time.sleep(2.0 if part is scheduler else 0.2)
            time.sleep(1.0)
            now = time.monotonic()
            for name, (when, part) in list(once.items()):
                if now - began > when * seconds:
                    part.kill()
                    killed[name] += 1
                    del once[name]
            if next_kill <= now < began + seconds:
                next_kill += every
                random.choice(posts).kill(whole=random.random() < 0.25)
                killed["worker"] += 1
        _drain(store, parts)
    return killed


def _worked(store: Store, deadline: float) -> bool:
    """Whether a campaign was done."""
    if store.finished_slices("campaign", 1):
        return True
    assert time.monotonic() < deadline, "the fleet does nothing"
    return False


def _drain(store: Store, parts: Sequence[Part]) -> None:
    """Let what runs come to its end."""
    deadline = time.monotonic() + DRAIN_S
    drained = False
    while not drained:
        assert time.monotonic() < deadline, "the fleet does not drain"
        for part in parts:
            if not part.running():
                part.start()
        # A leader that was killed just now has to be back before it can hear.
        with suppress(NotFound):
            store.wish(Wish.DRAIN)
        time.sleep(2.0)
        view = store.fleet()
        drained = view is not None and view.beat is None


def report(found: Books, killed: Counter[str]) -> list[str]:
    """For people."""
    return [
        f"killed: {dict(killed)}",
        f"slices: {dict(found.slices)}",
        f"{found.campaigns} campaigns, {found.cases} cases, {found.pairs} pairs,"
        f" {found.blocks} blocks, {found.buckets} buckets, {found.findings} findings",
        f"lost: {found.lost}",
        f"double: {found.double}",
        f"unaccounted: {found.unaccounted}",
    ]


def reach(shaken: Books, calm: Books) -> dict[str, float]:
    """How much a fleet reached of what one without kills did, by what there is to reach."""
    both = {name: (getattr(shaken, name), getattr(calm, name)) for name in ("pairs", "blocks")}
    return {name: one / other for name, (one, other) in both.items() if other}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--every", type=float, default=20.0, help="0: nothing is killed")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--slice", type=int, default=15)
    parser.add_argument("--legs", default=LEGS)
    parser.add_argument(
        "--calm",
        action="store_true",
        help="then the same without kills, which may reach little more",
    )
    args = parser.parse_args()
    told = [_fleet(args, args.every), *([_fleet(args, 0.0)] if args.calm else [])]
    wrong = any(
        found.lost or found.double or found.unaccounted or not found.campaigns for found in told
    )
    if args.calm:
        kept = reach(*told)
        print(f"of what was reached without kills: {_percent(kept)}")
        wrong |= not kept or min(kept.values()) < LEAST
    sys.exit(wrong)


def _fleet(args: argparse.Namespace, every: float) -> Books:
    """Run one and say what came of it."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-chaos-"))
        url = stack.enter_context(postgres()).url
        killed = chaos(url, folder, args.seconds, every, args.workers, args.slice, args.legs)
        with Store.open(url) as store:
            found = books(store)
    print("\n".join((*report(found, killed), f"logs: {folder}")), flush=True)
    return found


def _percent(parts: Mapping[str, float]) -> str:
    return (
        ", ".join(f"{part:.1%} of {name}" for name, part in parts.items()) or "nothing to compare"
    )


if __name__ == "__main__":
    main()
