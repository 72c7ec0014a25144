"""Watching kernels: each new one gets the kept cases and a short campaign, and then a report.

What has been seen is kept in the fleet's memory in the store. The clock, and who asks what there
is, come from outside, so that a day can be simulated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from db.store import Store
from db.work import SliceRecord, SliceView, State
from fuzz.fleet import slices
from fuzz.fleet.heads import RELEASES, Branch, Head, Listed, newest
from fuzz.fleet.morning import Report, Trial, gather
from fuzz.fleet.slices import Kind

FOLDERS = ("regressions", "known")
REFERENCES = ("model",)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`every`: how often it is looked what there is; `campaign_s`: of the campaign that a new
    kernel gets; `morning`: the hour, in UTC, of the report that tells of all the rest."""

    every: timedelta = timedelta(hours=1)
    campaign_s: float = 600.0
    morning: int = 6


class Underway(msgspec.Struct):
    """A new kernel, and the slices that are for it."""

    name: str
    version: str
    leg: str
    slices: list[str]


class Memory(msgspec.Struct):
    """What one fleet leaves to the next. `heads`: the newest version by name; None before any was
    looked up; `since`: what reports have told of."""

    since: datetime
    next_look: datetime
    heads: dict[str, str] | None = None
    underway: list[Underway] = []


@dataclass
class Watch:
    """`ask` says what there is newest, in `executor`; `publish` hears of each report."""

    store: Store
    ask: Callable[[], Listed]
    clock: Callable[[], datetime]
    executor: Executor
    publish: Callable[[Report], None]
    say: Callable[..., Any]
    rhythm: Rhythm = field(default_factory=Rhythm)
    memory: Memory = field(init=False)
    _asking: Future[Listed] | None = field(init=False, default=None)
    _wanted: list[SliceRecord] = field(init=False, default_factory=list)
    """What new kernels ask for and the store has not taken yet."""

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on where the fleet before was; with nothing, begin now."""
        now = self.clock()
        self.memory = (
            msgspec.convert(memory["watch"], Memory) if "watch" in memory else Memory(now, now)
        )

    def remembered(self) -> dict[str, Any]:
        """What the next one has to know."""
        return {"watch": msgspec.to_builtins(self.memory)}

    def turn(self) -> list[SliceRecord]:
        """Plan what new kernels ask for, if there are any, and return it; reports that are due are
        published. Raises StoreError; what is left undone then is done the next time."""
        now = self.clock()
        if self._asking is None and now >= self.memory.next_look:
            self._asking = self.executor.submit(self.ask)
        if self._asking is not None and self._asking.done():
            asked, self._asking = self._asking, None
            self.memory.next_look = now + self.rhythm.every
            listed = _answer(asked)
            for sentence in listed.trouble:
                self.say("kernel not asked for", why=sentence)
            self._wanted += self._seen(listed.heads)
        self.store.plan_slices(self._wanted)
        planned, self._wanted = self._wanted, []
        self._report_tried(now)
        self._report_morning(now)
        return planned

    def _seen(self, heads: Sequence[Head]) -> list[SliceRecord]:
        """Those that are new since the last look. The first look only tells what is there: that is
        searched anyway, if somebody wants it."""
        first = self.memory.heads is None
        known = self.memory.heads = self.memory.heads or {}
        wanted: list[SliceRecord] = []
        for head in heads:
            if known.get(head.name) == head.version:
                continue
            before, known[head.name] = known.get(head.name, ""), head.version
            if first:
                continue
            self.say("new kernel", name=head.name, version=head.version, leg=head.leg)
            work = trial(head, self.rhythm.campaign_s, before)
            self.memory.underway.append(
                Underway(head.name, head.version, head.leg, [one.id for one in work])
            )
            wanted += work
        return wanted

    def _report_tried(self, now: datetime) -> None:
        """Kernels for which all is done, together: they are due at the same moment."""
        left: list[Underway] = []
        trials: list[Trial] = []
        for one in self.memory.underway:
            done = self.store.slices(one.slices)
            if len(done) == len(one.slices) and all(_ended(view) for view in done):
                trials.append(Trial.of(one.name, one.version, one.leg, done))
            else:
                left.append(one)
        if trials:
            self._publish(now, trials)
            self.memory.underway = left

    def _report_morning(self, now: datetime) -> None:
        """Once a day, if there is anything to tell."""
        at = now.replace(hour=self.rhythm.morning, minute=0, second=0, microsecond=0)
        if self.memory.since < at <= now:
            self._publish(now, [], quiet=True)

    def _publish(self, now: datetime, trials: list[Trial], quiet: bool = False) -> None:
        report = gather(self.store, self.memory.since, now, trials)
        self.memory.since = now
        if report.news or not quiet:
            self.publish(report)


def trial(head: Head, campaign_s: float, before: str = "") -> list[SliceRecord]:
    """The kept cases on a kernel, and a short campaign, with a seed of its own. `before`: the
    version that came before it, from which on a branch is bisected."""
    legs = [*REFERENCES, head.leg]
    seed = int(hashlib.sha256(f"{head.name} {head.version}".encode()).hexdigest()[:7], 16) + 1
    origin = {**head.origin, "before": before}
    spec = {"folders": list(FOLDERS), "legs": legs, "origin": origin}
    return [
        slices.make(Kind.REPLAY, head.leg, spec),
        slices.campaign(head.leg, legs, seed, campaign_s, "", origin=origin),
    ]


def _answer(asked: Future[Listed]) -> Listed:
    """What there is; whatever goes wrong with asking must not end a fleet."""
    try:
        return asked.result()
    except Exception as error:
        return Listed((), (f"{type(error).__name__}: {error}",))


def _ended(view: SliceView) -> bool:
    return view.state in (State.DONE, State.FAILED)


def watching(
    store: Store,
    packages: bool,
    branches: Sequence[Branch],
    rhythm: Rhythm,
    executor: Executor,
    publish: Callable[[Report], None],
    say: Callable[..., Any],
) -> Watch:
    """What watches packaged kernels, and branches, by this machine's clock."""
    releases = RELEASES if packages else ()
    ask = partial(newest, releases, tuple(branches))
    return Watch(store, ask, utc_now, executor, publish, say, rhythm)


def utc_now() -> datetime:
    """The clock of a fleet that is none of a simulation."""
    return datetime.now(UTC)
