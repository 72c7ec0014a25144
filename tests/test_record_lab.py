"""VMMs recorded in the lab: one with the mistakes that people make, and Debian's QEMU."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from corpus.text import parse_document
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.record.log import read
from fuzz.record.written import written
from fuzz.report.remarks import remarks_of
from fuzz.report.walk import walk
from fuzz.reproduce.tried import FLAGS
from targets.compiler import compile_
from targets.kvm.lab import image
from targets.kvm.recorder import lab
from targets.legs import open_leg

pytestmark = pytest.mark.lab

VMMS = Path(__file__).parent / "vmm"
LEG = "kvm:6.12:vhe"

GUEST = struct.pack(
    "<7I",
    *(0xD2A12001, 0x52800DE0, 0xB9000020),  # str 'o', [0x9000000]: the serial port
    *(0x52B08000, 0x72800100, 0xD4000002, 0x14000000),  # SYSTEM_OFF
)


def compiled(name: str, place: Path) -> Path:
    program = place / name
    source = VMMS / f"{name}.c"
    compile_([image.find_compiler(), *FLAGS, "-o", str(program), str(source)], "the VMM", place)
    return program


def agrees(text: str) -> None:
    """The case runs on the leg as it was recorded to be, but for what the VMM's memory decides."""
    document = parse_document(text)
    with open_leg(LEG) as leg:
        profile = leg.profile
        verdict = judge(document.case, leg.run(document.case), profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(document.case.ops)
    told = list(walk(document.case, profile, remarks_of(document)))
    assert not [step for step in told if step.is_odd or step.silent]


def test_a_vmm_with_mistakes_is_recorded_with_them(tmp_path: Path) -> None:
    program = compiled("mistaken", tmp_path)
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
    attributes = [line for line in recorded.text.splitlines() if line.startswith("attr v0 set")]
    assert attributes[:2] == ["attr v0 set pmu value=0x17", "attr v0 set pmu attribute=1"]
    assert "KVM_CREATE_DEVICE" in recorded.text
    assert "vgic-v3" in recorded.text
    assert recorded.ops > 300
    agrees(recorded.text)


def test_attributes_capabilities_and_filters_are_recorded(tmp_path: Path) -> None:
    done = lab.run(LEG, [str(compiled("devices", tmp_path))], 60)
    assert (done.code, done.output) == (0, "timer 27, exit 6\n")
    text = written(read(done.log)).text
    assert [
        line for line in text.splitlines() if re.match("attr|enable|filter|#: E|#: KVM", line)
    ] == [
        *("enable-cap nisv_to_user", "#: KVM_ENABLE_CAP: manual_dirty_log_protect2=0x1"),
        *("enable-cap 0xffff", "#: EINVAL", "filter 0xc2000000 count=0x10"),
        *("#: KVM_SET_USER_MEMORY_REGION", "attr v0 has pmu"),
        *("attr v0 set pmu value=0x17", "#: EINVAL", "attr v0 set pmu attribute=1"),
        *("attr v0 set pmu attribute=1", "#: EBUSY", "attr v0 get timer"),
        *("attr v0 set pvtime value=0x40008000", "attr v0 has 7", "#: ENXIO"),
        "#: KVM_SET_GUEST_DEBUG: enable",
    ]
    assert "#: exit mmio: write of 0x2a, 4 bytes, to 0x50000000\n#: exit interrupted\n" in text
    agrees(text)
