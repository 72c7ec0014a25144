"""What this process signs: who a visitor is, that a form came from its own page, and what it
has just done. The key is drawn at the start and never leaves the process, so a restart ends all
sessions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

SESSION_SECONDS = 30 * 24 * 3600
NOTICE_SECONDS = 60
"""How long what was just done is told: a reload later says nothing of it."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """`seat` tells one browser from another; `name` is who made a change, for the audit log,
    empty for the user of this process; `known`: they may come in."""

    seat: str
    name: str = ""
    known: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """What was just done. `undo`: the change that takes it back, if one entry of the audit log
    does; `trouble`: what could not be done."""

    said: str
    undo: int | None = None
    trouble: tuple[str, ...] = ()


class Keys:
    """Signs and reads what travels by way of the browser."""

    def __init__(self) -> None:
        key = secrets.token_bytes(32)
        self._sessions = URLSafeTimedSerializer(key, salt="session")
        self._tokens = URLSafeTimedSerializer(key, salt="token")
        self._notices = URLSafeTimedSerializer(key, salt="notice")

    @staticmethod
    def stranger() -> Visitor:
        """A browser that was never here."""
        return Visitor(secrets.token_urlsafe(16))

    def session(self, visitor: Visitor) -> str:
        """The cookie of a visitor."""
        return _text(self._sessions.dumps([visitor.seat, visitor.name, visitor.known]))

    def visitor(self, cookie: str) -> Visitor | None:
        """Whose cookie it is; None if it is none of ours, or old."""
        try:
            seat, name, known = self._sessions.loads(cookie, max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        return Visitor(str(seat), str(name), bool(known))

    def token(self, visitor: Visitor) -> str:
        """What a form of this visitor's pages carries."""
        return _text(self._tokens.dumps(visitor.seat))

    def is_token(self, text: str, visitor: Visitor) -> bool:
        """Whether a form came from a page that this process gave to this visitor."""
        try:
            seat = self._tokens.loads(text, max_age=SESSION_SECONDS)
        except BadData:
            return False
        return bool(seat == visitor.seat)

    def notice(self, notice: Notice) -> str:
        """What an address carries, so that the next page tells what was done."""
        return _text(self._notices.dumps([notice.said, notice.undo, list(notice.trouble)]))

    def heard(self, text: str) -> Notice | None:
        """What such an address tells; None if nothing, or nothing of ours."""
        try:
            said, undo, trouble = self._notices.loads(text, max_age=NOTICE_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        return Notice(str(said), undo, tuple(map(str, trouble)))


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()
