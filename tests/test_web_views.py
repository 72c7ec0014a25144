"""What pages show, from records to values: tables of small cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from test_db_store import SIGNATURE

from corpus.kept import KeptCase, load_kept
from corpus.store import kept_files
from db.queries import Day, Noted, SampleView, Took
from db.records import BucketView, CampaignView, CellView, LegRecord, Status
from db.suspects import Suspect
from fuzz.report.compare import Cell, Row
from fuzz.web.lately import Lately
from fuzz.web.views import book, curves, lanes, words
from fuzz.web.views.campaigns import options_of, state
from fuzz.web.views.health import State, health
from fuzz.web.views.matrix import matrix
from fuzz.web.views.steps import advice

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bucket(status: Status = Status.NEW, suspect: str = "", seen: int = 3) -> BucketView:
    return BucketView(
        1, SIGNATURE, True, status, "t", NOW, NOW, 1, (seen, 3), {}, (), suspect=suspect
    )


@pytest.mark.parametrize("suspect", list(Suspect))
def test_each_suspect_has_a_next_step(suspect: Suspect) -> None:
    found = advice(bucket(suspect=suspect.value), 7)
    assert found.say
    assert "{" not in found.command
    # What does not always show is looked at in that light first.
    assert advice(bucket(suspect=suspect.value, seen=2), 7).command == "vcpufuzz repro F7"
    assert words.SUSPECTS[suspect]


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.NEW])
def test_each_status_has_a_next_step_whoever_is_the_suspect(status: Status) -> None:
    told = {advice(bucket(status, who.value), 7).say for who in Suspect}
    assert len(told) == 1
    assert words.STATUSES[status]


@pytest.mark.parametrize(
    ("back", "said"),
    [
        *((0, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago")),
        *((3600, "1 h ago"), (47 * 3600, "47 h ago"), (48 * 3600, "2 d ago")),
        (90 * 86400, "2025-12-01"),
    ],
)
def test_how_long_ago(back: int, said: str) -> None:
    assert words.ago(NOW - timedelta(seconds=back), NOW) == said


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        *(("https://a.example/1", True), ("http://a.example", True), (" https://a.example ", True)),
        *(("javascript:alert(1)", False), ("data:text/html,x", False), ("//a.example", False)),
        *(("https:", False), ("LKML 2026-01", False), ("https://[", False), ("", False)),
    ],
)
def test_only_web_pages_are_links(link: str, followed: bool) -> None:
    assert words.web_address(link) == (link.strip() if followed else "")


def test_curves_keep_their_last_point_and_their_scale() -> None:
    assert curves.plots([SampleView(0, {"cases": 1})]) == ()
    samples = [SampleView(1000 * n, {"cases": 10 * n, "rules": n, "odd": "x"}) for n in range(1001)]
    coverage, _, rates, _ = curves.plots(samples)
    (rules,) = coverage.curves
    assert (rules.name, rules.last, coverage.seconds) == ("rules", 1000, 1000)
    assert rules.points.startswith("0.0,120.0 ")
    assert rules.points.endswith(" 600.0,0.0")
    assert len(rules.points.split()) <= curves.MOST_POINTS + 1
    assert {curve.last for curve in rates.curves} == {10}
    assert curves.thinned([]) == []


def test_days_without_findings_have_a_place() -> None:
    found = curves.bars(["a", "b", "c"], [Day("b", 1, 0), Day("c", 1000, 4)])
    assert [(one.day, one.findings) for one in found] == [("a", 0), ("b", 1), ("c", 1000)]
    assert [one.height for one in found] == [0, 1.5, 60]
    assert [one.new_height for one in found] == [0, 0, 60]


def _kept() -> KeptCase:
    (file,) = [one for one in kept_files("known") if one.stem == "vixl-fpcr-modes"]
    return load_kept(file)


@pytest.mark.parametrize(
    ("cases", "seen", "said"),
    [
        (None, None, State.UNMATCHED),
        (0, None, State.UNMATCHED),  # it ended before it had run what is recorded
        (0, -1, State.SHOWS),
        (9, None, State.UNSEEN),
        (9, -1, State.SILENT),
        (9, 1, State.SHOWS),
    ],
)
def test_whether_a_record_still_shows(cases: int | None, seen: int | None, said: State) -> None:
    kept = _kept()
    facts = {key: value.replace("*", "0") for key, value in kept.machine}
    leg = LegRecord("emulator:keep", "emulator", facts)
    took = [] if cases is None else [Took(1, NOW, leg, cases)]
    noted = (
        {}
        if seen is None
        else {kept.path.name: [Noted(1, Status.KNOWN, 1, NOW + timedelta(hours=seen))]}
    )
    (found,) = health([kept], took, noted)
    assert found.state is said


def test_a_matrix_has_a_row_for_each_kernel_and_a_column_for_each_mode() -> None:
    facts = {"release": "6.12.57", "mode": "nvhe"}
    cells = [CellView("kvm:6.12:nvhe:vq=1", facts, 1, "shows", "as before", NOW)]
    votes = {
        "kvm:6.12:vhe": {"deviated": 0, "agreed": 4},
        "kvm:6.12:nvhe:vq=1": {"deviated": 9},
        "emulator:keep": {"deviated": 2, "agreed": 1, "passes": 3},
        "model": {},
    }
    made = matrix(cells, votes, [LegRecord("kvm:6.12:vhe", "kvm", {**facts, "mode": "vhe"})])
    assert made.columns == ("-", "keep", "nvhe", "vhe")
    rows = {
        (kernel, mode): [one.outcome for one in cell]
        for kernel, row in made.rows
        for mode, cell in zip(made.columns, row, strict=True)
    }
    assert rows["kvm 6.12 (6.12.57)", "nvhe"] == ["shows"]  # what was tried counts, not votes
    assert rows["kvm 6.12 (6.12.57)", "vhe"] == ["agreed"]
    assert rows["emulator", "keep"] == ["deviated"]
    assert rows["model", "-"] == ["unjudged"]


def test_a_value_is_unlike_what_most_legs_have() -> None:
    cells = {
        "a": Cell("0x1", True, value=1),
        "b": Cell("0x2", True, value=2),
        "c": Cell("0x2", True, value=2),
        "d": Cell("0x3", False, value=3, wrong=1),
    }
    made = lanes._compared(Row("x0", ("anything",), cells, 8), tuple("abcde"))
    states = [None if one is None else one.lines[0].lanes[0].state for one in made.values]
    assert states == ["unlike", "", "", "wrong", None]
    assert made.wrong


def test_the_lanes_that_are_wrong_are_shown_of_a_long_value() -> None:
    right, bad = 0, 0xAB << 8 * 40
    cells = {
        "a": Cell("..", False, value=bad, wrong=bad),
        "b": Cell("..", True, 1, value=right),
    }
    made = lanes._compared(Row("z3", ("0",), cells, 256), ("a", "b"))
    (line,) = made.values[0].lines if made.values[0] else ()
    assert (line.at, [one.state for one in line.lanes]) == (32, ["", "wrong"])
    assert line.lanes[1].text == "ab" + "00" * 7
    assert made.more == 15
    assert made.values[1] is not None
    assert made.values[1].choice == "clears"


def test_options_are_told_in_words() -> None:
    told = {"a": ["x", "y"], "b": None, "c": True, "d": [], "e": 7}
    campaign = CampaignView(1, NOW, NOW, "1", told, {}, "time", ())
    assert options_of(campaign) == {"a": "x, y", "c": "yes", "e": "7"}
    assert state(campaign) == "ended: time"


def test_a_book_has_sections_as_they_are_written() -> None:
    found = list(book.sections("# A\n\none\ntwo\n\nthree\n## 1.2 B\n`x`\n"))
    assert [(one.level, one.title, one.paragraphs) for one in found] == [
        (1, "A", ("one two", "three")),
        (2, "1.2 B", ("`x`",)),
    ]
    assert found[1].anchor == "fact-1-2"


def test_what_was_computed_lately_is_not_computed_again() -> None:
    kept: Lately[int] = Lately(2)
    made: list[str] = []

    def make(name: str) -> int:
        return kept.get(name, lambda: made.append(name) or len(made))  # type: ignore[func-returns-value]

    for name in "aabacab":
        make(name)
    assert made == ["a", "b", "c", "b"]
    kept.clear()
    make("a")
    assert made[-1] == "a"
