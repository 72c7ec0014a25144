"""A campaign whose executors are killed, made to crash and made to panic all the time.

    python tests/soak.py --kills 20 --panics 5 --time 120
    python tests/soak.py --legs model,emulator:keep --kills 20 --crashes 20 --time 60

runs `vcpufuzz run`, kills its QEMUs and its emulators' workers with SIGKILL, the latter with
SIGSEGV, too, and makes its guests panic, one at a time and at random moments (while they serve,
boot, or are being investigated), and then looks whether every one of them was recorded, every
leg ran every case, and the campaign ended in its time. Ends with 0 if so, else with 1 and what
was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import guestfaults

from db.store import Store
from fuzz.cli.errors import Exit
from targets.ended import is_dying

LATE_S = 60.0
"""A campaign may end this long after its time: what a worker is looking into comes to an end."""
MOST_S = 540
"""A campaign without a time of its own takes no longer, however busy the machine is."""
STILL_S = 0.2
"""For an executor to go away that is about to: it must not be taken for an injured one."""
UNSEEN_S = 60.0
"""A guest that ought to panic and is gone for so long without a word was replaced before it
noticed."""


@dataclass(slots=True)
class Soak:
    """What was done, by the kind of incident that it makes, and what came of it. `wrong`: one
    sentence each."""

    done: Counter[str] = field(default_factory=Counter)
    incidents: Counter[str] = field(default_factory=Counter)
    totals: dict[str, object] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def soak(folder: Path, legs: str, plan: Counter[str], seconds: int = 0, seed: int = 1) -> Soak:
    """Run a campaign in `folder` and injure its executors: `plan` says how often to make an
    incident "lost", "crash" or "panic". Without `seconds` it ends, as with Ctrl-C, when all is
    done."""
    result = Soak()
    program = str(Path(sys.executable).with_name("vcpufuzz"))
    budget = f"{seconds or MOST_S}s"
    command = [program, "run", "--legs", legs, "--time", budget, "--json", "out.json"]
    with (folder / "log").open("w") as log:
        campaign = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            kinds = sorted(plan.elements())
            chance = random.Random(seed)
            chance.shuffle(kinds)
            _injure(_Campaign(campaign, folder), kinds, chance, result)
            if not seconds:
                campaign.send_signal(signal.SIGINT)
            told = time.monotonic()
            code = campaign.wait(timeout=seconds + 2 * LATE_S)
            if not seconds and time.monotonic() - told > LATE_S:
                result.wrong.append("the campaign took long to end when it was told to")
        except subprocess.TimeoutExpired:
            result.wrong.append("the campaign did not end")
            return result
        finally:
            if campaign.poll() is None:
                campaign.kill()
                campaign.wait()
    _check(result, folder, code, seconds)
    return result


@dataclass(frozen=True, slots=True)
class _Campaign:
    process: subprocess.Popen[bytes]
    folder: Path

    def wait_until(self, true: Callable[[], bool]) -> bool:
        """False if the campaign ends first."""
        while not true():
            if self.process.poll() is not None:
                return False
            time.sleep(0.2)
        return True

    def executors(self) -> Iterator[tuple[int, str]]:
        """Those that run now: pid, and "lab" or "emulator"."""
        return _executors(self.process.pid)


def _injure(campaign: _Campaign, kinds: list[str], chance: random.Random, result: Soak) -> None:
    for number, kind in enumerate(kinds):
        time.sleep(chance.uniform(0.0, 2.0))
        if not _make(campaign, kind):
            result.wrong.append(f"the campaign ended before {len(kinds) - number} of the injuries")
            return
        result.done[kind] += 1
    found = campaign.wait_until(lambda: _is_followed_up(campaign.folder))
    if not found or not campaign.wait_until(lambda: any(map(_serves, campaign.executors()))):
        result.wrong.append("the campaign ended before it was over the last injury")


def _make(campaign: _Campaign, kind: str) -> bool:
    """Make one incident of this kind and see it recorded; False if the campaign ends first."""
    before = _recorded(campaign.folder)[kind]
    gone: float | None = None
    victim = 0

    def recorded() -> bool:
        nonlocal gone, victim
        if _recorded(campaign.folder)[kind] > before:
            return True
        if not victim:
            struck = (pid for pid, family in campaign.executors() if _strike(pid, family, kind))
            victim, gone = next(struck, 0), None
        elif kind == "panic" and not Path(f"/proc/{victim}").exists():
            gone = gone or time.monotonic()
            victim = 0 if time.monotonic() - gone > UNSEEN_S else victim
        return False

    return campaign.wait_until(recorded)


def _strike(pid: int, family: str, kind: str) -> bool:
    """Injure an executor so that this kind of incident comes of it. False if it cannot be, or
    is on its way out by itself."""
    if kind != "lost" and (family, kind) not in (("lab", "panic"), ("emulator", "crash")):
        return False
    with suppress(OSError):
        if kind == "panic" and not guestfaults.serves(pid):
            return False
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(STILL_S)
            if is_dying(pid):
                return False
            if kind == "panic":
                guestfaults.panic(pid)
            else:
                os.kill(pid, signal.SIGKILL if kind == "lost" else signal.SIGSEGV)
        finally:
            with suppress(ProcessLookupError):  # it may be gone already
                os.kill(pid, signal.SIGCONT)
        return True
    return False


def _serves(executor: tuple[int, str]) -> bool:
    pid, family = executor
    with suppress(OSError):
        return not is_dying(pid) and (family == "emulator" or guestfaults.serves(pid))
    return False


def _executors(pid: int) -> Iterator[tuple[int, str]]:
    """The lab's QEMUs and the emulators' workers among a process's descendants."""
    for tasks in Path("/proc").glob(f"{pid}/task/*/children"):
        try:
            children = [int(child) for child in tasks.read_text().split()]
        except OSError:
            continue
        for child in children:
            try:
                arguments = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"ivshmem-plain" in arguments:
                yield child, "lab"
            elif b"--tail" in arguments.split(b"\0"):
                yield child, "emulator"
            else:
                yield from _executors(child)


def _url(folder: Path) -> str:
    return f"sqlite:///{folder}/vcpufuzz.db"


def _read(folder: Path, query: str) -> list[tuple[str]]:
    """Rows of a database that a campaign may be creating just now: none then."""
    with suppress(sqlite3.OperationalError):
        database = f"file:{folder}/vcpufuzz.db?mode=ro"
        with closing(sqlite3.connect(database, uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()
    return []


def _recorded(folder: Path) -> Counter[str]:
    """Incidents by kind."""
    return Counter(kind for (kind,) in _read(folder, "select kind from incidents"))


def _panics_to_follow_up(folder: Path) -> bool:
    """Whether a guest panicked of a case, rather than while another one was looked into."""
    query = "select kind from incidents where kind = 'panic' and not investigating"
    return bool(_read(folder, query))


def _is_followed_up(folder: Path) -> bool:
    """Whether a panic became a finding, and only where one should. Once there is a database."""
    with Store.open(_url(folder)) as store:
        found = any(bucket.signature.rule == "ending.panic" for bucket in store.buckets())
    return found == _panics_to_follow_up(folder)


def _check(result: Soak, folder: Path, code: int, seconds: int) -> None:
    result.incidents = _recorded(folder)
    said = (folder / "log").read_text()
    with Store.open(_url(folder)) as store:
        campaigns = list(store.campaigns())
    if not campaigns or not (folder / "out.json").exists():
        result.wrong.append(f"the campaign ended with {code} before it began: {said[-300:]}")
        return
    result.totals = json.loads((folder / "out.json").read_text())
    for kind in sorted({*result.done, "lost", "crash", "panic"}):
        made, found = result.done[kind], result.incidents[kind]
        if made != found:
            result.wrong.append(f"{made} times {kind} were made, {found} were recorded")
    (campaign,) = campaigns
    if campaign.ended is None:
        result.wrong.append("the campaign is stored as not ended")
    elif (campaign.ended - campaign.started).total_seconds() > (seconds or MOST_S) + LATE_S:
        result.wrong.append("the campaign took longer than its time")
    panics = _panics_to_follow_up(folder)
    if not _is_followed_up(folder):
        result.wrong.append("panics are findings, and nothing else is one")
    executions = result.totals["executions"]
    assert isinstance(executions, dict)
    if set(executions.values()) != {result.totals["cases"]}:
        result.wrong.append(f"not every leg ran every case: {executions}")
    calm = Exit.OK if seconds else Exit.INTERRUPTED
    if code != (Exit.DIVERGENCE if panics else calm):
        result.wrong.append(f"the campaign ended with {code}")
    if "did not end in time" in said:
        result.wrong.append("a worker was stuck")


def main() -> int:
    """Run it once; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--panics", type=int, default=0, help="of guests in the lab")
    parser.add_argument("--crashes", type=int, default=0, help="of emulators' workers")
    parser.add_argument("--time", type=int, default=0, help="seconds of the campaign")
    parser.add_argument("--legs", default="model,kvm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="an empty directory for database and log")
    args = parser.parse_args()
    plan = Counter(lost=args.kills, panic=args.panics, crash=args.crashes)
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-soak-") as name:
        result = soak(args.keep or Path(name), args.legs, plan, args.time, args.seed)
    totals = result.totals
    print(f"made {dict(result.done)}; recorded {dict(result.incidents)}")
    print(f"cases {totals.get('cases')}, executions {totals.get('executions')}")
    print(f"incidents {totals.get('incidents')}")
    print(f"restarts {totals.get('machine_restarts')}")
    for sentence in result.wrong:
        print(f"WRONG: {sentence}")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
