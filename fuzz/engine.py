"""A campaign: workers, budget, store and screen. The one impure orchestrator."""

from __future__ import annotations

import os
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from corpus.case import decode as decode_case
from corpus.expect import KeptCase, load_kept
from corpus.isa.table import FORMS
from corpus.store import kept_cases, kept_files
from corpus.trace import Ending, Observation, Trace
from db.records import FindingRecord, LegRecord, SignatureRecord, Status
from db.store import Store
from fuzz import events
from fuzz.coverage import CoverageKeeper
from fuzz.status import BucketStatus, CampaignStatus, LegStatus
from targets.model.rules import RULES

TICK = 0.2
RULES_TOTAL = len(RULES) + len(FORMS)
MAX_RESTARTS = 20
START_LIMIT = 3
"""Workers that fail before they ever ran a case before the campaign gives up."""


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """What a user asked for. `seconds` and `cases`: 0 for no limit; `corpus` None: a
    private directory that starts with the seed cases."""

    legs: tuple[str, ...]
    seconds: float = 120.0
    cases: int = 0
    workers: int = 1
    seed: int = 0
    corpus: Path | None = None
    flags: tuple[str, ...] = ()
    kernel_coverage: bool = True


class CampaignFailed(RuntimeError):
    """The campaign could not run; the message is one sentence. What was found is stored."""


@dataclass(slots=True)
class _Worker:
    index: int
    process: subprocess.Popen[bytes]
    pipe: int
    log: Path
    buffer: bytes = b""
    stats: events.Stats | None = None
    ready: bool = False
    done: str = ""
    failed: str = ""


@dataclass(slots=True)
class _Totals:
    """Sums over workers, the finished ones included."""

    cases: int = 0
    discarded: int = 0
    divergences: int = 0
    infra_errors: int = 0
    restarts: int = 0
    collapses: int = 0
    executions: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    cleared: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, stats: events.Stats) -> None:
        """Add one worker's totals."""
        self.cases += stats.cases
        self.discarded += stats.discarded
        self.divergences += stats.divergences
        self.infra_errors += stats.infra_errors
        self.restarts += stats.restarts
        self.collapses += stats.collapses
        self.executions.update(stats.executions)
        self.unjudged.update(stats.unjudged)
        self.rules.update(stats.rules)
        for leg, (kept, cleared) in stats.choices.items():
            self.kept[leg] += kept
            self.cleared[leg] += cleared


class Campaign:
    """Runs workers until the budget is spent. `show` is called with every new status."""

    def __init__(
        self, options: CampaignOptions, store: Store, show: Callable[[CampaignStatus], None]
    ) -> None:
        self._options = options
        self._store = store
        self._coverage = CoverageKeeper(store)
        self._show = show
        self._seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}
        self._past = _Totals()
        self._legs: dict[str, LegRecord] = {}
        self._buckets: dict[int, BucketStatus] = {}
        self._new: set[int] = set()
        self._known = [load_kept(path) for path in kept_files("known")]
        self._events: deque[str] = deque(maxlen=50)
        self._restarts = 0
        self._start_failures = 0
        self._campaign: int | None = None
        self._started = time.monotonic()
        self._first_case: float | None = None
        self._features = 0
        self._corpus = 0
        self.new_buckets = 0
        self.hangs = 0
        self.reason = ""
        self._interrupted = False

    # -- life ------------------------------------------------------------------------

    def run(self) -> CampaignStatus:
        """Run to the end and return the last status. Raises CampaignFailed, StoreError."""
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            with tempfile.TemporaryDirectory(prefix="vcpufuzz-") as scratch:
                self._scratch = Path(scratch)
                self._corpus_dir = (self._options.corpus or self._scratch / "corpus").absolute()
                self._prepare_corpus()
                for index in range(self._options.workers):
                    self._spawn(index)
                self._loop()
                self._stop_workers()
        finally:
            signal.signal(signal.SIGINT, previous)
            self._kill_all()
            if self._campaign is not None:
                reason = self.reason or "failed"
                self._store.end_campaign(self._campaign, self._statistics(), reason)
        return self.status()

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True

    def _prepare_corpus(self) -> None:
        self._corpus_dir.mkdir(parents=True, exist_ok=True)
        if self._options.corpus is None:
            for case in kept_cases("seeds"):
                (self._corpus_dir / case.id).write_bytes(case.encoded)

    def _remaining(self) -> float:
        if not self._options.seconds:
            return 0.0
        since = self._first_case if self._first_case is not None else time.monotonic()
        return max(0.1, self._options.seconds - (time.monotonic() - since))

    def _spawn(self, index: int) -> None:
        cases = self._options.cases
        left = max(1, -(-(cases - self._past.cases) // self._options.workers)) if cases else 0
        config = events.WorkerConfig(
            legs=list(self._options.legs),
            seed=self._seed + index + 1000 * self._restarts,
            seconds=self._remaining(),
            cases=left,
            corpus=str(self._corpus_dir),
            flags=list(self._options.flags),
            kernel_coverage=self._options.kernel_coverage,
        )
        read, write = os.pipe()
        log = self._scratch / f"worker-{index}.log"
        script = Path(__file__).with_name("worker.py")
        command = [sys.executable, str(script), str(write)]
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                [*command, msgspec.json.encode(config).decode()],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(write,),
                start_new_session=True,
                cwd=self._scratch,
            )
        os.close(write)
        os.set_blocking(read, False)
        worker = _Worker(index, process, read, log)
        self._workers[read] = worker
        self._selector.register(read, selectors.EVENT_READ, worker)

    def _loop(self) -> None:
        """Until every worker is done, the user interrupts, or nothing can go on."""
        grace = self._options.seconds + 60 if self._options.seconds else float("inf")
        while self._workers:
            for key, _ in self._selector.select(TICK):
                self._read(key.data)
            self._show(self.status())
            if self._interrupted:
                self.reason = "interrupted"
                return
            if self._first_case and time.monotonic() - self._first_case > grace:
                self._log("a worker did not end in time and was killed")
                return

    def _stop_workers(self) -> None:
        """Ask the workers to finish, collect what they still say, then kill them."""
        for worker in self._workers.values():
            worker.process.terminate()
        deadline = time.monotonic() + 15
        while self._workers and time.monotonic() < deadline:
            for key, _ in self._selector.select(TICK):
                self._read(key.data)

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()
            if worker.stats:
                self._past.add(worker.stats)
                worker.stats = None

    # -- events -------------------------------------------------------------------------

    def _read(self, worker: _Worker) -> None:
        chunk = os.read(worker.pipe, 1 << 20)
        if not chunk:
            self._ended(worker)
            return
        *lines, worker.buffer = (worker.buffer + chunk).split(b"\n")
        for line in lines:
            self._handle(worker, events.decode(line))

    def _handle(self, worker: _Worker, event: events.Event) -> None:
        match event:
            case events.Ready():
                self._on_ready(worker, event)
            case events.Stats():
                worker.stats = event
                self._features = max(self._features, event.features)
                self._corpus = max(self._corpus, event.corpus)
            case events.Code():
                assert self._campaign is not None
                self._coverage.on_code(self._campaign, event)
            case events.Coverage():
                assert self._campaign is not None
                assert self._first_case is not None
                self._coverage.on_coverage(self._campaign, event, self._first_case)
            case events.Found():
                self._on_found(event)
            case events.Again():
                self._on_again(SignatureRecord(*event.signature))
            case events.Note():
                self._log(event.text)
            case events.Failed():
                worker.failed = event.reason
            case events.Done():
                worker.done = event.reason

    def _on_ready(self, worker: _Worker, event: events.Ready) -> None:
        worker.ready = True
        if self._first_case is None:
            self._first_case = time.monotonic()
        for leg in event.legs:
            self._legs[leg.name] = LegRecord(leg.name, leg.kind, leg.fingerprint)
        if self._campaign is None:
            self._campaign = self._store.begin_campaign(
                seed=self._seed,
                legs=list(self._legs.values()),
                options=msgspec.to_builtins(self._options, enc_hook=str),
            )

    def _on_found(self, event: events.Found) -> None:
        assert self._campaign is not None
        record = to_record(event)
        stored = self._store.add_finding(self._campaign, record)
        if event.observed == Ending.HANG.value:
            self.hangs += 1
        explained = self._known_from(record)
        if stored.new_bucket and explained:
            self._store.set_status(stored.bucket_id, Status.KNOWN, actor=explained.path.name)
            self._store.add_note(stored.bucket_id, explained.about, actor=explained.path.name)
        elif stored.new_bucket or stored.regressed:
            self.new_buckets += 1
            self._new.add(stored.bucket_id)
        self._refresh_bucket(record.signature)
        novelty = "new" if stored.bucket_id in self._new else "known"
        self._log(f"{novelty} divergence, bucket {stored.bucket_id}: {record.explanation[:160]}")

    def _known_from(self, record: FindingRecord) -> KeptCase | None:
        """The kept case that explains this divergence, if one does."""
        rule = record.signature.rule
        prints = {leg: self._legs[leg].fingerprint for leg in record.deviating}
        for kept in self._known:
            if all(kept.covers(leg, print_, rule) for leg, print_ in prints.items()):
                return kept
        return None

    def _on_again(self, signature: SignatureRecord) -> None:
        self._store.count_again(signature)
        self._refresh_bucket(signature)

    def _refresh_bucket(self, signature: SignatureRecord) -> None:
        bucket = self._store.bucket_of(signature)
        if bucket is not None:
            self._buckets[bucket.id] = BucketStatus(
                id=bucket.id,
                title=bucket.title,
                strict=bucket.strict,
                count=bucket.count,
                first_leg=signature.legs,
                new=bucket.id in self._new,
            )

    def _ended(self, worker: _Worker) -> None:
        """A worker's pipe closed: it is done, it failed, or it died."""
        self._selector.unregister(worker.pipe)
        os.close(worker.pipe)
        del self._workers[worker.pipe]
        code = worker.process.wait()
        cases = worker.stats.cases if worker.stats else 0
        if worker.stats:
            self._past.add(worker.stats)
        if worker.done:
            self.reason = self.reason or worker.done
            return
        if self._interrupted:
            return
        if worker.failed and not cases:
            raise CampaignFailed(worker.failed)
        why = worker.failed or _death(code, worker.log)
        self._past.infra_errors += 1
        if not cases:
            self._start_failures += 1
        if self._start_failures >= START_LIMIT or self._restarts >= MAX_RESTARTS:
            raise CampaignFailed(f"workers keep failing; the last one: {why}")
        self._log(f"worker {worker.index} {why}; restarting it")
        self._restarts += 1
        if self._options.seconds and self._remaining() <= 0.1:
            self.reason = self.reason or "time"
            return
        self._spawn(worker.index)

    def _log(self, text: str) -> None:
        self._events.append(f"{time.strftime('%H:%M:%S')} {text}")

    # -- status -----------------------------------------------------------------------------

    def _sum(self) -> _Totals:
        totals = deepcopy(self._past)
        for worker in self._workers.values():
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
            corpus=self._corpus,
            rules_hit=len(totals.rules),
            rules_total=RULES_TOTAL,
            features=self._features,
            discarded=totals.discarded,
            infra_errors=totals.infra_errors,
            restarts=totals.restarts + self._restarts,
            divergences=totals.divergences,
            buckets=tuple(sorted(self._buckets.values(), key=lambda b: b.id)),
            workers=len(self._workers),
            seed=self._seed,
            events=tuple(self._events),
        )

    def _leg_names(self) -> Sequence[str]:
        return list(self._legs) or list(self._options.legs)

    def _leg_status(self, name: str, totals: _Totals) -> LegStatus:
        return LegStatus(
            name=name,
            state="running" if name in self._legs else "starting",
            executions=totals.executions[name],
            per_second=totals.executions[name] / self._elapsed if self._elapsed else 0.0,
        )

    def _statistics(self) -> dict[str, object]:
        totals = statistics(self.status(), self._sum(), self.reason)
        return {**totals, "kernel_coverage": self._coverage.totals()}

    def summary(self) -> dict[str, object]:
        """The totals of the campaign, for `--json`."""
        return self._statistics()


def statistics(status: CampaignStatus, totals: _Totals, reason: str) -> dict[str, object]:
    """A campaign's totals as plain data."""
    return {
        "cases": totals.cases,
        "cases_per_second": round(status.cases_per_second, 2),
        "seconds": round(status.elapsed, 2),
        "seed": status.seed,
        "executions": dict(totals.executions),
        "rules_hit": len(totals.rules),
        "rules": dict(sorted(totals.rules.items())),
        "corpus": status.corpus,
        "features": status.features,
        "discarded": totals.discarded,
        "infra_errors": totals.infra_errors,
        "restarts": status.restarts,
        "divergences": totals.divergences,
        "buckets": [msgspec.to_builtins(bucket) for bucket in status.buckets],
        "choices": {
            leg: {"kept": totals.kept[leg], "cleared": totals.cleared[leg]}
            for leg in sorted(totals.executions)
        },
        "collapsed_sets": totals.collapses,
        "unjudged": dict(totals.unjudged),
        "ended": reason,
    }


def to_record(event: events.Found) -> FindingRecord:
    """A finding as it came from a worker, as the store wants it."""
    return FindingRecord(
        signature=SignatureRecord(*event.signature),
        minimal=decode_case(event.minimal),
        original=decode_case(event.original),
        strict=event.strict,
        op_index=event.op_index,
        expected=event.expected,
        observed=event.observed,
        explanation=event.explanation,
        reproduced=(event.seen, event.tried),
        deviating=tuple(event.deviating),
        traces={
            name: Trace(
                tuple(Observation(*o) for o in trace.observations), Ending(trace.ending), trace.log
            )
            for name, trace in event.traces.items()
        },
    )


def _death(code: int, log: Path) -> str:
    """How a worker died, with the last line it said."""
    how = f"died of signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{how} ({said[:160]})" if said else how
