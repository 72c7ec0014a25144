"""Hypothesis strategies for cases, through the same domains that the fuzzer draws from."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from corpus.case import Case, decode
from fuzz.generate import random_case
from fuzz.generate.mutate import mutate
from targets.spec.sets import Set, either

raw_bytes = st.binary(max_size=600)
arbitrary_cases = raw_bytes.map(decode)


def _plausible(seed: int) -> Case:
    return random_case(random.Random(seed))


def _mutated(seed: int) -> Case:
    return decode(mutate(_plausible(seed).encoded, 4096, seed))


seeds = st.integers(0, 2**32 - 1)
plausible_cases = seeds.map(_plausible)
mutated_cases = seeds.map(_mutated)
cases = st.one_of(plausible_cases, mutated_cases, arbitrary_cases)

WIDTH = 12
"""Bits of the small sets that are compared with exhaustive enumeration."""


@st.composite
def candidate(draw: st.DrawFn, width: int = WIDTH) -> tuple[int, int]:
    """A candidate with at most three unknown bits."""
    mask = sum({1 << draw(st.integers(0, width - 1)) for _ in range(draw(st.integers(0, 3)))})
    return draw(st.integers(0, (1 << width) - 1)) & ~mask, mask


@st.composite
def small_sets(draw: st.DrawFn, width: int = WIDTH) -> Set:
    """A set of up to four candidates."""
    return either(draw(st.lists(candidate(width), min_size=1, max_size=4)))
