"""How fast it is: each leg alone, KVM left to itself in the guest, and the whole pipeline.

Run as a process of its own, as workers are: the model is instrumented for libFuzzer there,
which makes it slower, and a figure that leaves this out would flatter.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from corpus.case import Case
    from fuzz.feedback import Feedback
    from fuzz.session import Session
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
    """All of it. `left_out`: cases that diverge or do not fit, which would be followed up."""

    cases: int
    left_out: int
    seed: int
    rounds: int
    cpus: int
    load: float
    kernel_coverage: bool
    judged_per_second: float
    legs: list[Alone]
    kvm: list[Kernel]


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


def measure(plan: Plan, feedback: Feedback, say: Callable[[str], None]) -> Report:
    """Everything in `plan`, one kernel after the other. Raises TransportError."""
    from fuzz.legs import open_legs  # noqa: PLC0415

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
            fits = _quiet(legs, cases, feedback)
            if not alone:
                kept = fits
                others = [leg for leg in legs if leg.name in plan.others]
                alone = [Alone(leg.name, _alone(leg, fits)) for leg in others]
                judged = _judged(legs[0], fits)
            if name:
                say(f"measuring {name} with {len(fits)} cases")
                kernels.append(_kernel(plan, legs, name, fits, feedback))
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
        legs=alone,
        kvm=kernels,
    )


def _quiet(legs: Sequence[Target], cases: Sequence[Case], feedback: Feedback) -> list[Case]:
    """The cases on which no leg diverges; this pass is the warm-up, too."""
    from fuzz.confirm import judge_all, run_everywhere  # noqa: PLC0415
    from fuzz.oracle.verdict import Agree  # noqa: PLC0415

    _session(legs, feedback, shared=False)  # gives the legs their known defects
    found = []
    for case in cases:
        if all(case.min_vq <= leg.profile.max_vq for leg in legs):
            verdicts = judge_all(case, run_everywhere(case, legs), legs)
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


def _session(legs: Sequence[Target], feedback: Feedback, shared: bool) -> Session:
    from corpus.expect import load_kept  # noqa: PLC0415
    from corpus.store import kept_files  # noqa: PLC0415
    from fuzz.session import Session  # noqa: PLC0415

    known = [load_kept(path) for path in kept_files("known")]

    def ignore(_: object) -> None:
        """A campaign would store it."""

    return Session(legs, feedback, ignore, ignore, ignore, known=known, share_vms=shared)


def _kernel(
    plan: Plan, legs: Sequence[Target], name: str, cases: Sequence[Case], feedback: Feedback
) -> Kernel:
    leg = _wire(next(leg for leg in legs if leg.name == name))
    with _guest(name) as bare:

        def turns(shared: bool) -> Pace:
            session = _session(legs, feedback, shared)
            requests = _requests(cases, shared)
            floors, pipelines = [], []

            def pipeline() -> None:
                for case in cases:
                    session.execute(case.encoded)

            bare.repeat(requests)  # warm-up
            for _ in range(plan.rounds):
                floors.append(len(cases) / bare.repeat(requests))
                pipelines.append(rate(len(cases), pipeline))
            return pace(floors, pipelines)

        alone = _alone(leg, cases)
        fresh = turns(False)
        reused = turns(True) if leg.shares else None
    status = Path(f"/proc/{_lab(leg.transport, name).pid}/status").read_text()
    release = leg.fingerprint.get("release", "")
    return Kernel(name, release, alone, fresh, reused, highest_rss_mib(status))


@contextmanager
def _guest(name: str) -> Iterator[LabTransport]:
    """A second guest, for the floor: without coverage, and with nobody else to serve."""
    from targets.kvm import legs  # noqa: PLC0415

    transport = legs.open_transport(legs.parse(name))
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


def main(argv: Sequence[str]) -> None:
    """Arguments: a descriptor to write the report to as JSON, and a `Plan`."""
    with os.fdopen(int(argv[1]), "wb") as out:
        plan = msgspec.json.decode(argv[2].encode(), type=Plan)
        import atheris  # noqa: PLC0415

        from fuzz.instrument import INSTRUMENTED, excluded  # noqa: PLC0415

        with atheris.instrument_imports(include=INSTRUMENTED, exclude=excluded()):
            import targets.model.model  # noqa: F401, PLC0415
        from fuzz.feedback import Feedback  # noqa: PLC0415
        from targets.transport import TransportError  # noqa: PLC0415

        def say(text: str) -> None:
            out.write(msgspec.json.encode({"say": text}) + b"\n")
            out.flush()

        try:
            report = measure(plan, Feedback(), say)
        except (TransportError, ValueError) as error:
            out.write(msgspec.json.encode({"failed": str(error)}) + b"\n")
            return
        out.write(msgspec.json.encode({"report": report}) + b"\n")


if __name__ == "__main__":
    main(sys.argv)
