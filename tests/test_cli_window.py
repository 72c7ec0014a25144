"""Commands about how often a case shows something, and when: on legs that do as they are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripted import Scripted, broken, sound, wrong
from test_steady import CASE, PANIC, InARow, Struck

from corpus.case import Case
from corpus.ops import Disturb
from corpus.store import load_case
from corpus.text import format_case
from corpus.trace import Trace
from fuzz.cli import window as window_command
from fuzz.cli.main import main
from fuzz.cli.repeated import Repeated, repeated
from fuzz.followup.surer import Told
from targets.base import Target

RUNNING, COUNTING = "kvm:6.12:vhe", "kvm:6.12:vhe:icount=4"
WINDOW = ("window", "found.case", "--leg", RUNNING, "--runs", "4")


@pytest.fixture
def legs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Target]:
    """By name, in place of those that there are; the case is `found.case`."""
    monkeypatch.chdir(tmp_path)
    Path("found.case").write_text(format_case(CASE))
    found: dict[str, Target] = {}

    def opened(name: str) -> Target:
        found[name].name = name
        return found[name]

    monkeypatch.setattr(window_command, "open_leg", opened)
    return found


def test_the_case_is_saved_as_it_shows_by_instructions(legs: dict[str, Target]) -> None:
    legs |= {RUNNING: Struck(600_000, 800_000, 2), COUNTING: Struck(2_000_000, 2_400_000, 1)}
    done = CliRunner().invoke(main, [*WINDOW, "--save", "steady.case"])
    assert done.exit_code == 77, done.output
    assert f"{RUNNING}: op 5 " in done.output
    assert "shows in 4 of 4 runs at " in done.output
    (after,) = [op.after for op in load_case(Path("steady.case")).ops if isinstance(op, Disturb)]
    assert abs(after - 2_200_000) < 50_000


def test_what_is_chance_by_instructions_too_is_saved_many_times_in_a_row(
    legs: dict[str, Target],
) -> None:
    """Four times do, since one in four strikes; told so already, it is sought as if done once."""
    counting = InARow(2_000_000, 2_400_000, 4)
    legs |= {RUNNING: InARow(600_000, 800_000, 2), COUNTING: counting}
    done = CliRunner().invoke(main, [*WINDOW, "--save", "steady.case"])
    assert done.exit_code == 77, done.output
    assert (
        f"{COUNTING}: in fresh machines it shows in 4 of 4 runs, done 4 times in a row"
        in done.output
    )
    steady = load_case(Path("steady.case"))
    strikes = [op.after for op in steady.ops if isinstance(op, Disturb)]
    assert len(strikes) == 4
    assert len(set(strikes)) == 1
    Path("found.case").write_text(format_case(Told(CASE, 3).whole))
    done = CliRunner().invoke(main, [*WINDOW, "--save", "again.case"])
    assert "done 3 times in a row" in done.output
    assert load_case(Path("again.case")).ops == steady.ops


def test_where_nothing_shows_by_instructions_nothing_is_saved(legs: dict[str, Target]) -> None:
    legs |= {RUNNING: Struck(600_000, 800_000, 2), COUNTING: Struck(1, 0, 1)}
    done = CliRunner().invoke(main, [*WINDOW, "--save", "steady.case"])
    assert done.exit_code == 77
    assert "steady.case was not written: by instructions nothing shows." in done.output
    assert not Path("steady.case").exists()


def test_where_each_costs_a_restart_few_are_run_by_instructions(legs: dict[str, Target]) -> None:
    class Breaking(Struck):
        def _do(self, case: Case, turn: int) -> Trace:
            return broken(PANIC) if super()._do(case, turn) != sound(case) else sound(case)

    legs |= {RUNNING: Breaking(600_000, 800_000, 1), COUNTING: Breaking(2_000_000, 2_400_000, 1)}
    done = CliRunner().invoke(main, WINDOW)
    assert done.exit_code == 77, done.output
    assert f"{RUNNING}: op 5 (disturb softirq after=700000): shows in 4 of 4 runs" in done.output
    assert f"{COUNTING}: op 5 (disturb softirq after=700000): shows in 3 of 3 runs" in done.output


def test_standard_output_has_the_case_alone(legs: dict[str, Target]) -> None:
    legs |= {RUNNING: Struck(1, 0, 1), COUNTING: Struck(2_000_000, 2_400_000, 1)}
    done = CliRunner().invoke(main, [*WINDOW, "--save", "-"])
    assert done.exit_code == 77
    assert done.stdout.startswith("create v0\n")
    assert f"{RUNNING}: nothing shows, whatever the delay" in done.stderr


def test_in_how_many_runs_a_leg_diverges() -> None:
    leg = Scripted("kvm:a", lambda case, turn: sound(case) if turn % 4 else wrong(case, 4))
    seen = repeated(CASE, leg, 8)
    assert (seen.diverged, seen.runs) == (2, 8)
    assert str(seen) == f"diverges in 2 of 8 runs: {seen.explanation}"
    assert seen.explanation
    assert repeated(CASE, Scripted("kvm:a", lambda case, _: sound(case)), 3) == Repeated(0, 3, "")


def test_exec_tells_how_often(tmp_path: Path) -> None:
    case = tmp_path / "twice.case"
    case.write_text("create v0\ninit v0\nfinalize v0\nfinalize v0\n")
    both = ["exec", str(case), "--legs", "model,mutant:finalize-twice", "--times", "3"]
    done = CliRunner().invoke(main, both)
    assert done.exit_code == 77
    assert "model: diverges in 0 of 3 runs\n" in done.output
    assert "mutant:finalize-twice: diverges in 3 of 3 runs: op 3" in done.output
    told = json.loads(CliRunner().invoke(main, [*both, "--json"]).output)
    assert told["legs"]["model"] == {"diverged": 0, "runs": 3, "explanation": ""}
    assert told["legs"]["mutant:finalize-twice"]["diverged"] == 3
    alone = CliRunner().invoke(main, ["exec", str(case), "--legs", "model", "--times", "2"])
    assert alone.exit_code == 0
