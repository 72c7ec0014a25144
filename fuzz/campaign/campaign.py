"""A campaign: workers, budget, store and screen. The one impure orchestrator."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from corpus.isa.table import FORMS
from corpus.store import adopt_texts, kept_cases
from db.queries import SampleView
from db.records import LegRecord
from db.store import Store
from fuzz import stopping
from fuzz.campaign.due import due_findings
from fuzz.campaign.intake import Intake
from fuzz.campaign.kept import KeptCases
from fuzz.campaign.options import CampaignFailed, CampaignOptions
from fuzz.campaign.pool import Pool, Worker
from fuzz.campaign.restarts import Restarts
from fuzz.campaign.status import CampaignStatus, LegStatus
from fuzz.campaign.totals import statistics
from fuzz.worker import events, travel
from fuzz.worker.events import STOPPED
from fuzz.worker.spare import AGAIN_S
from fuzz.worker.tally import Tally
from targets.spec.rules import RULES

RULES_TOTAL = len(RULES) + len(FORMS)
SAMPLE_S = 15.0
"""How often a point of its curves is stored."""
GRACE_S = 150.0
"""What a worker may need after its time: the case it runs may hang, and be looked into."""
LOOK_S = 1.0
"""How often the corpus is counted."""
STORE_S = 2.0
"""How often the statistics are stored, so that a campaign that is killed leaves some behind, and
that the corpus is tried for room."""
REASONS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
"""What a campaign that a signal ended says in the store."""


def _scratch_directory() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="vcpufuzz-", ignore_cleanup_errors=True)
    except OSError as error:
        raise CampaignFailed(f"there is no room for temporary files: {_why(error)}") from None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class Campaign:
    """Runs workers until the budget is spent. `show` is called with every new status."""

    def __init__(
        self, options: CampaignOptions, store: Store, show: Callable[[CampaignStatus], None]
    ) -> None:
        self._options = options
        self._store = store
        self._intake = Intake(store)
        self._ledger = self._intake.ledger
        self._log = self._intake.log
        self._show = show
        self._seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
        self._pool = Pool()
        self._past = Tally()
        self._restarts = Restarts()
        self._campaign: int | None = None
        self._first_case: float | None = None
        self._kept: KeptCases | None = None
        self._known_reported = False
        self._next_look = self._next_store = self._next_sample = 0.0
        self._ending = False
        self.reason = ""
        self.stopped_by = 0
        """The signal that ended the campaign, or 0."""

    @property
    def number(self) -> int | None:
        """Of the campaign in the store, once a worker is ready."""
        return self._campaign

    @property
    def new_buckets(self) -> int:
        """Buckets that no campaign before had seen, and those that came back."""
        return self._ledger.new_buckets

    @property
    def new_strict(self) -> int:
        """Those of them that break a strict rule."""
        return sum(bucket.new and bucket.strict for bucket in self._ledger.buckets)

    @property
    def buckets(self) -> int:
        """All buckets that were seen, those that are recorded or muted, too."""
        return len(self._ledger.buckets)

    @property
    def hangs(self) -> int:
        """Findings of a hung machine."""
        return self._ledger.hangs

    # -- life ------------------------------------------------------------------------

    def run(self) -> CampaignStatus:
        """Run to the end and return the last status. Raises CampaignFailed, StoreError."""
        with stopping.patiently() as stop:
            try:
                with _scratch_directory() as scratch:
                    self._scratch = Path(scratch)
                    try:
                        self._run(stop)
                    finally:
                        for worker in self._pool.kill():
                            self._keep_totals(worker)
                        if self._kept is not None:
                            self._kept.look()
            finally:
                if self._campaign is not None:
                    reason = self.reason or "failed"
                    try:
                        self._ledger.settle()
                    finally:
                        self._store.end_campaign(self._campaign, self._statistics(), reason)
        return self.status()

    def _run(self, stop: stopping.Request) -> None:
        self._kept = KeptCases(self._prepared_corpus())
        for index in range(self._options.workers):
            self._spawn(index)
        self._loop(stop)
        for worker, event in self._pool.stop():
            self._handle(worker, event)

    def end(self, reason: str) -> None:
        """Have the campaign end in order, as soon as it can."""
        self.reason, self._ending = reason, True

    @property
    def began(self) -> bool:
        """Whether a worker came as far as running cases."""
        return self._first_case is not None

    def _prepared_corpus(self) -> Path:
        directory = (self._options.corpus or self._scratch / "corpus").absolute()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if self._options.corpus is None:
                for case in kept_cases("seeds"):
                    (directory / case.id).write_bytes(case.encoded)
            adopt_texts(directory)
        except OSError as error:
            raise CampaignFailed(f"{directory} cannot be written: {_why(error)}") from None
        return directory

    def _remaining(self) -> float:
        if not self._options.seconds:
            return 0.0
        since = self._first_case if self._first_case is not None else time.monotonic()
        return max(0.1, self._options.seconds - (time.monotonic() - since))

    def _spawn(self, index: int) -> None:
        assert self._kept is not None
        # The recorded defects are stored once, however many workers there are or come.
        reports = not self._known_reported and not any(w.reports_known for w in self._pool)
        cases = self._options.cases
        left = max(1, -(-(cases - self._past.cases) // self._options.workers)) if cases else 0
        config = events.WorkerConfig(
            legs=list(self._options.legs),
            seed=self._seed + index + 1000 * self._restarts.count,
            seconds=self._remaining(),
            cases=left,
            corpus=str(self._kept.directory),
            flags=list(self._options.flags),
            kernel_coverage=self._options.kernel_coverage,
            reuse_vms=self._options.reuse_vms,
            report_known=reports,
            feedback=self._options.feedback,
            engine=self._options.engine,
            alone=self._options.workers == 1,
            due=str(self._due(index)),
            focus={leg: list(ranges) for leg, ranges in self._options.focus.items()},
        )
        try:
            worker = self._pool.spawn(index, config, self._scratch)
        except OSError as error:
            raise CampaignFailed(f"a worker cannot be started: {_why(error)}") from None
        worker.reports_known = reports

    def _due(self, index: int) -> Path:
        """A file of the stored findings whose turn it is to be run again: each worker has its
        share of them. Raises StoreError."""
        path = self._scratch / f"due-{index}"
        due = due_findings(self._store, datetime.now(UTC) - timedelta(seconds=AGAIN_S))
        try:
            travel.write_due(path, due[index :: self._options.workers])
        except OSError as error:
            raise CampaignFailed(f"{path} cannot be written: {_why(error)}") from None
        return path

    def _loop(self, stop: stopping.Request) -> None:
        """Until every worker is done, somebody ends it, or nothing can go on."""
        grace = self._options.seconds + GRACE_S if self._options.seconds else float("inf")
        while self._pool:
            for worker, event in self._pool.hear():
                self._handle(worker, event)
            self._look_around()
            self._show(self.status())
            if stop and not self._ending:
                self.stopped_by = stop.number
                self.end(REASONS[signal.Signals(stop.number)])
            if self._ending:
                return
            if self._first_case and time.monotonic() - self._first_case > grace:
                self._log("a worker did not end in time and was killed")
                return

    def _look_around(self) -> None:
        """What is to be done now and then. Raises StoreError."""
        assert self._kept is not None
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            self._kept.look()
        if now >= self._next_store:
            self._next_store = now + STORE_S
            before = self._kept.trouble
            self._kept.probe()
            if self._kept.trouble and not before:
                self._log(f"{self._kept.directory} takes no more cases: {self._kept.trouble}")
            if self._campaign is not None:
                self._ledger.settle()
                sample = self._sample() if now >= self._next_sample else None
                self._store.update_campaign(self._campaign, self._statistics(), sample)

    def _sample(self) -> SampleView:
        """How far the campaign is, for its curves."""
        self._next_sample = time.monotonic() + SAMPLE_S
        status = self.status()
        return SampleView(
            after_ms=int(status.elapsed * 1000),
            totals={
                "cases": status.cases,
                "features": status.features,
                "rules": status.rules_hit,
                "corpus": status.corpus,
                "divergences": status.divergences,
                "buckets": len(status.buckets),
                "new_buckets": status.new_buckets,
                "blocks": self._intake.coverage.blocks,
            },
        )

    def _keep_totals(self, worker: Worker) -> None:
        if worker.stats:
            self._past.add(worker.stats)
            worker.stats = None

    # -- events -------------------------------------------------------------------------

    def _handle(self, worker: Worker, event: events.Event | None) -> None:
        match event:
            case None:
                self._ended(worker)
            case events.Ready():
                self._on_ready(event)
            case events.Stats():
                worker.stats = event.tally
                # The first totals come after the recorded defects.
                self._known_reported |= worker.reports_known
            case events.Note():
                self._log(event.text)
            case events.Failed():
                worker.failed = event.reason
            case events.Done():
                worker.done = event.reason
                self._intake.sequences.append(event.sequence)
            case _:
                # Of a case: there is none before a worker is ready.
                assert self._campaign is not None
                assert self._first_case is not None
                self._intake.take(self._campaign, self._first_case, event)

    def _on_ready(self, event: events.Ready) -> None:
        if self._first_case is None:
            self._first_case = time.monotonic()
        legs = self._ledger.legs
        for leg in event.legs:
            legs[leg.name] = LegRecord(leg.name, leg.kind, leg.fingerprint)
        if self._campaign is None:
            self._campaign = self._store.begin_campaign(
                seed=self._seed,
                legs=list(legs.values()),
                # Ranges of a kernel tell a reader nothing, and may be thousands.
                options=msgspec.to_builtins(replace(self._options, focus={}), enc_hook=str),
            )

    def _ended(self, worker: Worker) -> None:
        """A worker's pipe closed: it is done, it failed, or it died."""
        cases = worker.cases
        self._keep_totals(worker)
        how = worker.ended_how()
        if worker.done and (worker.done != STOPPED or self._ending):
            self.reason = self.reason or worker.done
            return
        if self._ending:
            return
        if worker.failed and not cases:
            raise CampaignFailed(worker.failed)
        why = worker.failed or ("was told to stop by SIGTERM" if worker.done else how)
        self._past.infra_errors += 1
        if not self._restarts.bear(time.monotonic(), ran=bool(cases)):
            raise CampaignFailed(f"workers keep failing; the last one: {why}")
        self._log(f"worker {worker.index} {why}; restarting it")
        if self._options.seconds and self._remaining() <= 0.1:
            self.reason = self.reason or "time"
            return
        self._spawn(worker.index)

    # -- status -----------------------------------------------------------------------------

    def _sum(self) -> Tally:
        totals = deepcopy(self._past)
        for worker in self._pool:
            if worker.stats:
                totals.add(worker.stats)
        return totals

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._first_case if self._first_case is not None else 0.0

    def status(self) -> CampaignStatus:
        """What a screen shows."""
        totals = self._sum()
        elapsed = self._elapsed
        return CampaignStatus(
            elapsed=elapsed,
            time_budget=self._options.seconds or None,
            cases=totals.cases,
            case_budget=self._options.cases or None,
            cases_per_second=totals.cases / elapsed if elapsed else 0.0,
            legs=tuple(self._leg_status(name, totals) for name in self._leg_names()),
            corpus=self._kept.count if self._kept is not None else 0,
            rules_hit=len(totals.rules),
            rules_total=RULES_TOTAL,
            features=totals.features,
            discarded=totals.discarded,
            infra_errors=totals.infra_errors,
            restarts=totals.restarts + self._restarts.count,
            divergences=totals.divergences,
            buckets=self._ledger.buckets,
            incidents=tuple(sorted(self._ledger.incidents.items())),
            workers=len(self._pool),
            seed=self._seed,
            events=tuple(self._intake.log_lines),
            warnings=tuple(self._warnings()),
            reruns=self._ledger.reruns,
        )

    def _warnings(self) -> Iterator[str]:
        yield from self._ledger.expired
        kept = self._kept
        # A worker that is killed leaves half a file, which matters to nobody but the corpus' owner.
        broken = self._options.corpus is not None and kept is not None and kept.broken
        if kept is not None and (broken or kept.trouble):
            why = f": {kept.trouble}" if kept.trouble else ""
            yield (
                f"{kept.directory} did not take every case{why};"
                f" {kept.count} are there, {kept.broken} only in part."
            )

    def _leg_names(self) -> Sequence[str]:
        return list(self._ledger.legs) or list(self._options.legs)

    def _leg_status(self, name: str, totals: Tally) -> LegStatus:
        return LegStatus(
            name=name,
            state="running" if name in self._ledger.legs else "starting",
            executions=totals.executions[name],
            per_second=totals.executions[name] / self._elapsed if self._elapsed else 0.0,
            restarts=self._ledger.restarts_of(name),
        )

    def _statistics(self) -> dict[str, object]:
        totals = statistics(self.status(), self._sum(), self.reason, self._intake.examples)
        return {**totals, **self._intake.statistics()}

    def summary(self) -> dict[str, object]:
        """The totals of the campaign, for `--json`."""
        return self._statistics()
