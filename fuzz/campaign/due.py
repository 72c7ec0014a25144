"""Which stored findings a campaign runs again in its spare time."""

from __future__ import annotations

from datetime import datetime

from db.records import NotFound
from db.store import Store
from fuzz.followup.retest import affected
from fuzz.worker.spare import Due

MOST = 200
"""Buckets that one worker's start takes into account."""


def due_findings(store: Store, before: datetime) -> list[Due]:
    """The shortest finding of each bucket that was last run again before a moment, those that
    nobody ran again for longest first. Raises StoreError."""
    found = []
    for bucket in store.due_for_retest(before, MOST):
        try:
            finding = store.finding(store.best_finding(bucket))
        except NotFound:
            continue  # nothing of it stands any more
        found.append(Due(finding, affected(store.bucket(bucket))))
    return found
