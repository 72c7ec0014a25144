"""Drawn defects: the same for a seed, each visible, and hunted as each would be alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.case import Case
from corpus.ops import CreateVcpu, Finalize, Init, ReadAll
from corpus.registers import REGISTERS
from fuzz.bench.corners.ablation import ablate, settings
from fuzz.bench.corners.detection import Defect, found_within, rates, wilson
from fuzz.bench.corners.draw import MOST, Corner, diverges, draw, draw_all
from fuzz.bench.corners.hunt import Plan
from fuzz.bench.corners.hunting import HuntingLeg, mutant_legs
from fuzz.bench.corners.kept import keeping
from fuzz.bench.corners.outcomes import beside, flip_register
from fuzz.bench.corners.searches import HuntFailed, Search, search
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.worker.feedback import SOURCES
from targets.legs import open_leg
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.vcpu import Vcpu

pytestmark = pytest.mark.long

PROFILE = Profile()
COUNT = 80
CORNERS = list(draw_all(1, COUNT, PROFILE))


def _words(corner: Corner) -> tuple[str, str, str]:
    return corner.about, corner.wrong.about, corner.witness.id


def test_a_seed_draws_the_same_defects_in_any_company() -> None:
    again = [draw(1, index, PROFILE) for index in reversed(range(COUNT))]
    assert [_words(c) for c in reversed(again)] == [_words(c) for c in CORNERS]
    others = [_words(draw(2, index, PROFILE)) for index in range(8)]
    same = set(others) & {_words(c) for c in CORNERS}
    assert len(same) < 2, "of those with one part, one may be drawn from either"


def test_guards_have_one_to_four_predicates_in_turn() -> None:
    assert Counter(c.size for c in CORNERS) == dict.fromkeys(range(1, MOST + 1), COUNT // MOST)
    assert all(len(set(c.families)) == c.size for c in CORNERS)


@pytest.mark.parametrize("corner", CORNERS, ids=lambda c: str(c.index))
def test_each_defect_shows_in_its_witness_only(corner: Corner) -> None:
    assert diverges(corner, corner.witness, PROFILE)
    right = ModelTarget(PROFILE).run(corner.witness)
    assert isinstance(judge(corner.witness, right, PROFILE), Agree)
    assert not diverges(corner, Case((ReadAll(0),)), PROFILE)


def test_kinds_of_places_and_of_outcomes_are_all_drawn() -> None:
    places = {c.site.about.split(" ", 1)[0] for c in CORNERS}
    assert {"SET", "GET", "instruction", "set", "init"} <= places
    assert len({c.wrong.about for c in CORNERS}) > 15
    assert len({family for c in CORNERS for family in c.families[1:]}) > 15


def test_a_hunting_leg_sees_every_defect_in_its_witness() -> None:
    found: list[tuple[int, int]] = []
    leg = HuntingLeg(CORNERS, PROFILE, lambda corner, cases, _: found.append((corner.index, cases)))
    right = ModelTarget(PROFILE)
    for corner in CORNERS:
        assert leg.run(corner.witness) == right.run(corner.witness)
    assert sorted(index for index, _ in found) == list(range(COUNT))
    assert leg.left == 0
    assert all(cases <= index + 1 for index, cases in found)


def test_a_hunt_for_many_finds_each_as_a_hunt_for_one_does() -> None:
    many = search(Plan(seed=1, count=12, cases=120)).found
    assert many
    for index in [*many][:3]:
        assert search(Plan(1, 12, 120, only=[index])).found == {index: many[index]}


def test_bounds_hold_what_they_should() -> None:
    assert wilson(0, 0) == (0, 1)
    low, high = wilson(5, 10)  # Newcombe 1998: 0.2366 to 0.7634
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
    assert wilson(10, 10)[1] == pytest.approx(1)
    assert 0.72 < wilson(10, 10)[0] < 0.73


def _defect(size: int, *found: int | None) -> Defect:
    return Defect(0, size, "", "", "", list(found))


def test_detection_is_a_mean_of_searches() -> None:
    group = [_defect(2, 10, None), _defect(2, 500, 20)]
    assert found_within(group, 9, 2) == 0
    assert found_within(group, 20, 2) == 1
    assert found_within(group, 500, 2) == 1.5
    told = rates(group, 600, 2)
    assert [rate.cases for rate in told] == [10, 30, 100, 300, 600]
    assert [rate.found for rate in told] == [0.5, 1, 1, 1, 1.5]
    assert all(rate.low < rate.found / 2 < rate.high for rate in told)


def test_the_command_tells_all_of_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    picture = tmp_path / "corners.svg"
    arguments = ["bench", "--corners", "--count", "8", "--budget", "60", "--json", "--plot"]
    result = CliRunner().invoke(main, [*arguments, str(picture)])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert [d["predicates"] for d in told["defects"]] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert all("create v0" in d["witness"] for d in told["defects"])
    assert {rate["predicates"] for rate in told["rates"]} == {1, 2, 3, 4}
    assert "<svg" in picture.read_text()


def test_a_picture_that_cannot_be_drawn_is_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    arguments = ["bench", "--corners", "--count", "1", "--budget", "1", "--plot"]
    result = CliRunner().invoke(main, [*arguments, str(tmp_path / "corners.what")])
    assert result.exit_code == Exit.USAGE
    assert "corners.what" in result.output


def test_ablation_switches_each_source_off_and_on() -> None:
    found = dict(settings())
    assert found["none"] == ()
    assert set(found["all"]) == set(SOURCES) - {"kernel", "schedules"}
    for source in found["all"]:
        assert found[f"{source} alone"] == (source,)
        assert set(found[f"without {source}"]) == set(found["all"]) - {source}


def test_ablation_tells_by_what_factor_guidance_is_sooner() -> None:
    def ran(plan: Plan) -> Search:
        rows = {0: 100, -1: 9} if plan.feedback else {0: 400, 1: 800, -1: 9}
        return Search(rows, 2.0, 7)

    told = ablate(1, 3, 1000, [1, 2], 1, ran, lambda _: None)
    by_name = {one.name: one for one in told.effects}
    assert by_name["none"].sooner == 1
    assert by_name["all"].sooner == (4 + 0.8) / 2  # 400 / 100, and 800 / not found
    assert (by_name["all"].corners, by_name["none"].corners) == (1, 2)
    assert by_name["all"].corner_cases == 1000
    assert by_name["all"].mutant_cases == 9


def test_searches_that_were_kept_are_not_made_again(tmp_path: Path) -> None:
    asked: list[Plan] = []

    def ran(plan: Plan) -> Search:
        asked.append(plan)
        if plan.search_seed == 3:
            raise HuntFailed("it died")
        return Search({0: plan.search_seed, -1: 9}, 2.0, 7)

    path = tmp_path / "searches"
    one, two = Plan(1, 3, 1000, 1), Plan(1, 3, 1000, 2, feedback=("rules",))
    kept = keeping(path, ran)
    assert [kept(plan).found[0] for plan in (one, two, one)] == [1, 2, 1]
    with pytest.raises(HuntFailed):
        kept(Plan(1, 3, 1000, 3))
    with path.open("ab") as file:
        file.write(path.read_bytes()[:40])  # as a process that was killed leaves it
    asked.clear()
    kept = keeping(path, ran)
    assert kept(two) == Search({0: 2, -1: 9}, 2.0, 7)
    assert asked == []
    kept(Plan(1, 3, 1000, 4))
    assert [keeping(path, ran)(Plan(1, 3, 1000, n)).found[0] for n in (1, 4)] == [1, 4]


def test_a_search_that_cannot_be_kept_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "searches"
    kept = keeping(path, lambda _: Search({0: 1}, 1.0, 1))
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="searches"):
        kept(Plan(1, 3, 1000, 1))
    path.rmdir()
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*searches"):
        kept(Plan(1, 3, 1000, 2))


@pytest.mark.parametrize("text", ["dear diary\n", "dear diary", '{"plan":1}\n'])
def test_what_is_no_kept_search_is_told_and_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text(text)
    for arguments in (["--ablation"], ["--corners", "--count", "1"]):
        result = CliRunner().invoke(main, ["bench", *arguments, "--keep", str(path)])
        assert result.exit_code == Exit.USAGE, result.output
        assert "line 1" in result.output
    assert CliRunner().invoke(main, ["bench", "--keep", str(path)]).exit_code == Exit.USAGE
    assert path.read_text() == text


@pytest.mark.parametrize("place", ["/dev/full", "/dev/null", "", ".", "/proc/nowhere/x"])
def test_searches_are_kept_in_regular_files(place: str) -> None:
    result = CliRunner().invoke(main, ["bench", "--corners", "--count", "1", "--keep", place])
    assert result.exit_code == Exit.USAGE, result.output
    assert "--keep" in result.output


def test_mutants_are_hunted_beside_drawn_defects() -> None:
    found: list[int] = []
    leg = HuntingLeg([], PROFILE, lambda *_: None)
    names = mutant_legs()
    leg.hunt_too(
        {-1 - n: open_leg(name) for n, name in enumerate(names)}, lambda n, *_: found.append(n)
    )
    leg.run(Case((CreateVcpu(0), Init(0), Finalize(0), Finalize(0))))
    assert [names[-1 - n] for n in found] == ["mutant:finalize-twice"]
    assert leg.left == len(names) - 1
    leg.run(Case((CreateVcpu(0), Init(0), Finalize(0), Finalize(0))))
    assert len(found) == 1


@pytest.mark.parametrize("text", ["pears", "rules,,pears", ","])
def test_unknown_guidance_is_refused(text: str) -> None:
    result = CliRunner().invoke(main, ["run", "--feedback", text])
    assert result.exit_code == Exit.USAGE
    assert "semantic" in result.output


def test_every_register_has_one_beside_it() -> None:
    vcpu = Model(Profile()).vm.vcpus.setdefault(0, Vcpu())
    vcpu.reset(16)
    for row in REGISTERS.values():
        other = beside(row.name)
        assert other != row.name
        assert other in REGISTERS
        flip_register(vcpu, other, 5)
