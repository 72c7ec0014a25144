"""Vcpus with EL2 on real KVM: the nested leg keeps to the rules about them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from corpus.isa.table import FORMS
from corpus.kept import load_kept
from corpus.ops import Init
from corpus.store import kept_files
from fuzz.generate import random_case
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Agree
from fuzz.suites.isa import run_suite, suite
from targets.legs import open_legs

pytestmark = pytest.mark.lab

FILES = [path for path in kept_files("regressions") if path.stem.startswith("nested")]
HAS_EL2 = 1 << 7
LIVES = 8


@pytest.fixture(scope="module")
def leg() -> Iterator[Everywhere]:
    (opened,) = open_legs(["kvm:newest:nested"])
    yield Everywhere([opened], Knowledge.shipped())
    opened.close()


def test_kept_cases_agree_to_their_end(leg: Everywhere) -> None:
    used: set[str] = set()
    for path in FILES:
        case = load_kept(path).case
        (verdict,) = leg.look(case).verdicts.values()
        assert isinstance(verdict, Agree), verdict
        assert verdict.judged == len(case.ops), path.stem
        used |= set(verdict.rules)
    assert used >= {"el2.limits-vl", "el2.hvc", "el2.host-el0", "el2.trap-zen", "el2.trap-fpen"}
    assert used >= {"el2.illegal-return", "el2.eret-by-name", "el2.trap-cpacr"}
    assert used >= {"el2.zcr-by-zen-alone", "el2.without-vhe"}


def test_generated_lives_agree(leg: Everywhere) -> None:
    rng, lives = random.Random(7), 0
    while lives < LIVES:
        case = random_case(rng)
        features = [op.features for op in case.ops if isinstance(op, Init)]
        if not features or not features[0] & HAS_EL2:
            continue
        lives += 1
        (verdict,) = leg.look(case).verdicts.values()
        assert isinstance(verdict, Agree), verdict


def test_what_signs_and_copies_agrees_at_el2_and_below(leg: Everywhere) -> None:
    forms = [form for form in FORMS.values() if form.cap == "mops" or form.group == "pauth"]
    used: set[str] = set()
    for result in run_suite(suite(random.Random(5), forms, (2,), 10, el2_share=1), leg):
        assert isinstance(result.verdict, Agree), result.verdict
        used |= result.verdict.rules
    assert used >= {"el2.trap-pauth", "pauth.signs", "pauth.gives-back", "pauth.trapped"}
    assert used >= {"el2.eretax", "mops.option", "mops.below-el2"}
