"""A mutant in a fork of this process, where pytest has collected all tests already."""

from __future__ import annotations

import gc
import importlib.abc
import importlib.machinery
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest

from mutation.operators import Mutant

PACKAGES = ("corpus", "targets", "db", "fuzz")
KILLER = "killer"
"""In a trial's folder: id of the test that failed."""
FAR = 4
"""So many of the tests that killed other mutants of the module go first."""
STUCK_SECONDS, STUCK_TIMES = 5.0, 10.0
"""A test that takes more of the processor than these seconds, beside so many times what it takes
without a mutant, comes to no end."""


class Fate(Enum):
    """What became of a mutant."""

    SURVIVED = 0
    KILLED = 1
    TIMEOUT = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant, and the tests to run against it. `here`: it is in a function that a test comes to,
    so exchanging the function's code is enough; else the program is imported anew. `seconds`:
    what it may take."""

    mutant: Mutant
    tests: Sequence[str]
    here: bool
    seconds: float


class Forks:
    """Runs trials side by side. What killed a mutant is put first against the next ones nearby.
    `seconds` of the processor that tests take by themselves."""

    def __init__(
        self,
        items: Mapping[str, pytest.Item],
        root: Path,
        jobs: int,
        seconds: Mapping[str, float],
    ) -> None:
        self._items, self._root, self._jobs, self._seconds = items, root, jobs, seconds
        self._functions = _functions(root)
        self._killers: dict[tuple[str, str], list[str]] = {}
        gc.collect()
        gc.freeze()  # what is here already is not walked, and so not copied, in each fork

    def run(self, trials: Iterable[Trial]) -> Iterator[tuple[Trial, Fate]]:
        """The fate of each, as they end."""
        waiting = iter(trials)
        running: dict[int, tuple[Trial, float, Path]] = {}
        more = True
        while more or running:
            while more and len(running) < self._jobs:
                trial = next(waiting, None)
                more = trial is not None
                if trial is not None:
                    folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-mutant-"))
                    running[self._start(trial, folder)] = trial, time.monotonic(), folder
            for pid, (trial, since, folder) in tuple(running.items()):
                late = time.monotonic() - since > trial.seconds
                if late:
                    os.killpg(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, 0 if late else os.WNOHANG)
                if ended:
                    del running[pid]
                    self._remember(trial.mutant, folder / KILLER)
                    shutil.rmtree(folder, ignore_errors=True)
                    yield trial, _fate(status, late=late)
            time.sleep(0.002)

    def _remember(self, mutant: Mutant, told: Path) -> None:
        """Which test was it? The latest of each function stands first, then of the module."""
        if told.exists():
            killer = told.read_text()
            for place in ((mutant.path, mutant.scope), (mutant.path, "")):
                known = self._killers.setdefault(place, [])
                known[:] = [killer, *(test for test in known if test != killer)]

    def _ordered(self, trial: Trial) -> Sequence[str]:
        mutant = trial.mutant
        near = self._killers.get((mutant.path, mutant.scope), [])
        known = [*near, *self._killers.get((mutant.path, ""), [])[:FAR]]
        chosen = set(trial.tests)
        return tuple(dict.fromkeys((*(t for t in known if t in chosen), *trial.tests)))

    def _start(self, trial: Trial, folder: Path) -> int:
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            os.setpgid(pid, pid)
            return pid
        status = Fate.KILLED.value
        try:
            os.setpgid(0, 0)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(folder)
            tempfile.tempdir = None
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            status = self._try(replace(trial, tests=self._ordered(trial)), folder).value
        finally:
            os._exit(status)

    def _try(self, trial: Trial, folder: Path) -> Fate:
        end = _EndAtOnce(folder / KILLER, self._seconds)
        if trial.here:
            try:
                self._exchange(trial.mutant)
            except ValueError:  # such as other free variables than before
                return _anew(trial, self._root, end)
            return self._as_collected(trial.tests, end)
        return _anew(trial, self._root, end)

    def _exchange(self, mutant: Mutant) -> None:
        """Give every function of the module that has other code now this other code. Raises
        ValueError where that cannot be, or there is none."""
        path = str(self._root / mutant.path)
        exchanged = 0
        for code in _codes(compile(mutant.text, path, "exec")):
            name = code.co_qualname
            # What a function has made already is there, too: lambdas and functions in it.
            apart = f"{mutant.scope}.".startswith(f"{name}.<locals>.") or name.startswith(
                f"{mutant.scope}.<locals>."
            )
            if mutant.scope == name or apart:
                for function in self._functions.get((path, name), ()):
                    function.__code__ = code
                    exchanged += 1
        if not exchanged:
            raise ValueError(f"no function of {mutant.path} is {mutant.scope}")

    def _as_collected(self, tests: Sequence[str], end: _EndAtOnce) -> Fate:
        items = [self._items[test] for test in tests]
        first = items[0]
        first.config.pluginmanager.register(end, "mutation-end")
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return Fate.SURVIVED


class _EndAtOnce:
    """The first failure is enough: its test is told in a file. One that is stuck is ended."""

    def __init__(self, told: Path, seconds: Mapping[str, float]) -> None:
        self._told, self._seconds = told, seconds

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        limit = STUCK_SECONDS + STUCK_TIMES * self._seconds.get(nodeid, 0.0)
        signal.setitimer(signal.ITIMER_PROF, limit)  # its signal ends the process

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test is over."""
        if report.failed:
            self._told.write_text(report.nodeid)
            os._exit(Fate.KILLED.value)


def _anew(trial: Trial, root: Path, end: _EndAtOnce) -> Fate:
    """Import the program with the mutant in it, and run the tests from their start."""
    tests = root / "tests"
    for name, module in tuple(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name.partition(".")[0] in PACKAGES or (
            file.startswith(f"{tests}/") and not name.startswith("mutation")
        ):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(trial.mutant, root))
    quiet = ("-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(root))
    # The files of those that probably kill it are soon imported, those of all are not.
    for part in filter(None, (trial.tests[:FAR], trial.tests[FAR:])):
        if pytest.main([*quiet, *part], plugins=[end]) != pytest.ExitCode.OK:
            return Fate.KILLED
    return Fate.SURVIVED


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module of a mutant with its defect."""

    def __init__(self, mutant: Mutant, root: Path) -> None:
        self._name = ".".join(Path(mutant.path).with_suffix("").parts)
        self._path, self._text = str(root / mutant.path), mutant.text

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        loader = _Loader(name, self._path, self._text)
        return importlib.machinery.ModuleSpec(name, loader, origin=self._path)


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        self._path, self._text = path, text

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._text, self._path, "exec")
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self._path
        exec(self.get_code(module.__name__), module.__dict__)


def _functions(root: Path) -> Mapping[tuple[str, str], list[FunctionType]]:
    """Every function of the program there is, by file and qualified name."""
    gc.unfreeze()  # some collected test may have started the command line, which freezes
    found: dict[tuple[str, str], list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(str(root)):
            found.setdefault((one.__code__.co_filename, one.__code__.co_qualname), []).append(one)
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _fate(status: int, *, late: bool) -> Fate:
    code = os.waitstatus_to_exitcode(status)
    if late or code == -signal.SIGPROF:
        return Fate.TIMEOUT
    return Fate.SURVIVED if code == Fate.SURVIVED.value else Fate.KILLED
