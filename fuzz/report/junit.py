"""Replay results as JUnit XML, one suite per leg."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from fuzz.printable import printable
from fuzz.report.naming import told_apart
from fuzz.suites.replay import Outcome, Result


def junit(results: Sequence[Result]) -> str:
    """`results` as a document, a test per file and leg; one that could not run is skipped, and
    says why."""
    xml = JUnitXml()
    places = told_apart({result.kept.path for result in results}, 2)
    for leg in dict.fromkeys(result.leg for result in results):
        suite = TestSuite(printable(leg))
        for result in results:
            if result.leg == leg:
                suite.add_testcase(_testcase(result, places[result.kept.path]))
        xml.add_testsuite(suite)
    document = io.BytesIO()
    xml.write(document, pretty=True)
    return document.getvalue().decode()


def _testcase(result: Result, path: Path) -> TestCase:
    why = printable(result.explanation)
    # Dots would be taken for a hierarchy, and what has the same names for the same test.
    leg = result.leg.replace(".", "_")
    folder = "_".join(path.parent.parts)
    case = TestCase(printable(path.stem), printable(f"vcpufuzz.{folder}.{leg}"))
    case.time = round(result.seconds, 4)
    if result.outcome in (Outcome.REGRESSION, Outcome.GONE):
        case.result = [Failure(why, result.outcome.value)]
    elif result.outcome is Outcome.NOT_RUN:
        case.result = [Skipped(why)]
    elif result.outcome is Outcome.KNOWN:
        case.system_out = f"known divergence: {why}"
    return case
