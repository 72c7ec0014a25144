"""Kernel coverage is stored once per block, added up, and shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from piped import piped

from corpus.text import parse_case
from db.blocks import FunctionRecord, ReachedRecord, pack_blocks, unpack_blocks
from db.records import LegRecord, NotFound, StoreError
from db.store import Store
from fuzz.campaign.coverage import CoverageKeeper
from fuzz.cli.main import main
from fuzz.report.reached import summarise
from fuzz.worker import events

LEG = LegRecord("kvm:6.12:vhe", "kvm", {"release": "6.12.1", "lab.executor": "1"})
FUNCTIONS = (
    FunctionRecord(0, 100, "kvm_arm_set_reg", "guest.c"),
    FunctionRecord(100, 100, "kvm_arm_get_reg<", "guest.c"),
    FunctionRecord(400, 60, "kvm_reset_vcpu", "reset.c"),
)
ONE = parse_case("create v0\n")
TWO = parse_case("create v0\ninit v0\n")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/t.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


def campaign(store: Store, leg: LegRecord = LEG) -> int:
    made = store.begin_campaign(1, [leg], {})
    store.set_functions(made, leg.name, FUNCTIONS)
    return made


def test_blocks_are_packed_without_loss() -> None:
    blocks = (0, 4, 1 << 24, 0xFFFF_FFFC)
    assert unpack_blocks(pack_blocks(blocks)) == blocks
    with pytest.raises(StoreError, match="cut off"):
        unpack_blocks(b"abc")


def test_what_is_stored_comes_back(store: Store) -> None:
    first = campaign(store)
    store.add_reached(first, LEG.name, [ReachedRecord(ONE, 10, [0, 400])])
    store.add_reached(first, LEG.name, [ReachedRecord(TWO, 2500, [8])])
    (found,) = store.coverage()
    assert found.leg == LEG
    assert found.functions == FUNCTIONS
    seen = [(v.case_id, v.after_ms, v.blocks) for v in found.reached]
    assert seen == [(ONE.id, 10, (0, 400)), (TWO.id, 2500, (8,))]
    assert store.case_texts([ONE.id, "none"]) == {ONE.id: "create v0\n"}


def test_a_campaign_can_be_looked_at_alone(store: Store) -> None:
    for block in (0, 8):
        store.add_reached(campaign(store), LEG.name, [ReachedRecord(ONE, 1, [block])])
    assert [v.blocks for v in store.coverage(2)[0].reached] == [(8,)]
    assert len(store.coverage()[0].reached) == 2
    with pytest.raises(NotFound, match="no campaign 3"):
        store.coverage(3)


def test_a_leg_the_campaign_does_not_have_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="has no leg kvm:none"):
        store.add_reached(campaign(store), "kvm:none", [])


def test_functions_are_stored_once_for_legs_that_share_a_kernel(store: Store) -> None:
    campaign(store)
    campaign(store, LegRecord("kvm:6.12:nvhe", "kvm", {"release": "6.12.1"}))
    stored = store.coverage()
    assert {c.leg.name for c in stored} == {"kvm:6.12:vhe", "kvm:6.12:nvhe"}
    assert {c.functions for c in stored} == {FUNCTIONS}


def test_sums_per_area_and_function(store: Store) -> None:
    first = campaign(store)
    store.add_reached(first, LEG.name, [ReachedRecord(ONE, 900, [0, 96])])
    store.add_reached(first, LEG.name, [ReachedRecord(TWO, 5000, [4, 400])])
    (leg,) = summarise(store.coverage())
    assert (leg.blocks, leg.reached, len(leg.functions)) == (4, 2, 3)
    guest, reset = leg.areas
    assert (guest.name, guest.reached, guest.blocks) == ("guest.c", 1, 3)
    assert guest.never == ["kvm_arm_get_reg<"]
    assert [(b.at, b.case_id) for b in guest.functions[0].blocks] == [
        *((0, ONE.id), (4, TWO.id), (96, ONE.id))
    ]
    assert reset.functions[0].blocks[0].at == 0
    (growth,) = leg.growth
    assert growth.curve == ((900, 2), (5000, 4))
    assert [growth.after(s) for s in (0.5, 0.9, 4.9, 5, 60)] == [0, 2, 2, 4, 4]


def test_a_later_campaign_adds_only_what_is_new_to_its_leg(store: Store) -> None:
    newer = LegRecord(LEG.name, "kvm", {"release": "6.12.1", "lab.executor": "2"})
    store.add_reached(campaign(store), LEG.name, [ReachedRecord(ONE, 7, [0, 4])])
    store.add_reached(campaign(store, newer), LEG.name, [ReachedRecord(TWO, 1, [4, 8])])
    (leg,) = summarise(store.coverage())  # the executor changed, the kernel did not
    assert [(g.blocks, g.new) for g in leg.growth] == [(2, 2), (2, 1)]
    owners = {b.at: b.campaign_id for b in leg.areas[0].functions[0].blocks}
    assert owners == {0: 1, 4: 1, 8: 2}


def test_workers_of_one_campaign_store_a_block_once(store: Store) -> None:
    made = store.begin_campaign(1, [LEG], {})
    keeper = CoverageKeeper(store)
    code = events.Code(LEG.name, [(f.offset, f.size, f.name, f.area) for f in FUNCTIONS])
    for at, blocks in ((10.25, [0, 4]), (12.0, [4, 400])):
        keeper.on_code(made, code)
        told = events.Coverage([events.Reached(LEG.name, ONE.encoded, at, blocks)])
        keeper.on_coverage(made, piped(told), begun=10.0)
    (found,) = store.coverage()
    assert [(v.after_ms, v.blocks) for v in found.reached] == [(250, (0, 4)), (2000, (400,))]
    assert keeper.totals() == {LEG.name: {"blocks": 3, "functions": 2, "functions_known": 3}}


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["coverage", *args])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def stored(store: Store, url: str) -> str:
    store.add_reached(campaign(store), LEG.name, [ReachedRecord(ONE, 900, [0, 96, 400])])
    return url


def test_the_table_names_areas_and_what_was_never_reached(stored: str) -> None:
    shown = run("--db", stored)
    assert "kvm:6.12:vhe (6.12.1): 3 blocks seen in 2 functions of 3 known" in shown
    assert re.search(r"guest\.c +1 +2 +2 +kvm_arm_get_reg<", shown)
    assert re.search(r"^ +1 +3 +3", shown, re.MULTILINE)


def test_an_area_lists_its_functions_with_the_first_case(stored: str) -> None:
    shown = run("--db", stored, "--area", "guest.c")
    assert re.search(rf"kvm_arm_set_reg +2 +100 +{ONE.id} +1 +0\.9 s", shown)
    assert "Never reached: kvm_arm_get_reg<" in shown
    assert "there are guest.c, reset.c" in run("--db", stored, "--area", "none", code=2)


def test_json_has_every_block(stored: str) -> None:
    (leg,) = json.loads(run("--db", stored, "--json"))
    assert leg["areas"][0]["functions"][0]["blocks"][1] == {
        **{"offset": 96, "case": ONE.id, "campaign": 1, "after_ms": 900}
    }
    assert leg["campaigns"] == [{"campaign": 1, "blocks": 3, "new": 3, "curve": [[900, 3]]}]


def test_pages_link_blocks_to_cases_that_can_be_run(stored: str, tmp_path: Path) -> None:
    run("--db", stored, "--html", str(tmp_path / "report"))
    index = (tmp_path / "report/index.html").read_text()
    page = (tmp_path / "report/leg-1.html").read_text()
    assert 'href="leg-1.html"' in index
    assert "kvm_arm_get_reg&lt;" in page
    assert "kvm_arm_get_reg<" not in page
    for link in set(re.findall(r'href="([^"#]+)', index + page)):
        assert (tmp_path / "report" / link).is_file(), link
    kept = (tmp_path / f"report/cases/{ONE.id}.case").read_text()
    assert parse_case(kept) == ONE


def test_nothing_stored_is_one_sentence(store: Store, url: str, tmp_path: Path) -> None:
    assert "no kernel coverage is stored" in run("--db", url, code=2)
    assert "there is no database" in run("--db", f"sqlite:///{tmp_path}/none.db", code=2)
