"""Triage at the command line, over a store with findings in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_db_store import KVM, MINIMAL, MODEL, ORIGINAL, RECORD, SIGNATURE

from corpus.kept import load_kept
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from db.records import Earlier, IncidentRecord, LegRecord
from db.store import Store
from fuzz.cli.main import main
from fuzz.cli.views import leg_rows
from fuzz.followup.cause import at_face_value
from fuzz.followup.signature import signature
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from fuzz.report.findings import brief, log_excerpt
from targets import catalogue
from targets.catalogue import Offer, State
from targets.legs import open_leg

pytestmark = pytest.mark.long

Cli = Callable[..., Result]

_QUIET = [Observation(0)] * 3
TRACES = {
    "model": Trace((*_QUIET, Observation(0, 0, bytes(64)))),
    "kvm:6.12": Trace(
        (*_QUIET, Observation(22, 0, b"\xab" * 64)),
        Ending.HOST_LOG,
        "[1.0] boots\n[2.0] WARNING: CPU: 0 at fpsimd.c\n[2.1] Call trace:\n",
    ),
}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    url = f"sqlite:///{tmp_path}/t.db"
    with Store.open(url) as store:
        campaign = store.begin_campaign(7, [MODEL, KVM], {})
        store.add_finding(campaign, replace(RECORD, traces=TRACES))
        store.add_finding(campaign, replace(RECORD, minimal=ORIGINAL, op_index=4))
        lenient = replace(SIGNATURE, rule="errno-order", legs="every kvm")
        store.add_finding(campaign, replace(RECORD, signature=lenient, strict=False))

    def run(*args: str) -> Result:
        return CliRunner(env={"VCPUFUZZ_DB": url}).invoke(main, ["triage", *args])

    return run


def test_list_is_a_plain_table_in_a_pipe(cli: Cli) -> None:
    heading, *rows = cli("list", "--all", "--order", "last-seen").output.splitlines()
    assert " ".join(heading.split()) == "BUCKET STATUS CLASS SEEN SUSPECT LAST TITLE"
    assert [row.split()[:5] for row in rows] == [
        ["B2", "new", "lenient", "1", "kernel"],
        ["B1", "new", "strict", "2", "kernel"],
    ]
    assert rows[1].endswith("zreg-after-run: get z guest<max (one kernel)")


def test_list_for_machines(cli: Cli) -> None:
    assert cli("status", "B2", "wontfix").output == "B2: new -> wontfix\n"
    (bucket,) = json.loads(cli("list", "--json", "--status", "new").output)
    assert (bucket["bucket"], bucket["class"], bucket["count"]) == ("B1", "strict", 2)
    assert bucket["signature"]["legs"] == "one kernel"
    assert bucket["votes"]["kvm:6.12"] == {"deviated": 2, "agreed": 0, "passes": 0}


def test_show_tells_the_whole_story_of_a_bucket(cli: Cli) -> None:
    assert cli("note", "1", "also on hardware").exit_code == 0
    output = cli("show", "B1").output
    for part in (
        "zreg-after-run: get z guest<max (one kernel)",
        "new, strict, seen 2 times",
        ": also on hardware",
        RECORD.explanation,
        "finalize v0\nget v0 z3\n",
        "At op 3: get v0 z3",
        "WARNING: CPU: 0 at fpsimd.c",
        "More findings: F2",
    ):
        assert part in output
    assert "boots" not in output
    table = [line.split() for line in output.splitlines()]
    assert ["model", "agrees", "ok", "0", "00", "x", "64"] in table
    assert ["kvm:6.12", "deviates", "host-log", "EINVAL", "ab", "x", "64"] in table


def test_show_a_finding_for_machines(cli: Cli) -> None:
    shown = json.loads(cli("show", "F2", "--json").output)
    assert shown["finding"]["finding"] == "F2"
    assert shown["finding"]["case"] == ORIGINAL.id
    assert shown["more_findings"] == []
    legs = json.loads(cli("show", "f1", "--json").output)["finding"]["legs"]
    assert legs["kvm:6.12"]["err"] == 22
    assert legs["kvm:6.12"]["fingerprint"] == dict(KVM.fingerprint)


def test_export_writes_a_case_that_reads_back(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "f.case"
    assert cli("export", "F1", str(path)).exit_code == 0
    assert path.read_text().startswith(f"# {RECORD.explanation}\n")
    assert parse_case(path.read_text()) == MINIMAL
    again = cli("export", "F1", str(path))
    assert (again.exit_code, again.stderr) == (2, f"vcpufuzz: {path}: file exists\n")
    assert cli("export", "F2", str(path), "--force").exit_code == 0
    assert parse_case(path.read_text()) == ORIGINAL
    assert parse_case(cli("export", "F1", "-").output) == MINIMAL


def test_incidents_are_listed_and_counted(cli: Cli, tmp_path: Path) -> None:
    assert cli("incidents").output == "No machine broke, and all that was suspected showed again.\n"
    with Store.open(f"sqlite:///{tmp_path}/t.db") as store:
        lost = IncidentRecord("kvm:6.12", "lost", "killed by SIGKILL", "lab: QEMU was killed\n")
        for record in (lost, replace(lost, kind="panic", place="do_exit", case=ORIGINAL)):
            store.add_incident(1, record)
        store.add_incident(1, replace(lost, investigating=True))
    _, *rows = cli("incidents").output.splitlines()
    assert [row.split()[3:5] for row in rows] == [
        ["kvm:6.12", "lost"],
        ["kvm:6.12", "panic"],
        ["kvm:6.12", "lost,"],
    ]
    assert "killed by SIGKILL" in rows[0]
    assert rows[1].endswith(ORIGINAL.id[:12])
    first, *_ = json.loads(cli("incidents", "--campaign", "1", "--json").output)
    assert (first["kind"], first["log"], first["case"]) == ("lost", "lab: QEMU was killed\n", None)
    assert first["text"] is None
    assert parse_case(cli("incidents", "--case", ORIGINAL.id[:12]).output) == ORIGINAL
    nothing = cli("incidents", "--case", "zzz")
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert "an id that begins with 'zzz'" in nothing.stderr
    assert cli("incidents", "--campaign", "9").exit_code == 2
    said = cli("list").output.splitlines()[-1]
    assert said == "Incidents: 1 lost, 1 panic; `vcpufuzz triage incidents` lists them."


def test_what_a_finding_needs_before_it_is_shown(cli: Cli, tmp_path: Path) -> None:
    before = (Earlier(parse_case("create v2\n")), Earlier(parse_case("create v1\n"), shared=True))
    with Store.open(f"sqlite:///{tmp_path}/t.db") as store:
        needs = store.add_finding(1, replace(RECORD, preceding=before)).finding_id
        never = replace(RECORD, preceding=before, reproduced=(0, 3))
        unseen = store.add_finding(1, never).finding_id
    shown = cli("show", f"F{needs}").output
    assert "It takes 2 other cases before, in a fresh machine; the last of them:" in shown
    assert "  create v1\n" in shown
    assert "The machine had run 2 other cases" in cli("show", f"F{unseen}").output
    told = json.loads(cli("show", f"F{needs}", "--json").output)["finding"]["preceding"]
    assert [(one["text"], one["shared"]) for one in told] == [
        ("create v2\n", False),
        ("create v1\n", True),
    ]
    assert "# only after 2 other cases" in cli("export", f"F{needs}", "-").output


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("show", "B9"), "there is no bucket 9"),
        (("show", "F9"), "there is no finding 9"),
        (("show", "x"), "'x' is not a bucket such as B3 or a finding such as F12"),
        (("status", "F1", "known"), "'F1' is not a bucket such as B3"),
        (("status", "B1", "done"), "'done' is not one of"),
        (("note", "B9", "x"), "there is no bucket 9"),
        (("undo",), "there is no change to undo"),
        (("undo", "7"), "there is no change 7"),
        (("merge", "B1", "B1"), "cannot be merged with itself"),
        (("split", "B1", "F1", "F2"), "nothing would be left of bucket 1"),
        (("split", "B1", "F3"), "bucket 1 has no finding 3"),
        (("same", "B1", "B2"), "nothing says that bucket 1 is the same as 2"),
        (("status", "B1", "duplicate"), "Say `duplicate --of BUCKET`"),
        (("status", "B1", "new", "--of", "B2"), "Say `duplicate --of BUCKET`"),
        (("status", "B1", "known", "--in", "6"), "--in goes with fixed"),
        (("status", "B99999999999", "known"), "is not a bucket such as B3"),
        (("mute", "--rule", "x"), "Say why, with --reason"),
        (("mute", "--reason", "x"), "Say what to mute"),
        (("mute", "--rule", "x", "--reason", "y", "--until", "2020-01-01"), "be over already"),
        (("mute", "--end", "4"), "there is no mute 4"),
        (("list", "--since", "soon"), "is neither a day such as 2026-01-31 nor a time such as"),
        (("list", "--campaign", "9"), "there is no campaign 9"),
        (("import", "/proc/version"), "/proc/version is no export of vcpufuzz"),
        (("import", "/no/such"), "does not exist"),
        (("history", "B9"), "there is no bucket 9"),
        (("promote", "B9"), "there is no bucket 9"),
        (("rejudge", "B9"), "there is no bucket 9"),
        (("note", "B1", " "), "The note is empty."),
        (("export", "F1", "/no/such/dir/f.case"), "/no/such/dir/f.case: no such file"),
    ],
)
def test_wrong_input_is_a_sentence(cli: Cli, args: tuple[str, ...], sentence: str) -> None:
    result = cli(*args)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_without_a_database_there_is_nothing_to_list(tmp_path: Path) -> None:
    def run(*args: str) -> Result:
        return CliRunner().invoke(main, ["triage", *args, "--db", str(tmp_path / "none.db")])

    assert run("list").output.startswith("Nothing has been found yet: there is no database")
    assert run("list").exit_code == 0
    assert json.loads(run("list", "--json").output) == []
    assert run("show", "B1").exit_code == 2
    assert not (tmp_path / "none.db").exists()
    Store.open(str(tmp_path / "none.db")).close()
    assert run("list").output == "Nothing found yet.\n"
    assert run("list", "--status", "new").output == "No bucket is like that.\n"


def test_a_long_value_is_shown_from_where_it_differs(cli: Cli, tmp_path: Path) -> None:
    odd = bytes(40) + b"\x01" + bytes(23)
    traces = {"model": Trace((Observation(0, 0, bytes(64)),)), "kvm:6.12": Trace(())}
    traces["emulator"] = Trace((Observation(0, 0, odd),))
    with Store.open(str(tmp_path / "t2.db")) as store:
        campaign = store.begin_campaign(1, [], {})
        record = replace(RECORD, traces=traces, op_index=0, deviating=("emulator",))
        finding = store.add_finding(campaign, record).finding_id
        rows = {row[0]: row[1:] for row in leg_rows(store.finding(finding), store.traces(finding))}
    assert rows["emulator"][-1].startswith("64 bytes, from byte 40: 01 00")
    assert rows["kvm:6.12"] == ("agrees", "ok", "-", "not reached")


def test_bytes_are_put_briefly() -> None:
    assert brief(b"") == "no data"
    assert brief(b"\0" * 4) == "00 x 4"
    assert brief(b"\1\2") == "01 02"
    assert brief(bytes(range(100))).endswith("(100 bytes)")


def test_a_log_is_cut_to_what_tells() -> None:
    quiet = "\n".join(f"line {n}" for n in range(99))
    assert log_excerpt(Trace((), Ending.OK, quiet)) == []
    assert log_excerpt(Trace((), Ending.HANG, quiet))[-1] == "line 98"
    assert log_excerpt(Trace((), Ending.OK, quiet + "\nBUG: x\nthen"))[0] == "BUG: x"


def test_what_is_new_comes_first_and_what_is_known_in_a_line(cli: Cli) -> None:
    assert cli("status", "B2", "known").exit_code == 0
    output = cli("list").output
    first, *_ = output.splitlines()
    assert first == "1 new:"
    assert "B1  strict, suspect: kernel" in output
    assert "must read as zero" in output
    assert output.splitlines()[-1] == "1 recorded: 1 of KVM"
    assert max(map(len, output.splitlines())) <= 80
    cli("status", "B1", "confirmed")
    output = cli("list").output
    assert output.startswith("Nothing is new.\n")
    assert "confirmed" in output
    cli("mute", "--rule", "zreg*", "--reason", "noise")
    assert cli("list").output.splitlines()[-1] == "1 muted"
    assert "confirmed, muted" in cli("list", "--muted").output


@pytest.mark.parametrize(
    ("args", "rows"),
    [
        (("--leg", "kvm:*"), 2),
        (("--leg", "model"), 0),
        (("--rule", "errno-*"), 1),
        (("--strict",), 1),
        (("--campaign", "1"), 2),
        (("--since", "1h"), 2),
        (("--since", "2020-01-01 12:00"), 2),
        (("--owner", ""), 2),
        (("--owner", "ada"), 0),
        (("--text", "READ AS ZERO"), 2),
        (("--suspect", "emulator"), 0),
        (("--status", "new", "--status", "known"), 2),
    ],
)
def test_filters_make_a_table(cli: Cli, args: tuple[str, ...], rows: int) -> None:
    assert len(json.loads(cli("list", "--json", *args).output)) == rows
    output = cli("list", *args).output
    assert output.count("\nB") == rows
    assert rows or output == "No bucket is like that.\n"


def test_decisions_are_told_and_can_be_taken_back(cli: Cli) -> None:
    assert cli("owner", "B1", "ada").output == "B1: owner is ada\n"
    assert cli("link", "B1", "https://example.org/7").output.startswith("B1: tracked at https")
    assert cli("split", "B1", "F2", "--title", "apart").output == "B1: 1 finding moved to B3\n"
    assert cli("merge", "B1", "B3", "b2").output == "B1: has the findings of B3, B2 now\n"
    assert cli("show", "B2").output.startswith("B2 is part of B1 now:\n")
    assert cli("show", "F3").output.startswith("B1  zreg-after-run")
    shown = json.loads(cli("show", "B1", "--json").output)
    assert (shown["count"], len(shown["signatures"])) == (3, 2)
    heading, *rows = cli("history").output.splitlines()
    assert heading.split()[:2] == ["CHANGE", "WHEN"]
    assert [row.split()[0] for row in rows] == ["4", "3", "2", "1"]
    assert cli("undo").output == "change 4 (bucket 1, bucket 2, bucket 3) is undone, by change 5\n"
    assert "undone by 5" in cli("history", "B2").output
    assert json.loads(cli("undo", "5", "--json").output)["undoes"] == 5
    redone = json.loads(cli("history", "--json", "--limit", "1").output)
    assert redone[0]["after"]["bucket 3"]["status"] == "duplicate"
    assert cli("status", "B1", "fixed", "--in", "6.12.60").output == "B1: new -> fixed\n"
    assert cli("show", "B1").output.splitlines()[1].startswith("fixed in 6.12.60, strict")


def test_a_duplicate_says_of_which(cli: Cli) -> None:
    said = cli("status", "B2", "duplicate", "--of", "B1").output
    assert said == "B2: new -> duplicate of B1\n"
    assert "B2" not in cli("list", "--all").output
    (bucket,) = json.loads(cli("list", "--json", "--status", "duplicate").output)
    assert (bucket["bucket"], bucket["duplicate_of"]) == ("B2", "B1")


def test_mutes_are_listed_and_end(cli: Cli) -> None:
    assert cli("mute").output == "Nothing is muted.\n"
    args = ("--rule", "errno*", "--leg", "kvm:*", "--to", "6.12", "--until", "4w")
    said = cli("mute", *args, "--reason", "old").output
    assert said == "mute 1: covers 0 of today's buckets\n"  # their kernels are not known
    _, row = cli("mute").output.splitlines()
    assert row.split()[:4] == ["1", "errno*", "kvm:*", "..."]
    assert cli("mute", "--end", "1").output == "mute 1: ended\n"
    assert json.loads(cli("mute", "--json").output)[0]["holds"] is False


def test_what_is_probably_the_same_is_shown_and_settled(cli: Cli, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/t.db") as store:
        store.propose_same(2, 1, "it vanishes when B1's rule is broken", "a test")
    assert "probably the same as B1: it vanishes when" in cli("show", "B2").output
    assert "\n    probably the same as B1\n" in cli("list").output
    listed = {one["bucket"]: one["same_as"] for one in json.loads(cli("list", "--json").output)}
    assert (listed["B1"], listed["B2"][0]["other"]) == ([], "B1")
    assert cli("same", "B2", "B1", "--no").output == "B2: is another than B1\n"
    assert "probably" not in cli("show", "B2").output
    assert cli("same", "B2", "B1").output == "B2: is part of B1\n"


def test_buckets_and_databases_are_files(cli: Cli, tmp_path: Path) -> None:
    one, everything = str(tmp_path / "one"), str(tmp_path / "all")
    assert cli("export", "B1", one).output == f"B1: written to {one}\n"
    assert json.loads(cli("export", "all", everything, "--json").output)["what"] == "all"
    new = ("--db", str(tmp_path / "new.db"))
    said = cli("import", one, *new).output
    assert said == f"{one}: 1 buckets, 2 findings are new; it is about B1\n"
    told = json.loads(cli("import", everything, "--json", *new).output)
    assert (told["what"], told["new"]["buckets"]) == ("database", 1)
    assert "nothing in it is new" in cli("import", everything, *new).output
    assert len(json.loads(cli("list", "--json", *new).output)) == 2
    path = Path(everything)
    path.write_bytes(path.read_bytes()[:-7])
    refused = cli("import", everything, *new)
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"vcpufuzz: {everything} is damaged or cut off: its content does not match its digest\n",
    )


def test_a_case_is_promoted_to_be_kept(cli: Cli, tmp_path: Path) -> None:
    kept = ("--folder", str(tmp_path))
    said = cli("promote", "B1", "--name", "mine", *kept).output
    assert said == f"B1: written to {tmp_path}/mine.case\n"
    item = load_kept(tmp_path / "mine.case")
    assert (item.case, item.known) == (MINIMAL, ())
    with Store.open(f"sqlite:///{tmp_path}/t.db") as store:
        leg = LegRecord("kvm:6.12", "kvm", {"release": "6.12.57", "mode": "vhe"})
        campaign = store.begin_campaign(9, [MODEL, leg], {})
        record = replace(RECORD, signature=replace(SIGNATURE, rule="isa.add_zz"), traces=TRACES)
        number = store.add_finding(campaign, record).bucket_id
    args = ("promote", f"B{number}", "--as", "known", "--effect", "tail", *kept)
    assert cli(*args, "--name", "known", "--about", "It keeps the tail.").exit_code == 0
    known = load_kept(tmp_path / "known.case")
    assert known.about == "It keeps the tail."
    assert known.matches
    assert known.is_about(known.matches[0])
    assert known.covers(leg, "isa.add_zz")
    other = LegRecord("kvm:7.2", "kvm", {"release": "7.2.1", "mode": "vhe"})
    assert not known.covers(other, "isa.add_zz")
    for extra, sentence in (
        (("--effect", "nonsense"), "'nonsense' is none of"),
        (("--name", "../x"), "is no name of a file"),
        (("--name", "known"), "file exists"),
    ):
        refused = cli(*args, *extra)
        assert refused.exit_code == 2
        assert sentence in refused.stderr


def test_a_bucket_is_run_again_and_judged_again(tmp_path: Path) -> None:
    leg = "mutant:finalize-twice"
    case = parse_case("create v0\ninit v0 features=sve\nfinalize v0\nfinalize v0\n")
    url = f"sqlite:///{tmp_path}/m.db"
    with open_leg(leg) as target, Store.open(url) as store:
        campaign = store.begin_campaign(1, [LegRecord(leg, "mutant", target.fingerprint)], {})
        verdict = judge(case, target.run(case), target.profile)
        assert isinstance(verdict, Diverge)
        record = replace(
            RECORD,
            signature=signature(verdict.oracle, at_face_value(case, verdict), leg),
            minimal=case,
            deviating=(leg,),
            op_index=3,
            traces={leg: target.run(case)},
        )
        store.add_finding(campaign, record)

    def run(*args: str) -> Result:
        return CliRunner(env={"VCPUFUZZ_DB": url}).invoke(main, ["triage", *args])

    _, row, last = run("retest", "B1").output.splitlines()
    assert (row.split()[:2], last) == ([leg, "3/3"], "B1 is new")
    told = json.loads(run("retest", "B1", "--legs", "model", "--times", "1", "--json").output)
    assert told["legs"][0] == {"leg": "model", "seen": 0, "tried": 1, "said": ""}
    _, one, other = run("matrix", "B1", "--legs", f"model,{leg}").stdout.splitlines()
    assert (one.split()[:2], other.split()[:2]) == (["model", "passes"], [leg, "shows"])
    assert "shows" in run("show", "B1").output
    with pytest.MonkeyPatch.context() as patch:
        offered = [
            Offer(name, "emulator", State.READY)
            for name in ("model:zero", "kvm:linux@0123456789ab:vhe", "model:keep:vq=1")
        ]
        patch.setattr(catalogue, "offers", lambda _: offered)
        grid = run("matrix", "B1")
    # What was known before stands beside; kernels of trees, and single lengths, are left out.
    assert grid.stderr.splitlines() == ["model:zero: passes"]
    heading, *rows = (line.split() for line in grid.stdout.splitlines())
    assert heading == ["-", "FINALIZE-TWICE", "ZERO"]
    assert rows == [
        ["model", "passes", "-", "passes"],
        ["mutant", "-", "shows", "-"],
    ]
    assert run("rejudge").output == "1 stands\n"
    assert json.loads(run("rejudge", "B1", "--json").output)[0]["outcome"] == "stands"
    assert run("retest", "B9").exit_code == 2


def test_a_campaign_that_was_cut_off_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cut off" not in cli("list").output
    monkeypatch.setattr("db.queries.SILENT", timedelta(seconds=-1))
    assert cli("list").output.splitlines()[-1].startswith("Campaign 1 was cut off (last heard of")
