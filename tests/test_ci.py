"""What a CI system gets: JUnit, SARIF, exit codes, and the README's own scripts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from junitparser import Failure, JUnitXml, Skipped
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from fuzz.campaign.status import CampaignStatus
from fuzz.cli.main import main
from fuzz.cli.run import FailOn, exit_code

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
GOOD = "create v0\ninit v0 features=sve\nfinalize v0\nget v0 z3\n"
TWICE = "create v0\ninit v0 features=sve\nfinalize v0\nfinalize v0\n"
LEGS = "model,mutant:finalize-twice,kvm:/no/such/Image:vhe"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, dict[str, Any]]:
    """A replay with an agreement, a regression, and a leg that cannot be had."""
    folder = tmp_path_factory.mktemp("ci")
    (folder / "cases").mkdir()
    (folder / "cases" / "good.case").write_text(GOOD)
    (folder / "cases" / "twice now.case").write_text(f"# twice is too often\n\n{TWICE}")
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(
            main,
            ["replay", "cases", "--legs", LEGS, "--junit", "r.xml", "--sarif", "r.sarif"],
        )
    finally:
        os.chdir(before)
    assert "cannot be had" in done.stderr
    return done.exit_code, folder, json.loads((folder / "r.sarif").read_text())


def test_junit_has_a_test_per_file_and_leg(reports: tuple[int, Path, dict[str, Any]]) -> None:
    code, folder, _ = reports
    assert code == 1
    suites = {suite.name: list(suite) for suite in JUnitXml.fromfile(str(folder / "r.xml"))}
    assert suites.keys() == set(LEGS.split(","))
    assert all([case.name for case in cases] == ["good", "twice now"] for cases in suites.values())
    names = [(case.classname, case.name) for cases in suites.values() for case in cases]
    assert len(set(names)) == 6
    good, twice = suites["mutant:finalize-twice"]
    assert good.result == []
    assert isinstance(twice.result[0], Failure)
    assert "finalize.twice" in twice.result[0].message
    for case in suites["kvm:/no/such/Image:vhe"]:
        assert isinstance(case.result[0], Skipped)
        assert "/no/such/Image" in case.result[0].message


def test_files_of_one_name_are_told_apart_and_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, text in (("a", GOOD), ("b", TWICE), ("c/a", GOOD)):
        Path(folder).mkdir(parents=True)
        Path(folder, "x.case").write_text(text)
    places = ["a/x.case", "b", "c/a", "a", "c/../a/x.case"]
    args = ["replay", *places, "--legs", "mutant:finalize-twice", "--junit", "r.xml"]
    done = CliRunner().invoke(main, args)
    rows = [line.split()[0] for line in done.stdout.splitlines()[1:4]]
    assert rows == ["a/x", "b/x", "c/a/x"]
    assert "REGRESSION: b/x.case on mutant" in done.stdout
    assert "2 ok, 1 REGRESSION" in done.stdout
    (suite,) = JUnitXml.fromfile("r.xml")
    names = [case.classname for case in suite]
    assert names == [f"vcpufuzz.{at}.mutant:finalize-twice" for at in ("a", "b", "c_a")]


def test_sarif_is_as_its_schema_says(reports: tuple[int, Path, dict[str, Any]]) -> None:
    _, _, log = reports
    Sarif.model_validate(log)
    with pytest.raises(ValidationError):  # it can fail
        Sarif.model_validate({**log, "extra": 1})
    (run,) = log["runs"]
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("finalize.twice", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "finalize.twice"
    (place,) = result["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "cases/twice%20now.case", "uriBaseId": "ROOT"},
        "region": {"startLine": 6},
    }
    skipped = run["invocations"][0]["toolExecutionNotifications"]
    assert len(skipped) == 2
    assert "kvm:/no/such/Image:vhe: not run: " in skipped[0]["message"]["text"]


def test_fingerprints_stay_and_tell_apart(tmp_path: Path) -> None:
    (tmp_path / "a.case").write_text(TWICE)

    def prints(path: Path, legs: str) -> list[str]:
        out = tmp_path / "o.sarif"
        CliRunner().invoke(main, ["replay", str(path), "--legs", legs, "--sarif", str(out)])
        results = json.loads(out.read_text())["runs"][0]["results"]
        return [one["partialFingerprints"]["vcpufuzzCaseLegRule/v1"] for one in results]

    mutant = "mutant:finalize-twice"
    first = prints(tmp_path / "a.case", f"model,{mutant}")
    (tmp_path / "a.case").rename(tmp_path / "b.case")
    (tmp_path / "b.case").write_text(f"# a comment is no part of it\n{TWICE}")
    assert prints(tmp_path / "b.case", mutant) == first
    (tmp_path / "b.case").write_text(f"{TWICE}get v0 z3\n")
    assert prints(tmp_path / "b.case", mutant) != first


def test_recorded_defects_are_suppressed_and_lenient_ones_warn(tmp_path: Path) -> None:
    out = tmp_path / "o.sarif"
    known = str(ROOT / "corpus" / "known" / "vixl-fmlal-nan.case")
    done = CliRunner().invoke(
        main, ["replay", known, "--legs", "emulator:keep", "--sarif", str(out)]
    )
    assert done.exit_code == 0, done.output
    log = json.loads(out.read_text())
    Sarif.model_validate(log)
    (result,) = log["runs"][0]["results"]
    assert result["level"] == "note"
    assert result["suppressions"][0]["kind"] == "inSource"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


class _Campaign:
    """The totals of one that ended."""

    hangs, new_strict, new_buckets, buckets, stopped_by = 0, 0, 0, 0, 0

    def __init__(self, **values: int) -> None:
        self.__dict__.update(values)

    def status(self) -> CampaignStatus:
        """It ran a case."""
        return CampaignStatus(elapsed=1.0, cases=1)


@pytest.mark.parametrize(
    ("campaign", "codes"),
    [
        (_Campaign(), {"new-strict": 0, "new": 0, "any": 0, "never": 0}),
        (_Campaign(buckets=1), {"new-strict": 0, "new": 0, "any": 77, "never": 0}),
        (
            _Campaign(buckets=1, new_buckets=1),
            {"new-strict": 0, "new": 77, "any": 77, "never": 0},
        ),
        (
            _Campaign(buckets=1, new_buckets=1, new_strict=1),
            {"new-strict": 77, "new": 77, "any": 77, "never": 0},
        ),
        (_Campaign(hangs=1), {"new-strict": 70, "new": 70, "any": 70, "never": 0}),
    ],
)
def test_what_a_campaign_fails_on(campaign: Any, codes: dict[str, int]) -> None:
    assert {what.value: int(exit_code(campaign, what)) for what in FailOn} == codes


def _snippets() -> Iterator[tuple[str, list[str]]]:
    """The commands of each CI system's file in the README, in order."""
    text = (ROOT / "README.md").read_text()
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        content = yaml.safe_load(block)
        job = content.get("jobs", content)["vcpufuzz"]
        if "steps" in job:
            yield "github", [step["run"] for step in job["steps"] if "run" in step]
        else:
            yield "gitlab", [*job["script"], *job["after_script"]]


SNIPPETS = dict(_snippets())


def test_there_is_one_for_each_system() -> None:
    assert SNIPPETS.keys() == {"github", "gitlab"}


@pytest.mark.parametrize("system", SNIPPETS)
def test_the_readmes_script_works(system: str, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "corpus").symlink_to(ROOT / "corpus")
    # What these do was done before the test began.
    ready = ("apt-get ", "make setup")
    script = "\n".join(line for line in SNIPPETS[system] if not line.startswith(ready))
    assert len(script.splitlines()) < len("\n".join(SNIPPETS[system]).splitlines())
    env = {**os.environ, "LEGS": "model,emulator:keep", "TIME": "5s"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(JUnitXml.fromfile(str(tmp_path / "replay.xml")))
    assert (tmp_path / "found.vcpufuzz").stat().st_size > 100
    if system == "github":
        Sarif.model_validate_json((tmp_path / "replay.sarif").read_text())
