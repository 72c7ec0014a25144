"""Short soaks: tests/soak.py runs long ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from soak import soak


@pytest.mark.parametrize(
    ("legs", "plan"),
    [
        pytest.param("model,kvm", Counter(lost=2, panic=1), marks=pytest.mark.lab),
        pytest.param("model,emulator:keep", Counter(lost=2, crash=2), marks=pytest.mark.slow),
    ],
)
def test_executors_that_break_are_recorded_and_replaced(
    legs: str, plan: Counter[str], tmp_path: Path
) -> None:
    result = soak(tmp_path, legs, plan)
    assert result.wrong == [], (tmp_path / "log").read_text()
    assert result.incidents == plan
    restarts = result.totals["machine_restarts"]
    assert isinstance(restarts, dict)
    (leg,) = restarts.values()
    assert leg["times"] >= 1
    assert leg["longest_seconds"] < 60
