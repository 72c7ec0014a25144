"""Programs compiled, and run in the lab: they fail where a defect is recorded, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from corpus.kept import KeptCase, load_kept
from corpus.store import kept_files
from corpus.text import parse_case
from fuzz.reproduce import tried
from fuzz.reproduce.demands import say
from fuzz.reproduce.kselftest import reference
from fuzz.reproduce.program import program
from fuzz.reproduce.tried import Outcome, Tried
from targets.base import Target
from targets.legs import default_kvm, open_leg
from targets.transport import TransportError

pytestmark = pytest.mark.lab

NAMES = (
    *("raw-until-loaded", "control-closed-without-isb", "unbacked-accesses", "malformed-ids"),
    *("mp-state-stopped", "nested-lengths", "init-refused-leaves-nothing", "pmu-without-device"),
    *("kvm-pmu-enables-lost", "qemu-asimd-widening-keeps-tail", "qemu-fmmla-below-256-bits"),
    *("cpu-on-second-vcpu", "migrate-after-short-run", "vixl-vector-in-place"),
    *("protected-vm-moves", "served-by-nobody"),
)
"""Of every kind of op and of outcome a few."""
KEPT = [
    load_kept(path)
    for folder in ("regressions", "known", "seeds")
    for path in kept_files(folder)
    if path.stem in NAMES
]


@pytest.fixture(scope="module")
def leg() -> Target:
    with open_leg(default_kvm()) as target:
        return target


@pytest.fixture(scope="module")
def outcomes(leg: Target) -> Mapping[str, Tried]:
    machine = reference(leg.profile.vqs)
    binaries = {
        kept.path.stem: tried.built(program(say(kept.case, machine), [kept.about])) for kept in KEPT
    }
    return {one.name: one for one in tried.run(binaries, default_kvm())}


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.path.stem)
def test_a_program_fails_where_a_defect_is_recorded_and_nowhere_else(
    kept: KeptCase, leg: Target, outcomes: Mapping[str, Tried]
) -> None:
    one = outcomes[kept.path.stem]
    lacks_el2 = "has_el2" in kept.path.read_text()
    if kept.is_about(leg):
        assert one.outcome is Outcome.FAILS, one.output
        assert one.said.startswith("not ok ")
    else:
        assert one.outcome is (Outcome.SKIPS if lacks_el2 else Outcome.PASSES), one.output
    assert one.output.startswith("KTAP version 1\n1..")


def test_a_program_that_warns_is_refused() -> None:
    with pytest.raises(TransportError, match=r"the program does not compile: .*unused"):
        tried.built("static int unused(void) { return 0; }\nint main(void) { return 0; }\n")


def test_how_programs_end_is_told() -> None:
    sources = {
        "odd": "int main(void) { return 3; }\n",
        "killed": "int main(void) { __builtin_trap(); }\n",
        "skips": '#include <stdio.h>\nint main(void) { puts("1..0 # SKIP no"); return 4; }\n',
    }
    binaries = {name: tried.built(text) for name, text in sources.items()}
    found = {one.name: one for one in tried.run(binaries, default_kvm())}
    assert [found[name].outcome for name in sources] == [Outcome.ODD, Outcome.ODD, Outcome.SKIPS]
    assert found["killed"].said.startswith("killed by signal ")
    assert found["skips"].said == "1..0 # SKIP no"


def test_a_warning_of_the_kernel_is_heard() -> None:
    made = parse_case("create v0\n")
    text = program(say(made, reference(0xFFFF)), watched=True)
    assert "complained()" in text
    found = list(tried.run({"quiet": tried.built(text)}, default_kvm()))
    assert [one.outcome for one in found] == [Outcome.PASSES]
    assert found[0].release
