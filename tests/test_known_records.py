"""Records of known defects: about which machines, until when, and whether they still hold."""

from __future__ import annotations

import fnmatch
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.domain import TextError
from corpus.expiry import Expiry
from corpus.fault import FaultKind
from corpus.isa.table import FORMS
from corpus.kept import KeptCase, load_kept
from corpus.store import kept_files
from db.records import CampaignView, LegRecord
from db.store import Store
from fuzz.cli.main import main
from fuzz.oracle.knowledge import Knowledge
from fuzz.report.health import Standing, health, trials_of
from fuzz.suites.replay import Outcome, replay
from targets.legs import open_legs
from targets.spec.rules import RULES

FILES = kept_files("known")
BODY = "create v0\ninit v0\nfinalize v0\n"
DAY = date(2026, 6, 30)
ALL_RULES = (
    *RULES,
    *(f"isa.{form}" for form in FORMS),
    *(f"ending.{kind}" for kind in FaultKind),
)
HEAD = "# machine: release=6.12.*\n# diverges: kvm isa.add_x\n"


def kept(folder: Path, head: str, today: date = DAY) -> KeptCase:
    path = folder / "one.case"
    path.write_text(head + BODY)
    return load_kept(path, today)


def kvm(release: str, name: str = "any") -> LegRecord:
    return LegRecord(name, "kvm", {"release": release})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_has_examples_that_it_is_and_is_not_about(path: Path) -> None:
    item = load_kept(path)
    assert item.matches
    assert item.differs
    for leg in item.matches:
        assert item.is_about(leg), leg
    for leg in item.differs:
        assert not item.is_about(leg), leg


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_told_by_what_the_record_asks_for(path: Path) -> None:
    item = load_kept(path)
    asked = {key for key, _ in item.machine}
    assert all(asked <= set(leg.fingerprint) for leg in item.matches)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_is_about_rules_that_there_are(path: Path) -> None:
    item = load_kept(path)
    for known in (*item.known, *item.avoid):
        rule = known.rule.partition("@")[0]
        assert fnmatch.filter(ALL_RULES, rule), known.rule


@pytest.mark.parametrize("name", ["matches", "differs"])
def test_an_example_says_each_thing_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(TextError, match=r"line 1: mode= is there twice"):
        kept(tmp_path, f"# {name}: kvm mode=vhe release=6.12.9 mode=nvhe\n{HEAD}")


def test_names_of_legs_mean_nothing(tmp_path: Path) -> None:
    item = kept(tmp_path, HEAD)
    assert item.recorded(kvm("6.12.7", "kvm:my-Image:vhe"))
    assert not item.recorded(kvm("7.2.1", "kvm:6.12:vhe"))


@pytest.mark.parametrize(
    ("header", "release", "believed"),
    [
        ("2026-06-30", "6.12.1", True),
        ("2026-06-29", "6.12.1", False),
        ("release=6.12.70", "6.12.69+deb13", True),
        ("release=6.12.70", "6.12.70+deb13", False),
        ("release=6.9", "6.12.1", False),
        ("lab.qemu=10", "6.12.1", True),  # the leg does not tell
    ],
)
def test_a_record_is_believed_until_it_expires(
    tmp_path: Path, header: str, release: str, believed: bool
) -> None:
    item = kept(tmp_path, f"{HEAD}# avoid: kvm run.x\n# expires: {header}\n")
    leg = kvm(release)
    assert item.is_about(leg)
    assert item.covers(leg, "isa.add_x") is believed
    assert bool(item.avoided(leg)) is believed
    assert (item.expired(leg) is None) is believed
    said = Knowledge([item]).expired([leg])
    assert said == [] if believed else said[0].startswith("one.case expired (")
    assert Knowledge([item]).expired([kvm("7.2.1")]) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("# expires: soon", "write '# expires: DAY, or KEY=VERSION'"),
        ("# expires: 2026-13-01", "line 3: '2026-13-01' is no day such as 2027-12-31"),
        ("# expires: release=new", "write"),
        ("# expires: release=" + "9" * 5000, "write"),
        ("# expires: release=٣", "write"),
        ("# matches: release=6.12", "write '# matches: KIND KEY=VALUE...'"),
        ("# differs: kvm", "write"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(TextError) as refused:
        kept(tmp_path, f"{HEAD}{line}\n")
    assert said in str(refused.value)


def test_a_record_is_about_legs_of_its_kind(tmp_path: Path) -> None:
    item = kept(tmp_path, f"{HEAD}# avoid: emulator run.x\n")
    for kind, about in (("kvm", True), ("emulator", True), ("model", False)):
        assert item.is_about(LegRecord("any", kind, {"release": "6.12.1"})) is about


@pytest.mark.parametrize(("day", "believed"), [("2001-01-01", False), ("2999-01-01", True)])
def test_a_record_expires_by_the_calendar(tmp_path: Path, day: str, believed: bool) -> None:
    path = tmp_path / "one.case"
    path.write_text(f"{HEAD}# expires: {day}\n{BODY}")
    assert load_kept(path).covers(kvm("6.12.1"), "isa.add_x") is believed


def test_expiry_is_told_as_it_is_written() -> None:
    assert str(Expiry(DAY)) == "2026-06-30"
    assert str(Expiry(key="release", version="6.13")) == "release 6.13"


def test_a_replay_tells_that_a_record_expired(tmp_path: Path) -> None:
    (leg,) = open_legs(["mutant:finalize-twice"])
    leg.kind, leg.fingerprint = "kvm", {"release": "6.12.1"}
    path = tmp_path / "twice.case"
    path.write_text(
        "# diverges: kvm finalize.twice\n# expires: 2026-06-30\n" + BODY + "finalize v0\n"
    )
    (before,) = replay([load_kept(path, DAY)], [leg])
    (after,) = replay([load_kept(path, DAY + timedelta(days=1))], [leg])
    assert before.outcome is Outcome.KNOWN
    assert after.outcome is Outcome.REGRESSION
    assert after.explanation.startswith("the record of this expired (2026-06-30): ")


def campaign(number: int, *legs: LegRecord, cases: int = 9) -> CampaignView:
    when = datetime(2026, 1, number, tzinfo=UTC)
    return CampaignView(number, when, when, "1", {}, {"cases": cases}, "time", legs)


def test_health_tells_what_showed_last(tmp_path: Path) -> None:
    item = kept(tmp_path, HEAD)
    shows = frozenset({item.case.id})
    old = campaign(1, kvm("6.12.1"))

    def standing(showed: dict[int, frozenset[str]], *campaigns: CampaignView) -> Standing:
        (one,) = health([item], trials_of([item], campaigns, showed))
        return one.standing

    assert standing({}) is Standing.UNMATCHED
    assert standing({}, campaign(1, kvm("7.2.1"))) is Standing.UNMATCHED
    assert standing({}, campaign(1, kvm("6.12.1"), cases=0)) is Standing.UNMATCHED
    assert standing({1: shows}, old) is Standing.SHOWS
    assert standing({}, old) is Standing.GONE
    later = campaign(2, kvm("7.2.1"), kvm("6.12.9", "kvm:mine"))
    (one,) = health([item], trials_of([item], [later, old], {1: shows}))
    assert (one.standing, one.matched) == (Standing.GONE, 2)
    assert one.said == "not on kvm:mine in campaign 2"
    assert one.last == old.started


def test_health_tells_what_expired_first(tmp_path: Path) -> None:
    over = kept(tmp_path, HEAD + "# expires: release=6.12.5\n")
    (one,) = health([over], {}, [kvm("6.12.9")])
    assert (one.standing, one.said) == (
        Standing.EXPIRED,
        "release 6.12.5 has come; its defect is judged again",
    )
    (one,) = health([over], {}, [kvm("6.12.1")])
    assert one.standing is Standing.UNMATCHED
    (one,) = health([kept(tmp_path, HEAD + "# expires: 2026-01-01\n")], {})
    assert one.standing is Standing.EXPIRED


def test_the_command_reads_campaigns(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    runner = CliRunner(env={"VCPUFUZZ_DB": url})
    refused = runner.invoke(main, ["triage", "health", "--json"])
    assert (refused.exit_code, "there is no database" in refused.stderr) == (2, True)
    with Store.open(url) as store:
        nothing = json.loads(runner.invoke(main, ["triage", "health", "--json"]).stdout)
        assert {one["standing"] for one in nothing} == {"never matched"}
        assert len(nothing) == len(FILES)
        number = store.begin_campaign(
            1, [LegRecord("emulator:keep", "emulator", {"vixl": "5.1.0"})], {}
        )
        store.end_campaign(number, {"cases": 3}, "time")
    told = runner.invoke(main, ["triage", "health"])
    assert told.exit_code == 0
    assert f"{len(FILES)} records: " in told.output
    assert "no longer shows" in told.output
    assert "not on emulator:keep in campaign 1" in " ".join(told.output.split())


def test_the_command_runs_what_is_asked_for(tmp_path: Path) -> None:
    arguments = ["triage", "health", "--legs", "emulator:keep", "--json"]
    arguments += ["--db", f"sqlite:///{tmp_path}/none.db"]
    told = {one["record"]: one for one in json.loads(CliRunner().invoke(main, arguments).stdout)}
    of_vixl = [name for name in told if name.startswith("vixl-")]
    assert of_vixl
    assert {told[name]["standing"] for name in of_vixl} == {"shows"}
    assert told["kvm-6.1-timer-warning.case"]["standing"] == "never matched"
