"""A review from its start to its last word: kept cases, a campaign, and what differs, by mode."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from corpus.case import Case
from corpus.inputs import case_of
from corpus.store import kept_files, load_case
from corpus.text import format_case
from db.filters import BucketFilter
from db.records import FindingView
from db.store import Store
from fuzz.campaign.campaign import Campaign
from fuzz.campaign.options import CampaignFailed, CampaignOptions
from fuzz.campaign.status import CampaignStatus
from fuzz.review import pair as pairs
from fuzz.review.book import Differing, KernelSide, Review, ReviewedFunction
from fuzz.review.differences import added_up
from fuzz.review.pair import Pair
from fuzz.stopping import Stopped
from targets.base import Target
from targets.kvm.lab import kernels, symbols
from targets.kvm.lab.coverage import maps
from targets.kvm.lab.coverage.changed import Change, KernelCode, changes, ranges
from targets.kvm.lab.kernels import Kernel
from targets.kvm.legname import LegSpec
from targets.legs import open_leg

FOLDERS = ("seeds", "regressions", "known")
"""The kept cases that are run on both."""
SHARE = 0.8
"""Of a mode's time, how much the campaign has; the rest is for its cases on both kernels."""
SEARCHED = 400
"""Cases of a campaign that are run on both again, at most."""


@dataclass(frozen=True, slots=True)
class Side:
    """A kernel to review: as a leg's name has it, the kernel, and what a revision is about."""

    name: str | Path
    kernel: Kernel
    what: str = ""

    @classmethod
    def of(cls, name: str | Path, what: str = "") -> Side:
        """A kernel by name, or an Image. Raises TransportError."""
        kernel = kernels.own(name) if isinstance(name, Path) else kernels.fetch(name)
        return cls(name, kernel, what)

    def leg(self, mode: str) -> str:
        """Its leg in a mode."""
        return LegSpec(self.name, mode).name


@dataclass(slots=True)
class Reviewer:
    """Reviews `new` beside `base`, for `seconds` in all. `say` is told what is under way, `show`
    how a campaign goes; `interrupted` says afterwards which signal ended it, if one did."""

    base: Side
    new: Side
    store: Store
    modes: Sequence[str]
    seconds: float
    areas: Sequence[str] = ()
    workers: int = 1
    seed: int = 0
    say: Callable[[str], None] = lambda _: None
    show: Callable[[CampaignStatus], None] = lambda _: None
    interrupted: int = 0
    _changes: list[Change] | None = None
    _reached: dict[Change, ReviewedFunction] = field(default_factory=dict)
    _differing: list[Differing] = field(default_factory=list)

    def run(self) -> Review:
        """Raises TransportError, CampaignFailed, StoreError, and Stopped where a signal came
        before any case."""
        began = time.monotonic()
        review = Review(
            KernelSide(str(self.base.name), sha256=self.base.kernel.sha256, what=self.base.what),
            KernelSide(str(self.new.name), sha256=self.new.kernel.sha256, what=self.new.what),
            list(self.modes),
            list(self.areas),
        )
        if self.base.kernel.sha256 == self.new.kernel.sha256:
            review.notes.append("The two are the same Image, to the byte: nothing was run.")
            return review
        for mode in self.modes:
            self._mode(review, mode)
            if self.interrupted:
                review.notes.append("It was stopped early.")
                break
        review.differing = added_up(self._differing)
        review.functions = [
            self._reached.get(change) or _function(change) for change in self._changes or ()
        ]
        review.seconds = round(time.monotonic() - began, 1)
        return review

    def _mode(self, review: Review, mode: str) -> None:
        self.say(f"booting both kernels in mode {mode}")
        with self._legs(mode, coverage=True) as (base, new):
            self._describe(review, base, new)
            pair = Pair(base, new, mode, self._differ(review, base, new))
            self.say("running the kept cases on both")
            for path in _kept():
                pair.try_(load_case(path), path.name)
        with tempfile.TemporaryDirectory(prefix="vcpufuzz-") as scratch:
            corpus = Path(scratch)
            number = self._campaign(mode, corpus, SHARE * self.seconds / len(self.modes))
            end = time.monotonic() + (1 - SHARE) * self.seconds / len(self.modes)
            with self._legs(mode, coverage=False) as (base, new):
                later = Pair(base, new, mode, ())
                later.found = pair.found
                self._settle(later, number)
                self.say("running the campaign's cases on both")
                for case in _found_by(corpus):
                    if time.monotonic() > end or self.interrupted:
                        break
                    later.try_(case, case.id)
                self.say("timing both")
                speed = later.timed()
        if speed:
            review.speed.append(speed)
        self._note_reached(pair, number)
        review.cases += pair.found.cases
        review.broken += pair.found.broken
        self._differing += pair.found.differing

    @contextmanager
    def _legs(self, mode: str, *, coverage: bool) -> Iterator[tuple[Target, Target]]:
        with (
            open_leg(self.base.leg(mode), coverage=coverage) as base,
            open_leg(self.new.leg(mode), coverage=coverage) as new,
        ):
            yield base, new

    def _describe(self, review: Review, base: Target, new: Target) -> None:
        for side, leg in (("base", base), ("new", new)):
            release = leg.fingerprint.get("release", "")
            setattr(review, side, _with_release(getattr(review, side), release))

    def _differ(self, review: Review, base: Target, new: Target) -> list[Change]:
        """The functions that differ; known once both were booted."""
        if self._changes is None:
            one, other = _code(self.base.kernel), _code(self.new.kernel)
            if one is None or other is None:
                why = base.no_coverage or new.no_coverage or "their symbols are not known"
                review.notes.append(f"Their functions could not be compared: {why}")
                self._changes = []
            else:
                self._changes = changes(one, other, self.areas)
                count = len(self._changes)
                self.say(f"{count} function{' differs' if count == 1 else 's differ'}")
        return self._changes

    def _campaign(self, mode: str, corpus: Path, seconds: float) -> int | None:
        """Search on both; its number in the store."""
        base, new = self.base.leg(mode), self.new.leg(mode)
        focus = {new: tuple(ranges(self._changes or ()))} if self._changes else {}
        self.say(f"searching for {seconds:.0f} s")
        for case in map(load_case, kept_files("seeds")):
            (corpus / case.id).write_bytes(case.encoded)
        options = CampaignOptions(
            legs=("model", base, new),
            seconds=seconds,
            workers=self.workers,
            seed=self.seed,
            corpus=corpus,
            focus=focus,
        )
        campaign = Campaign(options, self.store, self.show)
        campaign.run()
        self.interrupted = campaign.stopped_by
        if self.interrupted and not campaign.began:
            raise Stopped(self.interrupted)
        if not campaign.began:
            raise CampaignFailed("no case ran on both")
        return campaign.number

    def _settle(self, pair: Pair, campaign: int | None) -> None:
        """On which of the two shows what the campaign found."""
        for bucket in self.store.buckets(BucketFilter(campaign=campaign)):
            finding = min(
                (f for f in self.store.findings(bucket.id) if f.campaign_id == campaign),
                key=lambda one: len(one.minimal.encoded),
            )
            if pairs.between_the_two(finding):
                self._differing.append(_silent(finding, pair))
            else:
                pair.found.broken.append(pair.settle(finding, f"B{bucket.id}"))

    def _note_reached(self, pair: Pair, campaign: int | None) -> None:
        """Which of the functions that differ were reached in this mode, and by which case first."""
        for change, (name, case) in pair.found.reached.items():
            self._reached.setdefault(change, _function(change, pair.mode, name, format_case(case)))
        views = [
            (view.case_id, view.blocks)
            for leg in self.store.coverage(campaign)
            if leg.leg.name == pair.new.name
            for view in leg.reached
        ]
        missing = [change for change in self._changes or () if change not in self._reached]
        first = dict(pairs.first_to_reach(missing, views))
        texts = self.store.case_texts(first.values())
        for change, case_id in first.items():
            self._reached[change] = _function(
                change, pair.mode, case_id[:12], texts.get(case_id, "")
            )


def _with_release(side: KernelSide, release: str) -> KernelSide:
    return KernelSide(side.name, release, side.sha256, side.what)


def _function(change: Change, mode: str = "", by: str = "", case: str = "") -> ReviewedFunction:
    return ReviewedFunction(change.area, change.name, change.how.value, mode, by, case)


def _silent(finding: FindingView, pair: Pair) -> Differing:
    """What two legs do differently where the specification says nothing."""
    return Differing(
        *("where the specification is silent", pair.mode, "", finding.rule, ""),
        *(finding.expected, finding.observed, finding.minimal_text),
    )


def _code(kernel: Kernel) -> KernelCode | None:
    """The code of a kernel that was booted with coverage."""
    code, names = maps.load(kernel.sha256), symbols.load(kernel.sha256)
    if code is None or names is None:
        return None
    return KernelCode(kernel.path.read_bytes(), code, names.name)


def _kept() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from kept_files(folder)


def _found_by(corpus: Path) -> Iterable[Case]:
    """Cases of a campaign's corpus, the short ones first: they are many, and time is short."""
    files = sorted(corpus.iterdir(), key=lambda path: path.stat().st_size)
    for path in files[:SEARCHED]:
        case = case_of(path.read_bytes())
        if case.ops:
            yield case
