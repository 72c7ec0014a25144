"""A hunting process: libFuzzer, through atheris, searches as in a campaign.

Arguments: a descriptor on which it says what it finds, one JSON line each, and a `Plan`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fuzz.worker.feedback import USUAL

PROGRESS_S = 2.0


class Plan(msgspec.Struct, frozen=True):
    """Which defects to hunt, how, and for how many cases. `only`: these indices, or all;
    `mutants`: the mutants as well; `feedback`: what the search is steered by."""

    seed: int
    count: int
    cases: int
    search_seed: int = 1
    only: list[int] = []
    mutants: bool = False
    feedback: tuple[str, ...] = USUAL


class Seen(msgspec.Struct, frozen=True, tag=True):
    """A defect was found after so many cases, by this one. Mutants have indices from -1 down,
    in order of their names."""

    index: int
    cases: int
    case: bytes


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far it is: cases run, defects left."""

    cases: int
    left: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    """All cases are spent, or nothing is left to find; `features` of the search's feedback."""

    cases: int
    seconds: float
    features: int


Line = Seen | Progress | Ended
decode = msgspec.json.Decoder(Line).decode


def main(argv: Sequence[str]) -> None:
    """Hunt. Never returns normally."""
    out = os.fdopen(int(argv[1]), "wb", buffering=0)
    plan = msgspec.json.decode(argv[2].encode(), type=Plan)
    import atheris  # noqa: PLC0415

    from corpus.case import Case  # noqa: PLC0415
    from corpus.store import kept_cases  # noqa: PLC0415
    from fuzz.bench.corners.draw import Corner, draw  # noqa: PLC0415
    from fuzz.bench.corners.hunting import HuntingLeg, mutant_legs  # noqa: PLC0415
    from fuzz.worker.feedback import Feedback  # noqa: PLC0415
    from fuzz.worker.instrument import traced_model  # noqa: PLC0415
    from fuzz.worker.process import QUIET_FLAGS  # noqa: PLC0415
    from fuzz.worker.runner import Mutators  # noqa: PLC0415
    from fuzz.worker.session import Session  # noqa: PLC0415
    from fuzz.worker.steering import Steering  # noqa: PLC0415
    from targets.legs import open_leg  # noqa: PLC0415
    from targets.profile import Profile  # noqa: PLC0415
    from targets.spec.model import Model  # noqa: PLC0415

    def tell(line: Line) -> None:
        out.write(msgspec.json.encode(line) + b"\n")

    def found(corner: Corner, cases: int, case: Case) -> None:
        tell(Seen(corner.index, cases, case.encoded))

    def told_of(index: int, cases: int, case: Case) -> None:
        tell(Seen(index, cases, case.encoded))

    profile = Profile()
    wanted = plan.only or range(plan.count)
    leg = HuntingLeg([draw(plan.seed, index, profile) for index in wanted], profile, found)
    if plan.mutants:
        leg.hunt_too(
            {-1 - n: open_leg(name, profile) for n, name in enumerate(mutant_legs())}, told_of
        )

    def ignore(_: object) -> None:
        """The search goes on whatever is found."""

    steering = Steering(plan.search_seed, by_pairs="pairs" in plan.feedback)
    legs = [open_leg("model", profile), leg]
    session = Session(
        *(legs, Feedback(plan.feedback), ignore, ignore, ignore),
        traced=traced_model() if "model" in plan.feedback else Model,
        steering=steering,
    )
    began = time.monotonic()
    told = began

    def one_input(data: bytes) -> None:
        nonlocal told
        session.execute(data)
        now = time.monotonic()
        if leg.executions >= plan.cases or not leg.left:
            tell(Ended(leg.executions, now - began, session.features))
            scratch.cleanup()
            os._exit(0)
        if now >= told + PROGRESS_S:
            told = now
            tell(Progress(leg.executions, leg.left))

    scratch = tempfile.TemporaryDirectory(prefix="vcpufuzz-")
    corpus = Path(scratch.name)
    for case in kept_cases("seeds"):
        (corpus / case.id).write_bytes(case.encoded)
    mutators = Mutators(session.runner, steering=steering)
    atheris.Setup(
        [
            *(str(Path(__file__).resolve()), *QUIET_FLAGS),
            *(
                f"-seed={plan.search_seed}",
                "-reload=0",
                f"-artifact_prefix={scratch.name}/",
                scratch.name,
            ),
        ],
        one_input,
        custom_mutator=mutators.mutate,
        custom_crossover=mutators.crossover,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
