"""`make mutation`: every mutant of the deciding modules against the tests that come to it.

    python -m mutation [--module GLOB]... [--again] [--anew] [--every N] [--seconds S] [--list]
        [--listed] [TESTS...]

It takes an hour or two; ended at any time, it goes on where it was, as long as no file changes.
What `survivors.toml` lists counts as a survivor without being tried, but with `--listed`.
Ends with 1 when a mutant survives that `survivors.toml` does not list, when that file lists what
no longer is, or when fewer than WANTED percent were killed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mutation import covering, survivors
from mutation.forks import Fate, Forks, Trial
from mutation.operators import Mutant, mutants
from mutation.remembered import Remembered

ROOT = Path(__file__).resolve().parents[2]
WANTED = 95.0
DECIDING = (
    "fuzz/oracle/*.py",
    "fuzz/followup/*.py",
    *(f"fuzz/worker/{n}.py" for n in ("session", "features", "feedback", "runner")),
    *(f"fuzz/worker/{n}.py" for n in ("tally", "travel")),
    *(f"fuzz/campaign/{n}.py" for n in ("ledger", "totals")),
    "fuzz/generate/mutate.py",
    *(f"targets/spec/{n}.py" for n in ("judge", "stepper", "decided", "permitted")),
    *(f"targets/spec/{n}.py" for n in ("defects", "sets", "world")),
    *("targets/base.py", "targets/kind.py"),
    *(f"corpus/{n}.py" for n in ("kept", "fault", "tracecode")),
    *("db/retests.py", "db/sightings.py", "db/store.py", "fuzz/cli/run.py"),
)
QUICK = "not lab and not slow"
TEST_SECONDS = 40.0
"""Seconds of the processor that the tests of one mutant may take; the quickest come first."""
HERE_SECONDS, ANEW_SECONDS = 15.0, 60.0
"""By the clock, what a mutant may take beside four times what its tests take without it: as
collected, or with the program imported anew."""
LAST = ROOT / ".mutation" / "last.json"


def main(argv: Sequence[str]) -> int:
    """Hunt, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("--module", action="append", default=[], help="only modules like this")
    parser.add_argument("--again", action="store_true", help="only what survived last time")
    parser.add_argument("--anew", action="store_true", help="forget what an earlier hunt found out")
    parser.add_argument("--every", type=int, default=1, help="one of so many, for a quick look")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--listed", action="store_true", help="try listed survivors, too")
    parser.add_argument(
        "--seconds", type=float, default=TEST_SECONDS, help="of tests against one mutant"
    )
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--marks", default=QUICK, help="pytest's -m: which tests to put against")
    parser.add_argument("tests", nargs="*", default=["tests"])
    args = parser.parse_intermixed_args(argv)
    found = _mutants(args.module, again=args.again)[:: args.every]
    if args.list:
        print(*found, sep="\n")
        return 0
    question = (args.marks, str(args.seconds), *args.tests)
    remembered = Remembered(LAST.parent, ROOT, question)
    if args.anew:
        shutil.rmtree(remembered.folder, ignore_errors=True)
    hunt = Hunt(found, args.jobs, args.seconds, remembered, listed=args.listed)
    os.chdir(ROOT)
    pytest.main(
        ["-q", "-s", "-m", args.marks, "-p", "no:cacheprovider", *args.tests], plugins=[hunt]
    )
    whole = not (args.module or args.again) and args.every == 1 and args.tests == ["tests"]
    return hunt.tell(complete=whole)


def _mutants(globs: Sequence[str], *, again: bool) -> list[Mutant]:
    names = [str(path.relative_to(ROOT)) for path in _deciding()]
    wanted = [n for n in names if not globs or any(fnmatchcase(n, glob) for glob in globs)]
    found = [one for name in wanted for one in mutants(name, (ROOT / name).read_text())]
    if again:
        last = {tuple(key) for key in json.loads(LAST.read_text())}
        found = [one for one in found if one.key in last]
    return found


def _deciding() -> list[Path]:
    return sorted({path for glob in DECIDING for path in ROOT.glob(glob)})


class Hunt:
    """A pytest plugin that runs mutants in place of tests."""

    def __init__(
        self,
        found: Sequence[Mutant],
        jobs: int,
        seconds: float,
        remembered: Remembered,
        *,
        listed: bool,
    ) -> None:
        self._mutants, self._jobs, self._seconds = found, jobs, seconds
        self._remembered = remembered
        self._listed = survivors.load()
        self.fates: dict[Mutant, Fate] = {}
        if not listed:
            known = (one for one in found if one.key in self._listed)
            self.fates.update(dict.fromkeys(known, Fate.SURVIVED))
        self.uncovered: set[Mutant] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """What pytest does after it has collected the tests."""
        if session.testsfailed:
            return False
        began = time.monotonic()
        known = self._covering(session.items)
        print(f"{len(known.seconds)} tests in {time.monotonic() - began:.0f} s", flush=True)
        for test in sorted(known.failed):
            print(f"fails without a mutant: {test}")
        left = [one for one in self._mutants if one not in self.fates]
        print(f"{len(self._mutants)} mutants, {len(self.fates)} listed", flush=True)
        trials = [trial for one in left if (trial := self._trial(one, known))]
        _import({covering.module_of(one.path) for one in self._mutants}, known.libraries)
        items = {item.nodeid: item for item in session.items}
        forks = Forks(items, ROOT, self._jobs, known.seconds)
        for trial, fate in forks.run(self._untried(trials)):
            self.fates[trial.mutant] = fate
            self._remembered.keep_fate(trial.mutant, fate)
            if fate is Fate.SURVIVED:
                print(f"{len(self.fates)}: {trial.mutant}  [{len(trial.tests)} tests]", flush=True)
            elif fate is Fate.TIMEOUT:
                print(f"{len(self.fates)}: {trial.mutant}  comes to no end", flush=True)
            elif len(self.fates) % 200 == 0:
                print(f"{len(self.fates)} after {time.monotonic() - began:.0f} s", flush=True)
        return True

    def _covering(self, items: Sequence[pytest.Item]) -> covering.Covering:
        """Of all modules that are mutated, so that the next hunt has it whichever it is for."""
        known = self._remembered.covering()
        if known is None:
            known = covering.observed(items, _deciding(), ROOT, self._jobs)
            self._remembered.keep_covering(known)
        return known

    def _untried(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Those whose fate is not known; that of the others is noted."""
        fates = self._remembered.fates()
        left = [trial for trial in trials if trial.mutant.key not in fates]
        tried = (trial.mutant for trial in trials if trial.mutant.key in fates)
        known = {mutant: fates[mutant.key] for mutant in tried}
        self.fates.update(known)
        if known:
            print(f"of {len(known)} the fate is known from before", flush=True)
        return left

    def _trial(self, mutant: Mutant, known: covering.Covering) -> Trial | None:
        tests, here = known.tests_of(mutant)
        tests -= known.failed
        if not tests:
            self.uncovered.add(mutant)
            print(f"no test comes to {mutant}")
            return None
        chosen = covering.quickest(tests, known, self._seconds)
        waited = sum(known.waited[test] for test in chosen)
        more = HERE_SECONDS if here else ANEW_SECONDS
        return Trial(mutant, chosen, here, more + 4 * waited)

    def tell(self, *, complete: bool) -> int:
        """Print what came of it; the exit code."""
        alive = {one for one, fate in self.fates.items() if fate is Fate.SURVIVED} | self.uncovered
        LAST.parent.mkdir(exist_ok=True)
        LAST.write_text(json.dumps(sorted(one.key for one in alive)))
        total = len(self.fates) + len(self.uncovered)
        if not total:
            print("there were no mutants, or their tests could not be collected")
            return 1
        print(Counter(fate.name.lower() for fate in self.fates.values()))
        share = 100 * (total - len(alive)) / total
        print(f"{total - len(alive)} of {total} mutants killed: {share:.1f} %")
        unlisted = sorted((one for one in alive if one.key not in self._listed), key=str)
        for one in unlisted:
            print(f"survives and is not listed: {one}")
        for one in sorted((one for one in self.fates if one.key in self._listed), key=str):
            if one not in alive:
                print(f"is listed, and a test kills it: {one}")
        there = {one.key for one in self._mutants}
        gone = sorted(self._listed.keys() - there) if complete else []
        for key in gone:
            print(f"is listed and no longer there: {key}")
        return int(bool(unlisted or gone) or (complete and share < WANTED))


def _import(mutated: set[str], libraries: set[str]) -> None:
    """Here, so that no fork has to; nor could a function be exchanged that is not there yet.
    What cannot be imported by itself is left to those who do."""
    for name in sorted(mutated):
        importlib.import_module(name)
    for name in sorted(libraries):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
