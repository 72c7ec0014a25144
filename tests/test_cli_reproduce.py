"""Programs and system calls at the command line: `triage export --c`, `corpus export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_db_store import RECORD

from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Trace
from db.records import Earlier, FindingRecord, LegRecord
from db.store import Store
from fuzz.cli import main as cli_main
from fuzz.cli.triage import reproduce
from fuzz.reproduce.kselftest import reference
from fuzz.reproduce.tried import Outcome, Tried
from targets.model.target import ModelTarget

MACHINE = reference(0xFFFF)
CASE = parse_case("create v0\ninit v0\nfinalize v0\nfinalize v0\n")
KVM = LegRecord("kvm:6.12:vhe", "kvm", {"profile": MACHINE.described, "release": "6.12.1"})
MODEL = LegRecord("model", "model", {"profile": MACHINE.described})

Cli = Callable[..., Result]


def wrong(case: Case, err: int) -> Trace:
    """What the model does, but the last op ends with `err`."""
    right = ModelTarget(MACHINE, "model").run(case)
    *rest, last = right.observations
    return replace(right, observations=(*rest, replace(last, err=err)))


def finding(**changed: object) -> FindingRecord:
    signature = replace(RECORD.signature, oracle="conformance", rule="finalize.twice")
    found = replace(
        RECORD,
        signature=signature,
        minimal=CASE,
        original=CASE,
        op_index=3,
        explanation="op 3 (finalize): rule finalize.twice permits EPERM, observed success",
        deviating=("kvm:6.12:vhe",),
        traces={"kvm:6.12:vhe": wrong(CASE, 0), "model": ModelTarget(MACHINE, "m").run(CASE)},
    )
    return replace(found, **changed)  # type: ignore[arg-type]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    url = f"sqlite:///{tmp_path}/t.db"
    other = replace(RECORD.signature, oracle="legs", rule="legs.agree")
    with Store.open(url) as store:
        campaign = store.begin_campaign(7, [MODEL, KVM], {})
        store.add_finding(campaign, finding())
        store.add_finding(campaign, finding(signature=other))
        store.add_finding(campaign, finding(preceding=(Earlier(CASE),)))
        store.add_finding(campaign, finding(deviating=("model",)))
        permitted = {"kvm:6.12:vhe": wrong(CASE, 1)}
        alone = replace(RECORD.signature, oracle="conformance", rule="finalize.what")
        store.add_finding(campaign, finding(traces=permitted, signature=alone))

    def run(*args: str) -> Result:
        return CliRunner(env={"VCPUFUZZ_DB": url}).invoke(cli_main.main, list(args))

    return run


def test_a_finding_becomes_a_c_file_and_its_calls(cli: Cli, tmp_path: Path) -> None:
    program, calls = tmp_path / "f.c", tmp_path / "f.txt"
    done = cli("triage", "export", "F1", "--c", str(program), "--strace", str(calls), "--no-run")
    assert (done.exit_code, done.output) == (0, f"F1: written to {calls}, {program}\n")
    text = program.read_text()
    assert "op 3 (finalize): rule finalize.twice permits EPERM, observed success" in text
    assert "Rule finalize.twice." in text
    assert text.count("\toutcome(EPERM);") == 1
    last = calls.read_text().splitlines()[-1]
    assert last == "ioctl(5, KVM_ARM_VCPU_FINALIZE, [KVM_ARM_VCPU_SVE]) = 0"
    assert calls.read_text().startswith("# F1 on kvm:6.12:vhe\n")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("F2", "the specification permits it, legs or tellings differ"),
        ("F3", "it takes 1 other cases before it"),
        ("F4", "no leg of KVM is known to deviate"),
        ("F5", "it shows only against what the leg chose before"),
    ],
)
def test_what_c_cannot_say_writes_nothing(cli: Cli, tmp_path: Path, key: str, says: str) -> None:
    done = cli("triage", "export", key, "--c", str(tmp_path / "f.c"), "--no-run")
    assert done.exit_code == 2
    assert f"{key}: cannot be said in C: {says}" in done.output
    assert not (tmp_path / "f.c").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("F1",), "Say where to"),
        (("B1", "--c", "x.c"), "take a finding"),
        (("F99", "--c", "x.c"), "no finding"),
        (("F1", "--c", "x.c", "--legs", "nonsense"), "no leg is called"),
    ],
)
def test_bad_input_is_one_sentence(
    cli: Cli, args: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("triage", "export", *args)
    assert done.exit_code == 2
    assert says in done.output
    assert not Path("x.c").exists()


@pytest.mark.parametrize(("here", "code"), [(Outcome.FAILS, 0), (Outcome.PASSES, 3)])
def test_it_says_that_it_reproduces_once_it_was_run(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Outcome, code: int
) -> None:
    def on(leg: str, _binary: bytes) -> Tried:
        outcome = here if leg == "kvm:6.12:vhe" else Outcome.PASSES
        return Tried("program", leg, outcome, "not ok 4 finalize v0", "", "6.12.1")

    monkeypatch.setattr(reproduce, "_on", on)
    monkeypatch.setattr(reproduce, "_others", lambda *_: iter(["kvm:6.1:vhe", "kvm:6.1:nvhe"]))
    monkeypatch.setattr("fuzz.reproduce.tried.built", lambda _: b"")
    program = tmp_path / "f.c"
    done = cli("triage", "export", "F1", "--c", str(program), "--json")
    assert done.exit_code == code
    told = json.loads(done.output)
    assert told["reproduces"] is (code == 0)
    assert list(told["legs"]) == ["kvm:6.12:vhe", "kvm:6.1:vhe"]
    how = f"{here.value.capitalize()} on 6.12.1, kvm:6.12:vhe (not ok 4 finalize v0)."
    assert how in program.read_text()
    assert f"F1 in C: {here.value} on kvm:6.12:vhe" in cli("triage", "show", "B1").output


def test_the_regressions_become_selftests(cli: Cli, tmp_path: Path) -> None:
    case = tmp_path / "twice.case"
    case.write_text("# Twice is once too often.\ncreate v0\ninit v0\nfinalize v0\nfinalize v0\n")
    into = tmp_path / "kvm_sve"
    done = cli("corpus", "export", "--kselftest", str(into), str(case), "--json")
    assert (done.exit_code, json.loads(done.output)) == (0, {"written": 1, "refused": []})
    assert {path.name for path in into.iterdir()} == {
        *("Makefile", "config", "settings", ".gitignore", "twice.c")
    }
    assert " * Twice is once too often.\n" in (into / "twice.c").read_text()
    again = cli("corpus", "export", "--kselftest", str(into), str(case))
    assert again.exit_code == 2
    assert "is not empty" in again.output


def test_each_case_becomes_a_selftest_of_its_own(cli: Cli, tmp_path: Path) -> None:
    files = []
    for name in ("a b", "a&b", "-a-b-", "é", "<>", "one/twice", "two/twice"):
        path = tmp_path / "from" / f"{name}.case"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("create v0\n")
        files.append(str(path))
    into = tmp_path / "kvm_sve"
    done = cli("corpus", "export", "--kselftest", str(into), *files)
    assert (done.exit_code, done.output) == (0, f"7 of 7 cases written to {into}\n")
    assert {path.name for path in into.glob("*.c")} == {
        *("a-b.c", "a-b-2.c", "a-b-3.c", "case.c", "case-2.c", "twice.c", "twice-2.c")
    }


def test_a_case_that_c_cannot_say_is_passed_over_and_told(cli: Cli, tmp_path: Path) -> None:
    case = tmp_path / "beside.case"
    case.write_text("create v0\ndisturb signal {\n    init v0\n}\n")
    done = cli("corpus", "export", "--kselftest", str(tmp_path / "out"), str(case))
    assert done.exit_code == 2
    assert "passed over" in done.output
    assert "0 of 1 cases written" in done.output
    lengths = cli("corpus", "export", "--kselftest", str(tmp_path / "o"), "--lengths", "x")
    assert lengths.exit_code == 2


def test_a_file_that_is_there_stays_and_standard_output_has_the_program_once(
    cli: Cli, tmp_path: Path
) -> None:
    there = tmp_path / "f.c"
    there.write_text("mine")
    done = cli("triage", "export", "F1", "--c", str(there))
    assert done.exit_code == 2
    assert "file exists" in done.output
    assert there.read_text() == "mine"
    shown = cli("triage", "export", "F1", "--c", "-", "--no-run")
    assert shown.exit_code == 0
    assert shown.output.count("int main(void)") == 1
