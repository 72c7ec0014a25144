"""Findings and buckets as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from corpus.kept import Effect
from corpus.text import format_case
from db.records import BucketView, FindingView, LegRecord, NotFound
from db.store import Store
from fuzz.report.findings import export_comment, finding_json
from fuzz.report.promote import PromoteError, known_text, regression_text
from fuzz.web.desk import desk_of
from fuzz.web.questions import BadQuestion

TEXT, JSON, BINARY = "text/plain; charset=utf-8", "application/json", "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that a finding can be had as; `word`: what a link to it says."""

    word: str
    media: str
    make: Callable[[Store, FindingView], str | bytes]


def _minimal(_store: Store, found: FindingView) -> str:
    return format_case(found.minimal, export_comment(found))


def _original(_store: Store, found: FindingView) -> str:
    return format_case(found.original, export_comment(found))


def _encoded(_store: Store, found: FindingView) -> bytes:
    return found.minimal.encoded


def _json(store: Store, found: FindingView) -> str:
    return json.dumps(finding_json(found, store.traces(found.id)), indent=2)


def _traces(store: Store, found: FindingView) -> str:
    legs = {
        view.leg.name: {
            "fingerprint": dict(view.leg.fingerprint),
            "ending": view.trace.ending.value,
            "log": view.trace.log,
            "observations": [
                {"err": seen.err, "aux": seen.aux, "data": seen.data.hex()}
                for seen in view.trace.observations
            ],
        }
        for view in store.traces(found.id)
    }
    return json.dumps({"finding": f"F{found.id}", "case": found.minimal.id, "legs": legs}, indent=2)


def _regression(_store: Store, found: FindingView) -> str:
    return regression_text(found, "")


def _known(store: Store, found: FindingView) -> str:
    legs = [view.leg for view in store.traces(found.id)]
    try:
        return known_text(store.bucket(found.bucket_id), found, legs, Effect.RESULT, "")
    except PromoteError as error:
        raise BadQuestion(str(error)) from None


def offered(bucket: BucketView, found: FindingView, legs: Sequence[LegRecord]) -> dict[str, str]:
    """The files that this finding can be had as -> what a link says."""
    words = {name: kind.word for name, kind in FINDING.items()}
    try:
        known_text(bucket, found, legs, Effect.RESULT, "")
    except PromoteError:
        del words[KNOWN]
    return words


KNOWN = "known.case"


FINDING: Mapping[str, Kind] = {
    "minimal.case": Kind("case", TEXT, _minimal),
    "original.case": Kind("original", TEXT, _original),
    "minimal.bin": Kind("bytes", BINARY, _encoded),
    "finding.json": Kind("JSON", JSON, _json),
    "traces.json": Kind("traces", JSON, _traces),
    "regression.case": Kind("as regression", TEXT, _regression),
    KNOWN: Kind("as known defect", TEXT, _known),
}
"""The name behind a finding's address -> the file."""


def finding_file(request: Request) -> Response:
    """One of the files of a finding."""
    name, number = request.path_params["file"], request.path_params["number"]
    kind = FINDING.get(name)
    if kind is None:
        raise NotFound(f"a finding has no file {name!r}: there are {', '.join(FINDING)}")
    store = desk_of(request).store
    return _file(kind.make(store, store.finding(number)), kind.media, f"F{number}-{name}")


def bucket_file(request: Request) -> Response:
    """A bucket, as `triage import` reads it."""
    number = request.path_params["number"]
    return _file(desk_of(request).store.export(number), BINARY, f"B{number}.vcpufuzz")


def incident_log(request: Request) -> Response:
    """All that a machine said when it broke."""
    number = request.path_params["number"]
    return _file(desk_of(request).store.incident(number).log, TEXT, f"incident-{number}.log")


def _file(content: str | bytes, media: str, name: str) -> Response:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media, headers=headers)
