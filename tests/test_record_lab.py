"""VMMs recorded in the lab: one with the mistakes that people make, and Debian's QEMU."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from corpus.text import parse_case
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.record.log import read
from fuzz.record.written import written
from fuzz.reproduce.tried import FLAGS
from targets.compiler import compile_
from targets.kvm.lab import image
from targets.kvm.recorder import lab
from targets.legs import open_leg

pytestmark = pytest.mark.lab

VMM = Path(__file__).parent / "vmm" / "mistaken.c"
LEG = "kvm:6.12:vhe"

GUEST = struct.pack(
    "<7I",
    *(0xD2A12001, 0x52800DE0, 0xB9000020),  # str 'o', [0x9000000]: the serial port
    *(0x52B08000, 0x72800100, 0xD4000002, 0x14000000),  # SYSTEM_OFF
)


def test_a_vmm_with_mistakes_is_recorded_with_them(tmp_path: Path) -> None:
    program = tmp_path / "mistaken"
    compile_([image.find_compiler(), *FLAGS, "-o", str(program), str(VMM)], "the VMM", tmp_path)
    done = lab.run(LEG, [str(program)], 60)
    assert (done.code, done.output) == (0, "exit 6 at 0x50000000\n")
    log = read(done.log)
    failed = [
        written(log, vm, vcpu).failed for vm, vcpu in ((1, 0), (2, 0), (3, 0), (4, 1), (5, 0))
    ]
    assert failed == [{"EPERM": 1}, {"EINVAL": 1}, {"EPERM": 1}, {"EPERM": 1}, {}]
    assert "write of 0x2a, 4 bytes, to 0x50000000" in written(log).text


def test_debians_qemu_is_recorded_and_its_case_agrees(tmp_path: Path) -> None:
    guest = tmp_path / "guest.bin"
    guest.write_bytes(GUEST)
    machine = ("-M", "virt,gic-version=3", "-accel", "kvm", "-cpu", "host", "-m", "64")
    quiet = ("-display", "none", "-nodefaults", "-serial", "stdio", "-kernel", guest.name)
    command = ["qemu-system-aarch64", *machine, *quiet]
    done = lab.run(LEG, command, 120, ["qemu-system-arm"], [guest])
    assert (done.code, done.output) == (0, "o")
    recorded = written(read(done.log))
    assert "exit system-event: shutdown" in recorded.text
    case = parse_case(recorded.text)
    assert len(case.ops) > 300
    with open_leg(LEG) as leg:
        verdict = judge(case, leg.run(case), leg.profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(case.ops)
