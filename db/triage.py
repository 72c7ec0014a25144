"""What people ask of buckets and findings, and what they decide. The command line and the
pages in a browser call the same methods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import edits, kin, lifecycle, mutes, queries, rejudged, rows, sightings
from db import records as r
from db import retests as again
from db import schema as s
from db.database import Database
from db.filters import BucketFilter, Order
from db.transfer import enter, form, take

ALL = BucketFilter()


class TriageStore(Database):
    """The part of the store that triage works on. Methods that change something enter it in
    the audit log under `actor`, by default the user; `undo` takes it back. All raise NotFound
    for what is not there."""

    # -- reading -----------------------------------------------------------------------

    def buckets(
        self,
        wanted: BucketFilter = ALL,
        order: Order = Order.LAST_SEEN,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[r.BucketView, ...]:
        """Buckets, a page of them if there is a limit."""
        return self._read(lambda db: queries.buckets(db, wanted, order, limit, offset))

    def bucket_count(self, wanted: BucketFilter = ALL) -> int:
        """How many buckets there are of a kind."""
        return self._read(lambda db: queries.count(db, wanted))

    def overview(self, wanted: BucketFilter = ALL) -> tuple[queries.Group, ...]:
        """How many buckets there are of each status, class and suspect."""
        return self._read(lambda db: queries.overview(db, wanted))

    def days(self, since: datetime) -> tuple[queries.Day, ...]:
        """Findings and new buckets by day, oldest first."""
        return self._read(lambda db: queries.days(db, since))

    def rule_counts(self) -> dict[str, int]:
        """How many buckets that want somebody to do something break each rule."""
        return self._read(queries.rule_counts)

    def noted_by(self, authors: Sequence[str]) -> dict[str, tuple[queries.Noted, ...]]:
        """By author, the buckets that each wrote a note on."""
        return self._read(lambda db: queries.noted_by(db, authors))

    def bucket(self, bucket_id: int) -> r.BucketView:
        """One bucket."""
        return self._read(lambda db: queries.bucket(db, _bucket(db, bucket_id)))

    def bucket_of(self, signature: r.SignatureRecord) -> r.BucketView | None:
        """The bucket that a signature leads to, if it was ever seen."""

        def work(db: Session) -> r.BucketView | None:
            row = sightings.bucket_of(db, signature)
            return None if row is None else queries.bucket(db, row)

        return self._read(work)

    def signatures(self, bucket_id: int) -> tuple[r.SignatureRecord, ...]:
        """Every signature that leads to a bucket, its own first."""

        def work(db: Session) -> tuple[r.SignatureRecord, ...]:
            signatures = _bucket(db, bucket_id).signatures
            return tuple(r.SignatureRecord(*one.parts) for one in signatures)

        return self._read(work)

    def known_divergences(self) -> set[str]:
        """Digests of all signatures that lead to a bucket, and rules that findings' verdicts
        name."""

        def work(db: Session) -> set[str]:
            culprits = select(s.Finding.culprit).distinct()
            return {*db.scalars(select(s.Signature.digest)), *db.scalars(culprits)}

        return self._read(work)

    def findings(
        self, bucket_id: int, limit: int | None = None, offset: int = 0
    ) -> tuple[r.FindingView, ...]:
        """The findings of a bucket, oldest first."""

        def work(db: Session) -> tuple[r.FindingView, ...]:
            _bucket(db, bucket_id)
            query = select(s.Finding).where(s.Finding.bucket_id == bucket_id)
            query = query.order_by(s.Finding.id).offset(offset)
            if limit is not None:
                query = query.limit(limit)
            return tuple(map(rows.finding_view, db.scalars(query)))

        return self._read(work)

    def finding_lines(
        self, bucket_id: int, limit: int | None = None, offset: int = 0
    ) -> tuple[queries.FindingLine, ...]:
        """The findings of a bucket in short; those that no longer stand come last."""
        return self._read(lambda db: queries.finding_lines(db, bucket_id, limit, offset))

    def best_finding(self, bucket_id: int) -> int:
        """The finding to show for a bucket: it stands, has traces, and is short."""

        def work(db: Session) -> int:
            _bucket(db, bucket_id)
            found = queries.best_finding(db, bucket_id)
            if found is None:
                raise r.NotFound(f"bucket {bucket_id} has no finding")
            return found

        return self._read(work)

    def smallest_cases(self, bucket_ids: Sequence[int]) -> dict[int, str]:
        """The text of the case to show for each of some buckets; none for what has none."""
        return self._read(lambda db: queries.smallest_cases(db, bucket_ids))

    def finding(self, finding_id: int) -> r.FindingView:
        """One finding."""
        return self._read(lambda db: rows.finding_view(_finding(db, finding_id)))

    def traces(self, finding_id: int) -> tuple[r.TraceView, ...]:
        """What each leg did with the finding's minimal case; empty if not kept."""
        return self._read(lambda db: tuple(map(rows.trace_view, _finding(db, finding_id).traces)))

    def history(self, bucket_id: int | None = None, limit: int = 200) -> tuple[r.AuditView, ...]:
        """The latest changes of a bucket, or of everything, the newest first."""
        return self._read(lambda db: queries.history(db, bucket_id, limit))

    def audit(self, bucket_id: int) -> tuple[r.AuditView, ...]:
        """What was changed about a bucket, oldest first."""
        return tuple(reversed(self.history(bucket_id, 1 << 30)))

    def mutes(self) -> tuple[r.MuteView, ...]:
        """Every mute, those that ended too, oldest first."""
        return self._read(queries.mutes)

    def retests(self, bucket_id: int, limit: int = 200) -> tuple[r.RetestView, ...]:
        """When a bucket was run again, the newest first."""
        query = select(s.Retest).where(s.Retest.bucket_id == bucket_id)
        query = query.order_by(s.Retest.id.desc()).limit(limit)
        return self._read(lambda db: tuple(map(rows.retest_view, db.scalars(query))))

    def matrix(self, bucket_id: int) -> tuple[r.CellView, ...]:
        """How each leg did with a bucket's case when all were tried."""
        query = select(s.Cell).where(s.Cell.bucket_id == bucket_id).order_by(s.Cell.leg_name)
        return self._read(lambda db: tuple(map(rows.cell_view, db.scalars(query))))

    def kin(self, bucket_id: int) -> tuple[r.KinView, ...]:
        """What a bucket is probably the same as, or the other way round."""
        return self._read(lambda db: tuple(map(rows.kin_view, kin.of(db, bucket_id))))

    def proposals(self) -> tuple[r.KinView, ...]:
        """What is probably the same, and not settled, of all buckets."""
        return self._read(lambda db: tuple(map(rows.kin_view, kin.proposed(db))))

    # -- deciding ----------------------------------------------------------------------

    def set_status(
        self,
        bucket_id: int,
        status: r.Status,
        actor: str = "",
        *,
        fixed_in: str = "",
        was: r.Status | None = None,
    ) -> None:
        """Move a bucket to another status; only if it is still what it `was`. A duplicate is
        made by `merge`."""
        self._write(
            lambda db: lifecycle.set_status(
                db, _bucket(db, bucket_id), status, actor, fixed_in=fixed_in, was=was
            )
        )

    def add_note(self, bucket_id: int, text: str, actor: str = "") -> None:
        """Attach a note to a bucket."""
        self._write(lambda db: lifecycle.add_note(db, _bucket(db, bucket_id), text, actor))

    def assign(
        self, bucket_id: int, actor: str = "", *, owner: str | None = None, link: str | None = None
    ) -> None:
        """Say who looks after a bucket, or where it is tracked; empty takes it away."""
        self._write(
            lambda db: lifecycle.assign(db, _bucket(db, bucket_id), actor, owner=owner, link=link)
        )

    def merge(self, target: int, others: Sequence[int], actor: str = "") -> None:
        """Make `others` duplicates of `target`, which gets their findings and signatures."""

        def work(db: Session) -> None:
            found = [_bucket(db, other) for other in dict.fromkeys(others)]
            lifecycle.merge(db, _bucket(db, target), found, actor)

        self._write(work)

    def split(
        self, bucket_id: int, findings: Sequence[int], title: str = "", actor: str = ""
    ) -> int:
        """Move findings of a bucket to a new one; return its id."""
        return self._write(
            lambda db: lifecycle.split(db, _bucket(db, bucket_id), findings, title, actor).id
        )

    def mute(self, record: r.MuteRecord, actor: str = "") -> int:
        """Hear no more of what a mute covers; return its id."""
        return self._write(lambda db: mutes.add(db, record, actor))

    def unmute(self, mute_id: int, actor: str = "") -> None:
        """End a mute."""
        self._write(lambda db: mutes.end(db, sightings.fetch(db, s.Mute, mute_id, "mute"), actor))

    def undo(self, number: int | None = None, actor: str = "") -> r.AuditView:
        """Take back a change, by default the last that a person made; return the entry that
        does so, which can be undone, too."""

        def work(db: Session) -> r.AuditView:
            undone = edits.undo(db, edits.latest(db) if number is None else number, actor)
            mutes.refresh(db)
            return rows.audit_view(undone)

        return self._write(work)

    def propose_same(self, bucket_id: int, other: int, reason: str, source: str = "") -> int:
        """Note that a bucket is probably the same as another, earlier one, and why."""
        return self._write(
            lambda db: kin.propose(db, _bucket(db, bucket_id), _bucket(db, other), reason, source)
        )

    def settle_same(self, bucket_id: int, other: int, same: bool, actor: str = "") -> None:
        """Say whether it is; if so, the bucket is merged into the other."""
        self._write(
            lambda db: kin.settle(db, _bucket(db, bucket_id), _bucket(db, other), same, actor)
        )

    def apply_rejudged(self, judged: Sequence[r.RejudgedRecord], actor: str = "") -> int:
        """Enter what a new judgement made of findings; return how many it changed."""
        return self._write(lambda db: rejudged.apply(db, judged, actor))

    # -- files -------------------------------------------------------------------------

    def export(self, bucket_id: int | None = None) -> bytes:
        """A bucket, or the whole database, as the content of a file."""

        def work(db: Session) -> bytes:
            if bucket_id is None:
                return form.pack("database", take.database(db))
            _bucket(db, bucket_id)
            return form.pack(f"B{bucket_id}", take.bucket(db, bucket_id))

        return self._read(work)

    def import_(self, data: bytes, name: str, actor: str = "") -> r.Imported:
        """Enter what a file holds and is not here yet; `name` is how messages call it. A file
        that is not as it should be changes nothing."""
        content = form.unpack(data, name)
        return self._write(lambda db: enter.enter(db, content, actor))

    # -- running again -----------------------------------------------------------------

    def add_retest(
        self,
        finding_id: int,
        records: Sequence[r.RetestRecord],
        campaign_id: int | None = None,
        enough: int = again.ENOUGH,
    ) -> r.Retested:
        """Note how legs did when a finding was run again; its bucket may be fixed by that, or
        return."""

        def work(db: Session) -> r.Retested:
            finding = _finding(db, finding_id)
            bucket = _bucket(db, finding.bucket_id)
            return again.add(db, bucket, finding_id, records, campaign_id, enough)

        return self._write(work)

    def due_for_retest(self, before: datetime, limit: int) -> tuple[int, ...]:
        """Buckets that were last run again before a moment, the longest ago first."""
        return self._read(lambda db: tuple(again.due(db, before, limit)))

    def set_matrix(self, finding_id: int, cells: Sequence[r.CellRecord]) -> None:
        """Keep how each leg did with a finding's case."""

        def work(db: Session) -> None:
            finding = _finding(db, finding_id)
            again.set_matrix(db, _bucket(db, finding.bucket_id), finding_id, cells)

        self._write(work)


def _bucket(db: Session, bucket_id: int) -> s.Bucket:
    return sightings.fetch(db, s.Bucket, bucket_id, "bucket")


def _finding(db: Session, finding_id: int) -> s.Finding:
    return sightings.fetch(db, s.Finding, finding_id, "finding")
