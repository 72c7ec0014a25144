"""What a VMM asks for of devices, capabilities and debugging, from the recorder's log to a case."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus.ops import DeviceAttr, EnableCap, GetReg, Init, SetReg
from corpus.registers import REGISTERS
from corpus.text import parse_case, parse_document
from corpus.wire import VM_PROTECTED, Ask
from fuzz.cli.main import main
from fuzz.record.log import Log, Nr, read
from fuzz.record.written import Written, written
from fuzz.report.remarks import remarks_of
from fuzz.report.walk import Step, any_machine, lines, walk
from targets.profile import Profile
from targets.spec.errno import EINVAL, ENXIO
from targets.spec.errors import Unpredictable
from targets.spec.model import Model
from targets.spec.steps.devices import OTHER_CAPS

MACHINE = any_machine(parse_case("create v0"))
VM, VCPU = 4, 5
Line = Mapping[str, Any]


def line(fd: int, number: int, result: int = 0, **more: Any) -> Line:
    of = {3: "/dev/kvm", VM: "anon_inode:kvm-vm", VCPU: "anon_inode:kvm-vcpu:0"}[fd]
    said = {"kind": "ioctl", "pid": 1, "fd": fd, "of": of, "request": 0xAE00 | number}
    return said | {"result": result} | more


CREATE = line(VM, Nr.CREATE_VCPU, VCPU)
PMU_VCPU = (5).to_bytes(4, "little") + (0x1C).to_bytes(28, "little")
INIT = line(VCPU, Nr.INIT, given=PMU_VCPU.hex())
FINALIZE = line(VCPU, Nr.FINALIZE, given="04000000")


def log_of(*lines: Line, kind: int = 0) -> Log:
    begin = ({"kind": "command", "argv": ["vmm"]}, line(3, Nr.CREATE_VM, VM, arg=kind))
    return read("".join(json.dumps(one) + "\n" for one in (*begin, *lines)))


def said(*lines: Line) -> Written:
    return written(log_of(CREATE, *lines))


def body(*lines: Line) -> list[str]:
    return said(*lines).text.partition("create v0\n")[2].splitlines()


def attr(
    fd: int,
    number: int,
    group: int,
    attribute: int = 0,
    value: bytes = b"",
    result: int = 0,
    flags: int = 0,
    **more: Any,
) -> Line:
    given = struct.pack("<IIQQ", flags, group, attribute, 0x1000) + value
    return line(fd, number, result, given=given.hex(), **more)


def on_vcpu(*args: Any, **more: Any) -> Line:
    return attr(VCPU, *args, **more)


IRQ, INTS, ADDRESS = b"\x17\0\0\0", b"\x1b\0\0\0", (0x4000_F000).to_bytes(8, "little")
JUNK = b"\xee" * 20
"""What lies behind a value in the VMM's memory."""


def test_attributes_of_vcpus_are_ops() -> None:
    assert body(
        on_vcpu(Nr.HAS_ATTR, 0),
        on_vcpu(Nr.SET_ATTR, 0, 0, IRQ + JUNK),
        on_vcpu(Nr.SET_ATTR, 0, 1, JUNK),
        on_vcpu(Nr.SET_ATTR, 0, 2, b"\x10\0\2\0\1\0\0\0" + JUNK[:16], -16),
        on_vcpu(Nr.SET_ATTR, 0, 3, IRQ + JUNK, -6),
        on_vcpu(Nr.SET_ATTR, 1, 1, INTS + JUNK, -22),
        on_vcpu(Nr.GET_ATTR, 1),
        on_vcpu(Nr.SET_ATTR, 2, 0, ADDRESS + JUNK[:16]),
        on_vcpu(Nr.GET_ATTR, 9, 0x8000_0000, result=-6),
    ) == [
        *("attr v0 has pmu", "attr v0 set pmu value=0x17", "attr v0 set pmu attribute=1"),
        *("attr v0 set pmu attribute=2 value=0x100020010", "#: EBUSY"),
        *("attr v0 set pmu attribute=3 value=0x17", "#: ENXIO"),
        *("attr v0 set timer attribute=1 value=0x1b", "#: EINVAL", "attr v0 get timer"),
        "attr v0 set pvtime value=0x4000f000",
        *("attr v0 get 9 attribute=0x80000000", "#: ENXIO"),
    ]


def test_attributes_that_no_op_says_are_remarks() -> None:
    done = said(
        on_vcpu(Nr.HAS_ATTR, 0, 1 << 32, result=-6),
        on_vcpu(Nr.SET_ATTR, 1, 0, INTS + JUNK, flags=2),
        on_vcpu(Nr.SET_ATTR, 0, 0, IRQ[:3], -14),
        on_vcpu(Nr.GET_ATTR, 1, result=-14),
        line(VCPU, Nr.HAS_ATTR, -14, given="0000"),
        on_vcpu(Nr.SET_ATTR, 0, times=3),
    )
    assert (done.ops, done.remarks) == (
        1,
        {
            "attributes of vcpus that no op has": 2,
            "arguments that are not mapped": 3,
            "calls that an older recorder only counted": 3,
        },
    )
    assert "#: KVM_HAS_DEVICE_ATTR, ENXIO: 0.0x100000000\n" in done.text
    assert "#: KVM_SET_DEVICE_ATTR: 1.0x0 flags=0x2\n" in done.text


FILTER = struct.pack("<IIB", 0xC200_0000, 16, 1)


def test_a_filter_of_hypercalls_is_an_op_and_other_attributes_of_vms_are_not() -> None:
    done = said(
        attr(VM, Nr.SET_ATTR, 0, 0, FILTER + bytes(15)),
        attr(VM, Nr.SET_ATTR, 0, 0, FILTER + bytes(14) + b"\1", -22),
        attr(VM, Nr.SET_ATTR, 0, 0, FILTER, -14),
        attr(VM, Nr.HAS_ATTR, 0),
        attr(VM, Nr.SET_ATTR, 0, 0, FILTER + bytes(15), times=2),
    )
    assert "\nfilter 0xc2000000 count=0x10\n" in done.text
    assert (done.ops, done.remarks) == (
        2,
        {
            "attributes of VMs that no op has": 2,
            "arguments that are not mapped": 1,
            "calls that an older recorder only counted": 2,
        },
    )


def cap(number: int, result: int = 0, flags: int = 0, argument: int = 0) -> Line:
    given = struct.pack("<II4Q", number, flags, argument, 0, 0, 0) + bytes(64)
    return line(VM, Nr.ENABLE_CAP, result, given=given.hex())


def test_capabilities_that_take_no_argument_are_ops_and_those_that_are_refused() -> None:
    assert body(
        *(cap(177, argument=7), cap(216), cap(168, -22, flags=1), cap(9999, -22, argument=1)),
        *(cap(228, -22, argument=4096), cap(168, argument=3), cap(228, argument=4096)),
        *(cap(205, -22), cap(205), cap(9999)),
    ) == [
        *("enable-cap nisv_to_user", "enable-cap system_suspend"),
        *("enable-cap 0xa8 flags=1", "#: EINVAL", "enable-cap 0x270f", "#: EINVAL"),
        *("enable-cap eager_split", "#: EINVAL"),
        "#: KVM_ENABLE_CAP, 2 times: manual_dirty_log_protect2=0x3 eager_split=0x1000",
        *("enable-cap mte", "#: EINVAL", "enable-cap mte"),
        "#: KVM_ENABLE_CAP: 9999=0x0",
    ]
    on_vcpu = line(VCPU, Nr.ENABLE_CAP, -22, given=cap(177)["given"])
    assert body(on_vcpu) == ["#: KVM_ENABLE_CAP, EINVAL"]


def test_devices_and_debugging_are_remarks_that_say_what_it_was() -> None:
    def device(kind: int, flags: int = 0, result: int = 0) -> Line:
        return line(VM, Nr.CREATE_DEVICE, result, given=struct.pack("<III", kind, 9, flags).hex())

    def debug(control: int) -> Line:
        return line(VCPU, Nr.SET_GUEST_DEBUG, given=control.to_bytes(8, "little").hex())

    assert body(
        *(device(7, 1), device(7), device(8), device(99, result=-19)),
        *(line(VCPU, Nr.GET_MP), debug(3), debug(0x20001), debug(0), debug(0x100)),
    ) == [
        "#: KVM_CREATE_DEVICE, whether it can be made: vgic-v3",
        *(
            "#: KVM_CREATE_DEVICE, 2 times: vgic-v3 vgic-its",
            "#: KVM_CREATE_DEVICE, ENODEV: type 99",
        ),
        "get-mp v0",
        "#: KVM_SET_GUEST_DEBUG, 4 times: enable+singlestep enable+use_hw none 0x100",
    ]


# What explain makes of it.


def steps(*lines: Line, machine: Profile = MACHINE) -> list[Step]:
    document = parse_document("#: recorded on kvm:x\n" + said(*lines).text)
    return list(walk(document.case, machine, remarks_of(document)))


GIC = line(VM, Nr.CREATE_DEVICE, given=struct.pack("<III", 7, 9, 0).hex())
SET_IRQ = on_vcpu(Nr.SET_ATTR, 0, 0, IRQ + JUNK)
PMU_INIT = on_vcpu(Nr.SET_ATTR, 0, 1)
RUN = line(VCPU, Nr.RUN, got=(bytes(8) + (6).to_bytes(4, "little") + bytes(52)).hex())


@pytest.mark.parametrize("gic", [GIC, line(VM, Nr.CREATE_IRQCHIP)])
def test_a_pmu_beside_an_interrupt_controller_is_as_it_should_be(gic: Line) -> None:
    told = steps(INIT, FINALIZE, gic, SET_IRQ, PMU_INIT, RUN)
    assert not [step for step in told if step.is_otherwise or step.silent]
    assert told[3].rule == "attr.pmu-other"
    assert "Recorded: succeeds." in "\n".join(lines(4, told[3]))


@pytest.mark.parametrize(
    "other",
    [
        line(VCPU, Nr.GET_MP),
        {**GIC, "result": -16},
        line(VM, Nr.CREATE_DEVICE, given=struct.pack("<III", 7, 9, 1).hex()),
        line(VM, Nr.CREATE_DEVICE, given=struct.pack("<III", 4, 9, 0).hex()),
        line(VM, Nr.CREATE_IRQCHIP, -17),
    ],
)
def test_without_one_a_pmu_that_takes_an_interrupt_is_odd(other: Line) -> None:
    told = next(
        step for step in steps(INIT, FINALIZE, other, SET_IRQ) if isinstance(step.op, DeviceAttr)
    )
    assert (told.rule, told.is_odd) == ("attr.pmu-no-gic", True)


def test_a_pmu_that_was_not_set_up_is_why_a_vcpu_does_not_run() -> None:
    last = steps(INIT, FINALIZE, line(VCPU, Nr.RUN, -22))[-1]
    assert (last.rule, last.is_odd) == ("run.pmu-not-created", False)
    assert last.order == "with `attr v0 set pmu attribute=1` right before it it succeeds"
    assert not steps(INIT, FINALIZE, PMU_INIT, RUN)[-1].is_otherwise


def test_where_the_memory_of_the_vmm_decides_nothing_is_odd_and_no_value_told() -> None:
    beyond = (0x9_0000_0000).to_bytes(8, "little")
    x1 = REGISTERS["x1"].id.to_bytes(8, "little") + bytes(8)
    sets = line(VCPU, Nr.SET_ONE_REG, given=(x1 + (7).to_bytes(8, "little")).hex())
    gets = line(VCPU, Nr.GET_ONE_REG, given=x1.hex())
    for result, otherwise in ((0, True), (-22, False)):
        stolen = on_vcpu(Nr.SET_ATTR, 2, 0, beyond + JUNK[:16], result)
        told = steps(INIT, sets, gets, stolen, gets)
        assert [type(step.op) for step in told[1:3]] == [Init, SetReg]
        step = told[4]
        assert (step.rule, step.is_otherwise, step.is_odd) == (
            "attr.pvtime-outside",
            otherwise,
            False,
        )
        assert isinstance(told[5].op, GetReg)
        assert [bool(told[at].values) for at in (3, 5)] == [True, not otherwise]
        shown = "\n".join(lines(5, step))
        assert ("Recorded: it succeeds; that goes by memory and devices" in shown) is otherwise


def test_a_protected_vm_is_made_and_explained_as_one(tmp_path: Path) -> None:
    done = written(log_of(CREATE, INIT, kind=VM_PROTECTED | 40))
    assert done.text.partition("ran 0 times; this is its vcpu 0, as v0\n")[2].splitlines() == [
        *("create-vm protected", "create v0", "init v0 features=psci_0_2,pmu_v3,sve"),
    ]
    assert "create-vm" not in written(log_of(CREATE, kind=40)).text
    file = tmp_path / "x.case"
    file.write_text(done.text)
    told = json.loads(CliRunner().invoke(main, ["explain", "--json", str(file)]).output)
    assert (told[0]["rule"], told[0]["errnos"][0]) == ("vm.type-protected", 0)


# What the specification says of them.


def test_the_number_of_counters_is_an_attribute_of_newer_kernels() -> None:
    for kernel, errors in (((6, 12), {ENXIO}), ((7, 3), {0, ENXIO})):
        model = Model(Profile(features=0x1FF, kernel=kernel))
        document = parse_document("create v0\ninit v0 features=pmu_v3\n")
        for op in document.case.ops:
            for outcome in model.step(op).outcomes[:1]:
                if outcome.effect:
                    outcome.effect()
        has = model.step(DeviceAttr(0, Ask.HAS, 0, 4)).outcomes
        assert {outcome.err for outcome in has} == errors
        sets = {outcome.err for outcome in model.step(DeviceAttr(0, Ask.SET, 0, 4)).outcomes}
        assert (0 in sets) == (0 in errors)
        assert {one.err for one in model.step(DeviceAttr(0, Ask.HAS, 0, 5)).outcomes} == {ENXIO}


def test_of_a_capability_that_goes_by_its_argument_nothing_is_said() -> None:
    for number in OTHER_CAPS:
        with pytest.raises(Unpredictable):
            Model(MACHINE).step(EnableCap(number))
        (flagged,) = Model(MACHINE).step(EnableCap(number, 1)).outcomes
        assert flagged.err == EINVAL
