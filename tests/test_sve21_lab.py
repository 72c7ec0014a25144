"""SVE2.1 on the CPU of QEMU 11, which has it, and on that of QEMU 7, which has not."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from corpus.isa.form import Form
from corpus.isa.sve21 import ALONE, CAP
from corpus.isa.table import FORMS
from corpus.kept import load_kept
from corpus.store import kept_files
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Agree
from fuzz.suites.isa import run_suite, suite
from fuzz.suites.replay import Outcome, replay
from targets.base import Target
from targets.legs import open_legs

pytestmark = pytest.mark.lab

NEWER = [form for form in FORMS.values() if form.cap == CAP]


def opened(name: str) -> Iterator[Target]:
    (leg,) = open_legs([name])
    yield leg
    leg.close()


@pytest.fixture(scope="module")
def having() -> Iterator[Target]:
    yield from opened("kvm:6.12:vhe:qemu=11")


@pytest.fixture(scope="module")
def lacking() -> Iterator[Target]:
    yield from opened("kvm:6.12:vhe:qemu=7")


def _judged_to_the_end(leg: Target, forms: list[Form], vqs: tuple[int, ...]) -> int:
    tests = suite(random.Random(5), forms, vqs, 1)
    results = list(run_suite(tests, Everywhere([leg], Knowledge.shipped())))
    for result in results:
        assert isinstance(result.verdict, Agree), (result.tested.forms, result.verdict)
        assert not result.unjudged, result.tested.forms
    return len(results)


def test_each_form_does_what_the_manual_says(having: Target) -> None:
    assert CAP not in having.profile.lacks
    assert _judged_to_the_end(having, NEWER, (1, 3, 4)) >= 3 * len(NEWER) // 4


def test_what_nothing_else_brings_is_undefined_without_it(lacking: Target) -> None:
    assert CAP in lacking.profile.lacks
    alone = [form for form in NEWER if form.group.startswith(ALONE)]
    assert len(alone) == 10
    assert _judged_to_the_end(lacking, alone, (1, 2, 3)) >= 7


@pytest.mark.parametrize(
    ("folder", "name", "outcome"),
    [
        ("seeds", "sve21", Outcome.OK),
        ("known", "qemu-segment-reductions-drop-one", Outcome.KNOWN),
    ],
)
def test_kept_cases_of_it(having: Target, folder: str, name: str, outcome: Outcome) -> None:
    (path,) = (path for path in kept_files(folder) if path.stem == name)
    (result,) = replay([load_kept(path)], [having])
    assert result.outcome is outcome, result.explanation
