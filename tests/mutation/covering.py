"""Which tests come to which lines, and how long each takes: found out once, by running them."""

from __future__ import annotations

import ast
import itertools
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import coverage
import pytest

from mutation.operators import Mutant


@dataclass
class Covering:
    """`lines`: by path, per line, ids of tests that come to it; `importers`: by path, ids of tests
    whose file imports it, and so may see what stands outside of functions; `seconds` of the
    processor that each test takes, and by the clock (`waited`); `failed`: tests that fail as
    things are, and say nothing of mutants; `libraries`: modules of others that tests import when
    they run."""

    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    importers: dict[str, set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)

    def add(self, other: Covering) -> None:
        """What was found out of other tests."""
        for path, per_line in other.lines.items():
            own = self.lines.setdefault(path, {})
            for line, tests in per_line.items():
                own[line] = own.get(line, set()) | tests
        self.seconds.update(other.seconds)
        self.waited.update(other.waited)
        self.failed |= other.failed
        self.libraries |= other.libraries

    def tests_of(self, mutant: Mutant) -> tuple[set[str], bool]:
        """The tests that come to a mutant's line; if none does, or it is outside of functions,
        those that come to its module or import it. And whether it is the former."""
        lines = self.lines.get(mutant.path, {})
        statement, first, last = mutant.lines
        if mutant.scope:
            own = set().union(*(lines.get(n, set()) for n in range(first, last + 1)))
            own = own or lines.get(statement, set())
            if own:
                return own, True
        return self.importers.get(mutant.path, set()).union(*lines.values()), False


def observed(
    items: Sequence[pytest.Item], paths: Sequence[Path], root: Path, jobs: int
) -> Covering:
    """Run tests and see what they come to: those of each file in a process of their own, `jobs` of
    these side by side, so that here everything stays as it was collected. Of a file whose process
    did not come to its end all tests count as failed."""
    names = [str(path.relative_to(root)) for path in paths]
    found = Covering(importers=_importers(items, names))
    waiting = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.path)]
    running: dict[int, tuple[Path, list[pytest.Item]]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-mutation-"))
            tests = waiting.pop(0)
            running[_start(tests, paths, root, folder)] = folder, tests
        for pid, (folder, tests) in tuple(running.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del running[pid]
                told = folder / TOLD
                if told.exists():
                    found.add(pickle.loads(told.read_bytes()))
                else:
                    found.failed |= {item.nodeid for item in tests}
                shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)
    return found


TOLD = "covering"
"""In a process's folder: what it found out."""


def _start(items: Sequence[pytest.Item], paths: Sequence[Path], root: Path, folder: Path) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(folder)
            tempfile.tempdir = None
            (folder / "part").write_bytes(pickle.dumps(_observe(items, paths, root)))
            (folder / "part").rename(folder / TOLD)
        finally:
            os._exit(0)
    return pid


def _observe(items: Sequence[pytest.Item], paths: Sequence[Path], root: Path) -> Covering:
    found = Covering()
    before = set(sys.modules)
    watch = coverage.Coverage(
        data_file=None, include=[str(path) for path in paths], config_file=False
    )
    watch.set_option("run:disable_warnings", ["no-data-collected"])
    watch.start()
    watch.switch_context("-")
    reporter = _Reporter(found)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.pluginmanager.register(reporter, "mutation-observe")
        watch.switch_context(item.nodeid)
        began = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        found.seconds[item.nodeid] = time.process_time() - began
        watch.switch_context("-")
        item.config.pluginmanager.unregister(name="mutation-observe")
    watch.stop()
    data = watch.get_data()
    for path in paths:
        per_line: defaultdict[int, set[str]] = defaultdict(set)
        for line, contexts in data.contexts_by_lineno(str(path)).items():
            per_line[line] = set(contexts) & set(found.seconds)
        found.lines[str(path.relative_to(root))] = dict(per_line)
    fresh = {name: sys.modules[name] for name in sys.modules.keys() - before}
    found.libraries = {name for name, module in fresh.items() if _is_library(module)}
    return found


def _is_library(module: ModuleType) -> bool:
    return "site-packages" in (getattr(module, "__file__", None) or "")


def _importers(items: Sequence[pytest.Item], paths: Sequence[str]) -> dict[str, set[str]]:
    files = {item.path: _imported(item.path.read_text()) for item in items}
    return {
        path: {item.nodeid for item in items if module_of(path) in files[item.path]}
        for path in paths
    }


def module_of(path: str) -> str:
    """The module that a path from the root is."""
    return ".".join(Path(path).with_suffix("").parts)


def _imported(text: str) -> frozenset[str]:
    """The modules that a file imports, and what it takes from them, which may be modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


class _Reporter:
    def __init__(self, found: Covering) -> None:
        self._found = found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test is over."""
        waited = self._found.waited
        waited[report.nodeid] = waited.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._found.failed.add(report.nodeid)


def quickest(tests: set[str], known: Covering, limit: float) -> list[str]:
    """Tests by how long they take, until `limit` seconds of the processor are full."""
    chosen: list[str] = []
    total = 0.0
    for test in sorted(tests, key=lambda test: (known.seconds[test], test)):
        total += known.seconds[test]
        if chosen and total > limit:
            break
        chosen.append(test)
    return chosen
