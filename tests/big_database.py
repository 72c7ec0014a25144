"""A database as years of campaigns leave it: run as a script, it makes one to look at.

python tests/big_database.py sqlite:///big.db [FINDINGS BUCKETS]
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from corpus import tracecode
from corpus.case import Case
from corpus.text import format_case, parse_case
from corpus.trace import Observation, Trace
from db import schema as s
from db.records import LegRecord, SignatureRecord, Status
from db.session import connect
from db.suspects import Suspect

FINDINGS, BUCKETS = 100_000, 2_000
CAMPAIGNS, CASES = 200, 4_000
TRACED = 5
LEGS = (
    LegRecord("model", "model", {"leg": "model"}),
    LegRecord("kvm:6.12:vhe", "kvm", {"release": "6.12.57", "mode": "vhe"}),
    LegRecord("kvm:6.12:nvhe", "kvm", {"release": "6.12.57", "mode": "nvhe"}),
    LegRecord("emulator:keep", "emulator", {"vixl": "5.1.0"}),
)
STATUSES = (
    *[Status.NEW] * 3,
    *[Status.KNOWN] * 8,
    *(Status.CONFIRMED, Status.FIXED, Status.WONTFIX, Status.FLAKY, Status.MODEL_BUG),
)
_BATCH = 5_000


def fill(url: str, findings: int = FINDINGS, buckets: int = BUCKETS) -> None:
    """Fill the database at `url`, which has to be empty; the same each time."""
    engine, _ = connect(url)
    draw = random.Random(7)
    now = datetime.now(UTC)
    cases = list(_cases())
    rows: dict[Any, Iterator[dict[str, Any]]] = {
        s.Leg: _legs(),
        s.Campaign: _campaigns(now),
        s.CaseRow: (
            {"id": case.id, "encoded": case.encoded, "text": format_case(case)} for case in cases
        ),
        s.Bucket: _buckets(draw, now, buckets, findings // buckets),
        s.Signature: _signatures(buckets),
        s.Vote: _votes(buckets),
        s.Finding: _findings(draw, now, findings, buckets, cases),
        s.TraceRow: _traces(findings, buckets, cases),
        s.Note: _notes(now, buckets),
        s.Retest: _retests(now, buckets),
    }
    with engine.begin() as connection:
        for table, content in rows.items():
            batch: list[dict[str, Any]] = []
            for row in content:
                batch.append(row)
                if len(batch) == _BATCH:
                    connection.execute(insert(table), batch)
                    batch = []
            if batch:
                connection.execute(insert(table), batch)
        links = [
            {"campaign_id": campaign, "leg_id": leg}
            for campaign in range(1, CAMPAIGNS + 1)
            for leg in range(1, len(LEGS) + 1)
        ]
        connection.execute(insert(s.campaign_legs), links)
        if engine.dialect.name == "postgresql":
            for table in rows:
                if table is not s.CaseRow:
                    name = table.__tablename__
                    query = f"SELECT setval('{name}_id_seq', (SELECT max(id) FROM {name}))"
                    connection.execute(text(query))
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _signature(bucket: int) -> SignatureRecord:
    rule = f"isa.form{bucket % 97}" if bucket % 3 else "reset.vectors"
    legs = ("every kvm", "kvm:6.12:nvhe", "emulator", "kvm:6.12:vhe")[bucket % 4]
    return SignatureRecord("conformance", "read-all", rule, "z", f"relation {bucket}", legs)


def _cases() -> Iterator[Case]:
    for number in range(CASES):
        yield parse_case(
            f"create v0\ninit v0 features=sve\nfinalize v0\nset v0 z3 {number:#x}\nread-all v0\n"
        )


def _legs() -> Iterator[dict[str, Any]]:
    for number, leg in enumerate(LEGS, 1):
        yield {
            "id": number,
            "name": leg.name,
            "kind": leg.kind,
            "fingerprint": dict(leg.fingerprint),
            "digest": leg.digest,
        }


def _campaigns(now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(1, CAMPAIGNS + 1):
        started = now - timedelta(days=CAMPAIGNS - number, hours=2)
        yield {
            "id": number,
            "started": started,
            "ended": started + timedelta(hours=1),
            "seed": str(number),
            "options": {"legs": [leg.name for leg in LEGS]},
            "statistics": {"cases": 100_000, "rules": {f"rule{n}": n for n in range(700)}},
            "reason": "time",
            "beat": started + timedelta(hours=1),
        }


def _buckets(
    draw: random.Random, now: datetime, buckets: int, share: int
) -> Iterator[dict[str, Any]]:
    for number in range(1, buckets + 1):
        signature = _signature(number)
        last = now - timedelta(minutes=draw.randrange(60 * 24 * 100))
        yield {
            "id": number,
            "digest": signature.digest,
            "signature": signature.text,
            "oracle": signature.oracle,
            "op_kind": signature.op_kind,
            "rule": signature.rule,
            "register_class": signature.register_class,
            "vl_relation": signature.vl_relation,
            "legs": signature.legs,
            "strict": bool(number % 5),
            "status": draw.choice(STATUSES).value,
            "title": signature.title,
            "explanation": f"kvm:6.12:vhe: op 4 (read-all): rule {signature.rule} permits z3 ="
            f" [0..255]=00, observed [0]={number % 256:02x} [1..255]=00 (byte 0)",
            "first_seen": last - timedelta(days=draw.randrange(100)),
            "last_seen": last,
            "count": share,
            "reproduced": 3 * share,
            "attempts": 3 * share,
            "suspect": draw.choice(list(Suspect)).value,
            "owner": draw.choice(("", "", "ada", "bob")),
            "link": "",
            "fixed_in": "",
        }


def _signatures(buckets: int) -> Iterator[dict[str, Any]]:
    for number in range(1, buckets + 1):
        signature = _signature(number)
        yield {
            "id": number,
            "digest": signature.digest,
            "parts": list(signature.parts),
            "bucket_id": number,
        }


def _votes(buckets: int) -> Iterator[dict[str, Any]]:
    for number in range(1, buckets + 1):
        for place, leg in enumerate(LEGS):
            wrong = leg.kind != "model" and (number + place) % 3 == 0
            yield {
                "bucket_id": number,
                "name": leg.name,
                "leg_id": place + 1,
                "deviated": 40 if wrong else 0,
                "agreed": 0 if wrong else 40,
                "passes": 0,
            }


def _findings(
    draw: random.Random, now: datetime, findings: int, buckets: int, cases: list[Case]
) -> Iterator[dict[str, Any]]:
    for number in range(1, findings + 1):
        bucket = 1 + number % buckets
        signature = _signature(bucket)
        case = cases[number % len(cases)].id
        yield {
            "id": number,
            "campaign_id": 1 + draw.randrange(CAMPAIGNS),
            "bucket_id": bucket,
            "minimal_id": case,
            "original_id": case,
            "strict": bool(bucket % 5),
            "oracle": signature.oracle,
            "op_index": 4,
            "rule": signature.rule,
            "expected": "[0..255]=00",
            "observed": f"[0]={number % 256:02x} [1..255]=00",
            "explanation": f"kvm:6.12:vhe: op 4 (read-all): rule {signature.rule} permits z3 ="
            f" [0..255]=00, observed [0]={number % 256:02x} [1..255]=00 (byte 0) [guest VL 16"
            " (ZCR_EL1 0x0), vcpu VL 256, host VL 256 bytes]",
            "reproduced": 3,
            "attempts": 3,
            "deviating": ["kvm:6.12:vhe"],
            "created": now - timedelta(minutes=draw.randrange(60 * 24 * 200)),
            "signature": signature.digest,
            "culprit": signature.rule,
            "gone": False,
        }


def _traces(findings: int, buckets: int, cases: list[Case]) -> Iterator[dict[str, Any]]:
    noise = random.Random(3).randbytes(1200)
    packed = tracecode.pack(Trace((*[Observation(0)] * 4, Observation(0, 0, noise))))
    for number in range(1, min(findings, TRACED * buckets) + 1):
        for leg in (1, 2):
            yield {
                "finding_id": number,
                "case_id": cases[number % len(cases)].id,
                "leg_id": leg,
                "packed": packed,
            }


def _notes(now: datetime, buckets: int) -> Iterator[dict[str, Any]]:
    for number in range(1, buckets + 1, 7):
        yield {
            "bucket_id": number,
            "author": "ada",
            "created": now,
            "text": f"seen on hardware, too; ticket {number}",
            "withdrawn": False,
        }


def _retests(now: datetime, buckets: int) -> Iterator[dict[str, Any]]:
    for number in range(1, buckets + 1):
        yield {
            "bucket_id": number,
            "finding_id": (number - 1) or buckets,
            "leg_name": "kvm:6.12:vhe",
            "leg_id": 2,
            "seen": 1,
            "tried": 1,
            "said": "",
            "created": now,
        }


def main() -> None:
    """Make one, and say how long that took."""
    url, *numbers = sys.argv[1:]
    begun = time.monotonic()
    fill(url, *map(int, numbers))
    print(json.dumps({"url": url, "seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main()
