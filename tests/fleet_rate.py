"""The same campaign by `run` and by a fleet on this machine, at once: cases per CPU second.

    python tests/fleet_rate.py --seconds 600 --legs model,kvm

Both run with as many workers, so that each has the other as its load. What either's processes
used, from their start to their end, counts; so does what a fleet does for itself. Ends with 1 if it
does less than LEAST of what `run` does.
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

    def rate(self) -> float:
        """Cases per CPU second, once it is over."""
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
        return cases / seconds


def begin(name: str, folder: Path, *words: str) -> Way:
    """Start one, with a database and a directory of its own."""
    home = folder / name
    home.mkdir()
    log = (home / "log").open("wb")
    command = [str(BIN / "vcpufuzz"), *words, "--db", f"sqlite:///{home}/t.db"]
    process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    return Way(name, process, home / "t.db")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--slice", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--legs", default=LEGS)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-rate-"))
    asked = ("--legs", args.legs, "--time", f"{args.seconds}s")
    ways = [
        begin("run", folder, "run", *asked, "--workers", str(args.workers)),
        begin(
            "fleet",
            folder,
            *("fleet", "start", f"local:{args.workers}", *asked),
            *("--slice", f"{args.slice}s", "--corpus", "corpus"),
        ),
    ]
    alone, fleet = (way.rate() for way in ways)
    print(f"fleet over run: {fleet / alone:.3f}; logs: {folder}")
    sys.exit(fleet < LEAST * alone)


if __name__ == "__main__":
    main()
