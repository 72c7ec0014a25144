"""Where time goes: stages add up, and a stage within another counts for itself."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fuzz.bench.profiling import Clock
from fuzz.cli.main import main


def test_time_belongs_to_the_innermost_stage() -> None:
    moment = 0.0

    def wait(seconds: float) -> None:
        nonlocal moment
        moment += seconds

    clock = Clock(lambda: moment)
    inner = clock.timed("inner", lambda: wait(3))

    def work() -> None:
        wait(1)
        inner()
        wait(2)

    outer = clock.timed("outer", work)
    wait(50)
    clock.reset()
    wait(4)
    outer()
    outer()
    told = clock.profile(2, "elsewhere")
    found = {stage.name: stage.microseconds for stage in told.stages}
    assert found == {"elsewhere": 2e6, "inner": 3e6, "outer": 3e6}
    assert told.cases_per_second == round(2 / 16, 1)


@pytest.mark.long
def test_the_command_shows_every_stage() -> None:
    arguments = ["bench", "--profile", "--legs", "model", "--cases", "20", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    names = {stage["name"] for stage in told["stages"]}
    assert {"libFuzzer", "making cases", "model: run", "judging", "combinations"} <= names
    assert all(stage["microseconds"] >= 0 for stage in told["stages"])
    assert sum(stage["microseconds"] for stage in told["stages"]) > 0
