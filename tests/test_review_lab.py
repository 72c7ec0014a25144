"""review of two real kernels, of which one has a defect of two instructions."""

from __future__ import annotations

from pathlib import Path

import pytest
from faultykernel import RET, FaultyKernel

from db.store import Store
from fuzz.review.book import Where
from fuzz.review.review import Reviewer, Side
from targets.kvm.lab import kernels

RELEASE = "small-6.12" if kernels.cached("small-6.12") else "6.12"
MOV_0 = 0x5280_0000  # mov w0, #0
FUNCTION = "kvm_arm_vcpu_finalize"


@pytest.mark.lab
@pytest.mark.slow
def test_a_defect_is_found_in_the_function_that_differs(tmp_path: Path) -> None:
    faulty = FaultyKernel(RELEASE)
    faulty.plant(FUNCTION, MOV_0, RET)
    image = faulty.write(tmp_path / "Image")
    said: list[str] = []
    with Store.open(f"sqlite:///{tmp_path / 'found.db'}") as store:
        reviewer = Reviewer(
            *(Side.of(RELEASE), Side.of(image), store, ["vhe"], 12.0),
            seed=5,
            say=said.append,
        )
        done = reviewer.run()
    (function,) = done.functions
    assert (function.name, function.area, function.how) == (FUNCTION, "reset.c", "changed")
    assert function.mode == "vhe"
    assert function.by.endswith(".case")
    assert "1 function differs" in said
    assert done.has_news
    assert done.of(Where.GONE) == []
    assert any("finalize" in one.explanation for one in done.of(Where.NEW))
    (speed,) = done.speed
    assert 0.1 < speed.new / speed.base < 10  # they take turns on a machine that others use
