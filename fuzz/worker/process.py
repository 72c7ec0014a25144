"""A fuzzing process: an engine drives cases into a session.

Started by the campaign with three arguments: the descriptor on which it says what happens,
one JSON line per event, a `WorkerConfig`, and the number of the process to end with.
libFuzzer's own chatter goes to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from fuzz.followup.steady import stand_ins
from fuzz.worker import events
from fuzz.worker.engines import hypothesis
from fuzz.worker.instrument import traced_model
from fuzz.worker.lifeline import end_with_parent
from fuzz.worker.marks import Marks
from targets import cache

if TYPE_CHECKING:
    from db.records import SignatureRecord
    from fuzz.worker.feedback import Feedback
    from fuzz.worker.session import Session
    from fuzz.worker.spare import Spare
    from fuzz.worker.steering import Steering

STATS_EVERY = 1.0
REASONS = 60
"""Why the model stopped: the commonest reasons, which are all that travels."""
TRIED = 100
"""Discarded cases after which a campaign whose time is over does not wait for its first one."""
ALL_DISCARDED = 10_000
"""When so many cases and no other were discarded, none will ever run."""

QUIET_FLAGS = (
    *("-handle_int=0", "-handle_term=0", "-handle_usr1=0", "-handle_usr2=0"),
    *("-max_len=4096", "-len_control=0", "-timeout=600", "-rss_limit_mb=4096", "-verbosity=1"),
)


class Events:
    """The way back to the campaign."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = descriptor

    def send(self, event: events.Event) -> None:
        """One event; a campaign that is gone ends the worker."""
        left = memoryview(events.encode(event) + b"\n")
        try:
            while left:  # a signal may come when only some of it is written
                left = left[os.write(self._pipe, left) :]
        except BrokenPipeError:
            os._exit(0)


class Worker:
    """Feeds a session until the budget is spent or the campaign says stop. `deadline`: a
    moment of the monotonic clock."""

    def __init__(
        self,
        config: events.WorkerConfig,
        session: Session,
        steering: Steering,
        spare: Spare,
        out: Events,
        deadline: float,
    ) -> None:
        self._config, self._spare = config, spare
        self.steering = steering
        self._send = out.send
        self._session = session
        self._stop = ""
        self._told: dict[str, set[str]] = {}
        self._deadline = deadline
        self._next_stats = 0.0

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Signal handler: end after the current case."""
        self._stop = events.STOPPED
        self._session.end_at(time.monotonic())

    def one_input(self, data: bytes) -> None:
        """libFuzzer's entry."""
        from targets.transport import TransportError  # noqa: PLC0415

        try:
            self._session.execute(data)
            self._spare.turn()
        except TransportError as error:
            self._session.tell_incidents()
            self.report()
            self._send(events.Failed(str(error)))
            os._exit(3)
        now = time.monotonic()
        if now >= self._next_stats:
            self._next_stats = now + STATS_EVERY
            self.report()
        tally = self._session.tally
        if self._config.cases and tally.cases >= self._config.cases:
            self._stop = self._stop or "cases"
        if now >= self._deadline and (tally.cases or tally.discarded >= TRIED):
            self._stop = self._stop or "time"
        if not tally.cases and tally.discarded >= ALL_DISCARDED:
            self._stop = self._stop or "every case was discarded"
        if self._stop:
            self.finish()

    def finish(self) -> None:
        """Last totals, legs closed, and out: atheris has no way to return."""
        sequence = self.steering.sequence  # counts the corpus as well, if no more was run
        self.report()
        for leg in self._session.legs:
            leg.close()
        self._session.tell_incidents()
        self._send(events.Done(self._stop, sequence))
        sys.stderr.flush()
        os._exit(0)

    def report(self) -> None:
        """Send the totals."""
        from targets.spec import sets  # noqa: PLC0415

        reached, self._session.reached = self._session.reached, []
        if reached:
            told = [events.Reached(r.leg, r.case.encoded, r.at, list(r.blocks)) for r in reached]
            self._send(events.Coverage(told))
        pairs = self.steering.pairs
        met, core = _packed(pairs.fresh), _packed(pairs.fresh_core)
        if met or core:
            self._send(events.Combined(met, core))
        exercised = self._session.exercised
        new = {
            leg: sorted(rules - self._told.get(leg, set()))
            for leg, rules in exercised.items()
            if len(rules) > len(self._told.get(leg, ()))
        }
        if new:
            self._told = {leg: set(rules) for leg, rules in exercised.items()}
            self._send(events.Exercised(new))
        stopped, self._session.stopped = self._session.stopped, {}
        for why, case in stopped.items():
            self._send(events.Stopped(why, case.encoded))
        tally = self._session.tally
        tally.restarts = sum(leg.restarts for leg in self._session.legs)
        tally.features = self._session.features
        tally.collapsed_sets = sets.collapses
        reasons = Counter(dict(tally.unjudged.most_common(REASONS)))
        self._send(events.Stats(msgspec.structs.replace(tally, unjudged=reasons)))


def _packed(fresh: list[NDArray[np.int64]]) -> bytes:
    """Numbers for the campaign, which then are no longer fresh."""
    joined = np.concatenate(fresh) if fresh else np.zeros(0)
    fresh.clear()
    return joined.astype("<u4").tobytes()


def main(argv: Sequence[str]) -> None:
    """Run until the budget is spent. Never returns normally."""
    end_with_parent(int(argv[3]))
    out = Events(int(argv[1]))
    config = msgspec.json.decode(argv[2].encode(), type=events.WorkerConfig)
    cache.listen(lambda line: out.send(events.Note(line)))
    from fuzz.oracle.knowledge import NOTHING, Knowledge  # noqa: PLC0415
    from fuzz.worker import travel  # noqa: PLC0415
    from fuzz.worker.focus import Focus  # noqa: PLC0415
    from fuzz.worker.session import Session  # noqa: PLC0415
    from fuzz.worker.spare import Spare  # noqa: PLC0415
    from fuzz.worker.steering import Steering  # noqa: PLC0415
    from targets.base import WireTarget  # noqa: PLC0415
    from targets.kind import KINDS  # noqa: PLC0415
    from targets.legs import open_legs  # noqa: PLC0415
    from targets.spec.model import Model  # noqa: PLC0415
    from targets.transport import TransportError  # noqa: PLC0415

    try:
        legs = open_legs(config.legs, coverage=config.kernel_coverage)
    except (TransportError, ValueError) as error:
        out.send(events.Failed(str(error)))
        sys.exit(3)
    out.send(events.Ready([events.LegReady(t.name, t.kind, dict(t.fingerprint)) for t in legs]))
    # The campaign's time begins now, with the cases that are known to diverge.
    deadline = time.monotonic() + config.seconds if config.seconds else float("inf")

    for leg in legs:
        if leg.code is not None:
            functions = [(f.offset, f.size, f.name, f.area) for f in leg.code.functions]
            out.send(events.Code(leg.name, functions))
        elif leg.no_coverage:
            out.send(events.Note(f"{leg.name}: no kernel coverage: {leg.no_coverage}"))

    knowledge = Knowledge.shipped() if config.known else NOTHING

    def again(record: SignatureRecord) -> None:
        out.send(events.Again(record.parts))

    steering = Steering(
        config.seed or 1,
        by_pairs="pairs" in config.feedback,
        by_schedules="schedules" in config.feedback,
    )
    by_libfuzzer = config.engine == "libfuzzer"
    guidance = _for_libfuzzer(config) if by_libfuzzer else Marks(config.feedback)
    session = Session(
        legs,
        guidance,
        found=lambda record: out.send(travel.found(record)),
        again=again,
        note=lambda text: out.send(events.Note(text)),
        minimize_seconds=config.minimize_seconds,
        knowledge=knowledge,
        share_vms=config.reuse_vms,
        traced=traced_model() if "model" in guidance.sources else Model,
        incident=lambda *what: out.send(travel.broke(*what)),
        unconfirmed=lambda *what: out.send(travel.unconfirmed(*what)),
        restarted=lambda leg, seconds: out.send(events.Restarted(leg, seconds)),
        steering=steering,
        akin=lambda kin: out.send(events.Akin(kin.one.parts, kin.other.parts, kin.reason)),
        stand_ins=stand_ins,
        focus=Focus(config.focus) if config.focus else None,
    )
    session.end_at(deadline)
    if config.report_known:
        session.show_known()
    if config.reuse_vms:
        for leg in legs:
            if isinstance(leg, WireTarget) and KINDS[leg.kind].kernel and not leg.shares:
                out.send(events.Note(f"{leg.name}: cases cannot share VMs, each has its own"))
    spare = Spare(
        travel.read_due(config.due),
        session.run_again,
        lambda finding, records: out.send(travel.retested(finding, records)),
        deadline,
    )
    worker = Worker(config, session, steering, spare, out, deadline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(guidance, Marks):
        signal.signal(signal.SIGTERM, worker.stop)
        hypothesis(worker.one_input, guidance, Path(config.corpus), config.seed or 1)
    _drive_libfuzzer(config, worker, session)


def _for_libfuzzer(config: events.WorkerConfig) -> Feedback:
    from fuzz.worker.feedback import Feedback  # noqa: PLC0415 (starts libFuzzer's runtime)

    return Feedback(config.feedback)


def _drive_libfuzzer(config: events.WorkerConfig, worker: Worker, session: Session) -> None:
    import atheris  # noqa: PLC0415

    from fuzz.worker.runner import Mutators  # noqa: PLC0415

    mutators = Mutators(session.runner, steering=worker.steering)
    # Read again, what libFuzzer itself wrote would make a sequence depend on the clock.
    reload = ["-reload=0"] if config.alone else []
    flags = [*QUIET_FLAGS, *reload, f"-seed={config.seed or 1}", *config.flags, config.corpus]
    atheris.Setup(
        [str(Path(__file__).resolve()), *flags],
        worker.one_input,
        custom_mutator=mutators.mutate,
        custom_crossover=mutators.crossover,
    )
    signal.signal(signal.SIGTERM, worker.stop)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
