"""bisect: small trees with real git and a Makefile of a few lines; only the machines are not
there. An Image holds what it does: `bad` shows the divergence, `other` another one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_db_store import KVM, MODEL, RECORD
from treekit import Tree

from corpus.text import parse_case
from db.store import Store
from fuzz.cli import bisect as command
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.followup.retest import ABSENT, OTHER, PASSES, SHOWS, UNJUDGED, Tried
from fuzz.suites import bisect
from fuzz.suites.attempt import AnyOf, Attempt
from fuzz.suites.bisect import BROKEN_BY, Answer, Questioner, search
from targets.base import Target
from targets.cache import CacheError
from targets.kvm.lab import build, kernels
from targets.kvm.lab.bisection import NEW, OLD, SKIP
from targets.kvm.lab.kernels import Kernel
from targets.kvm.lab.shadow import Revision
from targets.kvm.lab.treebuild import Built, Flavour, TreeBuilder
from targets.kvm.legname import LegSpec
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile
from targets.transport import TransportError

pytestmark = pytest.mark.long

CASE = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\nfinalize v0\n"

WORDS = {"bad": SHOWS, "other": OTHER, "silent": UNJUDGED, "late": ABSENT}


def _outcome(image: str, mode: str) -> str:
    """`bad` in every mode, `bad-in-nvhe` in that one."""
    for word, outcome in WORDS.items():
        if word in image.split() or f"{word}-in-{mode}" in image.split():
            return outcome
    return PASSES


@pytest.fixture(autouse=True)
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Machines that do what the Image says, and the subjects of the commits that were tried."""
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "TOOLS", {"make": "make"})
    subjects: list[str] = []

    class Faked(Attempt):
        def __call__(self, revision: Revision) -> Answer:
            subjects.append(revision.subject)
            if revision.subject == "Stop":
                raise KeyboardInterrupt
            try:
                image = self.build(revision).kernel.path.read_text()
            except TransportError as error:
                return Answer(why=str(error), seconds=1, built=True)
            return Answer({s.mode: _outcome(image, s.mode) for s in self.legs}, "", 60, True)

    monkeypatch.setattr(command, "Attempt", Faked)
    return subjects


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "found.case"
    path.write_text(CASE)
    return path


def _bisect(case: Path | str, tree: Tree, *args: str, code: int = Exit.OK) -> Result:
    result = CliRunner().invoke(main, ["bisect", str(case), "--tree", str(tree.path), *args])
    assert result.exit_code == code, result.output
    return result


def _tree(tmp_path: Path, texts: Sequence[str]) -> Tree:
    """Commits with these guest.c, called C1, C2, ..."""
    tree = Tree(tmp_path / "my linux")
    for number, text in enumerate(texts, 1):
        tree.commit(f"C{number}", f"{number} {text}\n")
    return tree


def test_the_breaking_commit_of_twenty(tmp_path: Path, case: Path, tried: list[str]) -> None:
    tree = _tree(tmp_path, ["fine"] * 12 + ["bad"] * 8)
    before = tree.everything()
    result = _bisect(case, tree, "--good", "HEAD~19", "--bad", "HEAD")
    assert result.stdout.startswith(f"Broken by {tree.git('rev-parse', 'HEAD~7')[:12]} C13\n")
    assert "Dev, " in result.stdout
    assert len(tried) <= 7
    assert "looking for what broke found.case from " in result.stderr
    assert "builds left, about 4 min; now " in result.stderr
    assert "shows in vhe" in result.stderr
    assert tree.everything() == before
    assert not list((tmp_path / "cache/trees").glob("*/git/BISECT*"))


def test_the_fixing_commit(tmp_path: Path, case: Path) -> None:
    tree = _tree(tmp_path, ["bad", "bad", "bad", "fine", "fine"])
    result = _bisect(case, tree, "--good", "HEAD", "--bad", "HEAD~4", "--json")
    told = json.loads(result.stdout)
    assert told["sought"] == "fixed-by"
    assert [one["subject"] for one in told["commits"]] == ["C4"]
    assert {one["subject"]: one["modes"] for one in told["tried"]}["C3"] == {"vhe": "shows"}


def test_the_kernels_that_it_built_are_not_kept_unless_asked(tmp_path: Path, case: Path) -> None:
    tree = _tree(tmp_path, ["fine", "fine", "bad", "bad"])
    before = TreeBuilder(tree.path, Flavour())
    own = before.build(before.revision("HEAD")).kernel
    search = ("--good", "HEAD~3", "--bad", "HEAD")
    _bisect(case, tree, *search)
    assert kernels.of_trees() == [own.release]
    assert own.path.exists()
    _bisect(case, tree, *search, "--restart", "--keep-kernels")
    assert len(kernels.of_trees()) > 2
    pruned = CliRunner().invoke(main, ["lab", "prune", "my-linux@*", "--dry-run"])
    assert pruned.output.count("would be removed") == len(kernels.of_trees()) > 2
    pruned = CliRunner().invoke(main, ["lab", "prune", own.release])
    assert (pruned.exit_code, own.release in kernels.of_trees()) == (0, False)
    nothing = CliRunner().invoke(main, ["lab", "prune", "nosuch@*"])
    assert (nothing.exit_code, "no built kernel is called" in nothing.output) == (2, True)


def test_what_is_found_of_a_finding_is_noted_and_reported(tmp_path: Path) -> None:
    url = str(tmp_path / "x.db")
    with Store.open(url) as store:
        store.add_finding(store.begin_campaign(7, [MODEL, KVM], {}), RECORD)
    tree = _tree(tmp_path, ["fine", "fine", "bad", "bad"])
    commit = tree.git("rev-parse", "HEAD~1")[:12]
    _bisect("F1", tree, "--good", "HEAD~3", "--bad", "HEAD", "--modes", "vhe", "--db", url)
    with Store.read(url) as store:
        (note,) = store.bucket(store.finding(1).bucket_id).notes
    assert note.text.startswith(f'bisect of F1: broken by {commit} ("C3", Dev, ')
    report = CliRunner().invoke(main, ["triage", "report", "F1", "--no-run", "--db", url])
    assert f'A search by commits: broken by {commit} ("C3", Dev,' in " ".join(report.output.split())


@pytest.mark.parametrize("word", ["BROKEN", "other"])
def test_what_cannot_be_told_is_skipped(tmp_path: Path, case: Path, word: str) -> None:
    tree = _tree(tmp_path, ["fine", "fine", word, "bad", "bad", "bad"])
    result = _bisect(case, tree, "--good", "HEAD~5", "--bad", "HEAD", code=Exit.UNAVAILABLE)
    assert "Broken by one of these" in result.stdout
    assert [line.split()[1] for line in result.stdout.splitlines()[1::2]] == ["C3", "C4"]


def test_a_commit_that_does_not_build_elsewhere_does_not_matter(tmp_path: Path, case: Path) -> None:
    tree = _tree(tmp_path, ["fine", "BROKEN", "fine", "fine", "bad"])
    result = _bisect(case, tree, "--good", "HEAD~4", "--bad", "HEAD")
    assert " C5\n" in result.stdout


def test_only_modes_in_which_the_bad_end_shows_it_decide(tmp_path: Path, case: Path) -> None:
    tree = _tree(tmp_path, ["fine", "other-in-vhe", "bad-in-nvhe", "bad-in-nvhe"])
    ends = ("--good", "HEAD~3", "--bad", "HEAD")
    result = _bisect(case, tree, *ends, "--modes", "vhe,nvhe")
    assert " C3\n" in result.stdout
    assert "passes in vhe, shows in nvhe" in result.stderr


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("HEAD~2", "HEAD~1", "HEAD~1, which should be bad, is not: passes in vhe"),
        ("HEAD", "HEAD~3", "HEAD, which should be good, is not: shows in vhe"),
        ("HEAD", "HEAD", "HEAD and HEAD are the same commit"),
        ("nonsense", "HEAD", "has no revision 'nonsense'"),
        ("side", "HEAD", "neither side nor HEAD descends from the other: they have"),
    ],
)
def test_ends_that_cannot_be(tmp_path: Path, case: Path, good: str, bad: str, words: str) -> None:
    tree = _tree(tmp_path, ["bad", "fine", "fine", "bad"])
    tree.git("checkout", "--quiet", "-b", "side", "HEAD~2")
    tree.commit("Aside", "side\n")
    tree.git("checkout", "--quiet", "master")
    result = CliRunner().invoke(
        main, ["bisect", str(case), "--tree", str(tree.path), "--good", good, "--bad", bad]
    )
    shorts = {name: tree.git("rev-parse", name)[:12] for name in (good, bad) if name != "nonsense"}
    if "same" not in words:
        for name in sorted(shorts, key=len, reverse=True):
            words = words.replace(name, shorts[name])
    assert result.exit_code in (Exit.USAGE, Exit.UNAVAILABLE)
    assert words in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("what", "args", "words"),
    [
        ("nothing.case", (), "nothing.case is neither a file nor a finding such as F12"),
        ("F1", (), "there is no database"),
        ("found.case", ("--modes", "fast"), "'fast' is no KVM mode"),
    ],
)
def test_bad_requests_are_one_sentence(
    tmp_path: Path,
    case: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    args: Sequence[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = _tree(tmp_path, ["fine", "bad"])
    result = _bisect(what, tree, "--good", "HEAD~1", "--bad", "HEAD", *args, code=Exit.USAGE)
    assert words in result.stderr


def test_a_tree_without_git_has_no_revisions(tmp_path: Path, case: Path) -> None:
    tree = Tree(tmp_path / "unpacked", git=False)
    result = _bisect(case, tree, "--good", "A", "--bad", "B", code=Exit.UNAVAILABLE)
    assert "is no git repository" in result.stderr


def test_stopped_and_started_again_it_goes_on(tmp_path: Path, case: Path, tried: list[str]) -> None:
    tree = _tree(tmp_path, ["fine"] * 4 + ["bad"] * 4)
    middle = tree.git("rev-parse", "HEAD~4")
    ends = ("--good", "HEAD~7", "--bad", "HEAD")
    tree.git("notes", "add", "-m", "x")  # other refs of the user's do not matter

    def stop(revision: Revision) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_outlook", lambda r, *_: stop(r) if r.commit != middle else "on it")
        result = _bisect(case, tree, *ends, code=Exit.INTERRUPTED)
    assert "the same command goes on there" in result.stderr
    assert not list((tmp_path / "cache/trees").glob("*/git/BISECT*"))
    before = list(tried)
    tried.clear()
    result = _bisect(case, tree, *ends)
    assert " C5\n" in result.stdout
    assert not set(tried) & set(before)
    assert "revisions are answered" in result.stderr
    tried.clear()
    _bisect(case, tree, *ends, "--restart")
    assert set(before) <= set(tried)


def test_a_damaged_memory_is_told_of_and_made_anew(tmp_path: Path, case: Path) -> None:
    tree = _tree(tmp_path, ["fine", "bad"])
    ends = ("--good", "HEAD~1", "--bad", "HEAD")
    _bisect(case, tree, *ends)
    (memory,) = (tmp_path / "cache/trees").glob("*/bisect/*.json")
    memory.write_bytes(b"{")
    assert "was damaged" in _bisect(case, tree, *ends).stderr


# -- one revision ----------------------------------------------------------------------


def _built(_: Revision) -> Built:
    return Built(Kernel(Path(), "linux@0123456789ab", "", ""), REVISION, 1.0)


REVISION = Revision("0" * 40, "0" * 12, "A change")
VHE, NVHE = LegSpec("6.12", "vhe"), LegSpec("6.12", "nvhe", (1, 2))


class Told:
    """Answers from a table, one per run."""

    def __init__(self, *runs: Mapping[str, Tried]) -> None:
        self.runs: Iterator[Mapping[str, Tried]] = iter(runs)

    def run(self, legs: Sequence[Target]) -> Mapping[str, Tried]:
        tried = next(self.runs)
        return {leg.name: tried[leg.name.rpartition("ab:")[2]] for leg in legs}


def _leg(name: str) -> Target:
    return ModelTarget(Profile(), name)


def test_of_several_runs_the_one_that_shows_it_counts() -> None:
    question = Told(
        {"vhe": Tried(PASSES), "nvhe:vq=1,2": Tried(PASSES)},
        {"vhe": Tried(SHOWS, "wrong"), "nvhe:vq=1,2": Tried(PASSES)},
        {"vhe": Tried(PASSES), "nvhe:vq=1,2": Tried(OTHER, "something else")},
    )
    answer = Attempt(_built, question, (VHE, NVHE), 3, _leg)(REVISION)
    assert answer.modes == {"vhe": SHOWS, "nvhe:vq=1,2": OTHER}
    assert answer.why == "something else"
    assert answer.built


def _raising(error: Exception) -> Callable[..., Target]:
    def fail(*_: object) -> Target:
        raise error

    return fail


def test_what_does_not_build_or_boot_is_no_answer_and_a_full_disk_ends_it() -> None:
    trouble = TransportError("x does not boot.")
    answer = Attempt(_built, Told(), (VHE,), 3, _raising(trouble))(REVISION)
    assert answer.modes == {"vhe": ABSENT}
    assert answer.why == "x does not boot"
    answer = Attempt(_raising(trouble), Told(), (VHE,), 3, _leg)(REVISION)  # type: ignore[arg-type]
    assert answer.modes == {}
    assert answer.text == "skipped: x does not boot"
    full = CacheError("no space left on device")
    for attempt in (
        Attempt(_raising(full), Told(), (VHE,), 1, _leg),  # type: ignore[arg-type]
        Attempt(_built, Told(), (VHE,), 1, _raising(full)),
    ):
        with pytest.raises(CacheError):
            attempt(REVISION)


def test_a_case_shows_where_it_breaks_the_rule_that_it_broke_first() -> None:
    case = parse_case(CASE)
    fine = _leg("fine")
    broken = ModelTarget(Profile(), "broken", make=MUTANTS["finalize-twice"].make)
    question = AnyOf(case)
    assert question.run([fine])["fine"].outcome == PASSES
    assert question.run([broken])["broken"].outcome == SHOWS
    ((rule, at),) = question.seen.items()
    assert at == 3
    assert question.run([fine])["fine"].outcome == PASSES
    assert AnyOf(case, {rule: at}).run([broken])["broken"].outcome == SHOWS
    assert AnyOf(case, {"another.rule": 1}).run([broken])["broken"].outcome == OTHER


def test_a_case_for_longer_vectors_than_there_are_is_not_run() -> None:
    case = parse_case("# requires: vq>=4\n" + CASE)
    tried = AnyOf(case).run([ModelTarget(Profile(vqs=1), "short")])
    assert tried["short"].outcome == ABSENT


# -- the search ------------------------------------------------------------------------


class Line:
    """git's side over a row of revisions, of which it asks one after the other."""

    def __init__(self, count: int) -> None:
        self.revisions = [Revision(str(n), str(n), f"C{n}") for n in range(count)]
        self.marks: dict[str, str] = {}

    @property
    def next(self) -> Revision | None:
        return next((r for r in self.revisions if r.commit not in self.marks), None)

    @property
    def found(self) -> list[Revision]:
        return [r for r in self.revisions if self.marks.get(r.commit) == NEW][:1]

    @property
    def left(self) -> int:
        return len(self.revisions) - len(self.marks)

    def mark(self, revision: Revision, what: str) -> None:
        self.marks[revision.commit] = what


def test_what_git_is_told() -> None:
    line = Line(4)
    outcomes: tuple[dict[str, str], ...] = ({"vhe": PASSES}, {}, {"vhe": OTHER}, {"vhe": SHOWS})
    table = {str(n): Answer(dict(modes)) for n, modes in enumerate(outcomes)}
    asked: list[str] = []
    questioner = Questioner(_raising(AssertionError()), lambda: None, table)  # type: ignore[arg-type]
    found = search(
        line,
        questioner,
        frozenset({"vhe"}),
        BROKEN_BY,
        lambda revision, _: asked.append(revision.commit),
        lambda *_: None,
    )
    assert list(line.marks.values()) == [OLD, SKIP, SKIP, NEW]
    assert [one.commit for one in found] == ["3"]
    assert asked == []  # what is known takes no build


def test_how_long_it_will_take_goes_by_what_was_built() -> None:
    questioner = Questioner(_raising(AssertionError()), lambda: None)  # type: ignore[arg-type]
    assert questioner.seconds(3) == 0
    took = ((100.0, True), (200.0, True), (900.0, True), (1.0, False))
    for n, (seconds, built) in enumerate(took):
        questioner.answers[str(n)] = Answer(seconds=seconds, built=built)
    assert questioner.seconds(3) == 600
    assert bisect.kind(Answer({"vhe": SHOWS}), frozenset({"nvhe"})) == ""
