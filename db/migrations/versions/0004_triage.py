"""Triage: who owns a bucket, what led to it, how its legs did since, and undoing all of that."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from corpus import tracecode
from corpus.trace import Ending, Observation, Trace
from db import types as t
from db.suspects import Suspicion, suspect

revision = "0004"
down_revision = "0003"

_STATUS = {"regressed": "new", "ignored": "wontfix"}
"""Statuses that are no more -> what they are now."""

_Observations = list[tuple[int, int, bytes]]
"""What a trace's observations were, packed: errno, aux and data."""


def upgrade() -> None:
    _buckets()
    _findings()
    _people()
    _tests()
    _fill()


def _col(name: str, kind: Any, default: Any = None) -> sa.Column[Any]:
    """A column for rows that are there already: with a default, or empty."""
    return sa.Column(name, kind, nullable=default is None, server_default=default)


def _ref(name: str, kind: Any, target: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, sa.ForeignKey(target), nullable=optional)


def _need(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _id() -> sa.Column[Any]:
    return sa.Column("id", t.Number, primary_key=True)


def _add(table: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(table, column)


def _buckets() -> None:
    _add(
        "buckets",
        _col("suspect", t.Word, ""),
        _col("explanation", t.Prose, ""),
        _col("owner", t.Word, ""),
        _col("link", t.Prose, ""),
        _col("fixed_in", t.Word, ""),
        _col("duplicate_of", t.Number),
        _col("muted_by", t.Number),
        _col("returned", t.Instant),
        _col("retested", t.Instant),
    )
    op.create_table(
        "signatures",
        _id(),
        _need("digest", t.Digest),
        _need("parts", t.Document),
        _ref("bucket_id", t.Number, "buckets.id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_signatures_bucket_id", "signatures", ["bucket_id"])
    op.create_table(
        "votes",
        _id(),
        _ref("bucket_id", t.Number, "buckets.id"),
        _need("name", t.Word),
        _ref("leg_id", t.Number, "legs.id", optional=True),
        _need("deviated", t.Count),
        _need("agreed", t.Count),
        _need("passes", t.Count),
        sa.UniqueConstraint("bucket_id", "name"),
    )
    op.create_index("ix_votes_name", "votes", ["name"])


def _findings() -> None:
    _add(
        "findings",
        _col("signature", t.Digest, ""),
        _col("culprit", t.Word, ""),
        _col("gone", t.Flag, sa.false()),
    )
    op.drop_index("ix_findings_bucket_id", "findings")
    op.create_index("ix_findings_bucket_id_id", "findings", ["bucket_id", "id"])
    op.create_index("ix_findings_campaign_id_bucket_id", "findings", ["campaign_id", "bucket_id"])
    op.create_index("ix_findings_created", "findings", ["created"])
    _add("traces", _col("packed", t.Blob, ""))
    _add("campaigns", _col("beat", t.Instant))
    op.create_table(
        "samples",
        _id(),
        _ref("campaign_id", t.Number, "campaigns.id"),
        _need("after_ms", t.Count),
        _need("totals", t.Document),
    )
    op.create_index("ix_samples_campaign_id_after_ms", "samples", ["campaign_id", "after_ms"])


def _people() -> None:
    _add("notes", _col("withdrawn", t.Flag, sa.false()))
    _add("audit", _col("undoes", t.Number), _col("undone_by", t.Number))
    op.create_table(
        "audit_buckets",
        sa.Column("audit_id", t.Number, sa.ForeignKey("audit.id"), primary_key=True),
        sa.Column("bucket_id", t.Number, sa.ForeignKey("buckets.id"), primary_key=True),
    )
    op.create_index("ix_audit_buckets_bucket_id", "audit_buckets", ["bucket_id"])
    op.create_table(
        "mutes",
        _id(),
        *(_need(name, t.Word) for name in ("rule", "legs", "low", "high")),
        sa.Column("expires", t.Instant, nullable=True),
        _need("reason", t.Prose),
        _need("author", t.Word),
        _need("created", t.Instant),
        _need("withdrawn", t.Flag),
    )
    op.create_table(
        "kinships",
        _id(),
        _ref("bucket_id", t.Number, "buckets.id"),
        _ref("other_id", t.Number, "buckets.id"),
        _need("reason", t.Prose),
        _need("source", t.Word),
        _need("state", t.Word),
        _need("created", t.Instant),
        sa.UniqueConstraint("bucket_id", "other_id"),
    )
    op.create_index("ix_kinships_other_id", "kinships", ["other_id"])


def _tests() -> None:
    op.create_table(
        "retests",
        _id(),
        _ref("bucket_id", t.Number, "buckets.id"),
        _ref("finding_id", t.Number, "findings.id"),
        _ref("campaign_id", t.Number, "campaigns.id", optional=True),
        _need("leg_name", t.Word),
        _ref("leg_id", t.Number, "legs.id", optional=True),
        _need("seen", t.Number),
        _need("tried", t.Number),
        _need("said", t.Prose),
        _need("created", t.Instant),
    )
    op.create_index("ix_retests_bucket_id", "retests", ["bucket_id"])
    op.create_table(
        "cells",
        _id(),
        _ref("bucket_id", t.Number, "buckets.id"),
        _ref("finding_id", t.Number, "findings.id"),
        _need("leg_name", t.Word),
        _ref("leg_id", t.Number, "legs.id", optional=True),
        _need("outcome", t.Word),
        _need("said", t.Prose),
        _need("created", t.Instant),
        sa.UniqueConstraint("bucket_id", "leg_name"),
    )


def _fill() -> None:
    """Put what is stored already into the new tables. Nothing is left out."""
    db = op.get_bind()
    meta = sa.MetaData()
    names = ("buckets", "findings", "legs", "traces", "signatures", "votes", "audit")
    meta.reflect(db, only=[*names, "audit_buckets"])
    tables = meta.tables
    for table in tables.values():
        for column in table.columns:
            if isinstance(column.type, sa.JSON):
                column.type = t.Document
            elif isinstance(column.type, sa.DateTime):
                column.type = t.Instant
    _traces(db, tables["traces"])
    _votes(db, tables)
    _statuses(db, tables)
    _audit(db, tables)
    op.drop_column("buckets", "votes")


def _traces(db: sa.Connection, traces: sa.Table) -> None:
    """Traces get the form that holds all of them."""
    for key in db.scalars(sa.select(traces.c.id)).all():
        row = db.execute(sa.select(traces).where(traces.c.id == key)).one()
        seen = msgspec.msgpack.decode(zlib.decompress(row.observations), type=_Observations)
        trace = Trace(tuple(Observation(*one) for one in seen), Ending(row.ending), row.log)
        packed = tracecode.pack(trace)
        db.execute(traces.update().where(traces.c.id == key).values(packed=packed))
    for column in ("observations", "ending", "log"):
        op.drop_column("traces", column)


def _votes(db: sa.Connection, tables: Any) -> None:
    buckets, legs, traces = tables["buckets"], tables["legs"], tables["traces"]
    kinds = {row.name: row.kind for row in db.execute(sa.select(legs.c.name, legs.c.kind))}
    modes = {
        row.name: row.fingerprint for row in db.execute(sa.select(legs.c.name, legs.c.fingerprint))
    }
    findings = tables["findings"]
    last = {
        (row.bucket_id, row.name): row.leg
        for row in db.execute(
            sa.select(findings.c.bucket_id, legs.c.name, sa.func.max(legs.c.id).label("leg"))
            .join(traces, traces.c.finding_id == findings.c.id)
            .join(legs, legs.c.id == traces.c.leg_id)
            .group_by(findings.c.bucket_id, legs.c.name)
        )
    }
    first = sa.select(sa.func.min(findings.c.id)).group_by(findings.c.bucket_id)
    told = {
        row.bucket_id: row.explanation
        for row in db.execute(sa.select(findings).where(findings.c.id.in_(first)))
    }
    for row in db.execute(sa.select(buckets)).all():
        parts = [row.oracle, row.op_kind, row.rule, row.register_class, row.vl_relation, row.legs]
        # The digest of a row that somebody repaired by hand would lead nowhere.
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        db.execute(
            tables["signatures"].insert().values(digest=digest, parts=parts, bucket_id=row.id)
        )
        db.execute(
            findings.update()
            .where(findings.c.bucket_id == row.id)
            .values(signature=digest, culprit=findings.c.rule)
        )
        for name, vote in row.votes.items():
            db.execute(
                tables["votes"]
                .insert()
                .values(
                    bucket_id=row.id,
                    name=name,
                    leg_id=last.get((row.id, name)),
                    deviated=vote["deviated"],
                    agreed=vote["agreed"],
                    passes=0,
                )
            )
        suspicion = Suspicion(
            oracle=row.oracle,
            rule=row.rule,
            deviating=[name for name, vote in row.votes.items() if vote["deviated"]],
            agreeing=[name for name, vote in row.votes.items() if not vote["deviated"]],
            kinds=kinds,
            prints=modes,
        )
        db.execute(
            buckets.update()
            .where(buckets.c.id == row.id)
            .values(suspect=suspect(suspicion), explanation=told.get(row.id, ""))
        )


def _statuses(db: sa.Connection, tables: Any) -> None:
    buckets, audit = tables["buckets"], tables["audit"]
    when = {
        row.subject: row.created
        for row in db.execute(sa.select(audit).order_by(audit.c.id))
        if row.after.get("status") == "regressed"
    }
    for row in db.execute(sa.select(buckets).where(buckets.c.status.in_(_STATUS))).all():
        back = when.get(f"bucket {row.id}", row.last_seen) if row.status == "regressed" else None
        db.execute(
            buckets.update()
            .where(buckets.c.id == row.id)
            .values(status=_STATUS[row.status], returned=back)
        )


def _audit(db: sa.Connection, tables: Any) -> None:
    """Entries get the form that can be undone, and the history of a bucket."""
    audit, links = tables["audit"], tables["audit_buckets"]
    known = set(db.scalars(sa.select(tables["buckets"].c.id)))
    for row in db.execute(sa.select(audit).order_by(audit.c.id)).all():
        bucket = row.subject.removeprefix("bucket ")
        if not bucket.isdigit() or int(bucket) not in known:
            continue
        db.execute(links.insert().values(audit_id=row.id, bucket_id=int(bucket)))
        if row.action == "status":
            sides = {
                side: {
                    f"bucket {bucket}": {
                        key: _STATUS.get(value, value) for key, value in getattr(row, side).items()
                    }
                }
                for side in ("before", "after")
            }
            db.execute(audit.update().where(audit.c.id == row.id).values(**sides))
