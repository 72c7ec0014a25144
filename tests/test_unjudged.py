"""What stops verdicts before the last op is counted, kept with examples, and shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from db.records import LegRecord
from db.store import Store
from fuzz.campaign.status import CampaignStatus
from fuzz.campaign.totals import statistics
from fuzz.cli.main import main
from fuzz.oracle.verdict import Agree
from fuzz.report.unjudged import unjudged
from fuzz.worker.tally import Tally
from targets.spec.judge import Choices

KVM, EMULATOR = "kvm:6.12:vhe", "emulator:keep"
FAR = "access to 0x.., outside guest RAM"


def totals() -> dict[str, object]:
    tally = Tally(executions=Counter({KVM: 200, EMULATOR: 200}))
    other = Tally(
        not_judged=Counter({KVM: 7}),
        unjudged=Counter({f"{KVM}: {FAR}": 5, f"{KVM}: an address is not known": 2}),
    )
    tally.add(other)
    status = CampaignStatus(elapsed=1.0, cases=200)
    return statistics(status, tally, "cases", {FAR: "create v0\nrun v0 { }\n"})


@pytest.fixture
def url(tmp_path: Path) -> str:
    where = f"sqlite:///{tmp_path}/t.db"
    with Store.open(where) as store:
        campaign = store.begin_campaign(1, [LegRecord(KVM, "kvm", {})], {})
        store.end_campaign(campaign, totals(), "cases")
    return where


def show(url: str, *more: str) -> Result:
    return CliRunner().invoke(main, ["coverage", "--unjudged", "--db", url, *more])


def test_every_leg_has_a_figure() -> None:
    assert totals()["not_judged"] == {KVM: 7, EMULATOR: 0}


def test_reasons_that_differ_in_numbers_are_one() -> None:
    one, other = (
        Agree(3, frozenset(), Choices(), f"access to {n:#x}, outside guest RAM")
        for n in (0x1234, 0xABCD)
    )
    assert one.why == other.why == FAR


def test_shares_are_of_the_leg() -> None:
    first, second = unjudged(totals())
    assert (first.leg, first.share, second.leg, second.share) == (KVM, 0.035, EMULATOR, 0.0)
    assert next((r.why, r.count, r.share) for r in first.reasons) == (FAR, 5, 0.025)


def test_a_campaign_that_did_not_count_shows_nothing() -> None:
    assert unjudged({"executions": {KVM: 5}, "unjudged": {"an old form": 3}}) == []


def test_the_table_says_why_with_an_example(url: str) -> None:
    text = show(url).output
    assert "3.5%" in text
    assert "2.50%" in text
    assert f"For instance, {FAR}:\ncreate v0\nrun v0 {{ }}" in text


def test_json_has_all(url: str) -> None:
    first, second = json.loads(show(url, "--json").output)
    assert (first["leg"], first["not_judged"], first["executions"]) == (KVM, 7, 200)
    assert first["reasons"][0]["example"] == "create v0\nrun v0 { }\n"
    assert (second["leg"], second["reasons"]) == (EMULATOR, [])


def test_one_leg_of_one_campaign(url: str) -> None:
    assert EMULATOR not in show(url, "--leg", KVM, "--campaign", "1").output


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--leg", "kvm:none"), "no campaign counted"),
        (("--campaign", "9"), "there is no campaign 9"),
    ],
)
def test_nothing_to_show_is_said(url: str, more: tuple[str, str], said: str) -> None:
    done = show(url, *more)
    assert done.exit_code == 2
    assert said in done.output
