"""Replay results as JUnit XML, one suite per leg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from fuzz.suites.replay import Outcome, Result


def write_junit(results: Sequence[Result], path: Path) -> None:
    """Write `results`, a test per file and leg; one that could not run is skipped, and says
    why."""
    xml = JUnitXml()
    for leg in dict.fromkeys(result.leg for result in results):
        suite = TestSuite(leg)
        for result in results:
            if result.leg == leg:
                suite.add_testcase(_testcase(result))
        xml.add_testsuite(suite)
    xml.write(str(path), pretty=True)


def _testcase(result: Result) -> TestCase:
    # Dots would be taken for a hierarchy, and what has the same names for the same test.
    leg = result.leg.replace(".", "_")
    case = TestCase(result.kept.path.stem, f"vcpufuzz.{result.kept.path.parent.name}.{leg}")
    case.time = round(result.seconds, 4)
    if result.outcome in (Outcome.REGRESSION, Outcome.GONE):
        case.result = [Failure(result.explanation, result.outcome.value)]
    elif result.outcome is Outcome.NOT_RUN:
        case.result = [Skipped(result.explanation)]
    elif result.outcome is Outcome.KNOWN:
        case.system_out = f"known divergence: {result.explanation}"
    return case
