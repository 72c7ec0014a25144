"""From the recorder's log to a case, and what `explain` makes of it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import recorded_logs
from click.testing import CliRunner, Result

from corpus.case import MAX_OPS, MOST_OPS, decode
from corpus.domain import TextError
from corpus.ops import GetReg, Init, SetReg
from corpus.registers import REGISTERS, VLS_ID
from corpus.text import format_case, parse_case, parse_document
from corpus.values import Pattern
from corpus.wire import EVENTS
from fuzz.cli.main import main
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.record.log import Log, Nr, read, with_leg
from fuzz.record.ops import pattern_of
from fuzz.record.written import NotRecorded, Written, written
from fuzz.report.remarks import remarks_of, short
from fuzz.report.walk import Step, any_machine, folded, lines, walk
from targets.model.target import ModelTarget
from targets.spec.errno import error_name

MISTAKEN, QEMU = read(recorded_logs.text("mistaken")), read(recorded_logs.text("qemu"))
MACHINE = any_machine(parse_case("create v0"))


def ops(done: Written) -> list[str]:
    """The lines of a text that are ops, and what failed."""
    return [line for line in done.text.splitlines() if not line.startswith("#") or "#: E" in line]


def steps(done: Written) -> list[Step]:
    document = parse_document(done.text)
    return list(walk(document.case, MACHINE, remarks_of(document)))


FIRST = ["create v0", "preferred-target", "init v0"]


@pytest.mark.parametrize(
    ("vm", "vcpu", "end", "rule", "order"),
    [
        (
            *(1, 0, ["finalize v0", "set-vls v0 1", "#: EPERM"]),
            "vls.after-finalize",
            "before step 4 (`finalize v0`) it succeeds",
        ),
        (
            *(2, 0, ["finalize v0", "set v0 v0 1", "#: EINVAL"]),
            "core.v-on-sve",
            "as `set v0 z0 1` it succeeds",
        ),
        (
            *(3, 0, ["set v0 z0 0", "#: EPERM"]),
            "sve.not-finalised",
            "with `finalize v0` right before it it succeeds",
        ),
        (
            *(4, 1, ["finalize v0", "set-vls v0 1-16", "#: EPERM"]),
            "vls.after-finalize",
            "before step 5 (`finalize v0`) it succeeds",
        ),
    ],
)
def test_the_mistakes_that_people_make_are_explained(
    vm: int, vcpu: int, end: list[str], rule: str, order: str
) -> None:
    done = written(MISTAKEN, vm, vcpu)
    begin = [line for line in ops(done) if line != "preferred-target"]
    expected = [line for line in [*FIRST, *end] if line != "preferred-target"]
    assert begin[: len(expected)] == expected
    assert sum(done.failed.values()) == 1
    (failed,) = [step for step in steps(done) if step.fails]
    assert (failed.rule, failed.order) == (rule, order)
    assert failed.recorded == failed.outcomes[0]


def test_the_vm_that_ran_is_the_usual_one_and_its_run_is_told_by_its_exit() -> None:
    done = written(MISTAKEN)
    assert ops(done) == [
        *FIRST,
        *("set-vls v0 1", "finalize v0", "set v0 pc 0x40000000", "run v0 immediate=yes { }"),
    ]
    assert "#: exit mmio: write of 0x2a, 4 bytes, to 0x50000000" in done.text
    assert done.remarks == {"other KVM ioctls": 1, "calls on other descriptors": 1}
    last = steps(done)[-1]
    assert last.ran == ("mmio: write of 0x2a, 4 bytes, to 0x50000000",)
    assert not last.is_odd


def test_no_call_of_a_vm_is_lost() -> None:
    for log in (MISTAKEN, QEMU):
        for vm in range(1, 4):
            done = written(log, vm)
            said = next(line for line in done.text.splitlines() if f"VM {vm}: " in line)
            calls = int(said.partition("; ")[2].partition(" ")[0])
            runs = sum(call.times - 1 for call in log.calls if hasattr(call, "times"))
            calls += done.remarks["calls on other descriptors"]
            calls -= done.text.count("\n#: exit ") - done.text.count("\nrun ")  # several are one
            assert calls <= done.ops + sum(done.remarks.values()) <= calls + runs


def test_debians_qemu_is_a_case_on_which_model_and_specification_agree() -> None:
    done = written(QEMU)
    assert done.ops > MAX_OPS
    assert done.failed == {"E2BIG": 1}
    assert done.remarks["registers outside the specification"] > 1000
    assert done.remarks["calls on other vcpus"] > 1000
    document = parse_document(done.text)
    case = document.case
    assert "".join(ops(done)[:5]) == (
        "enable-cap nisv_to_usercreate v0"
        "init v0 features=psci_0_2,pmu_v3,sve,ptrauth_address,ptrauth_generic"
        "set-vls v0 1-16finalize v0"
    )
    assert [line for line in ops(done) if line.startswith("attr")] == [
        *("attr v0 has pmu", "attr v0 set pmu value=0x17"),
        *("attr v0 has pmu attribute=1", "attr v0 set pmu attribute=1"),
        *("attr v0 has pvtime", "attr v0 set pvtime value=0x90a0000"),
    ]
    assert "#: exit mmio: write of 0x6f, 4 bytes, to 0x9000000" in done.text
    assert "#: exit system-event: shutdown" in done.text
    with ModelTarget(MACHINE) as target:
        verdict = judge(case, target.run(case), MACHINE)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(case.ops)
    told = list(walk(case, MACHINE, remarks_of(document)))
    assert len(told) == len(case.ops)
    assert not [step for step in told if step.is_odd or step.silent]
    assert len(list(folded(told))) < len(told) / 2


def test_the_other_vcpu_of_qemu_is_asked_for_as_much() -> None:
    first, second = written(QEMU, vcpu=0), written(QEMU, vcpu=1)
    assert "its vcpu 1, as v0" in second.text
    assert abs(first.ops - second.ops) < 10
    assert ("set-mp v0 runnable" in first.text, "set-mp v0 stopped" in first.text) == (True, False)
    assert "set-mp v0 stopped" in second.text


def test_a_long_case_is_the_same_in_every_form() -> None:
    case = parse_document(written(QEMU).text).case
    assert decode(case.encoded) == case
    assert parse_case(format_case(case)) == case
    short = parse_case("create v0\n" * MAX_OPS)
    assert short.encoded[0] == 0
    assert decode(short.encoded) == short


# What no kept log has.

VM, VCPU = 4, 5
REQUESTS = {Nr.CREATE_VM: "sys", Nr.CREATE_VCPU: "vm", Nr.PREFERRED_TARGET: "vm"}


def line(number: int, result: int = 0, **more: Any) -> Mapping[str, Any]:
    fd = {"sys": 3, "vm": VM}.get(REQUESTS.get(Nr(number), "vcpu"), VCPU)
    of = {3: "/dev/kvm", VM: "anon_inode:kvm-vm", VCPU: "anon_inode:kvm-vcpu:0"}[fd]
    said = {"kind": "ioctl", "pid": 1, "fd": fd, "of": of, "request": 0xAE00 | number}
    return said | {"result": result} | more


def log_of(*lines: Mapping[str, Any]) -> Log:
    begin = ({"kind": "command", "argv": ["vmm"]}, line(Nr.CREATE_VM, VM))
    return read("".join(json.dumps(one) + "\n" for one in (*begin, *lines)))


CREATE = line(Nr.CREATE_VCPU, VCPU)


def one_reg(number: int, reg: int, value: bytes = b"", result: int = 0) -> Mapping[str, Any]:
    given = reg.to_bytes(8, "little") + bytes(8) + value
    return line(number, result, given=given.hex())


def body(*lines: Mapping[str, Any]) -> list[str]:
    text = written(log_of(CREATE, *lines)).text
    return text.partition("create v0\n")[2].splitlines()


def test_calls_are_ops() -> None:
    init = (5).to_bytes(4, "little") + (0x14).to_bytes(28, "little")
    assert body(
        line(Nr.INIT, given=init.hex()),
        line(Nr.FINALIZE, -22, given="09000000"),
        line(Nr.SET_MP, given="05000000"),
        line(Nr.GET_MP),
        line(Nr.REG_LIST, -7, given="03" + "00" * 7),
        one_reg(Nr.SET_ONE_REG, VLS_ID, (5).to_bytes(64, "little")),
        one_reg(Nr.GET_ONE_REG, VLS_ID),
        one_reg(Nr.SET_ONE_REG, REGISTERS["z3"].id, b"\xab" * 256),
        one_reg(Nr.GET_ONE_REG, REGISTERS["x1"].id),
    ) == [
        "init v0 features=psci_0_2,sve",
        *("finalize v0 what=9", "#: EINVAL", "set-mp v0 stopped", "get-mp v0"),
        *("reg-list v0 room=3", "#: E2BIG", "set-vls v0 1,3", "get-vls v0"),
        *("set v0 z3 0xab*", "get v0 x1"),
    ]


def events(*flags: int, esr: int = 0, reserved: int = 0) -> Mapping[str, Any]:
    data = EVENTS.pack(*flags, 0, esr, *[0] * 11, reserved)
    return line(Nr.SET_EVENTS, given=data.hex())


def test_events_are_ops_where_an_op_sets_them() -> None:
    assert body(
        *(events(0, 0, 0, 0), events(1, 1, 0, 0, esr=0x2A), events(0, 0, 1, 0, reserved=0x80)),
        line(Nr.GET_EVENTS),
    ) == [
        *("set-events v0", "set-events v0 serror=yes has_esr=yes esr=0x2a"),
        *("set-events v0 abort=yes reserved=0x80", "get-events v0"),
    ]
    odd = [events(2, 0, 0, 0), events(0, 0, 0, 1), events(0, 0, 0, 0, reserved=0x100)]
    done = written(log_of(CREATE, *odd, line(Nr.SET_EVENTS, -14, given="01")))
    assert (done.ops, done.remarks) == (
        1,
        {"events that no op sets": 3, "arguments that are not mapped": 1},
    )
    assert "#: KVM_SET_VCPU_EVENTS, 3 times: 0x2 0x1000000\n" in done.text


def test_an_answer_that_has_no_place_is_a_remark() -> None:
    done = written(
        log_of(
            CREATE,
            one_reg(Nr.GET_ONE_REG, REGISTERS["x1"].id, result=-14),
            one_reg(Nr.GET_ONE_REG, VLS_ID, result=-14),
            line(Nr.REG_LIST, -14, given="03" + "00" * 7),
            line(Nr.GET_MP, -14),
            line(Nr.GET_EVENTS, -14),
            line(Nr.PREFERRED_TARGET, -14),
        )
    )
    assert (done.ops, done.remarks) == (1, {"arguments that are not mapped": 6})
    assert "#: KVM_GET_ONE_REG, 2 times, EFAULT\n#: KVM_GET_REG_LIST, EFAULT\n" in done.text
    assert body(line(Nr.GET_MP, -8)) == ["get-mp v0", "#: ENOEXEC"]


@pytest.mark.parametrize("room", [0xFFFE, 0xFFFF, 1 << 40])
def test_room_for_very_many_ids_is_a_number(room: int) -> None:
    said = line(Nr.REG_LIST, given=room.to_bytes(8, "little").hex())
    assert body(said) == ["reg-list v0 room=0xfffd"]


def test_a_buffer_that_ends_early_has_an_edge() -> None:
    assert body(one_reg(Nr.SET_ONE_REG, REGISTERS["z3"].id, b"\xab" * 32, -14)) == [
        "set v0 z3 0xab* edge=32",
        "#: EFAULT",
    ]


def test_what_no_op_says_is_a_remark_and_counted() -> None:
    odd = bytes(range(0, 256, 2)) * 2
    unknown = 0x603000000013C708
    done = written(
        log_of(
            CREATE,
            one_reg(Nr.SET_ONE_REG, REGISTERS["z3"].id, odd),
            one_reg(Nr.SET_ONE_REG, unknown, b"\x07" + bytes(7)),
            one_reg(Nr.SET_ONE_REG, unknown, bytes(8), -22),
            line(Nr.INIT, -14, given="0500"),
            {"kind": "unfinished", "pid": 1, "fd": VCPU, "request": 0xAE80},
            line(Nr.RUN, times=3),
        )
    )
    assert done.ops == 2
    assert done.remarks == {
        "values that no pattern gives": 1,
        "registers outside the specification": 2,
        "arguments that are not mapped": 1,
        "calls that never returned": 1,
    }
    said = done.text.partition("create v0\n")[2].replace("\n#:    ", "").splitlines()
    assert said[0].startswith("#: set to other values: z3=0xfefcfa")
    assert said[1:] == [
        "#: set of other registers: 0x603000000013c708=0x7",
        "#: set of other registers, EINVAL: 0x603000000013c708=0x0",
        "#: KVM_ARM_VCPU_INIT, EFAULT",
        "#: KVM_RUN",
        "run v0 immediate=yes { }",
        "#: exit of which nothing is known, as its struct kvm_run could not be read, 3 times",
    ]


def test_a_call_on_the_vm_is_none_on_its_vcpu() -> None:
    on_vm = {"fd": VM, "of": "anon_inode:kvm-vm"}
    address = {**one_reg(Nr.GET_ONE_REG, 0), "request": 0x4010AEAB, **on_vm}
    unfinished = {"kind": "unfinished", "pid": 1, "fd": VM, "request": 0x4010AEAB}
    mistaken = {**line(Nr.RUN, -25), **on_vm}
    assert body(address, line(Nr.GET_MP), unfinished, line(Nr.GET_MP), mistaken) == [
        *("#: KVM_ARM_SET_DEVICE_ADDR", "get-mp v0", "#: KVM_ARM_SET_DEVICE_ADDR", "get-mp v0"),
        "#: KVM_RUN, ENOTTY",
    ]


def test_a_run_that_fails_is_one_and_an_interrupted_one_may_have_entered() -> None:
    assert body(line(Nr.RUN, -8)) == ["run v0 immediate=yes { }", "#: ENOEXEC"]
    page = bytes(8) + (6).to_bytes(4, "little") + bytes(20)
    page += (0x5000_0000).to_bytes(8, "little") + bytes(8) + (4).to_bytes(4, "little") + bytes(12)
    assert body(line(Nr.RUN, -4), line(Nr.RUN, got=page.hex(), times=7)) == [
        *("run v0 immediate=yes { }", "#: exit interrupted"),
        "#: exit mmio: read of 4 bytes at 0x50000000, 7 times",
    ]


def page(reason: int) -> str:
    return (bytes(8) + reason.to_bytes(4, "little") + bytes(52)).hex()


def test_a_run_that_ended_by_a_fault_in_memory_entered_the_guest() -> None:
    log = log_of(
        CREATE, line(Nr.RUN, -14, got=page(39)), line(Nr.RUN, -14, got=page(6)), line(Nr.RUN, -133)
    )
    assert written(log).text.partition("create v0\n")[2].splitlines() == [
        *("run v0 immediate=yes { }", "#: exit memory-fault", "#: exit by EFAULT"),
        f"#: exit by {error_name(133)}",
    ]
    assert "ran 3 times" in written(log).text


def test_a_run_that_failed_is_another_than_the_one_behind_it() -> None:
    assert body(line(Nr.RUN, -8), line(Nr.RUN, got=page(4)), line(Nr.RUN, -8)) == [
        *("run v0 immediate=yes { }", "#: ENOEXEC", "run v0 immediate=yes { }", "#: exit debug"),
        *("run v0 immediate=yes { }", "#: ENOEXEC"),
    ]


def test_descriptors_that_are_used_again_are_of_what_they_are_now() -> None:
    again = line(Nr.CREATE_VM, VM)
    done = written(log_of(CREATE, again, CREATE, one_reg(Nr.GET_ONE_REG, REGISTERS["x1"].id)), 2)
    assert done.text.endswith("create v0\nget v0 x1\n")
    assert written(log_of(CREATE, again, CREATE), 1).text.endswith("create v0\n")
    other = {**line(Nr.GET_MP), "of": "/dev/null"}
    done = written(log_of(CREATE, other))
    assert (done.ops, done.remarks) == (1, {"calls on other descriptors": 1})


def dup(fd: int, other: int) -> Mapping[str, Any]:
    return {"kind": "dup", "pid": 1, "fd": fd, "other": other}


def test_one_more_descriptor_is_of_the_same() -> None:
    on_other, on_vm = {**line(Nr.GET_MP), "fd": 9}, {**CREATE, "fd": 8}
    done = written(log_of(dup(VM, 8), on_vm, dup(VCPU, 9), on_other, line(Nr.GET_MP)))
    assert done.text.partition("create v0\n")[2] == "get-mp v0\n" * 2
    again = written(log_of(CREATE, dup(VCPU, 9), dup(7, 9), on_other))
    assert (again.ops, again.remarks) == (
        1,
        {"calls on a VM or vcpu that was not seen being made": 1},
    )


def test_a_process_that_was_forked_has_the_descriptors_of_the_other() -> None:
    forked = {"pid": 2}
    done = written(log_of({**CREATE, **forked}, {**line(Nr.GET_MP), **forked}, line(Nr.GET_MP)))
    assert done.text.partition("create v0\n")[2] == "get-mp v0\n" * 2
    alike = CREATE, {**line(Nr.CREATE_VM, VM), "pid": 3}, {**CREATE, "pid": 3}
    other = {**line(Nr.GET_MP), "pid": 4, "of": "anon_inode:kvm-vcpu:1"}
    assert written(log_of(CREATE, other)).ops == 1
    third = {"kind": "unfinished", "pid": 2, "fd": VCPU, "request": 0xAE80}
    done = written(log_of(*alike, {**line(Nr.GET_MP, times=3), **forked}, third), 1)
    assert (done.ops, done.remarks) == (
        1,
        {"calls on a VM or vcpu that was not seen being made": 3, "calls that never returned": 1},
    )


def test_more_than_a_case_has_room_for_is_counted() -> None:
    many = [one_reg(Nr.GET_ONE_REG, REGISTERS["x1"].id)] * (MOST_OPS + 5)
    done = written(log_of(CREATE, *many))
    assert (done.ops, sum(done.remarks.values())) == (MOST_OPS, 6)
    assert len(parse_case(done.text).ops) == MOST_OPS


def test_a_run_behind_the_last_op_is_counted_and_told_of_no_other() -> None:
    get, run = one_reg(Nr.GET_ONE_REG, REGISTERS["x1"].id), line(Nr.RUN, got=page(4), times=7)
    done = written(log_of(CREATE, *[get] * (MOST_OPS - 1), run))
    assert (done.ops, done.remarks) == (MOST_OPS, {f"calls behind the {MOST_OPS}th op": 7})
    assert "#: exit" not in done.text
    done = written(log_of(CREATE, *[get] * (MOST_OPS - 2), run, run, get, run))
    assert done.text.count("#: exit debug, 7 times") == 2
    assert done.remarks == {f"calls behind the {MOST_OPS}th op": 8}


@pytest.mark.parametrize("size", [4, 8, 16, 32, 256])
def test_a_pattern_has_the_bytes_that_it_was_made_of(size: int) -> None:
    for pattern in (
        *(Pattern("int", 0), Pattern("int", 77), Pattern("fill", 0xAB), Pattern("fill", 0xFF)),
        *(Pattern("ones", 8 * size - 3), Pattern("count", 9)),
    ):
        data = pattern.expand(size)
        found = pattern_of(data)
        assert found is not None
        assert found.expand(size) == data
    assert pattern_of(b"\1\0" * 128) is None


@pytest.mark.parametrize(
    ("vm", "vcpu", "why"),
    [
        (9, None, "there is no VM 9: the command made 5"),
        (None, 3, "VM 5 had no vcpu 3, but 0"),
    ],
)
def test_what_is_not_there_is_a_sentence(vm: int | None, vcpu: int | None, why: str) -> None:
    with pytest.raises(NotRecorded, match=why):
        written(MISTAKEN, vm, vcpu)


def test_a_command_without_a_vm_or_a_vcpu_is_a_sentence() -> None:
    with pytest.raises(NotRecorded, match="made no VM"):
        written(read('{"kind":"command","argv":["true"]}\n'))
    with pytest.raises(NotRecorded, match="VM 1 had no vcpu"):
        written(log_of())


@pytest.mark.parametrize(
    "text", ["", "x\n", '{"kind":"odd"}\n', '{"kind":"ioctl","pid":1}\n', "\0\n"]
)
def test_what_is_no_log_is_a_sentence(text: str) -> None:
    with pytest.raises(TextError, match=r"line 1|no log"):
        read(text)


def test_a_log_that_was_cut_off_counts_up_to_there() -> None:
    text = recorded_logs.text("mistaken")
    cut = read(text[: len(text) // 2])
    assert 0 < len(cut.calls) < len(MISTAKEN.calls)
    assert cut.code is None
    assert read(with_leg(text, "kvm:x")).leg == "kvm:x"
    half = read(with_leg(text[: len(text) // 2], "kvm:x"))
    assert (half.leg, half.calls) == ("kvm:x", cut.calls)
    with pytest.raises(TextError, match="names no command"):
        read(with_leg("", "kvm:x"))


def test_what_was_recorded_and_is_not_permitted_is_told() -> None:
    text = "#: recorded on kvm:x\ncreate v0\ninit v0\n#: EINVAL\nget v0 x0\n"
    document = parse_document(text)
    told = list(walk(document.case, MACHINE, remarks_of(document)))
    assert [step.is_odd for step in told] == [False, True, False]
    assert isinstance(told[1].op, Init)
    assert isinstance(told[2].op, GetReg)
    plain = parse_document(text.partition("\n")[2])
    assert [step.recorded for step in walk(plain.case, MACHINE, remarks_of(plain))] == [None] * 3


def recorded(*ops: str) -> list[Step]:
    document = parse_document("\n".join(("#: recorded on kvm:x", *ops)) + "\n")
    return list(walk(document.case, MACHINE, remarks_of(document)))


RAN = ("run v0 immediate=yes { }", "#: exit mmio")


def test_a_guest_that_ran_although_it_may_not_is_told() -> None:
    last = recorded("create v0", "init v0", *RAN)[-1]
    assert last.is_odd
    text = "\n".join(lines(3, last))
    assert "EPERM, by run.not-finalised: " in text
    assert "What would have worked: with `finalize v0` right before it it succeeds." in text
    assert "Recorded: the guest ran, which the specification does not permit here." in text
    assert "Recorded: the guest ran; exit mmio." in text
    failed = recorded("create v0", "init v0", RAN[0], "#: EPERM")[-1]
    assert (failed.is_odd, failed.order) == (False, last.order)


def test_a_guest_that_may_run_is_not_odd() -> None:
    for features in ("sve", "sve,pmu_v3"):  # that a PMU is created says no op
        last = recorded("create v0", f"init v0 features={features}", "finalize v0", *RAN)[-1]
        assert (last.is_odd, last.order) == (False, "")
    whole = recorded("create v0", "init v0", "finalize v0", "run v0 { }", "#: exit mmio")[-1]
    assert not whole.is_odd


def test_no_value_is_told_behind_a_run_that_is_not_in_the_case() -> None:
    begin = "#: recorded on kvm:x\ncreate v0\ninit v0\nfinalize v0\nset v0 x1 5\n"
    read_back = "get v0 x1\n"
    for between, told in (("", True), ("run v0 immediate=yes { }\n#: exit mmio\n", False)):
        document = parse_document(begin + between + read_back)
        last = list(walk(document.case, MACHINE, remarks_of(document)))[-1]
        assert bool(last.values) is told
    assert isinstance(document.case.ops[3], SetReg)


ODD = bytes(range(0, 256, 2)) * 2


def test_no_value_is_told_behind_one_that_no_op_sets() -> None:
    z3 = REGISTERS["z3"].id
    init = (5).to_bytes(4, "little") + (0x14).to_bytes(28, "little")
    for other, told in (
        (one_reg(Nr.SET_ONE_REG, z3, ODD), False),
        (one_reg(Nr.SET_ONE_REG, z3, ODD, -22), True),
        (one_reg(Nr.SET_ONE_REG, 0x603000000013C708, bytes(8)), True),
        (events(2, 0, 0, 0), False),
        (line(Nr.GET_MP), True),
        ({"kind": "unfinished", "pid": 1, "fd": VCPU, "request": 0xAE80}, False),
    ):
        begin = line(Nr.INIT, given=init.hex()), line(Nr.FINALIZE, given="04000000")
        known = one_reg(Nr.SET_ONE_REG, z3, b"\xab" * 256)
        done = written(log_of(CREATE, *begin, known, other, one_reg(Nr.GET_ONE_REG, z3)))
        last = steps(done)[-1]
        assert isinstance(last.op, GetReg)
        assert bool(last.values) is told, other


def test_what_no_op_says_is_told_without_what_is_its_own_and_a_colon() -> None:
    assert short("set to other values, 2 times: z3=0x1 z4=0x2") == "set to other values, 2 times"
    assert short("set to other values:") == "set to other values"


# The command.


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "vmm.log"
    file.write_text(recorded_logs.text("mistaken"))
    return file


def record(*args: str) -> Result:
    return CliRunner().invoke(main, ["record", *args])


def test_a_log_that_was_kept_is_written_and_explained(tmp_path: Path, log: Path) -> None:
    out = tmp_path / "x.case"
    done = record("--read", str(log), "--vm", "1", "--out", str(out))
    assert (done.exit_code, done.output) == (
        0,
        f"5 ops, and 1 calls in remarks, are in {out}.\n1 of them failed with EPERM.\n",
    )
    told = CliRunner().invoke(main, ["explain", str(out)]).output
    assert "A recording, made on kvm:small-6.12:vhe; explained for a new machine." in told
    assert "What would have worked: before step 4 (`finalize v0`) it succeeds." in told
    same = record("--read", str(log), "--vm", "1", "--out", "-")
    assert same.stdout == out.read_text()


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (("--read", "LOG", "vmm"), 2, "--read takes a log instead of running COMMAND"),
        ((), 2, "name a COMMAND to record, after --"),
        (("--package", "x", "--", "vmm"), 2, "--package and --bring are for --lab"),
        (("--lab", "9.99:vhe", "--", "vmm"), 2, "names no known kernel"),
        (("--lab", "native", "--", "vmm"), 2, "is no leg of the lab"),
        (("--lab", "6.12:vhe", "--", "./nosuch"), 2, "nosuch: no such file or directory"),
        (("--lab", "6.12:vhe", "--package", "X Y", "--", "x"), 2, "no name of a Debian package"),
        (("--read", "LOG", "--vm", "7"), 3, "there is no VM 7"),
    ],
)
def test_bad_command_lines_are_a_sentence(
    args: tuple[str, ...], code: int, why: str, log: Path, tmp_path: Path
) -> None:
    words = [str(log) if word == "LOG" else word for word in args]
    done = record("--out", str(tmp_path / "x.case"), *words)
    assert (done.exit_code, why in done.output) == (code, True), done.output
    assert not (tmp_path / "x.case").exists()


@pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine can record")
def test_without_arm64_it_says_what_to_do(tmp_path: Path) -> None:
    done = record("--out", str(tmp_path / "x.case"), "--", "vmm")
    assert done.exit_code == 3
    assert "recording needs arm64 with /dev/kvm, or --lab KERNEL:MODE" in done.output
