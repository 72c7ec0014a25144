"""Kept cases on every default leg, real KVM included: nothing may be skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corpus.isa.table import FORMS
from corpus.kept import load_kept
from corpus.store import KEPT, kept_files
from corpus.text import format_case, parse_case
from fuzz.suites.replay import Outcome, replay
from targets.base import Target
from targets.legs import DEFAULT_LEGS, open_legs
from targets.spec.semantics import SEMANTICS

FILES = [path for folder in KEPT for path in kept_files(folder)]


@pytest.fixture(scope="module")
def legs() -> Iterator[list[Target]]:
    opened = open_legs(DEFAULT_LEGS)
    yield opened
    for leg in opened:
        leg.close()


def test_there_are_kept_cases_of_every_kind() -> None:
    assert all(kept_files(folder) for folder in KEPT)


@pytest.mark.lab
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_kept_case_behaves_as_recorded(path: object, legs: list[Target]) -> None:
    results = list(replay([load_kept(path)], legs))  # type: ignore[arg-type]
    assert len(results) == len(legs)
    for result in results:
        assert result.outcome in (Outcome.OK, Outcome.KNOWN), (result.leg, result.explanation)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_kept_case_says_what_it_is_about_and_round_trips(path: object) -> None:
    kept = load_kept(path)  # type: ignore[arg-type]
    assert kept.about
    assert parse_case(format_case(kept.case)) == kept.case


def test_every_instruction_form_has_semantics() -> None:
    assert set(SEMANTICS) == set(FORMS)
