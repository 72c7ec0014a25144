"""The store as a fleet uses it: its slices, who leads it, and what is wished of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db import records as r
from db import schema as s
from db import slices
from db import work as w
from db.database import Database
from db.edits import now

GONE = timedelta(seconds=60)
"""A fleet that said nothing for so long is not there any more."""

_ONE = 1
"""The number of the only row: a store has one fleet."""


class FleetStore(Database):
    """The part of the store that fleets write to. All raise StoreError."""

    def plan_slices(self, wanted: Iterable[w.SliceRecord]) -> int:
        """Enter slices that are not there yet; return how many those were."""
        records = list(wanted)
        return self._write(lambda db: slices.plan(db, records))

    def begin_slice(self, slice_id: str) -> w.SliceView:
        """Note that a slice is given to a worker; return it, with that attempt. Raises
        NotFound."""
        return self._write(lambda db: slices.begin(db, slice_id))

    def put_back(
        self, ids: Iterable[str] | None = None, said: str = "", *, attempt: bool = True
    ) -> int:
        """Plan running slices again, or those named of them; return how many. `attempt`: they
        were begun in earnest."""
        return self._write(lambda db: slices.put_back(db, ids, said, attempt))

    def fail_slice(self, slice_id: str, said: str) -> None:
        """Give a slice up. Raises NotFound."""
        self._write(lambda db: slices.fail(db, slice_id, said))

    def sight(self, slice_id: str, sighting: w.Sighting) -> r.StoredFinding | None:
        """Keep a finding of a slice that still runs; None if it is kept. Raises NotFound."""
        return self._write(lambda db: slices.sight(db, slice_id, sighting))

    def deliver(self, slice_id: str, worker: str, delivery: w.Delivery) -> w.Delivered:
        """Keep what a slice brought, once, and return what it found. Raises NotFound."""
        return self._write(lambda db: slices.deliver(db, slice_id, worker, delivery))

    def waiting_slices(self, limit: int, kind: str | None = None) -> list[w.SliceView]:
        """Planned slices, of a kind or of all, those that go first in front."""
        return self._read(lambda db: slices.waiting(db, limit, kind))

    def finished_slices(
        self, kind: str | None = None, limit: int = 200, state: w.State = w.State.DONE
    ) -> list[w.SliceView]:
        """The last slices that were done, or that failed, the latest first."""
        return self._read(lambda db: slices.finished(db, kind, limit, state))

    def unfinished_slices(self) -> list[w.SliceView]:
        """Slices that are planned or run."""
        return self._read(slices.unfinished)

    def slices(self, ids: Iterable[str]) -> list[w.SliceView]:
        """Slices by id; those that are not there are left out."""
        wanted = list(ids)
        return self._read(lambda db: slices.some(db, wanted))

    def ended_slices(self, since: datetime) -> list[w.SliceView]:
        """Slices that were done or failed after a moment, the oldest first."""
        return self._read(lambda db: slices.ended(db, since))

    def slice_counts(self) -> list[w.SliceCount]:
        """How many slices there are, by kind, leg and state."""
        return self._read(slices.counts)

    # -- who leads ---------------------------------------------------------------------

    def lead(
        self, holder: str, process: str, address: str, options: Mapping[str, Any], dead: str = ""
    ) -> Mapping[str, Any]:
        """Become the one fleet of this store; return what the one before left in its memory.
        `dead`: a holder whose process is known to be gone. Raises Refused while another is
        there."""

        def work(db: Session) -> Mapping[str, Any]:
            row = db.get(s.FleetRow, _ONE, with_for_update=True)
            there = row is not None and row.beat is not None and now() - row.beat < GONE
            if row is not None and row.beat is not None and there and row.holder != dead:
                raise r.Refused(
                    f"another fleet works on this store: {row.process}, last seen"
                    f" {int((now() - row.beat).total_seconds())} s ago; stop it with"
                    " `vcpufuzz fleet stop`"
                )
            if row is None:
                row = s.FleetRow(id=_ONE, memory={})
                db.add(row)
            row.holder, row.process, row.address = holder, process, address
            row.options, row.told, row.wish = dict(options), {}, w.Wish.RUN.value
            row.started = row.beat = now()
            return dict(row.memory)

        return self._write(work)

    def beat(
        self, holder: str, told: Mapping[str, Any], memory: Mapping[str, Any] | None = None
    ) -> w.Wish:
        """Say that the fleet is there, and hear what is wished of it. `memory`: what one that
        comes after it has to know. Raises Refused once another leads."""

        def work(db: Session) -> w.Wish:
            row = _held(db, holder)
            row.beat, row.told = now(), dict(told)
            if memory is not None:
                row.memory = dict(memory)
            return w.Wish(row.wish)

        return self._write(work)

    def leave(self, holder: str, told: Mapping[str, Any]) -> None:
        """Say that the fleet has ended. Raises Refused if another leads."""

        def work(db: Session) -> None:
            row = _held(db, holder)
            row.beat, row.told = None, dict(told)

        self._write(work)

    def wish(self, wish: w.Wish) -> None:
        """Ask something of the fleet. Raises NotFound where none is there."""

        def work(db: Session) -> None:
            row = db.get(s.FleetRow, _ONE, with_for_update=True)
            if row is None or row.beat is None or now() - row.beat >= GONE:
                raise r.NotFound("no fleet works on this store")
            row.wish = wish.value

        self._write(work)

    def fleet(self) -> w.FleetView | None:
        """The fleet of this store, if there ever was one."""

        def work(db: Session) -> w.FleetView | None:
            row = db.get(s.FleetRow, _ONE)
            if row is None:
                return None
            return w.FleetView(
                holder=row.holder,
                process=row.process,
                address=row.address,
                started=row.started,
                beat=row.beat,
                wish=w.Wish(row.wish),
                options=row.options,
                told=row.told,
                memory=row.memory,
            )

        return self._read(work)


def _held(db: Session, holder: str) -> s.FleetRow:
    row = db.get(s.FleetRow, _ONE, with_for_update=True)
    if row is None or row.holder != holder:
        raise r.Refused("another fleet has taken this store over")
    return row
