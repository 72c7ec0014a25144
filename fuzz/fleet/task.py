"""A slice done: what a worker calls. Nothing is kept here; all that comes of it is returned.

So a slice may be done twice, or half and then again, and the store counts it once.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpus.kept import load_kept
from corpus.store import kept_cases, kept_files
from db.records import CellRecord, FindingRecord, FindingView, StoreError
from db.work import Delivery, Sighting
from fuzz.campaign.bring import Bringing
from fuzz.campaign.campaign import Campaign
from fuzz.campaign.distil import adding
from fuzz.campaign.options import CampaignFailed, CampaignOptions
from fuzz.campaign.status import CampaignStatus
from fuzz.fleet import corpus as shelf
from fuzz.fleet.broken import broken_by
from fuzz.fleet.corpus import CorpusError, CorpusStore
from fuzz.fleet.heads import provide
from fuzz.fleet.journal import Journal
from fuzz.fleet.slices import Kind, Order
from fuzz.followup import origin
from fuzz.followup.investigate import Investigator
from fuzz.followup.passes import is_simpler
from fuzz.followup.retest import Again, matrix, retest
from fuzz.followup.suspicion import Departure
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from fuzz.stopping import Stopped
from fuzz.suites.bisect import CannotBisect
from fuzz.suites.replay import Outcome, replay
from targets.base import Target
from targets.legs import UnknownLeg, open_legs
from targets.transport import TransportError

BY = ("rules", "semantic", "kernel")
"""What a case must bring to be merged; of combinations there are so many that all bring some."""


class SliceFailed(RuntimeError):
    """A slice could not be done; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a slice. `seconds`, `cpu_seconds`: what it took, with all that it started."""

    delivery: Delivery
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Around:
    """What a slice has around it: a directory of its own, whether it is still wanted, and who
    hears of findings at once."""

    scratch: Path
    wanted: Callable[[], bool]
    sighted: Callable[[Sighting], None]


def perform(
    order: Order,
    wanted: Callable[[], bool] = lambda: True,
    sighted: Callable[[Sighting], None] = lambda _: None,
) -> Report:
    """Do a slice. Raises SliceFailed, and Stopped where a signal ended it."""
    here = version("vcpufuzz")
    if order.program and order.program != here:
        raise SliceFailed(f"the worker has vcpufuzz {here}, the fleet {order.program}")
    began, cpu = time.monotonic(), _cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-", ignore_cleanup_errors=True) as scratch:
        try:
            if "origin" in order.spec:
                provide(order.spec["origin"])
            delivery = _KINDS[Kind(order.kind)](order, Around(Path(scratch), wanted, sighted))
        except (CampaignFailed, CorpusError, StoreError, TransportError, UnknownLeg) as error:
            raise SliceFailed(" ".join(str(error).split())) from None
        except OSError as error:
            raise SliceFailed(f"{error.filename or scratch}: {error.strerror or error}") from None
    seconds, cpu_seconds = time.monotonic() - began, _cpu_seconds() - cpu
    cost = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2)}
    delivery = replace(delivery, counts={**delivery.counts, **cost})
    return Report(delivery, seconds, cpu_seconds)


def _cpu_seconds() -> float:
    """Of this thread and of all processes that it has waited for: slices may run side by side,
    each in a process of its own."""
    own = resource.getrusage(resource.RUSAGE_THREAD)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _campaign(order: Order, around: Around) -> Delivery:
    spec = order.spec
    corpus = CorpusStore(order.corpus)
    directory = around.scratch / "corpus"
    before = shelf.lay_out(corpus, spec["snapshot"], directory)
    options = CampaignOptions(
        legs=tuple(spec["legs"]),
        seconds=float(spec["seconds"]),
        seed=int(spec["seed"]),
        corpus=directory,
        engine=engine(),
    )

    def show(_status: CampaignStatus) -> None:
        for sighting in journal.sightings():
            around.sighted(sighting)
        if not around.wanted():
            campaign.end("nobody wants it any more")

    with Journal.begin(around.scratch / "journal.db") as journal:
        campaign = Campaign(options, journal, show)
        status = campaign.run()
        told = journal.told
    if campaign.stopped_by:
        raise Stopped(campaign.stopped_by)
    # Where it lay means nothing elsewhere.
    told.options = {k: v for k, v in told.options.items() if k != "corpus"} | {
        "snapshot": spec["snapshot"]
    }
    fresh = corpus.put(shelf.gathered(directory, before))
    counts = {
        "cases": status.cases,
        "divergences": status.divergences,
        **_traffic(corpus),
    }
    return Delivery(told=told, counts=counts, result={"fresh": list(fresh)})


def engine() -> str:
    """What makes cases here: libFuzzer, or where that is not to be had, as on arm64, Hypothesis."""
    return "libfuzzer" if find_spec("atheris") is not None else "hypothesis"


def _merge(order: Order, around: Around) -> Delivery:
    """Which of the cases that campaigns left bring something that the corpus has not."""
    spec = order.spec
    corpus = CorpusStore(order.corpus)
    snapshot = corpus.load(spec["snapshot"])
    new = {case.id: case for case in corpus.get(spec["fresh"])}
    if not spec["snapshot"]:
        new |= {case.id: case for case in kept_cases("seeds")}
    features: dict[str, frozenset[int]] = {}
    with _Legs(spec["legs"], coverage=True) as (legs, missing):
        if missing:  # what only they reach would be dropped for good
            raise SliceFailed(next(iter(missing.values())))
        bringing = Bringing(legs, BY)
        for name, case in new.items():
            if not around.wanted():
                raise SliceFailed("nobody wants it any more")
            if bringing.fits(case):
                features[name] = shelf.numbered(bringing.of(case))
    have: set[Any] = corpus.features(snapshot)
    sizes = {name: len(new[name].encoded) for name in features}
    taken = adding(features, sizes, have)
    corpus.put(new[name] for name in taken)
    cases = tuple(dict.fromkeys((*snapshot.cases, *taken)))
    digest = corpus.save(cases, have)
    counts = {"tried": len(features), "taken": len(taken), **_traffic(corpus)}
    return Delivery(counts=counts, result={"snapshot": digest, "cases": len(cases)})


def _traffic(corpus: CorpusStore) -> dict[str, int]:
    return {"bytes_fetched": corpus.fetched, "bytes_sent": corpus.sent}


class _Legs:
    """Those of the legs that can be had, and why the others cannot; closed at the end."""

    def __init__(self, names: list[str], *, coverage: bool = False) -> None:
        self._names, self._coverage = names, coverage
        self._opened: list[Target] = []

    def __enter__(self) -> tuple[list[Target], Mapping[str, str]]:
        missing: dict[str, str] = {}
        self._opened = open_legs(self._names, coverage=self._coverage, missing=missing)
        return self._opened, missing

    def __exit__(self, *_: object) -> None:
        for leg in self._opened:
            leg.close()


def _finding(order: Order) -> FindingView:
    assert isinstance(order.finding, FindingView)
    return order.finding


def _retest(order: Order, _around: Around) -> Delivery:
    finding = _finding(order)
    with _Legs(order.spec["legs"]) as (legs, missing):
        records = retest(Again(finding), legs, int(order.spec["times"]), missing)
    seen = sum(record.seen for record in records)
    counts = {"seen": seen, "tried": sum(record.tried for record in records)}
    return Delivery(finding=finding.id, retests=tuple(records), counts=counts)


def _matrix(order: Order, around: Around) -> Delivery:
    """One machine at a time: many of them would fill the memory."""
    finding = _finding(order)
    cells: list[CellRecord] = []
    for name in order.spec["legs"]:
        if not around.wanted():
            raise SliceFailed("nobody wants it any more")
        with _Legs([name]) as (legs, missing):
            cells += matrix(Again(finding), legs, missing)
    outcomes = {cell.name: cell.outcome for cell in cells}
    return Delivery(
        finding=finding.id,
        cells=tuple(cells),
        counts={"legs": len(cells)},
        result={"outcomes": outcomes},
    )


def _minimise(order: Order, _around: Around) -> Delivery:
    """Follow a finding up once more from its shortest case, with more time than a campaign has.
    What only shows against other legs, or after other cases, is left as it is."""
    finding = _finding(order)
    smaller = None
    if finding.oracle == Departure.oracle and not finding.preceding:
        with _Legs(order.spec["legs"]) as (legs, missing):
            if missing:
                raise SliceFailed(next(iter(missing.values())))
            smaller = _smaller(finding, Everywhere(legs), float(order.spec["seconds"]))
    counts = {"smaller": int(smaller is not None)}
    return Delivery(finding=finding.id, smaller=smaller, counts=counts)


def _smaller(finding: FindingView, legs: Everywhere, seconds: float) -> FindingRecord | None:
    """A finding of the same kind whose case is shorter. Raises TransportError."""
    verdicts = legs.look(finding.minimal).verdicts
    for name in finding.deviating:
        verdict = verdicts.get(name)
        if isinstance(verdict, Diverge) and verdict.op_index == finding.op_index:
            suspicion = Departure(finding.minimal, name, verdict)
            found = Investigator(legs, lambda _: None, seconds).follow(suspicion)
            if isinstance(found, FindingRecord) and _is_shorter(found, finding):
                return replace(found, original=finding.original)
    return None


def _is_shorter(found: FindingRecord, finding: FindingView) -> bool:
    same = (found.signature.rule, found.culprit) == (finding.rule, finding.culprit)
    return same and is_simpler(found.minimal, finding.minimal)


def _bisect(order: Order, _around: Around) -> Delivery:
    finding, spec = _finding(order), order.spec
    good, bad = str(spec["good"]), str(spec["bad"])
    try:
        found = broken_by(finding, Path(spec["tree"]), good, bad)
    except CannotBisect as error:
        said = str(error)
        return Delivery(finding=finding.id, counts={"commits": 0}, result={"said": said})
    return Delivery(
        finding=finding.id,
        note=origin.note(finding.id, True, found),
        counts={"commits": len(found)},
        result={"commits": [one.commit for one, _ in found]},
    )


def _replay(order: Order, _around: Around) -> Delivery:
    kept = [load_kept(path) for folder in order.spec["folders"] for path in kept_files(folder)]
    with _Legs(order.spec["legs"]) as (legs, missing):
        results = list(replay(kept, legs, missing))
    told = [
        {
            "case": one.kept.path.name,
            "leg": one.leg,
            "outcome": one.outcome.value,
            "said": one.explanation,
        }
        for one in results
        if one.outcome in (Outcome.REGRESSION, Outcome.GONE)
    ]
    counts = {
        outcome.name.lower(): sum(one.outcome is outcome for one in results) for outcome in Outcome
    }
    machines = {leg.name: dict(leg.fingerprint) for leg in legs}
    result = {"told": told, "machines": machines, "missing": dict(missing)}
    return Delivery(counts=counts, result=result)


_KINDS: Mapping[Kind, Callable[[Order, Around], Delivery]] = {
    Kind.CAMPAIGN: _campaign,
    Kind.MERGE: _merge,
    Kind.RETEST: _retest,
    Kind.MINIMISE: _minimise,
    Kind.MATRIX: _matrix,
    Kind.BISECT: _bisect,
    Kind.REPLAY: _replay,
}
