"""What the workers of a campaign tell about their cases, and what that comes to."""

from __future__ import annotations

import time
from collections import defaultdict, deque

from corpus.case import decode
from corpus.text import format_case
from db.records import SignatureRecord
from db.store import Store
from fuzz.campaign.combinations import Combinations
from fuzz.campaign.coverage import CoverageKeeper
from fuzz.campaign.ledger import Ledger
from fuzz.worker import events

EVENTS = 50
"""Lines that a screen can look back on."""


class Intake:
    """Takes the events about cases; the campaign keeps those about the lives of workers."""

    def __init__(self, store: Store) -> None:
        self.ledger = Ledger(store, self.log)
        self.coverage = CoverageKeeper(store)
        self.examples: dict[str, str] = {}
        """The text of a case for each reason why verdicts stop."""
        self.sequences: list[str] = []
        """Digests of the cases that each worker ran, in their order."""
        self.log_lines: deque[str] = deque(maxlen=EVENTS)
        self._combinations = Combinations()
        self._exercised: defaultdict[str, set[str]] = defaultdict(set)

    def log(self, text: str) -> None:
        """Have the screen show a line."""
        self.log_lines.append(f"{time.strftime('%H:%M:%S')} {text}")

    def take(self, campaign: int, began: float, event: events.Event) -> None:
        """`campaign`: its number in the store; `began`: when it ran its first case, by the
        monotonic clock. Raises StoreError."""
        match event:
            case events.Exercised():
                for leg, rules in event.rules.items():
                    self._exercised[leg].update(rules)
            case events.Code():
                self.coverage.on_code(campaign, event)
            case events.Coverage():
                self.coverage.on_coverage(campaign, event, began)
            case events.Combined():
                self._combinations.add(event.pairs, event.core)
            case events.Found():
                self.ledger.found(campaign, event)
            case events.Again():
                self.ledger.again(SignatureRecord(*event.signature))
            case events.Akin():
                self.ledger.akin(campaign, event)
            case events.Retested():
                self.ledger.retested(campaign, event)
            case events.Broke():
                self.ledger.broke(campaign, event)
            case events.Restarted():
                self.ledger.restarted(event)
            case events.Stopped():
                self.examples.setdefault(event.why, format_case(decode(event.case)))

    def statistics(self) -> dict[str, object]:
        """As plain data, beside the counters."""
        return {
            "exercised": {leg: sorted(rules) for leg, rules in sorted(self._exercised.items())},
            **self.ledger.totals(),
            "kernel_coverage": self.coverage.totals(),
            "combinations": self._combinations.statistics(),
            "sequences": self.sequences,
        }
