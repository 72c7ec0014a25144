"""`make mutation`'s list of what no test kills names mutants that are there."""

from __future__ import annotations

from mutation import survivors
from mutation.__main__ import ROOT
from mutation.operators import mutants


def test_each_listed_mutant_is_made_and_has_a_reason() -> None:
    listed = survivors.load()
    modules = {key[0] for key in listed}
    made = {one.key for name in modules for one in mutants(name, (ROOT / name).read_text())}
    assert set(listed) <= made
    assert all(listed.values())
