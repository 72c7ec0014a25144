"""How `vcpufuzz record` ends when it is interrupted, broken off, or asked for what cannot be."""

from __future__ import annotations

import os
import shlex
import struct
import time
from pathlib import Path

import pytest
import recorded_logs
from click.testing import CliRunner, Result

from corpus.domain import TextError
from fuzz.cli.main import main
from fuzz.record.log import read
from targets.kvm import native
from targets.kvm.lab import image
from targets.kvm.recorder import build, elf, lab, recorded


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record on this machine, whatever it is: its command asks nothing of KVM."""
    monkeypatch.setattr(native, "unavailable", lambda: "")
    monkeypatch.setattr(build, "build", lambda: build.build_with("gcc"))


def record(place: Path, script: str, *more: str) -> Result:
    words = ["--out", str(place / "x.case"), "--log", str(place / "log"), *more]
    return CliRunner().invoke(main, ["record", *words, "--", "sh", "-c", script])


def test_a_command_that_ctrl_c_ends_is_recorded_up_to_there(tmp_path: Path) -> None:
    record(tmp_path, f"kill -INT {os.getpid()}; sleep 0.5; exit 6")
    assert read((tmp_path / "log").read_text()).code == 6


def test_sigterm_reaches_the_command(tmp_path: Path) -> None:
    script = f"trap 'exit 7' TERM; kill -TERM {os.getpid()}; while :; do sleep 0.1; done"
    record(tmp_path, script)
    assert read((tmp_path / "log").read_text()).code == 7


def test_a_second_signal_ends_it_and_the_command(tmp_path: Path) -> None:
    mark = tmp_path / "went-on"
    script = (
        f"trap '' INT TERM; kill -INT {os.getpid()}; sleep 0.5; kill -INT {os.getpid()}; sleep 3;"
        f" touch {shlex.quote(str(mark))}"
    )
    done = record(tmp_path, script)
    assert done.exit_code == 130
    assert "stopped by Ctrl-C" in done.output
    assert not (tmp_path / "log").exists()
    time.sleep(3)
    assert not mark.exists()


MADE = recorded_logs.text("mistaken")


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        (MADE, 0, "; the command ended with 9."),
        (MADE[: MADE.rindex('{"kind":"end"')], 3, "the recorder broke off"),
    ],
)
def test_a_recorder_that_broke_off_is_told_behind_what_it_had(
    text: str, code: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = text.replace('"kind":"end","code":0', '"kind":"end","code":9')
    done = recorded.Recorded(125, log, "", "kvm:x")
    monkeypatch.setattr(recorded, "run", lambda *_: done)
    result = record(tmp_path, "exit")
    assert (result.exit_code, why in result.output) == (code, True), result.output
    assert "are in" in result.output
    assert (tmp_path / "x.case").exists()


def test_a_signal_that_ended_it_is_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> recorded.Recorded:
        os.kill(os.getpid(), 2)
        return recorded.Recorded(0, MADE, "", "kvm:x")

    monkeypatch.setattr(recorded, "run", run)
    assert record(tmp_path, "exit").exit_code == 130
    assert (tmp_path / "x.case").exists()


@pytest.mark.parametrize(
    "odd",
    [
        '"given":"abc","got":"d"',  # hexadecimal only when put together
        '"times":0',
        '"times":-3',
        '"arg":-1',
    ],
)
def test_a_log_with_numbers_that_cannot_be_is_a_sentence(odd: str) -> None:
    text = '{"kind":"command","argv":["x"]}\n'
    text += '{"kind":"ioctl","pid":1,"fd":3,"request":44640,"result":0,' + odd + "}\n"
    with pytest.raises(TextError, match="line 2"):
        read(text)


def test_files_of_one_name_and_commands_that_are_too_long_are_a_sentence(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for place in (tmp_path, other):
        (place / "vmm").write_bytes(_elf(183))
    with pytest.raises(TextError, match="two files that are brought are called vmm"):
        lab.run("kvm:6.12:vhe", [f"{tmp_path}/vmm"], 1, [], [other / "vmm"])
    for words in (["vmm", *"x" * 300], ["vmm", "x" * 70_000]):
        with pytest.raises(TextError, match="the command is too long"):
            lab.run("kvm:6.12:vhe", words, 1)


def _elf(machine: int, *segments: int) -> bytes:
    """The head of a program with segments of these types."""
    head = struct.pack("<16s2HI3QI6H", b"\x7fELF\2\1\1", 2, machine, 1, 0, 64, 0, 0, 64, 56, *NONE)
    return (
        head[:56]
        + struct.pack("<H", len(segments))
        + head[58:]
        + b"".join(struct.pack("<2I6Q", kind, *[0] * 7) for kind in segments)
    )


NONE = (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("head", "packages", "why"),
    [
        (b"", False, "is no arm64 program"),
        (b"\x7fELF\2\1", False, "is no arm64 program"),
        (struct.pack("<I", 0xD2A12001) * 99, False, "is no arm64 program"),
        (_elf(62, 1), False, "but one for another machine"),
        (_elf(62, 1), True, "but one for another machine"),
        (_elf(183, 1, 1), False, ""),
        (_elf(183, 1, 3), False, "link it statically"),
        (_elf(183, 1, 3), True, ""),
        (b"#!/bin/sh\n", False, "is a script"),
        (b"#!/bin/sh\n", True, ""),
    ],
)
def test_a_program_that_cannot_run_in_the_lab_is_told_by_its_head(
    head: bytes, packages: bool, why: str, tmp_path: Path
) -> None:
    told = elf.trouble(head, packages)
    assert (why in told, bool(told)) == (True, bool(why))
    if why:
        program = tmp_path / "vmm"
        program.write_bytes(head)
        with pytest.raises(TextError, match=f"vmm .*{why}"):
            lab.run("kvm:6.12:vhe", [str(program)], 1, ["libc6"] if packages else [])


def test_a_program_of_ours_can_run_there() -> None:
    assert elf.trouble(build_for_arm().read_bytes()[: elf.HEAD], False) == ""


def build_for_arm() -> Path:
    return build.build_with(image.find_compiler())
