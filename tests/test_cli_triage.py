"""Triage at the command line, over a store with findings in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_db_store import KVM, MINIMAL, MODEL, ORIGINAL, RECORD, SIGNATURE

from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from db.records import Earlier, IncidentRecord
from db.store import Store
from fuzz.cli.main import main
from fuzz.cli.views import brief, leg_rows, log_excerpt

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
    assert cli("incidents").output == "No machine broke.\n"
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
    assert cli("incidents", "--campaign", "9").exit_code == 2
    said = cli("list").output.splitlines()[-1]
    assert said == "Machines broke: 1 lost, 1 panic; `vcpufuzz triage incidents` lists them."


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
