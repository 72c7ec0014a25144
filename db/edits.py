"""Changes to rows that can be taken back: each remembers every column it changed.

An entry of the audit log holds, before and after, the changed columns of each row by a key
such as `bucket 3` or `finding 4,7-9`. Undoing it swaps the two, and is an entry like any other,
so it can be undone, too. Rows are never deleted: what is made is hidden by its undoing.

Functions here work inside the caller's transaction and commit nothing.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db import records as r
from db import schema as s
from db import types as t
from db.rows import chunks

_KINDS: dict[str, type[s.Base]] = {
    "bucket": s.Bucket,
    "finding": s.Finding,
    "signature": s.Signature,
    "vote": s.Vote,
    "note": s.Note,
    "mute": s.Mute,
    "kinship": s.Kinship,
}
"""What a key's word stands for."""

_SUMS = {"count", "reproduced", "attempts", "deviated", "agreed", "passes"}
"""Columns of buckets and votes that others count up meanwhile: only the difference is undone."""

_SOFT = {"first_seen", "last_seen", "retested"}
"""Columns that say when: they are put back only if nothing was seen since."""

_HISTORY = {"bucket": "id", "note": "bucket_id", "kinship": "bucket_id"}
"""Kinds whose rows belong to a bucket's history -> the column that names the bucket."""


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def user() -> str:
    """Who is at work here."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


class Change:
    """One act of triage: sets columns, and remembers what they were."""

    def __init__(self, db: Session, action: str, actor: str = "") -> None:
        self._db, self._action, self.actor = db, action, actor or user()
        self._before: dict[str, dict[str, Any]] = {}
        self._after: dict[str, dict[str, Any]] = {}
        self._buckets: dict[int, None] = {}

    def set(self, row: s.Base, **values: Any) -> None:
        """Set columns of a row; what they hold already is no change."""
        kind = _kind_of(row)
        key = f"{kind} {_id(row)}"
        for name, value in values.items():
            before = getattr(row, name)
            if before == value:
                continue
            self._before.setdefault(key, {}).setdefault(name, _plain(before))
            self._after.setdefault(key, {})[name] = _plain(value)
            setattr(row, name, value)
        if key in self._after and kind in _HISTORY:
            self.concerns(getattr(row, _HISTORY[kind]))

    def made(self, row: s.Base, flag: str = "withdrawn") -> None:
        """Note that a row is new: undoing sets its `flag`."""
        key = f"{_kind_of(row)} {_id(row)}"
        self._before.setdefault(key, {})[flag] = True
        self._after.setdefault(key, {})[flag] = False
        if _kind_of(row) in _HISTORY:
            self.concerns(getattr(row, _HISTORY[_kind_of(row)]))

    def set_many(self, kind: str, ids: Sequence[int], before: Any, **values: Any) -> None:
        """Set one column, which is `before` in all of them, of many rows at once."""
        ((name, value),) = values.items()
        if not ids or before == value:
            return
        key = f"{kind} {_spelt(ids)}"
        self._before.setdefault(key, {})[name] = before
        self._after.setdefault(key, {})[name] = value
        self._db.flush()
        for some in chunks(ids):
            _update(self._db, _KINDS[kind], some, {name: value})

    def concerns(self, *bucket_ids: int) -> None:
        """Note whose history this belongs to."""
        self._buckets.update(dict.fromkeys(bucket_ids))

    def write(self, subject: str = "", undoes: int | None = None) -> s.Audit | None:
        """Enter it in the audit log; None if nothing was changed."""
        if not self._after:
            return None
        named = ", ".join(f"bucket {bucket}" for bucket in sorted(self._buckets))
        entry = s.Audit(
            created=now(),
            actor=self.actor,
            action=self._action,
            subject=(subject or named)[:250],
            before=self._before,
            after=self._after,
            undoes=undoes,
        )
        self._db.add(entry)
        self._db.flush()
        for bucket in self._buckets:
            link = s.audit_buckets.insert().values(audit_id=entry.id, bucket_id=bucket)
            self._db.execute(link)
        return entry


def latest(db: Session) -> int:
    """The last change that a person made, is in force, and undoes nothing. Raises NotFound."""
    query = (
        select(s.Audit.id)
        .where(s.Audit.undoes.is_(None), s.Audit.undone_by.is_(None))
        .where(s.Audit.actor != AUTOMATIC, s.Audit.actor.not_like("%.case"))
        .order_by(s.Audit.id.desc())
        .limit(1)
    )
    found = db.scalars(query).one_or_none()
    if found is None:
        raise r.NotFound("there is no change to undo")
    return found


AUTOMATIC = "vcpufuzz"
"""The actor of what no person did; a kept case does so under the name of its file."""


def undo(db: Session, number: int, actor: str) -> s.Audit:
    """Take an entry of the audit log back. Raises NotFound, Refused if that cannot be."""
    entry = db.get(s.Audit, number)
    if entry is None:
        raise r.NotFound(f"there is no change {number}")
    if entry.undone_by is not None:
        raise r.Refused(f"change {number} is undone already, by change {entry.undone_by}")
    wanted = [(key, _parsed(key)) for key in entry.after]
    if not wanted or any(ids is None for _, ids in wanted):
        raise r.Refused(f"change {number} was made elsewhere, or before changes could be undone")
    change = Change(db, "undo", actor)
    for key, parsed in wanted:
        assert parsed is not None
        kind, ids = parsed
        _revert(db, change, number, kind, ids, entry.before[key], entry.after[key])
    linked = select(s.audit_buckets.c.bucket_id).where(s.audit_buckets.c.audit_id == number)
    change.concerns(*db.scalars(linked))
    undone = change.write(entry.subject, undoes=number)
    if undone is None:
        raise r.Refused(f"change {number} has no effect any more")
    entry.undone_by = undone.id
    if entry.undoes is not None:
        original = db.get(s.Audit, entry.undoes)
        if original is not None:
            original.undone_by = None  # it is in force again
    return undone


def _revert(
    db: Session,
    change: Change,
    number: int,
    kind: str,
    ids: Sequence[int],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> None:
    if len(ids) > 1:
        for name, value in after.items():
            _check_many(db, number, kind, ids, name, value)
            change.set_many(kind, ids, value, **{name: before[name]})
        return
    row = db.get(_KINDS[kind], ids[0])
    if row is None:
        raise r.Refused(f"change {number} cannot be undone: {kind} {ids[0]} is not there")
    for name, value in after.items():
        current, old = getattr(row, name), _typed(row, name, before[name])
        if name in _SUMS:
            change.set(row, **{name: max(0, current + before[name] - value)})
        elif current == _typed(row, name, value):
            change.set(row, **{name: old})
        elif name not in _SOFT:
            raise r.Refused(_since(number, f"{kind} {ids[0]}", name, current))


def _check_many(
    db: Session, number: int, kind: str, ids: Sequence[int], name: str, value: Any
) -> None:
    table = _KINDS[kind]
    for some in chunks(ids):
        same = getattr(table, name) == value
        query = select(func.count()).select_from(table).where(_pk(table).in_(some), same)
        if db.scalars(query).one() != len(some):
            raise r.Refused(_since(number, f"one of {kind} {_spelt(some)}", name, "another"))


def _since(number: int, what: str, name: str, current: object) -> str:
    return (
        f"change {number} cannot be undone: {what} was changed since "
        f"({name.replace('_', ' ')} is {current if current not in (None, '') else 'empty'} now)"
    )


def _update(
    db: Session, table: type[s.Base], ids: Sequence[int], values: Mapping[str, Any]
) -> None:
    query = update(table).where(_pk(table).in_(ids)).values(**values)
    db.execute(query, execution_options={"synchronize_session": "fetch"})


def _pk(table: type[s.Base]) -> Any:
    return getattr(table, "id")  # noqa: B009 (the base class has none)


def _id(row: s.Base) -> int:
    number: int = getattr(row, "id")  # noqa: B009
    return number


def _kind_of(row: s.Base) -> str:
    return next(kind for kind, table in _KINDS.items() if isinstance(row, table))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _typed(row: s.Base, name: str, value: Any) -> Any:
    """A stored value as the column holds it."""
    if value is None or not isinstance(value, str):
        return value
    if type(row).__table__.columns[name].type is t.Instant:
        return datetime.fromisoformat(value)
    return value


def kind_of_table(name: str) -> type[s.Base]:
    """The rows of a table whose changes can be undone."""
    return next(kind for kind in _KINDS.values() if kind.__tablename__ == name)


def _spelt(ids: Iterable[int]) -> str:
    """`4,7-9`."""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def _parsed(key: str) -> tuple[str, list[int]] | None:
    """The inverse, with the kind before it; None for an entry of another form."""
    kind, _, spelt = key.partition(" ")
    if kind not in _KINDS:
        return None
    try:
        return kind, list(_numbers(spelt))
    except ValueError:
        return None


def _numbers(spelt: str) -> Iterator[int]:
    for part in spelt.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def renamed(key: str, new: Mapping[str, Mapping[int, int]]) -> str | None:
    """A key with the numbers that rows have elsewhere; None if one of them is not there."""
    parsed = _parsed(key)
    if parsed is None:
        return None
    kind, ids = parsed
    table = _KINDS[kind].__tablename__
    found = [new.get(table, {}).get(number) for number in ids]
    known = [number for number in found if number is not None]
    return f"{kind} {_spelt(known)}" if len(known) == len(ids) else None
