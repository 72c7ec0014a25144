"""The same campaign by `run` and by a fleet on this machine, at once: cases per CPU second.

    python tests/fleet_rate.py --seconds 600 --rounds 2 --legs model,kvm

Both run with as many workers, so that each has the other as its load. What either's processes
used, from their start to their end, counts; so does what a fleet does for itself. How dear cases
are depends on what a seed comes to, by a tenth and more: so there are rounds, `run` has another
seed in each, and the sums count. Ends with 1 if the fleet does less than LEAST of what `run` does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from db.store import Store

BIN = Path(sys.executable).parent
LEGS = "model,mutant:reinit-keeps-z"
LEAST = 0.95


@dataclass(frozen=True, slots=True)
class Way:
    """A way to search, as a command, and what came of it."""

    name: str
    process: subprocess.Popen[bytes]
    database: Path

    def done(self) -> tuple[int, float]:
        """Its cases and CPU seconds, once it is over."""
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        seconds = used.ru_utime + used.ru_stime
        with Store.open(f"sqlite:///{self.database}") as store:
            cases = sum(int(str(one.statistics.get("cases", 0))) for one in store.campaigns())
        print(
            f"{self.name}: {cases} cases in {seconds:.0f} CPU s, {cases / seconds:.2f} per CPU s"
            f" (exit {self.process.returncode})",
            flush=True,
        )
        return cases, seconds


def begin(name: str, folder: Path, *words: str) -> Way:
    """Start one, with a database and a directory of its own."""
    home = folder / name
    home.mkdir(parents=True)
    log = (home / "log").open("wb")
    command = [str(BIN / "vcpufuzz"), *words, "--db", f"sqlite:///{home}/t.db"]
    process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    return Way(name, process, home / "t.db")


def one_round(args: argparse.Namespace, seed: int, folder: Path) -> tuple[Way, Way]:
    """Start both."""
    asked = ("--legs", args.legs, "--time", f"{args.seconds}s")
    workers = str(args.workers)
    fleet = ("fleet", "start", f"local:{workers}", "--slice", f"{args.slice}s")
    return (
        begin("run", folder, "run", *asked, "--workers", workers, "--seed", str(seed)),
        begin("fleet", folder, *fleet, *asked, "--corpus", "corpus"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--slice", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--legs", default=LEGS)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-rate-"))
    cases, seconds = [0, 0], [0.0, 0.0]
    for number in range(1, args.rounds + 1):
        for index, way in enumerate(one_round(args, number, folder / str(number))):
            done, used = way.done()
            cases[index] += done
            seconds[index] += used
    alone, fleet = (done / used for done, used in zip(cases, seconds, strict=True))
    print(f"fleet over run: {fleet / alone:.3f}; logs: {folder}")
    sys.exit(fleet < LEAST * alone)


if __name__ == "__main__":
    main()
