"""review: models with defects stand in for the two kernels; what is told, and how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from corpus.case import Case
from corpus.text import format_case, parse_case
from corpus.trace import Trace
from db.store import Store
from fuzz.campaign.campaign import Campaign
from fuzz.campaign.options import CampaignFailed
from fuzz.cli import review as command
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.followup.retest import OTHER, PASSES, SHOWS
from fuzz.review import page
from fuzz.review.book import (
    Broken,
    Differing,
    KernelSide,
    Review,
    ReviewedFunction,
    Speed,
    Where,
)
from fuzz.review.differences import added_up
from fuzz.review.pair import Pair, first_to_reach, where_of
from fuzz.review.review import Reviewer, Side
from fuzz.stopping import Stopped
from targets.kvm.lab.coverage.changed import Change, How
from targets.kvm.lab.kernels import Kernel
from targets.model.target import ModelTarget, clear, keep
from targets.mutants import MUTANTS
from targets.profile import Profile

TWICE = parse_case("create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\nfinalize v0\n")
TAIL = "seeds/tail-may-vanish.case"


def _model(name: str, mutant: str = "") -> ModelTarget:
    make = {"make": MUTANTS[mutant].make} if mutant else {}
    return ModelTarget(Profile(), name, **make)  # type: ignore[arg-type]


def _tried(base: ModelTarget, new: ModelTarget, *cases: Case) -> Pair:
    pair = Pair(base, new, "vhe", ())
    for case in cases:
        pair.try_(case, "a.case")
    return pair


def test_what_only_the_newer_one_breaks_is_new_and_the_other_way_round_it_is_gone() -> None:
    for base, new, where in (
        ("", "finalize-twice", Where.NEW),
        ("finalize-twice", "", Where.GONE),
    ):
        found = _tried(_model("base", base), _model("new", new), TWICE).found
        (broken,) = found.broken
        assert (broken.where, broken.mode, broken.case) == (where, "vhe", format_case(TWICE))
        assert "op 3 (finalize)" in broken.explanation
        assert found.sound == []
        assert found.differing == []


def test_what_both_break_is_no_difference() -> None:
    base, new = (_model(name, "finalize-twice") for name in ("base", "new"))
    found = _tried(base, new, TWICE).found
    assert (found.broken, found.differing, found.cases) == ([], [], 1)


def test_what_lies_behind_another_break_is_not_told() -> None:
    """Each breaks a rule of its own: only the earlier one is sure to be a difference."""
    base, new = _model("base", "finalize-twice"), _model("new", "vls-ignores-host")
    text = "create v0\ninit v0 features=sve\nset-vls v0 1,3\nfinalize v0\nfinalize v0\n"
    (broken,) = _tried(base, new, parse_case(text)).found.broken
    assert broken.where is Where.NEW
    assert "op 2 (set-vls)" in broken.explanation


def test_a_case_that_needs_longer_vectors_is_left_out() -> None:
    short = ModelTarget(Profile(vqs=1), "short")
    assert _tried(short, _model("new"), replace(TWICE, min_vq=4)).found.cases == 0


def test_choices_are_told_when_they_are_the_same_each_time() -> None:
    case = parse_case((Path("corpus") / TAIL).read_text())
    base, new = (ModelTarget(Profile(), n, choose=c) for n, c in (("a", keep), ("b", clear)))
    found = _tried(base, new, case).found
    assert found.broken == []
    (kind,) = {one.kind for one in found.differing}
    assert kind == "choice"
    assert {(one.base, one.new) for one in found.differing} == {("kept", "cleared")}


def test_what_is_different_by_chance_is_not_told() -> None:
    case = parse_case((Path("corpus") / TAIL).read_text())

    class Wavering(ModelTarget):
        turn = 0

        def submit(self, case: Case) -> int:
            self.turn += 1
            other = ModelTarget(Profile(), "b", choose=(keep, clear)[self.turn % 2])
            self.trace = other.run(case)
            return 0

        def collect(self, ticket: int) -> Trace:
            return self.trace

    base = ModelTarget(Profile(), "a", choose=keep)
    assert _tried(base, Wavering(Profile(), "b"), case).found.differing == []
    assert _tried(base, Wavering(Profile(), "b"), case).found.cases == 1


def test_the_same_difference_is_told_once_with_its_cases() -> None:
    one = Differing("errno", "vhe", "set", "r", "errno", "EINVAL", "ENOENT", "a")
    others = (
        msgspec.structs.replace(one, case="b"),
        msgspec.structs.replace(one, kind="choice"),
    )
    told = added_up([one, one, *others])
    assert [(each.kind, each.count, each.case) for each in told] == [
        ("choice", 1, "a"),
        ("errno", 2, "a"),
    ]


@pytest.mark.parametrize(
    ("base", "new", "where"),
    [
        ([PASSES] * 3, [SHOWS] * 3, Where.NEW),
        ([PASSES] * 3, [SHOWS, PASSES, SHOWS], Where.NEW),
        ([PASSES] * 3, [SHOWS, PASSES, PASSES], Where.CHANCE),
        ([PASSES, OTHER, PASSES], [SHOWS] * 3, Where.HIDDEN),
        ([SHOWS] * 3, [OTHER] * 3, Where.HIDDEN),
        ([PASSES] * 3, [OTHER] * 3, Where.CHANCE),
        ([SHOWS] * 3, [PASSES] * 3, Where.GONE),
        ([SHOWS, PASSES, PASSES], [SHOWS] * 3, Where.BOTH),
        ([PASSES] * 3, [PASSES] * 3, Where.CHANCE),
    ],
)
def test_where_a_finding_shows(base: Sequence[str], new: Sequence[str], where: Where) -> None:
    assert where_of(base, new) is where


def test_the_first_case_that_reached_a_function() -> None:
    here = Change("guest.c", "here", How.CHANGED, 0x100, 0x40)
    never = Change("guest.c", "never", How.NEW, 0x200, 0x40)
    gone = Change("guest.c", "gone", How.GONE, 0x100, 0x40)
    reached = [("a", [0xFC, 0x140]), ("b", [0x13C]), ("c", [0x100])]
    assert list(first_to_reach([here, never, gone], reached)) == [(here, "b")]


# -- as a whole ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Model(Side):
    """A model in place of a kernel."""

    def leg(self, mode: str) -> str:
        return str(self.name)


def _side(name: str) -> Model:
    return Model(name, Kernel(Path(), name, "", name), f"about {name}")


@pytest.mark.slow
def test_a_review_of_a_defect(tmp_path: Path) -> None:
    said: list[str] = []
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        reviewer = Reviewer(
            *(_side("model:keep"), _side("mutant:finalize-twice"), store, ["vhe"], 20.0),
            seed=3,
            say=said.append,
        )
        done = reviewer.run()
    new = done.of(Where.NEW)
    assert new
    assert all(one.mode == "vhe" for one in new)
    assert {one.rule for one in new} == {one.rule for one in done.broken}
    assert done.has_news
    assert done.cases > 40
    assert "searching for 16 s" in said
    assert "Their functions could not be compared" in done.notes[0]


def test_the_same_image_is_not_run(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        done = Reviewer(_side("x"), _side("x"), store, ["vhe"], 20.0).run()
    assert not done.has_news
    assert done.notes == ["The two are the same Image, to the byte: nothing was run."]


@pytest.mark.parametrize(("number", "ends"), [(2, Stopped), (0, CampaignFailed)])
def test_a_campaign_without_a_case_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, ends: type[BaseException]
) -> None:
    monkeypatch.setattr(Campaign, "run", lambda self: setattr(self, "stopped_by", number))
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        reviewer = Reviewer(_side("model:keep"), _side("mutant:finalize-twice"), store, ["vhe"], 9)
        with pytest.raises(ends):
            reviewer.run()


# -- what is printed -------------------------------------------------------------------

LONG = "    ld1b {z1.d}, p0/z, [x1]  " + "// a comment that goes on " * 5


def _review(news: bool = True) -> Review:
    broken = [
        Broken(Where.NEW, "vhe", "reset.registers", True, "op 4: " + "wrong " * 30, LONG, "B3"),
        Broken(Where.NEW, "nvhe", "reset.registers", True, "the same", LONG * 2, "B4"),
        Broken(Where.BOTH, "vhe", "isa.uzp1_p", True, "as ever", "x", "B5"),
        Broken(Where.GONE, "nvhe", "errno.order", False, "was wrong", "create v0"),
    ]
    return Review(
        KernelSide("linux@0123456789ab", "6.12.1-small", "a", "Base"),
        KernelSide("linux@0123456789ac", "6.12.1-small", "b", "Change <all>"),
        ["vhe", "nvhe"],
        functions=[
            ReviewedFunction("guest.c", "set_sve_vls", "changed", "vhe", "seed.case", "x"),
            ReviewedFunction("reset.c", "kvm_new", "new"),
            ReviewedFunction("reset.c", "kvm_old", "gone"),
        ],
        broken=broken if news else broken[2:],
        differing=[Differing("errno", "vhe", "set", "r", "errno", "EINVAL", "ENOENT", "a", 2)],
        speed=[Speed("vhe", 100.0, 103.0, 1.5)],
        cases=7,
        notes=["It was stopped early."],
    )


def test_a_mail_is_narrow_and_says_it_all() -> None:
    told = page.mail(_review())
    assert max(map(len, told.splitlines())) < 72
    assert told.startswith("Subject: vcpufuzz: BROKEN: linux@0123456789ab .. linux@0123456789ac\n")
    for words in (
        "1 new divergence from the specification; 1 gone; 1 permitted difference;"
        " 3 functions differ, 1 of them reached.",
        "* reset.registers (strict), in vhe, nvhe, B3, B4",
        "As wrong on both ---------------- isa.uzp1_p.",
        "ld1b {z1.d}",
        "errno, in vhe: set errno: EINVAL, now ENOENT",
        "Rule r; in 2 cases.",
        "* set_sve_vls (guest.c)\n  First by seed.case, in vhe.",
        "* kvm_new (reset.c, new)",
        "never reached",
        "vhe: 100 us, now 103 us (+3.0 %, apart 1.5 %)",
        "It was stopped early.",
    ):
        assert " ".join(words.split()) in " ".join(told.split()), words
    assert "the same" not in told  # one rule is told once, with its shortest case


def test_nothing_new_is_said_so() -> None:
    told = page.text(_review(news=False))
    assert "New divergences from the specification\n" in told
    assert "None." in told
    assert page.subject(_review(news=False)).startswith("vcpufuzz: nothing new")
    assert max(map(len, told.splitlines())) <= page.WIDE


def test_the_page_shows_what_others_wrote_as_text() -> None:
    told = page.html(_review())
    assert "Change &lt;all&gt;" in told
    assert "<all>" not in told
    assert "<pre>" in told


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which kernels it takes, what it prints, and how it ends."""
    monkeypatch.setattr(command, "_sides", lambda *_: (_side("a"), _side("b")))
    database = ("--db", f"sqlite:///{tmp_path / 'a.db'}")
    for news, code in ((True, Exit.DIVERGENCE), (False, Exit.OK)):
        done = _review(news)
        monkeypatch.setattr(Reviewer, "run", lambda self, done=done: done)
        result = CliRunner().invoke(main, ["review", "--base", "a", "--json", *database])
        assert result.exit_code == code
        told = json.loads(result.stdout)
        assert msgspec.convert(told, Review) == done
        html = tmp_path / "a.html"
        result = CliRunner().invoke(
            main, ["review", "--base", "a", "--mail", "--html", str(html), *database]
        )
        assert result.exit_code == code
        assert result.stdout == page.mail(done)
        assert html.read_text() == page.html(done)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--base", "6.12"), "--kernel names the kernel to review, and is missing"),
        (("--base", "nothing", "--kernel", "6.12"), "nothing is neither an Image nor a kernel's"),
        (("--base", "6.12", "--kernel", "6.12", "--with-llvm"), "are about a --tree"),
        (("--base", "6.12", "--kernel", "6.12", "--modes", "fast"), "'fast' is none of vhe, nvhe"),
        (("--base", "6.12", "--kernel", "6.12", "--areas", "x"), "'x' is none of FPSIMD"),
        (("--base", "linux@0123456789ab", "--kernel", "6.12"), "is not built yet"),
        (("--base", "README.md", "--kernel", "6.12"), "is no arm64 Image"),
    ],
)
def test_bad_requests_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: Sequence[str], words: str
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    real = Side.of

    def of(name: str | Path, what: str = "") -> Side:
        """6.12 would be downloaded."""
        return _side("6.12") if name == "6.12" else real(name, what)

    monkeypatch.setattr(Side, "of", of)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    result = CliRunner().invoke(main, ["review", *args, "--db", url])
    assert result.exit_code in (Exit.USAGE, Exit.UNAVAILABLE)
    assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "a.db").exists()
