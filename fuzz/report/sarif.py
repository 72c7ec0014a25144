"""Replay results as SARIF 2.1.0, which code hosts show beside a change. Pure.

A divergence that is recorded is a suppressed note, one that is not an error or, from a lenient
rule, a warning; a record that no longer shows is a warning; what could not run is a
notification of the tool. Fingerprints are of the case, the leg and the rule, so that a result
is the same in every run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpus.isa.table import FORMS
from fuzz.suites.replay import Outcome, Result
from targets.spec.rules import RULES

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_GONE = "record.gone"
_TOLD = (Outcome.REGRESSION, Outcome.GONE, Outcome.KNOWN)


def sarif(results: Sequence[Result], root: Path) -> dict[str, Any]:
    """The log; paths below `root` are told relative to it."""
    told = [result for result in results if result.outcome in _TOLD]
    rules = sorted({_rule(result) for result in told})
    index = {rule: number for number, rule in enumerate(rules)}
    skipped = [result for result in results if result.outcome is Outcome.NOT_RUN]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "vcpufuzz",
                        "version": version("vcpufuzz"),
                        "rules": [_described(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"ROOT": {"uri": root.absolute().as_uri() + "/"}},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_skipped(r, root) for r in skipped],
                    }
                ],
                "results": [_result(r, index, root) for r in told],
            }
        ],
    }


def _rule(result: Result) -> str:
    return _GONE if result.outcome is Outcome.GONE else result.rule or "unknown"


def _described(rule: str) -> dict[str, Any]:
    return {"id": rule, "shortDescription": {"text": _text(rule)}}


def _text(rule: str) -> str:
    if rule == _GONE:
        return "A recorded divergence no longer shows: the record wants an update."
    known = RULES.get(rule)
    if known is not None:
        return known.text
    if rule.removeprefix("isa.") in FORMS:
        return "An instruction leaves what the architecture says it does."
    return "Every case ends well." if rule.startswith("ending.") else rule


def _result(result: Result, index: Mapping[str, int], root: Path) -> dict[str, Any]:
    rule = _rule(result)
    found: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": index[rule],
        "level": _level(result),
        "message": {"text": f"{result.leg}: {result.explanation}"},
        "locations": [{"physicalLocation": _place(result, root)}],
        "partialFingerprints": {"vcpufuzzCaseLegRule/v1": result.fingerprint},
        "properties": {"leg": result.leg, "case": result.kept.case.id},
    }
    if result.outcome is Outcome.KNOWN:
        about = result.kept.about or "recorded in the case"
        found["suppressions"] = [{"kind": "inSource", "justification": about}]
    return found


def _level(result: Result) -> str:
    if result.outcome is Outcome.KNOWN:
        return "note"
    return "error" if result.outcome is Outcome.REGRESSION and result.strict else "warning"


def _skipped(result: Result, root: Path) -> dict[str, Any]:
    return {
        "level": "warning",
        "message": {"text": f"{result.leg}: not run: {result.explanation}"},
        "locations": [{"physicalLocation": _place(result, root)}],
    }


def _place(result: Result, root: Path) -> dict[str, Any]:
    path = Path(os.path.abspath(result.kept.path))
    line = _line(path, result.op_index)
    artifact: dict[str, Any] = {"uri": path.as_uri()}
    if path.is_relative_to(root.absolute()):
        relative = path.relative_to(root.absolute())
        # Quoted as in a URI, but without a scheme.
        artifact = {"uri": (Path("/") / relative).as_uri()[8:], "uriBaseId": "ROOT"}
    place: dict[str, Any] = {"artifactLocation": artifact}
    return {**place, "region": {"startLine": line}} if line else place


def _line(path: Path, op_index: int | None) -> int:
    """The line of an op in a case's text, from 1; 0 if it is not text."""
    if path.suffix != ".case":
        return 0
    starts = list(_starts(path.read_text(errors="replace").splitlines()))
    if op_index is None or op_index >= len(starts):
        return starts[0] if starts else 1
    return starts[op_index]


def _starts(lines: Sequence[str]) -> Iterator[int]:
    """Lines at which an op begins: a program's instructions belong to the op before."""
    inside = False
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not inside:
            yield number
        inside = text.endswith("{") or (inside and not text.endswith("}"))
