"""What a campaign looks like at one moment, and the forms of it that need no terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LegStatus:
    """One leg. `state` is a word for people: starting, running, restarting, off, ..."""

    name: str
    state: str = "running"
    executions: int = 0
    per_second: float = 0.0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class BucketStatus:
    """One bucket this campaign saw; `new` if no campaign before had seen it, or it came back.
    `status`: where it stands in triage; `suspect`: whose fault it may be; `explanation`: what was
    expected, and what seen; `same_as`: the bucket that it probably is the same as, or 0."""

    title: str
    strict: bool
    count: int
    first_leg: str
    new: bool = True
    id: int = 0
    status: str = ""
    suspect: str = ""
    explanation: str = ""
    same_as: int = 0

    @property
    def is_recorded(self) -> bool:
        """Whether it is a known defect: only how many of those there are is news."""
        return self.status == "known" and not self.new


@dataclass(frozen=True, slots=True)
class Reruns:
    """Stored buckets that were run again in spare time, and those of them that are fixed."""

    buckets: int = 0
    fixed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """A snapshot. Times are seconds; a budget of None is unlimited.

    `cases_per_second` is the recent rate. `executions` of a case on each leg count
    apart from `cases`. `divergences` counts every one seen, before confirmation.
    `incidents` counts by kind what broke the legs' machines. `buckets` come in the order
    found, `events` oldest first, one line each. `warnings` are sentences that the end repeats.
    """

    elapsed: float
    cases: int
    state: str = "fuzzing"
    seed: int = 0
    workers: int = 1
    time_budget: float | None = None
    case_budget: int | None = None
    cases_per_second: float = 0.0
    legs: tuple[LegStatus, ...] = ()
    corpus: int = 0
    rules_hit: int = 0
    rules_total: int | None = None
    features: int = 0
    discarded: int = 0
    infra_errors: int = 0
    restarts: int = 0
    divergences: int = 0
    buckets: tuple[BucketStatus, ...] = ()
    incidents: tuple[tuple[str, int], ...] = ()
    events: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = ()
    reruns: Reruns = Reruns()

    @property
    def executions(self) -> int:
        """Executions on all legs together."""
        return sum(leg.executions for leg in self.legs)

    @property
    def progress(self) -> float | None:
        """Share of the budget spent, 0 to 1; None without a budget."""
        shares = []
        if self.time_budget:
            shares.append(self.elapsed / self.time_budget)
        if self.case_budget:
            shares.append(self.cases / self.case_budget)
        return min(max(shares), 1.0) if shares else None

    @property
    def new_buckets(self) -> int:
        """How many buckets no campaign before had seen."""
        return sum(bucket.new for bucket in self.buckets)


def clock(seconds: float) -> str:
    """`1:02`, or `1:02:03` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def plain_line(status: CampaignStatus, word: str = "pulse") -> str:
    """One line in libFuzzer's manner, for logs."""
    legs = " ".join(f"{leg.name}={leg.per_second:.1f}" for leg in status.legs)
    parts = [
        f"#{status.cases}\t{word:<6}",
        f"ft: {status.features}",
        f"rules: {status.rules_hit}",
        f"corp: {status.corpus}",
        f"case/s: {status.cases_per_second:.1f}",
        f"div: {status.divergences}",
        f"buckets: {len(status.buckets)} new: {status.new_buckets}",
        f"disc: {status.discarded}",
        f"infra: {status.infra_errors}",
        f"time: {clock(status.elapsed)}",
    ]
    if legs:
        parts.append(f"exec/s: {legs}")
    return " ".join(parts)


def headline(status: CampaignStatus) -> str:
    """The campaign in one sentence, for its end."""
    # The recent rate says little when all is over.
    rate = status.cases / status.elapsed if status.elapsed > 0 else 0.0
    # These are met before the first case, and no divergences of one.
    recorded = sum(bucket.is_recorded for bucket in status.buckets)
    kinds = f"{status.new_buckets} new" + (f", {recorded} recorded" if recorded else "")
    return (
        f"{counted(status.cases, 'case')} in {clock(status.elapsed)} ({rate:.1f}/s), "
        f"{counted(status.rules_hit, 'rule')} hit, corpus of {status.corpus}, "
        f"{counted(status.divergences, 'divergence')}, "
        f"{counted(len(status.buckets), 'bucket')} ({kinds})"
    )


def by_weight(buckets: Iterable[BucketStatus]) -> list[BucketStatus]:
    """New before known, strict before lenient, frequent before rare."""
    return sorted(buckets, key=lambda b: (not b.new, not b.strict, -b.count))


def counted(number: int, noun: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
