"""What `run` ends with, the instruction suite, and the commands `rules` and `isa`."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scripted import Scripted, diverge, sound, wrong

from corpus.case import Case, decode
from corpus.isa.table import FORMS
from corpus.ops import ReadAll, Run, SetReg
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.values import Pattern
from db.records import LegRecord
from db.store import Store
from fuzz.campaign.options import CampaignFailed
from fuzz.campaign.status import CampaignStatus
from fuzz.cli import run as run_module
from fuzz.cli import tables
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.cli.plain_options import DEFAULT_DB
from fuzz.cli.screen import Screen
from fuzz.oracle.everywhere import Everywhere
from fuzz.output import OutputError
from fuzz.report.exercised import LAST_CAMPAIGNS, in_reach
from fuzz.suites.isa import LENGTHS, SuiteCase, SuiteResult, run_suite, suite
from fuzz.worker.feedback import USUAL
from targets.base import Target
from targets.profile import Profile
from targets.spec.rules import RULES

STATUS = CampaignStatus(elapsed=1.0, cases=3)


class Fake:
    """In place of a campaign: says what it was asked for, and ends as it is told."""

    asked: Any = None
    hangs = 0
    new_buckets = new_strict = buckets = 0
    fails: BaseException | None = None
    ended = ""

    stopped_by = 0
    began = True
    cases = 3
    show: Any = None

    def __init__(self, options: object, store: object, show: object) -> None:
        type(self).asked, type(self).show = options, show

    def status(self) -> CampaignStatus:
        return CampaignStatus(elapsed=1.0, cases=self.cases)

    def end(self, reason: str) -> None:
        type(self).ended = reason

    def run(self) -> CampaignStatus:
        if self.fails:
            raise self.fails
        self.show(STATUS)
        return STATUS

    def summary(self) -> dict[str, object]:
        return {"cases": 3}


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Fake]]:
    monkeypatch.setattr(run_module, "Campaign", Fake)
    monkeypatch.chdir(tmp_path)
    yield Fake
    Fake.hangs = Fake.new_buckets = Fake.new_strict = Fake.buckets = 0
    Fake.fails = Fake.asked = None
    Fake.stopped_by, Fake.began, Fake.cases, Fake.ended = 0, True, 3, ""


def vcpufuzz(*args: str) -> Result:
    return CliRunner().invoke(main, args)


# -- run -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hangs", "new", "code"), [(0, 0, 0), (0, 1, 77), (0, 9, 77), (1, 0, 70), (2, 3, 70)]
)
def test_how_a_campaign_ends(campaign: type[Fake], hangs: int, new: int, code: int) -> None:
    campaign.hangs, campaign.new_buckets = hangs, new
    done = vcpufuzz("run", "--legs", "model", "--cases", "3")
    assert done.exit_code == code, done.output
    assert (Exit.OK, Exit.HANG, Exit.DIVERGENCE) == (0, 70, 77)
    ended: Any = campaign(None, None, None)
    assert run_module.exit_code(ended, run_module.FailOn.NEW) == code


@pytest.mark.parametrize(
    ("hangs", "new", "stopped_by", "cases", "code"),
    [
        *((0, 0, 2, 3, 130), (0, 0, 15, 3, 143), (0, 0, 2, 0, 130), (0, 0, 0, 0, 3)),
        *((0, 1, 2, 3, 77), (1, 0, 2, 3, 70), (0, 1, 0, 0, 77), (1, 0, 0, 0, 70)),
    ],
)
def test_what_was_found_counts_more_than_how_it_ended(
    campaign: type[Fake], hangs: int, new: int, stopped_by: int, cases: int, code: int
) -> None:
    campaign.hangs, campaign.new_buckets, campaign.stopped_by, campaign.cases = (
        *(hangs, new, stopped_by, cases),
    )
    done = vcpufuzz("run", "--legs", "model")
    assert done.exit_code == code, done.output
    assert ("nothing was checked" in done.output) is (code == 3)


@pytest.mark.parametrize(
    ("fail_on", "counts", "code"),
    [
        *(("new-strict", (0, 0, 5, 9), 0), ("new-strict", (0, 1, 5, 9), 77)),
        *(("new", (0, 1, 0, 9), 0), ("new", (0, 0, 1, 9), 77)),
        *(("any", (0, 1, 1, 0), 0), ("any", (0, 0, 0, 1), 77)),
        *(("never", (0, 9, 9, 9), 0), ("never", (3, 9, 9, 9), 0), ("new-strict", (1, 0, 0, 0), 70)),
    ],
)
def test_what_counts_as_a_failure_is_asked_for(
    campaign: type[Fake], fail_on: str, counts: tuple[int, int, int, int], code: int
) -> None:
    campaign.hangs, campaign.new_strict, campaign.new_buckets, campaign.buckets = counts
    assert vcpufuzz("run", "--legs", "model", "--fail-on", fail_on).exit_code == code


def test_only_a_campaign_that_began_has_a_summary(campaign: type[Fake]) -> None:
    assert "3 cases in 0:01" in vcpufuzz("run", "--legs", "model").output
    campaign.began = False
    campaign.fails = CampaignFailed("so.")
    assert "3 cases in" not in vcpufuzz("run", "--legs", "model").output


@pytest.mark.parametrize(("number", "code"), [(5, 129), (32, 141)])
def test_a_screen_that_is_gone_ends_the_campaign_in_order(
    campaign: type[Fake], monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    class Gone(Screen):
        def update(self, status: CampaignStatus) -> None:
            raise OSError(number, "gone") if number != 32 else BrokenPipeError(number, "gone")

    monkeypatch.setattr(run_module, "open_screen", Gone)
    done = vcpufuzz("run", "--legs", "model")
    assert campaign.ended == "nobody reads the output any more"
    assert done.exit_code == code, done.output


@pytest.mark.parametrize(
    ("began", "stopped_by", "told"), [(True, 0, True), (False, 15, True), (False, 0, False)]
)
def test_a_campaign_that_never_began_tells_nothing_unless_it_was_stopped(
    campaign: type[Fake], began: bool, stopped_by: int, told: bool
) -> None:
    campaign.began, campaign.stopped_by = began, stopped_by
    assert ("3 cases in" in vcpufuzz("run", "--legs", "model").output) is told


def test_flags_that_break_a_campaign_are_refused(campaign: type[Fake]) -> None:
    done = vcpufuzz("run", "--legs", "model", "--", "-seed=abc")
    assert done.exit_code == Exit.USAGE
    assert campaign.asked is None


def test_what_is_asked_for_reaches_the_campaign(campaign: type[Fake], tmp_path: Path) -> None:
    args = (
        "--time",
        "2m",
        "--cases",
        "7",
        "--legs",
        "model,model:zero",
        "--workers",
        "3",
        "--seed",
        "9",
    )
    more = (
        "--corpus",
        str(tmp_path / "c"),
        "--no-kernel-coverage",
        "--reuse-vms",
        "--feedback",
        "rules,kernel",
        "--",
        "-use_value_profile=1",
    )
    done = vcpufuzz("run", *args, *more)
    assert done.exit_code == 0, done.output
    asked = campaign.asked
    assert (asked.legs, asked.seconds, asked.cases) == (("model", "model:zero"), 120.0, 7)
    assert (asked.workers, asked.seed, asked.corpus) == (3, 9, tmp_path / "c")
    assert (asked.kernel_coverage, asked.reuse_vms) == (False, True)
    assert asked.flags == ("-use_value_profile=1",)
    assert asked.feedback == ("rules", "kernel")


def test_what_is_not_asked_for(campaign: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", {0: set(range(6))}.__getitem__)
    assert vcpufuzz("run", "--legs", "model").exit_code == 0
    asked = campaign.asked
    assert (asked.seconds, asked.cases, asked.workers, asked.seed) == (0.0, 0, 3, 0)
    assert (asked.corpus, asked.flags) == (None, ())
    assert (asked.kernel_coverage, asked.reuse_vms) == (True, False)
    assert asked.feedback == USUAL
    monkeypatch.setattr(os, "sched_getaffinity", {0: {0}}.__getitem__)
    assert run_module.default_workers() == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86400), ("0.5m", 30)],
)
def test_durations(campaign: type[Fake], text: str, seconds: float) -> None:
    assert vcpufuzz("run", "--legs", "model", "--time", text).exit_code == 0
    assert campaign.asked.seconds == seconds


@pytest.mark.parametrize("text", ["", "m", "5x", "1h30m", "-5s", "5 m"])
def test_what_is_no_duration_is_refused(campaign: type[Fake], text: str) -> None:
    done = vcpufuzz("run", "--legs", "model", f"--time={text}")
    assert done.exit_code == Exit.USAGE
    assert "is no duration such as 90s, 10m or 2h" in done.output
    assert campaign.asked is None


@pytest.mark.parametrize("text", ["0", "0s", "0.0d", "4000d", "9999999999"])
def test_no_time_at_all_and_ten_years_are_refused(campaign: type[Fake], text: str) -> None:
    done = vcpufuzz("run", "--legs", "model", f"--time={text}")
    assert done.exit_code == Exit.USAGE
    assert "is not between a moment and ten years" in done.output
    assert campaign.asked is None


def test_an_engine_gets_what_is_its_own(
    campaign: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("run", "--legs", "model", "--engine", "hypothesis")
    done = vcpufuzz(*args, "--", "-use_value_profile=1")
    assert done.exit_code == Exit.USAGE
    assert "Hypothesis has no flags of libFuzzer" in done.output
    assert campaign.asked is None
    monkeypatch.setattr(run_module, "find_spec", lambda _: None)
    done = vcpufuzz(*args[:3])
    assert done.exit_code == Exit.UNAVAILABLE
    assert "atheris is not installed" in done.output
    assert campaign.asked is None
    assert vcpufuzz(*args).exit_code == 0
    asked: Any = campaign.asked
    assert asked.engine == "hypothesis"


def test_a_campaign_that_fails_says_why_and_still_writes_its_totals(
    campaign: type[Fake], tmp_path: Path
) -> None:
    campaign.fails = CampaignFailed("no leg could be started.")
    done = vcpufuzz("run", "--legs", "model", "--json", "out.json")
    assert done.exit_code == Exit.UNAVAILABLE
    assert "the campaign stopped: no leg could be started" in done.output
    assert json.loads((tmp_path / "out.json").read_text()) == {"cases": 3}


def test_totals_are_written_where_asked(campaign: type[Fake], tmp_path: Path) -> None:
    assert vcpufuzz("run", "--legs", "model", "--json", "out.json").exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text()) == {"cases": 3}


@pytest.mark.parametrize(("to", "people"), [("-", "stderr"), ("out.json", "stdout")])
def test_what_is_for_people_goes_beside_totals_on_standard_output(
    campaign: type[Fake], to: str, people: str
) -> None:
    done = vcpufuzz("run", "--legs", "model", "--json", to)
    assert done.exit_code == 0
    for place in ("stdout", "stderr"):
        assert ("3 cases in 0:01" in getattr(done, place)) is (place == people)
    if to == "-":
        assert json.loads(done.stdout) == {"cases": 3}


@pytest.mark.parametrize("error", [OSError(28, "It is full"), OutputError("it is full.")])
@pytest.mark.parametrize("fails", [None, CampaignFailed("no leg.")])
def test_totals_that_cannot_be_written_are_told_behind_the_summary(
    campaign: type[Fake], monkeypatch: pytest.MonkeyPatch, error: Exception, fails: Exception | None
) -> None:
    def write_json(*_: object) -> None:
        raise error

    monkeypatch.setattr(run_module, "write_json", write_json)
    campaign.fails = fails
    done = vcpufuzz("run", "--legs", "model", "--json", "out.json")
    assert done.exit_code == Exit.UNAVAILABLE
    assert "3 cases in 0:01" in done.output
    assert ("the campaign stopped: no leg" in done.output) is bool(fails)
    assert ("full" in done.output.splitlines()[-1]) is (fails is None), done.output


def test_a_place_that_cannot_be_written_is_refused_before_the_work(campaign: type[Fake]) -> None:
    done = vcpufuzz("run", "--legs", "model", "--json", "/nodir/out.json")
    assert done.exit_code == Exit.USAGE
    assert "/nodir/out.json" in done.output
    assert campaign.asked is None


# -- the suite -------------------------------------------------------------------------------


def forms(*names: str) -> list[Any]:
    return [FORMS[name] for name in names]


SOME = [name for name in FORMS if name.startswith(("ptrue", "rdvl", "cnt"))][:5]


def test_each_form_is_drawn_so_often_at_each_length() -> None:
    tests = list(suite(random.Random(1), forms(*SOME, "svc", "msr", "brk", "udf"), (1, 3), 2, 2))
    each = -(-len(SOME) // 2)
    assert [tested.vq for tested in tests] == [1] * 2 * each + [3] * 2 * each
    assert [len(tested.forms) for tested in tests[:each]] == [2] * (each - 1) + [2 - len(SOME) % 2]
    for vq in (1, 3):
        ran = [form for tested in tests if tested.vq == vq for form in tested.forms]
        assert sorted(ran) == sorted(SOME * 2)
    assert LENGTHS == (1, 2, 3, 4, 16)


def test_a_suite_case_runs_its_forms_at_its_length_and_looks_at_all() -> None:
    (tested,) = suite(random.Random(1), forms(SOME[0]), (3,), 1)
    case = tested.case
    assert case.min_vq == 3
    (run,) = [op for op in case.ops if isinstance(op, Run)]
    assert [insn.form.name for insn in run.program] == [SOME[0]]
    assert [op.word for op in case.ops[:3]] == ["create", "init", "finalize"]
    assert [op.word for op in case.ops[-3:]] == ["run", "read-all", "read-mem"]
    *_, cpacr, zcr = (op for op in case.ops if isinstance(op, SetReg))
    assert (cpacr.value, zcr.value) == (Pattern("int", 0x330000), Pattern("int", 2))
    assert decode(case.encoded) == case


def test_suite_cases_are_judged_to_their_end() -> None:
    leg = Scripted("kvm:a")
    tests = suite(random.Random(3), forms(*SOME), (1, 16), 1)
    results = list(run_suite(tests, Everywhere([leg])))
    assert results
    assert all(result.diverged is None and result.unjudged == "" for result in results)
    assert {result.leg for result in results} == {"kvm:a"}


def test_only_legs_with_the_length_run_a_case() -> None:
    short, odd = (
        Scripted("kvm:a", profile=Profile(vqs=1)),
        Scripted("kvm:b", profile=Profile(vqs=0b101)),
    )
    tests = list(suite(random.Random(3), forms(SOME[0]), (1, 2, 3), 1))
    ran = [
        (result.tested.vq, result.leg)
        for result in run_suite(iter(tests), Everywhere([short, odd]))
    ]
    assert ran == [(1, "kvm:a"), (1, "kvm:b"), (3, "kvm:b")]


def test_a_result_tells_what_diverged_or_why_it_was_not_judged() -> None:
    tested = SuiteCase(Case(()), (), 1)
    wrong_one = diverge()
    assert SuiteResult(tested, "a", wrong_one).diverged is wrong_one
    assert SuiteResult(tested, "a", wrong_one).unjudged == ""


# -- isa -------------------------------------------------------------------------------------


@pytest.fixture
def legs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Case, int], Trace]]:
    scripts: dict[str, Callable[[Case, int], Trace]] = {}
    monkeypatch.setattr(tables, "resolve_legs", lambda names, _: tuple(names.split(",")))
    opened: list[Target] = []

    def open_legs(names: Sequence[str]) -> list[Target]:
        opened.extend(Scripted(name, scripts.get(name, sound)) for name in names)
        return opened

    monkeypatch.setattr(tables, "open_legs", open_legs)
    return scripts


def bad_x(case: Case, turn: int) -> Trace:
    """Something is wrong in the registers after each run."""
    index = next(n for n, op in enumerate(case.ops) if isinstance(op, ReadAll))
    seen = sound(case).observations[index]
    at = len(seen.data) // 2
    flipped = bytes([*seen.data[:at], seen.data[at] ^ 1, *seen.data[at + 1 :]])
    return wrong(case, index, Observation(seen.err, seen.aux, flipped))


CHECK = ("isa", "--check", "--only", "rdvl", "--vq", "2")


def test_a_check_of_sound_legs_says_how_much_was_run(legs: object) -> None:
    done = vcpufuzz(*CHECK, "--legs", "a,b", "--draws", "3")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["a", "b"]
    assert "3 cases of 1 forms, 0 kinds of divergence, 0 cases not judged" in lines[0]


def test_a_check_that_finds_something_ends_with_77(legs: dict[str, Any]) -> None:
    legs["b"] = bad_x
    done = vcpufuzz(*CHECK, "--legs", "a,b", "--draws", "2")
    assert done.exit_code == Exit.DIVERGENCE, done.output
    first, *rest = done.output.splitlines()
    assert first.startswith("b: ")
    assert "(2 times)" in first
    assert any("a: 2 cases of 1 forms, 0 kinds" in line for line in rest)
    assert any("b: 2 cases of 1 forms, 1 kinds" in line for line in rest)


def test_a_check_for_machines(legs: dict[str, Any]) -> None:
    legs["a"] = bad_x
    done = vcpufuzz(*CHECK, "--legs", "a", "--draws", "2", "--json")
    assert done.exit_code == Exit.DIVERGENCE
    (found,) = json.loads(done.output)
    assert (found["leg"], found["times"], found["forms"]) == ("a", 2, ["rdvl"])
    assert decode(bytes.fromhex(found["case"])).min_vq == 2
    assert found["explanation"].startswith("op ")


def test_a_check_for_machines_that_finds_nothing(legs: object) -> None:
    assert json.loads(vcpufuzz(*CHECK, "--legs", "b", "--json").output) == []


@pytest.mark.parametrize(
    ("label", "bits", "kind"),
    [
        *(("mmio address", 0, "stop"), ("errno", 0, "stop"), ("esr_el1", 1 << 128, "stop")),
        *(("elr_el1", 0, "stop"), ("ending", 0, "stop"), ("fpsr", 1, "fpsr")),
        *(("z3", 1 << 128, "tail"), ("z3", 1 << 127, "result"), ("z3", 1 << 128 | 1, "result")),
        *(("z3", 0, "result"), ("x3", 1 << 128, "result")),
    ],
)
def test_kinds_of_divergence(label: str, bits: int, kind: str) -> None:
    result = SuiteResult(SuiteCase(Case(()), (), 1), "a", diverge(label=label, wrong=bits))
    assert tables._kind(result) == kind


def test_no_such_form(legs: object) -> None:
    done = vcpufuzz("isa", "--only", "frobnicate")
    assert done.exit_code == Exit.USAGE
    assert "no form's name or group contains 'frobnicate'" in done.output


def test_the_table_of_instructions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    Store.open(url).close()
    plain = vcpufuzz("isa", "--only", "rdvl", "--db", url)
    assert plain.exit_code == 0
    assert "rdvl" in plain.output
    (row,) = json.loads(vcpufuzz("isa", "--only", "rdvl", "--db", url, "--json").output)
    form = FORMS["rdvl"]
    assert (row["name"], row["syntax"], row["group"], row["cap"]) == (
        *("rdvl", form.syntax, form.group, form.cap),
    )
    assert (row["used"], row["legs"], row["out_of_reach"]) == (0, [], [])
    assert row["words"] == [f"{word:08x}" for word in form.words]
    assert row["operands"] == [operand.name for operand in form.operands]


# -- rules -----------------------------------------------------------------------------------

PROBE = {"vqs": "1-16", "release": "6.12.9", "mode": "vhe", "cap.sve": "1"}


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/t.db"
    with Store.open(url) as opened:
        for number in range(LAST_CAMPAIGNS + 1):
            legs = [LegRecord("kvm:a", "kvm", PROBE), LegRecord("model", "model")]
            campaign = opened.begin_campaign(number, legs, {})
            used = {"vcpu.create": 2, "isa.rdvl": 1, "only.first" if number == 0 else "x": 1}
            by_leg = {"kvm:a": ["vcpu.create", "isa.rdvl"], "model": ["vcpu.create"]}
            opened.end_campaign(campaign, {"rules": used, "exercised": by_leg}, "time")
    return url


def test_what_the_last_campaigns_used_is_added_up(store: str) -> None:
    used = tables.exercised(store)
    assert LAST_CAMPAIGNS == 10
    assert used.counts["vcpu.create"] == 20
    assert used.counts["only.first"] == 0
    assert used.legs == {"kvm:a": {"vcpu.create", "isa.rdvl"}, "model": {"vcpu.create"}}
    assert set(used.machines) == {"kvm:a"}
    assert used.on("isa.rdvl") == ["kvm:a"]
    assert used.on("vcpu.create") == ["kvm:a", "model"]
    assert used.cells("isa.rdvl") == ("10", "1/2")
    assert used.cells("absent") == ("0", "0/2")


def test_nothing_was_used_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    used = tables.exercised(DEFAULT_DB)
    assert (used.counts, used.legs, used.machines) == ({}, {}, {})
    assert used.cells("x") == ("0", "")
    assert list(tmp_path.iterdir()) == []


def test_what_a_machine_lacks_is_out_of_reach_unless_it_was_used(store: str) -> None:
    used = tables.exercised(store)
    rows = {"el2.init", "vcpu.create"}
    assert used.beyond("kvm:a", rows) == {"el2.init"}
    assert used.beyond("model", rows) == set()
    assert used.out_of_reach("el2.init") == ["kvm:a"]
    assert used.out_of_reach("vcpu.create") == []
    used.legs["kvm:a"].add("el2.init")
    assert used.beyond("kvm:a", rows) == set()
    lacking = Profile(lacks=frozenset({FORMS["rdvl"].cap}))
    assert not in_reach("isa.rdvl", lacking)
    assert in_reach("isa.rdvl", Profile())


def test_rules_are_printed_with_what_used_them(store: str) -> None:
    done = vcpufuzz("rules", "--db", store)
    assert done.exit_code == 0
    (row,) = [line for line in done.output.splitlines() if line.startswith("vcpu.create ")]
    assert row.split()[:4] == ["vcpu.create", RULES["vcpu.create"].cls, "20", "2/2"]
    kvm, model = done.output.splitlines()[-2:]
    beyond = len(tables.exercised(store).beyond("kvm:a", set(RULES)))
    most = len(RULES) - beyond
    assert kvm == (
        f"kvm:a: 1 of {most} rules ({100 / most:.1f} %); {beyond} more need another machine"
    )
    assert model == f"model: 1 of {len(RULES)} rules ({100 / len(RULES):.1f} %)"


def test_rules_for_machines(store: str) -> None:
    rows = {row["id"]: row for row in json.loads(vcpufuzz("rules", "--db", store, "--json").output)}
    assert list(rows) == list(RULES)
    row, rule = rows["vcpu.create"], RULES["vcpu.create"]
    assert (row["class"], row["source"], row["text"]) == (rule.cls, rule.source, rule.text)
    assert (row["used"], row["legs"], row["out_of_reach"]) == (20, ["kvm:a", "model"], [])
    assert rows["el2.init"]["out_of_reach"] == ["kvm:a"]
    changed = rows["init.unknown-feature"]
    assert changed["values"] == [[list(r), v] for r, v in RULES["init.unknown-feature"].values]
    assert (changed["since"], changed["until"]) == ([0, 0], [99, 0])


def test_forms_are_counted_per_leg(store: str) -> None:
    done = vcpufuzz("isa", "--only", "rdvl", "--db", store)
    assert done.output.splitlines()[-2:] == [
        "kvm:a: 1 of 1 forms (100.0 %)",
        "model: 0 of 1 forms (0.0 %)",
    ]


def test_the_case_texts_here_parse() -> None:
    assert parse_case("create v0\n").ops
