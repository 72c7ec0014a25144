"""`vcpufuzz explain`: a case walked through with the specification."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corpus.kept import load_kept
from corpus.store import kept_files
from corpus.text import parse_case
from fuzz.cli.main import main
from fuzz.report.walk import Step, lines, walk
from fuzz.reproduce.kselftest import reference
from targets.profile import Profile
from targets.spec.model import Model

MACHINE = reference(0xFFFF)


def steps(*ops: str) -> list[Step]:
    return list(walk(parse_case("\n".join(ops) + "\n"), MACHINE))


VCPU = ("create v0", "init v0", "finalize v0")


@pytest.mark.parametrize(
    ("ops", "rule", "order"),
    [
        (
            ("create v0", "init v0", "set v0 z3 1"),
            "sve.not-finalised",
            "with `finalize v0` right before it it succeeds",
        ),
        (
            (*VCPU, "set-vls v0 1,2"),
            "vls.after-finalize",
            "before step 3 (`finalize v0`) it succeeds",
        ),
        (("finalize v0", "create v0"), "vcpu.missing", ""),
        (
            ("create v0", "run v0 { nop }"),
            "run.not-initialised",
            "with `init v0`, `finalize v0` right before it it succeeds",
        ),
        (
            ("create v0", "create v1", "init v0", "init v1 features=none"),
            "init.vm-wide-features",
            "as `init v1` it succeeds",
        ),
        ((*VCPU, "get v0 v3"), "core.v-on-sve", ""),
    ],
)
def test_a_call_that_fails_says_why_and_what_would_have_worked(
    ops: tuple[str, ...], rule: str, order: str
) -> None:
    failed = next(step for step in steps(*ops) if step.fails)
    assert failed.rule == rule
    assert not order or failed.order == order


def test_the_order_of_a_long_case_takes_few_runs_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Model] = []

    class Counted(Model):
        def __init__(self, profile: Profile) -> None:
            super().__init__(profile)
            made.append(self)

    monkeypatch.setattr("fuzz.report.walk.Model", Counted)
    *_, failed = steps(*VCPU, *["get-mp v0", "reg-list v0", "get-events v0"] * 50, "set-vls v0 1,2")
    assert failed.order == "before step 3 (`finalize v0`) it succeeds"
    assert len(made) < 10


def test_it_follows_the_case_as_far_as_the_specification_goes() -> None:
    told = steps(*VCPU, "set v0 0x603000000013c708 1", "run v0 { nop }", "read-all v0")
    assert len(told) == 5
    assert told[3].outcomes == ()
    assert told[4].silent.startswith("a register outside the model was written")
    text = "\n".join(line for number, step in enumerate(told, 1) for line in lines(number, step))
    assert "The specification is silent: anything is permitted." in text
    assert "Here the specification says no more: a register outside" in text


def test_values_are_told_where_they_tell_something() -> None:
    (*_, read) = steps(*VCPU, "set v0 z3 0xab*", "get v0 z3")
    assert read.values == (("z3", "[0..255]=ab"),)
    (*_, zero) = steps(*VCPU, "get v0 z3")
    assert zero.values == ()
    (*_, whole) = steps(*VCPU, "set v0 z3 0xab*", "read-all v0")
    assert ("z3", "[0..255]=ab") in whole.values


@pytest.mark.parametrize("path", kept_files("regressions"), ids=lambda path: path.stem)
def test_every_regression_can_be_explained(path: Path) -> None:
    told = list(walk(load_kept(path).case, MACHINE))
    assert told
    for number, step in enumerate(told, 1):
        text = list(lines(number, step))
        assert len(text) > 1
        assert all(len(line) <= 100 for line in text[1:])


def explain(*args: str) -> Result:
    return CliRunner().invoke(main, ["explain", *args])


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "x.case"
    file.write_text("create v0\ninit v0\nset v0 z3 1\n")
    text = explain(str(file)).output
    assert "3. set v0 z3 1\n    EPERM, by sve.not-finalised: " in text
    assert "What would have worked: with `finalize v0` right before it it succeeds." in text
    told = json.loads(explain(str(file), "--json").output)
    assert [one["errnos"] for one in told] == [[0], [0], [1]]
    other = explain(str(file), "--leg", "model")
    assert other.exit_code == 0
    bad = explain(str(file), "--leg", "nonsense")
    assert (bad.exit_code, "no leg is called" in bad.output) == (2, True)
    file.write_text("crate v0\n")
    assert explain(str(file)).exit_code == 2
