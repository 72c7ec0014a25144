"""How fast it is: each leg alone, KVM left to itself in the guest, and the whole pipeline.

The pipeline is measured under libFuzzer (fuzz/bench/driver.py), on the very path of a
campaign, with its mutators and its feedback. Only what a mutator makes is exchanged for one of
the cases that the guest repeats for comparison.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from corpus.case import Case
    from fuzz.worker.feedback import Feedback
    from fuzz.worker.runner import Mutators
    from fuzz.worker.session import Session
    from targets.base import Target, WireTarget
    from targets.kvm.lab.transport import LabTransport
    from targets.transport import Transport


class Plan(msgspec.Struct, frozen=True):
    """What to measure. `kvm`: one lab leg per kernel; `others`: the legs beside it;
    `kernel_coverage`: whether the pipeline records it, which the floor never does."""

    kvm: list[str]
    others: list[str]
    cases: int = 100
    seed: int = 1
    rounds: int = 3
    kernel_coverage: bool = True


class Pace(msgspec.Struct, frozen=True):
    """Cases per second: the guest left to itself, the pipeline, and the latter as a part."""

    floor: float
    pipeline: float
    pipeline_over_floor: float


class Alone(msgspec.Struct, frozen=True):
    """One leg by itself, without judging."""

    name: str
    cases_per_second: float


class Kernel(msgspec.Struct, frozen=True):
    """A KVM leg. `reuse`: None where cases cannot share a VM; `rss_mib`: of QEMU, at most."""

    name: str
    release: str
    alone: float
    fresh: Pace
    reuse: Pace | None
    rss_mib: float


class Report(msgspec.Struct, frozen=True):
    """All of it. `left_out`: cases that diverge or do not fit, which would be followed up.
    `model_typical_per_second`: of the cases in fuzz/bench/typical.py."""

    cases: int
    left_out: int
    seed: int
    rounds: int
    cpus: int
    load: float
    kernel_coverage: bool
    judged_per_second: float
    model_typical_per_second: float
    legs: list[Alone]
    kvm: list[Kernel]


@dataclass(frozen=True, slots=True)
class Turn:
    """`count` cases that libFuzzer is to run in a session, by way of its mutators."""

    session: Session
    mutators: Mutators
    count: int


Script = Generator[Turn, float, Report]
"""Yields turns; is sent how many seconds each took."""


def rate(count: int, work: Callable[[], object]) -> float:
    """`count` per second of `work`."""
    began = time.monotonic()
    work()
    return count / (time.monotonic() - began)


def pace(floors: Sequence[float], pipelines: Sequence[float]) -> Pace:
    """Rates of alternating turns as one: medians, of the rates and of their ratios."""
    ratios = [p / f for f, p in zip(floors, pipelines, strict=True)]
    return Pace(round(median(floors), 1), round(median(pipelines), 1), round(median(ratios), 3))


def highest_rss_mib(status: str) -> float:
    """The peak resident memory that a /proc/PID/status tells."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


def cases_of(plan: Plan) -> list[Case]:
    """The cases to measure with: as the generator makes them."""
    from fuzz.generate import random_case  # noqa: PLC0415

    rng = random.Random(plan.seed)
    return [random_case(rng) for _ in range(plan.cases)]


def measure(plan: Plan, feedback: Feedback, say: Callable[[str], None]) -> Script:
    """Everything in `plan`, one kernel after the other. Raises TransportError."""
    from fuzz.bench.typical import model_alone  # noqa: PLC0415
    from targets.legs import open_legs  # noqa: PLC0415

    cases = cases_of(plan)
    kernels: list[Kernel] = []
    alone: list[Alone] = []
    judged = 0.0
    kept = cases
    for name in plan.kvm or [""]:
        say(f"starting {name or 'the legs'}")
        wanted = [*plan.others, *([name] if name else [])]
        legs = open_legs(wanted, coverage=plan.kernel_coverage)
        try:
            fits = _quiet(legs, cases)
            if not alone:
                kept = fits
                others = [leg for leg in legs if leg.name in plan.others]
                alone = [Alone(leg.name, _alone(leg, fits)) for leg in others]
                judged = _judged(legs[0], fits)
            if name:
                say(f"measuring {name} with {len(fits)} cases")
                kernels.append((yield from _kernel(plan, legs, name, fits, feedback)))
        finally:
            for leg in legs:
                leg.close()
    return Report(
        cases=len(kept),
        left_out=len(cases) - len(kept),
        seed=plan.seed,
        rounds=plan.rounds,
        cpus=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 2),
        kernel_coverage=plan.kernel_coverage,
        judged_per_second=judged,
        model_typical_per_second=round(model_alone(), 1),
        legs=alone,
        kvm=kernels,
    )


def _quiet(legs: Sequence[Target], cases: Sequence[Case]) -> list[Case]:
    """The cases on which no leg diverges; this pass is the warm-up, too."""
    from fuzz.oracle.everywhere import Everywhere  # noqa: PLC0415
    from fuzz.oracle.knowledge import Knowledge  # noqa: PLC0415
    from fuzz.oracle.verdict import Agree  # noqa: PLC0415

    everywhere = Everywhere(legs, Knowledge.shipped())
    found = []
    for case in cases:
        if all(case.min_vq <= leg.profile.max_vq for leg in legs):
            verdicts = everywhere.look(case).verdicts
            if all(isinstance(verdict, Agree) for verdict in verdicts.values()):
                found.append(case)
    if not found:
        raise ValueError("every case diverges on some leg, so there is nothing to measure")
    return found


def _alone(leg: Target, cases: Sequence[Case]) -> float:
    return round(rate(len(cases), lambda: [leg.run(case) for case in cases]), 1)


def _judged(leg: Target, cases: Sequence[Case]) -> float:
    from fuzz.oracle.conformance import judge  # noqa: PLC0415

    traces = [leg.run(case) for case in cases]
    pairs = list(zip(cases, traces, strict=True))
    return round(rate(len(pairs), lambda: [judge(c, t, leg.profile) for c, t in pairs]), 1)


def _session(
    legs: Sequence[Target], feedback: Feedback | None = None, shared: bool = False
) -> Session:
    from fuzz.oracle.knowledge import Knowledge  # noqa: PLC0415
    from fuzz.worker.session import Session  # noqa: PLC0415

    def ignore(_: object) -> None:
        """A campaign would store it."""

    out = (ignore, ignore, ignore)
    knowledge = Knowledge.shipped()
    return Session(legs, feedback, *out, knowledge=knowledge, share_vms=shared)


def _kernel(
    plan: Plan, legs: Sequence[Target], name: str, cases: Sequence[Case], feedback: Feedback
) -> Generator[Turn, float, Kernel]:
    from fuzz.worker.runner import Mutators  # noqa: PLC0415

    leg = _wire(next(leg for leg in legs if leg.name == name))
    with _guest(name) as bare:

        def turns(shared: bool) -> Generator[Turn, float, Pace]:
            session = _session(legs, feedback, shared)
            requests = _requests(cases, shared)
            again = cycle(cases)
            mutators = Mutators(session.runner, lambda _: next(again))
            turn = Turn(session, mutators, len(cases))
            floors, pipelines = [], []
            bare.repeat(requests)  # warm-up
            yield turn
            for _ in range(plan.rounds):
                floors.append(len(cases) / bare.repeat(requests))
                pipelines.append(len(cases) / (yield turn))
            return pace(floors, pipelines)

        alone = _alone(leg, cases)
        fresh = yield from turns(False)
        reused = (yield from turns(True)) if leg.shares else None
    status = Path(f"/proc/{_lab(leg.transport, name).pid}/status").read_text()
    release = leg.fingerprint.get("release", "")
    return Kernel(name, release, alone, fresh, reused, highest_rss_mib(status))


@contextmanager
def _guest(name: str) -> Iterator[LabTransport]:
    """A second guest, for the floor: without coverage, and with nobody else to serve."""
    from targets.kvm import legname  # noqa: PLC0415

    transport = legname.open_transport(legname.parse(name))
    try:
        lab = _lab(transport, name)
        lab.start()
        yield lab
    finally:
        transport.close()


def _requests(cases: Sequence[Case], shared: bool) -> list[bytes]:
    from corpus.wire import FLAG_REUSE_VM, with_flags  # noqa: PLC0415

    return [with_flags(case.request, FLAG_REUSE_VM if shared else 0) for case in cases]


def _wire(leg: Target) -> WireTarget:
    from targets.base import WireTarget  # noqa: PLC0415

    assert isinstance(leg, WireTarget)
    return leg


def _lab(transport: Transport, name: str) -> LabTransport:
    from targets.kvm.lab.transport import LabTransport  # noqa: PLC0415

    if not isinstance(transport, LabTransport):
        raise ValueError(f"{name} is not in the lab, so its guest cannot be left to itself")
    return transport
