"""A campaign's kernel coverage: what workers tell, each block once, into the store."""

from __future__ import annotations

from collections.abc import Mapping

from corpus.case import decode
from db.blocks import FunctionRecord, ReachedRecord
from db.store import Store
from fuzz.worker import events
from targets.codemap import CodeMap, Function


class CoverageKeeper:
    """Joins the workers of one campaign. Times are of the monotonic clock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._maps: dict[str, CodeMap] = {}
        self._seen: dict[str, set[int]] = {}

    def on_code(self, campaign: int, event: events.Code) -> None:
        """A worker says what a leg's kernel consists of. Raises StoreError."""
        if event.leg in self._maps:
            return
        functions = [Function(*one) for one in event.functions]
        self._maps[event.leg] = CodeMap(0, 0, tuple(functions))
        self._store.set_functions(
            campaign, event.leg, [FunctionRecord(*one) for one in event.functions]
        )

    def on_coverage(self, campaign: int, event: events.Coverage, begun: float) -> None:
        """A worker says what its cases reached. Raises StoreError."""
        records: dict[str, list[ReachedRecord]] = {}
        for one in event.reached:
            seen = self._seen.setdefault(one.leg, set())
            new = [block for block in one.blocks if block not in seen]
            if new:
                seen.update(new)
                after_ms = max(0, round(1000 * (one.at - begun)))
                record = ReachedRecord(decode(one.case), after_ms, new)
                records.setdefault(one.leg, []).append(record)
        for leg, found in records.items():
            self._store.add_reached(campaign, leg, found)

    @property
    def blocks(self) -> int:
        """Blocks seen, of all legs together."""
        return sum(map(len, self._seen.values()))

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        """Per leg: blocks seen, functions reached, functions known."""
        return {
            leg: {
                "blocks": len(self._seen.get(leg, ())),
                "functions": len({code.function_at(b) for b in self._seen.get(leg, ())} - {None}),
                "functions_known": len(code.functions),
            }
            for leg, code in self._maps.items()
        }
