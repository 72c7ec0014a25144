"""Where the time of a case goes: a campaign's path under libFuzzer, with a clock at each stage.

Run as a process of its own, with a descriptor to write the result to as JSON, and a `Plan`.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

WARM_UP = 100
"""Cases before the clock starts."""


class Plan(msgspec.Struct, frozen=True):
    """What to run, and for how many cases."""

    legs: list[str]
    cases: int
    seed: int


class Stage(msgspec.Struct, frozen=True):
    """A stage of a case's way, and its mean time."""

    name: str
    microseconds: float


class Profile(msgspec.Struct, frozen=True):
    """All stages, in order; they add up to the mean time of a case."""

    cases: int
    cases_per_second: float
    stages: list[Stage]


class Line(msgspec.Struct, frozen=True):
    """What the process says: a result, or why there is none."""

    profile: Profile | None = None
    failed: str = ""


class Clock:
    """Time per stage. A stage within a stage counts for itself only."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._spent: dict[str, float] = {}
        self._open: list[str] = []
        self._since = now()

    def _switch(self) -> None:
        now = self._now()
        name = self._open[-1] if self._open else ""
        self._spent[name] = self._spent.get(name, 0.0) + now - self._since
        self._since = now

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with its time counted for stage `name`."""
        self._spent.setdefault(name, 0.0)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._open.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        return run

    def reset(self) -> None:
        """Start anew."""
        self._spent = dict.fromkeys(self._spent, 0.0)
        self._since = self._now()

    def profile(self, cases: int, outside: str) -> Profile:
        """The stages, with what belongs to none of them as `outside`."""
        self._switch()
        whole = sum(self._spent.values())
        named = {outside: self._spent.get("", 0.0), **self._spent}
        named.pop("", None)
        stages = [Stage(name, round(1e6 * spent / cases, 1)) for name, spent in named.items()]
        return Profile(cases, round(cases / whole, 1), stages)


def main(argv: Sequence[str]) -> None:
    """Measure. Never returns normally."""
    out = os.fdopen(int(argv[1]), "wb", buffering=0)
    plan = msgspec.json.decode(argv[2].encode(), type=Plan)
    import atheris  # noqa: PLC0415

    from corpus.store import kept_cases  # noqa: PLC0415
    from fuzz.oracle.knowledge import Knowledge  # noqa: PLC0415
    from fuzz.worker.feedback import USUAL, Feedback  # noqa: PLC0415
    from fuzz.worker.process import QUIET_FLAGS  # noqa: PLC0415
    from fuzz.worker.runner import Mutators  # noqa: PLC0415
    from fuzz.worker.session import Session  # noqa: PLC0415
    from fuzz.worker.steering import Steering  # noqa: PLC0415
    from targets.legs import open_legs  # noqa: PLC0415
    from targets.transport import TransportError  # noqa: PLC0415

    scratch = tempfile.TemporaryDirectory(prefix="vcpufuzz-")

    def end(line: Line) -> None:
        out.write(msgspec.json.encode(line) + b"\n")
        scratch.cleanup()
        os._exit(0)

    try:
        legs = open_legs(plan.legs)
    except (TransportError, ValueError) as error:
        end(Line(failed=str(error)))
    clock = Clock()

    def time_method(owner: Any, name: str, stage: str) -> None:
        setattr(owner, name, clock.timed(stage, getattr(owner, name)))

    def ignore(_: object) -> None:
        """A campaign would store it."""

    feedback, steering = Feedback(USUAL), Steering(plan.seed)
    session = Session(
        *(legs, feedback, ignore, ignore, ignore),
        knowledge=Knowledge.shipped(),
        steering=steering,
    )
    mutators = Mutators(session.runner, steering=steering)
    time_method(session, "execute", "worker")
    time_method(mutators, "mutate", "encoding")
    time_method(Steering, "child", "making cases")
    for leg in legs:
        time_method(leg, "submit", f"{leg.name}: run")
        time_method(leg, "collect", f"{leg.name}: run")
    time_method(session.everywhere, "judge_one", "judging")
    time_method(session.everywhere, "compare", "comparing legs")
    time_method(feedback, "report", "feedback")
    time_method(feedback, "report_blocks", "feedback: kernel blocks")
    time_method(Steering, "note", "combinations")
    done = 0

    def one_input(data: bytes) -> None:
        nonlocal done
        try:
            session.execute(data)
        except TransportError as error:
            end(Line(failed=str(error)))
        done += 1
        if done == WARM_UP:
            clock.reset()
        if done == WARM_UP + plan.cases:
            profile = clock.profile(plan.cases, "libFuzzer")
            for leg in legs:
                leg.close()
            end(Line(profile))

    for case in kept_cases("seeds"):
        (Path(scratch.name) / case.id).write_bytes(case.encoded)
    atheris.Setup(
        [
            *(str(Path(__file__).resolve()), *QUIET_FLAGS, "-reload=0"),
            *(f"-artifact_prefix={scratch.name}/", scratch.name),
        ],
        one_input,
        custom_mutator=mutators.mutate,
        custom_crossover=mutators.crossover,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
