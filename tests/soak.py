"""A campaign whose machines are killed and made to panic all the time.

    python tests/soak.py --kills 20 --panics 5 --time 120

runs `vcpufuzz run`, kills its QEMUs with SIGKILL and makes its guests panic, one at a time and
at random moments (while they serve, boot, or are being investigated), and then looks whether
every one of them was recorded, every leg ran every case, and the campaign ended in its time.
Ends with 0 if so, else with 1 and what was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import guestfaults

from db.store import Store
from fuzz.cli.errors import Exit

PATIENCE_S = 40.0
"""For an injury to show in the database."""
LATE_S = 60.0
"""A campaign may end this long after its time: what a worker is looking into comes to an end."""


@dataclass(slots=True)
class Soak:
    """What was done and what came of it. `wrong`: one sentence each."""

    kills: int = 0
    panics: int = 0
    incidents: Counter[str] = field(default_factory=Counter)
    totals: dict[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def soak(folder: Path, legs: str, seconds: int, kills: int, panics: int, seed: int = 1) -> Soak:
    """Run a campaign in `folder` and injure its machines."""
    result = Soak()
    url = f"sqlite:///{folder}/vcpufuzz.db"
    program = str(Path(sys.executable).with_name("vcpufuzz"))
    command = [program, "run", "--legs", legs, "--time", f"{seconds}s", "--json", "out.json"]
    with (folder / "log").open("w") as log:
        campaign = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            _injure(campaign, url, kills, panics, random.Random(seed), result)
            code = campaign.wait(timeout=seconds + 120)
        except subprocess.TimeoutExpired:
            result.wrong.append("the campaign did not end")
            return result
        finally:
            if campaign.poll() is None:
                campaign.kill()
                campaign.wait()
    _check(result, folder, url, code, seconds)
    return result


def _injure(
    campaign: subprocess.Popen[bytes],
    url: str,
    kills: int,
    panics: int,
    chance: random.Random,
    result: Soak,
) -> None:
    plan = ["lost"] * kills + ["panic"] * panics
    chance.shuffle(plan)
    while plan and campaign.poll() is None:
        time.sleep(chance.uniform(0.0, 2.0))
        before = _recorded(url)[plan[0]]
        if not _hit(campaign.pid, plan[0]):
            continue
        end = time.monotonic() + PATIENCE_S
        while _recorded(url)[plan[0]] == before and time.monotonic() < end:
            if campaign.poll() is not None:
                break
            time.sleep(0.2)
        if _recorded(url)[plan[0]] > before or plan[0] == "lost":
            # A guest can be restarted before it notices that it ought to panic: again then.
            kind = plan.pop(0)
            result.kills += kind == "lost"
            result.panics += kind == "panic"
    if plan:
        result.wrong.append(f"the campaign ended before {len(plan)} of the injuries")


def _hit(campaign: int, kind: str) -> bool:
    """Injure some QEMU of the campaign; False if there is none to injure now."""
    for pid in _machines(campaign):
        try:
            if kind == "lost":
                os.kill(pid, signal.SIGKILL)
            elif guestfaults.serves(pid):
                guestfaults.panic(pid)
            else:
                continue
        except OSError:
            continue
        return True
    return False


def _machines(pid: int) -> Iterator[int]:
    """The lab's QEMUs among a process's descendants."""
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
                yield child
            else:
                yield from _machines(child)


def _recorded(url: str) -> Counter[str]:
    if not Store.exists(url):
        return Counter()
    with Store.open(url) as store:
        return Counter(incident.kind for incident in store.incidents())


def _check(result: Soak, folder: Path, url: str, code: int, seconds: int) -> None:
    result.incidents = _recorded(url)
    said = (folder / "log").read_text()
    if not (folder / "out.json").exists():
        result.wrong.append(f"the campaign ended with {code} and no totals: {said[-300:]}")
        return
    result.totals = json.loads((folder / "out.json").read_text())
    done = {"lost": result.kills, "panic": result.panics}
    for kind, number in done.items():
        if result.incidents[kind] != number:
            found = result.incidents[kind]
            result.wrong.append(f"{number} times {kind} were made, {found} were recorded")
    with Store.open(url) as store:
        (campaign,) = store.campaigns()
        panicked = [b for b in store.buckets() if b.signature.rule == "ending.panic"]
        if campaign.ended is None:
            result.wrong.append("the campaign is stored as not ended")
        elif (campaign.ended - campaign.started).total_seconds() > seconds + LATE_S:
            result.wrong.append("the campaign took longer than its time")
    if bool(panicked) != bool(result.panics):
        result.wrong.append("panics are findings, and nothing else is one")
    executions = result.totals["executions"]
    assert isinstance(executions, dict)
    if set(executions.values()) != {result.totals["cases"]}:
        result.wrong.append(f"not every leg ran every case: {executions}")
    if code != (Exit.DIVERGENCE if result.panics else Exit.OK):
        result.wrong.append(f"the campaign ended with {code}")
    if "was killed" in said.replace("QEMU was killed", ""):
        result.wrong.append("a worker was stuck")


def main() -> int:
    """Run it once; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--panics", type=int, default=5)
    parser.add_argument("--time", type=int, default=180, help="seconds of the campaign")
    parser.add_argument("--legs", default="model,kvm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="an empty directory for database and log")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-soak-") as name:
        folder = args.keep or Path(name)
        result = soak(folder, args.legs, args.time, args.kills, args.panics, args.seed)
    totals = result.totals
    print(f"{result.kills} kills, {result.panics} panics; recorded: {dict(result.incidents)}")
    print(f"cases {totals.get('cases')}, executions {totals.get('executions')}")
    print(f"incidents {totals.get('incidents')}")
    print(f"restarts {totals.get('machine_restarts')}")
    for sentence in result.wrong:
        print(f"WRONG: {sentence}")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
