"""A short soak: tests/soak.py runs the long one."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak import soak


@pytest.mark.lab
def test_killed_and_panicking_machines_are_recorded_and_replaced(tmp_path: Path) -> None:
    result = soak(tmp_path, "model,kvm", seconds=30, kills=2, panics=1)
    assert result.wrong == [], (tmp_path / "log").read_text()
    assert result.incidents == {"lost": 2, "panic": 1}
    restarts = result.totals["machine_restarts"]
    assert isinstance(restarts, dict)
    (leg,) = restarts.values()
    assert leg["times"] >= 1
    assert leg["longest_seconds"] < 60
