"""What drives cases into a worker: libFuzzer, through atheris, or Hypothesis.

Hypothesis needs no compiled part, so it runs wherever Python does. It draws cases from
`fuzz.generate.strategies` and climbs towards those that bring the most that is new.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from corpus.case import Case
from corpus.store import keep
from fuzz.worker.marks import Marks

ENGINES = ("libfuzzer", "hypothesis")
ROUND = 1000
"""Examples after which Hypothesis begins anew: it remembers all of a round."""
DATABASE = ".hypothesis"
"""In a corpus, Hypothesis's own: what begins with a dot no other engine reads."""


class OneInput(Protocol):
    """Runs a case; does not return when a worker's budget is spent."""

    def __call__(self, data: bytes) -> None: ...


def hypothesis(one_input: OneInput, marks: Marks, corpus: Path, seed: int) -> None:
    """The cases of the corpus, then drawn ones without end. What brings something new is kept
    there. Raises OSError if the corpus cannot be read; one that takes no more cases is the
    campaign's to tell."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings, target  # noqa: PLC0415
    from hypothesis import seed as seeded  # noqa: PLC0415
    from hypothesis.database import DirectoryBasedExampleDatabase  # noqa: PLC0415

    from fuzz.generate.strategies import cases  # noqa: PLC0415 (starts Hypothesis)

    for path in sorted(p for p in corpus.iterdir() if p.is_file() and p.name[0] != "."):
        one_input(path.read_bytes())
    quiet = settings(
        max_examples=ROUND,
        deadline=None,
        database=DirectoryBasedExampleDatabase(corpus / DATABASE),
        phases=(Phase.reuse, Phase.generate, Phase.target),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )

    def rounds(number: int) -> Callable[[], None]:
        @seeded(number)
        @quiet
        @given(cases())
        def one(case: Case) -> None:
            one_input(case.encoded)
            target(float(marks.latest), label="new")
            if marks.latest:
                with suppress(OSError):  # the campaign looks whether the corpus takes more
                    keep(corpus, case)

        return one

    while True:
        rounds(seed)()
        seed += 1
