"""`triage report`: a finding for people who have never heard of this tool."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_cli_reproduce import CASE, Cli, cli, finding

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.text import format_case, parse_case
from corpus.trace import Ending, Trace
from db.records import CellView, FindingView, LegRecord, TraceView
from fuzz.followup import nearest
from fuzz.followup.nearest import Hint, hint, neighbours
from fuzz.report.story import Story, first_bad, machine, markdown, plain, sysreg_name
from fuzz.reproduce.kselftest import reference
from fuzz.reproduce.tried import Outcome, Tried
from targets.codemap import CodeMap, Function
from targets.kvm.lab import debuginfo
from targets.kvm.lab.image import find_compiler
from targets.model.target import ModelTarget

__all__ = ["cli"]

MACHINE = reference(0xFFFF)
CODE = CodeMap(
    0x1000,
    0x100,
    (Function(0x10, 0x20, "shared", "guest.c"), Function(0x40, 0x20, "culprit", "reset.c")),
)


def leg(release: str, mode: str = "vhe", qemu: str = "7.2", name: str = "") -> LegRecord:
    facts = {"release": release, "mode": mode, "lab.qemu": qemu, "vqs": "1,2,3,4"}
    facts["profile"] = MACHINE.described
    return LegRecord(name or f"kvm:{release}:{mode}", "kvm", facts)


def view_of(record: LegRecord, trace: Trace) -> TraceView:
    return TraceView(record, CASE.id, trace)


def story() -> Story:
    record = finding()
    bad, good = leg("6.12.1", name="kvm:6.12:vhe"), leg("6.1.9")
    found = FindingView(
        *(12, 1, 3, CASE, CASE, format_case(CASE), True, "conformance", "finalize.twice", 3),
        *("EPERM", "success", record.explanation, (3, 3), ("kvm:6.12:vhe",)),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    cell = CellView("kvm:newest:vhe", leg("7.2.3").fingerprint, 12, "passes", "", found.created)
    hinted = Hint(parse_case("create v0\n"), (CODE.functions[1],), (("shared", 2),))
    return Story(
        *(found, "a title", "kernel"),
        [view_of(bad, record.traces["kvm:6.12:vhe"]), view_of(good, record.traces["model"])],
        [cell],
        [Tried("p", "kvm:6.12:vhe", Outcome.FAILS, "not ok 4 finalize v0", "", "6.12.1")],
        "// SPDX: x\nint main(void) { return 0; }\n",
        hint=hinted,
        lines={"culprit": "arch/arm64/kvm/reset.c:101"},
    )


def test_a_report_says_all_that_a_reader_asks() -> None:
    text = plain(story())
    for part in (
        "Subject: KVM: arm64: finalize.twice: finalize v0\n",
        "    ioctl(5, KVM_ARM_VCPU_FINALIZE, [KVM_ARM_VCPU_SVE]) = 0\n",
        "(source: ",
        "Permitted at step 4 for errno:\n\n    EPERM\n",
        "In fresh VMs it showed 3 of 3 times.\n\n    success\n",
        "- affected: Linux 6.12.1, KVM mode vhe, on a CPU that QEMU 7.2",
        "vector lengths 1-4 x 128",
        "- not affected: Linux 6.1.9, KVM mode vhe",
        "- not affected: Linux 7.2.3",
        "The first release that was tried and shows it is 6.12.1; 6.1.9 does not.",
        "It is gone in 7.2.3.",
        "- culprit (arch/arm64/kvm/reset.c:101)\n",
        "blocks that only the former does:\n  shared (2)\n",
        "- fails on 6.12.1: not ok 4 finalize v0\n",
        "    int main(void) { return 0; }\n",
    ):
        assert part in text, part
    assert all(len(line) <= 72 for line in text.splitlines() if not line.startswith("    "))


def test_markdown_says_the_same() -> None:
    text = markdown(story())
    assert text.startswith("# KVM: arm64: finalize.twice: finalize v0\n")
    assert text.count("```") % 2 == 0
    assert "```c\n// SPDX: x\n" in text
    assert "- culprit (arch/arm64/kvm/reset.c:101)" in text
    ticks = replace(story(), program="// SPDX `a` ```b```\n")
    assert "````c\n// SPDX `a` ```b```\n````" in markdown(ticks)
    starred = replace(story(), unsaid="it *cannot* be <said>", program="")
    assert r"It \*cannot\* be \<said\>." in markdown(starred)


def test_what_is_not_known_is_said_or_left_out() -> None:
    text = plain(replace(story(), hint=None, silent="the plugin is not built", tried=()))
    assert "There is none: the plugin is not built." in text
    assert "- it was not run" in text
    bare = plain(replace(story(), views=(), cells=(), hint=None))
    assert "affected" not in bare
    assert "A hint" not in bare


@pytest.mark.parametrize(
    ("shows", "agree", "said"),
    [
        (
            [leg("6.12.1")],
            [],
            ["the first release that was tried and shows it is 6.12.1; none before it was tried."],
        ),
        ([leg("6.12.1")], [leg("6.1.9", "nvhe")], ["none before it was"]),
        ([leg("6.12.1")], [leg("6.1.9", qemu="10.0")], ["none before it was"]),
        ([leg("6.12.1"), leg("6.2.0")], [leg("6.1.9")], ["shows it is 6.2.0; 6.1.9 does not"]),
        ([leg("6.2.0")], [leg("6.12.1")], ["none before", "gone in 6.12.1"]),
        ([], [leg("6.1.9")], []),
    ],
)
def test_the_first_bad_release_is_of_like_machines(
    shows: Sequence[LegRecord], agree: Sequence[LegRecord], said: Sequence[str]
) -> None:
    found = list(first_bad(shows, agree))
    assert len(found) == len(said)
    assert all(part.lower() in line.lower() for part, line in zip(said, found, strict=True))


def test_a_release_on_which_the_program_passes_was_tried() -> None:
    passes = ["6.1.0-50-arm64", "5.10.0", "7.1.0", "odd"]
    (said,) = first_bad([leg("6.12.1")], [], passes)
    assert said.endswith("shows it is 6.12.1; the program below passes on 6.1.0-50-arm64.")
    (said,) = first_bad([leg("6.12.1")], [leg("6.11.0")], passes)
    assert said.endswith("6.11.0 does not.")
    (said,) = first_bad([leg("5.9.1")], [], passes)
    assert said.endswith("none before it was tried.")


def test_a_kernel_goes_by_its_package() -> None:
    facts = {**leg("6.1.0-50-arm64").fingerprint, "lab.kernel_package": "6.1.176-1"}
    assert machine(LegRecord("k", "kvm", facts)).startswith("Linux 6.1.0-50-arm64 (6.1.176-1),")
    found = list(first_bad([LegRecord("k", "kvm", facts)], []))
    assert "6.1.176" in found[0]


def test_a_system_register_is_named_as_the_architecture_does() -> None:
    assert sysreg_name(0xC4F1) == "S3_0_C9_C14_1"


class Traced(ModelTarget):
    """A leg that executes `culprit` in a case with two FINALIZEs, and lets both succeed."""

    code = CODE

    def run(self, case: Case) -> Trace:
        twice = sum(op.word == "finalize" for op in case.ops) > 1
        self.blocks = (0x10, 0x14, 0x40) if twice else (0x10,)
        right = super().run(case)
        seen = tuple(replace(one, err=0) if twice else one for one in right.observations)
        return replace(right, observations=seen)


def test_the_hint_is_what_no_neighbour_executes() -> None:
    with Traced(MACHINE, "model") as target:
        found = hint(CASE, target, MACHINE)
    assert found is not None
    assert [function.name for function in found.functions] == ["culprit"]
    assert found.blocks == (("shared", 1),)
    assert sum(op.word == "finalize" for op in found.neighbour.ops) == 1


def test_there_is_no_hint_where_no_neighbour_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "neighbours", lambda _: iter(()))
    with Traced(MACHINE, "model") as target:
        assert hint(CASE, target, MACHINE) is None


def test_features_are_changed_in_all_inits_at_once() -> None:
    made = parse_case("create v0\ninit v0 features=pmu_v3,sve\nmigrate v0 features=pmu_v3,sve\n")
    texts = [format_case(other) for other in neighbours(made)]
    assert "create v0\ninit v0\nmigrate v0\n" in texts
    assert len(set(texts)) == len(texts)


def test_files_and_lines_come_from_a_vmlinux(tmp_path: Path) -> None:
    source = tmp_path / "k.c"
    source.write_text("int shared(void) { return 1; }\nint culprit(void) { return 2; }\n")
    binary = tmp_path / "vmlinux"
    argv = [find_compiler(), "-g", "-O0", "-nostdlib", "-static", "-Wl,-e,shared"]
    subprocess.run([*argv, "-o", str(binary), str(source)], check=True)
    nm = subprocess.run(
        [find_compiler().removesuffix("gcc") + "nm", str(binary)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    at = {line.split()[2]: int(line.split()[0], 16) for line in nm.splitlines()}
    text = at["shared"]
    functions = tuple(Function(at[name] - text, 8, name, "k.c") for name in ("shared", "culprit"))
    code = CodeMap(text, 0x100, functions)
    assert debuginfo.vmlinux(tmp_path / "Image", "6.12", tmp_path) == binary
    found = debuginfo.lines(binary, code, ["culprit", "unknown"])
    assert {name: line.rpartition("/")[2] for name, line in found.items()} == {"culprit": "k.c:2"}
    assert debuginfo.vmlinux(tmp_path / "a" / "Image", "6.12", tmp_path) is None


def test_the_command_writes_both_forms(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "f.md"
    done = cli("triage", "report", "F1", "--markdown", "--no-run", "--output", str(file))
    assert done.exit_code == 0
    assert file.read_text().startswith("# KVM: arm64: finalize.twice: ")
    mail = cli("triage", "report", "B1", "--no-run")
    assert mail.output.startswith("Subject: KVM: arm64: ")
    unsaid = cli("triage", "report", "F3", "--no-run")
    assert "F3: cannot be said in C: it takes 1 other cases before it." in unsaid.output
    missing = cli("triage", "report", "F99")
    assert missing.exit_code == 2


def test_a_machine_that_broke_is_told_by_how_it_did() -> None:
    fault = Fault(
        FaultKind.WARN, "kvm_timer_update_irq", True, "WARNING: CPU: 0 at arch_timer.c:410"
    )
    log = "[1.0] WARNING: CPU: 0 at arch_timer.c:410 kvm_timer_update_irq+0xb0/0xc0\n"
    log += "[1.1] Call trace:\n[1.2]  kvm_timer_update_irq+0xb0/0xc0\n[1.3] ---[ end trace 0 ]---\n"
    made = story()
    broke = view_of(leg("6.1.9", name="kvm:6.12:vhe"), Trace((), Ending.HOST_LOG, log, fault=fault))
    places = {"kvm_timer_update_irq": "arch_timer.c:410"}
    text = plain(replace(made, views=[broke], lines=places))
    assert text.startswith("Subject: KVM: arm64: warn in kvm_timer_update_irq")
    assert "In one of these steps the machine broke; in which is not known." in text
    assert "The kernel neither crashes nor hangs nor complains" in text
    assert "kvm_timer_update_irq+0xb0/0xc0  arch_timer.c:410" in text
    assert "Permitted at" not in text
