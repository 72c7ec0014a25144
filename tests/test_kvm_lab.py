"""The lab end to end: stock 6.12 under QEMU, and what happens when it breaks."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import guestfaults
import pytest

from corpus.fault import FaultKind
from corpus.trace import Ending, Observation
from corpus.wire import (
    CODE_BASE,
    DATA_BASE,
    FLAG_REUSE_VM,
    LISTS,
    MMIO_BASE,
    RAM_SIZE,
    RUN_DATA,
    RUN_LIMIT_MS,
    SVCR_SHIFT,
    VECTOR_MMIO,
    Kind,
    WireError,
    WireOp,
    pack_groups,
    pack_request,
    unpack_response,
    unpack_values,
)
from targets.kvm import legname, reuse
from targets.kvm.lab import kernels, newer_qemu, pace, qemu
from targets.kvm.lab.transport import LabSpec, LabTransport
from targets.transport import TransportError

pytestmark = pytest.mark.lab

LEG = "kvm:6.12:vhe"
SVE = struct.pack("<7I", 1 << 4, *[0] * 6)
NO_SVE = bytes(28)
AARCH32 = struct.pack("<7I", 1 << 1, *[0] * 6)
FINALIZE_SVE = 4
KVM_EXIT_MMIO = 6
MP_STOPPED = 5
CORE = 0x6030_0000_0010_0000
VLS = 0x6060_0000_0015_FFFF
ZCR_EL1 = 0x6030_0000_0013_C090
OFFSET = DATA_BASE & (RAM_SIZE - 1)

UP = (
    WireOp(Kind.CREATE_VCPU),
    WireOp(Kind.INIT, a=5, payload=SVE),
    WireOp(Kind.FINALIZE, a=FINALIZE_SVE),
)

MOVZ_X30_MMIO = 0xD2AA001E  # movz x30, #0x5000, lsl #16
STR_X0_X30 = 0xF90003C0
ENABLE_SVE = (0xD2A00660, 0xD5181040, 0xD5033FDF)  # x0 := 0x330000; msr cpacr_el1, x0; isb
RDVL_X0 = 0x04BF5020
WFI = 0xD503207F


def z(n: int) -> int:
    return 0x6080_0000_0015_0000 + (n << 5)


def code(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


def run(*words: int) -> WireOp:
    return WireOp(Kind.RUN, payload=code(*words))


def run_data(seen: Observation) -> dict[str, int]:
    names = ("reason", "is_write", "address", "value", "length", "flags")
    return dict(zip(names, RUN_DATA.unpack(seen.data), strict=True))


@pytest.fixture(scope="module")
def lab() -> Iterator[LabTransport]:
    transport = legname.open_transport(legname.parse(LEG))
    assert isinstance(transport, LabTransport)
    transport.start()
    yield transport
    transport.close()


def observe(lab: LabTransport, *ops: WireOp) -> tuple[Observation, ...]:
    reply = lab.collect(lab.submit(pack_request(ops)))
    assert reply.ending is Ending.OK
    assert reply.response is not None
    return unpack_response(reply.response)


def test_probe_knows_the_machine(lab: LabTransport) -> None:
    facts = lab.start()
    assert facts["release"].startswith("6.12.")
    assert facts["api_version"] == "12"
    assert facts["mode"] == "vhe"
    assert facts["cap.sve"] == "1"
    assert facts["vqs"] == ",".join(map(str, range(1, 17)))
    assert int(facts["id_aa64pfr0"], 16) >> 32 & 15 == 1  # SVE implemented
    assert int(facts["midr"], 16) != 0
    assert facts["lab.qemu"] == qemu.version(newer_qemu.program_for("vhe"))
    assert facts["lab.kernel_sha256"] == kernels.fetch("6.12").sha256


def test_upper_bits_go_when_the_guest_uses_sve_at_128_bits(lab: LabTransport) -> None:
    *_, vls, finalized, stored, ran, after = observe(
        lab,
        *UP[:2],
        WireOp(Kind.GET_REG, a=VLS),
        UP[2],
        WireOp(Kind.SET_REG, a=z(3), payload=b"\xab" * 256),
        run(*ENABLE_SVE, RDVL_X0, MOVZ_X30_MMIO, STR_X0_X30),
        WireOp(Kind.GET_REG, a=z(3)),
    )
    assert vls.data == b"\xff\xff" + bytes(62)
    assert (finalized.err, stored.err, ran.err, ran.aux) == (0, 0, 0, 0)
    assert run_data(ran) == {
        "reason": KVM_EXIT_MMIO,
        "is_write": 1,
        "address": 0x5000_0000,
        "value": 16,  # ZCR_EL1 is 0 at reset
        "length": 8,
        "flags": 0,
    }
    assert after.data == b"\xab" * 16 + bytes(240)


@pytest.mark.parametrize(
    ("leg", "vqs"),
    [
        ("kvm:6.1:vhe", 0xFFFF),
        ("kvm:6.1:protected", 0xFFFF),
        ("kvm:newest:vhe:vq=1-3", 0b111),
        ("kvm:newest:nvhe", 0xFFFF),
        ("kvm:6.12:nvhe:vq=1,2,4", 0b1011),
        ("kvm:6.12:protected", 0xFFFF),
    ],
)
def test_other_kernels_modes_and_lengths(leg: str, vqs: int) -> None:
    other = legname.open_transport(legname.parse(leg))
    assert isinstance(other, LabTransport)
    try:
        assert other.start()["mode"] == legname.parse(leg).mode
        vls, _, stored, ran, after = observe(
            other,
            *UP[:2],
            WireOp(Kind.GET_REG, a=VLS),
            UP[2],
            WireOp(Kind.SET_REG, a=z(3), payload=b"\xab" * 256),
            run(*ENABLE_SVE, RDVL_X0, MOVZ_X30_MMIO, STR_X0_X30),
            WireOp(Kind.GET_REG, a=z(3)),
        )[2:]
        assert int.from_bytes(vls.data, "little") == vqs
        assert (stored.err, ran.err, run_data(ran)["value"]) == (0, 0, 16)
        assert after.data == b"\xab" * 16 + bytes(240)
    finally:
        other.close()


def test_each_case_has_a_fresh_vm_and_zeroed_memory(lab: LabTransport) -> None:
    write = WireOp(Kind.WRITE_MEM, a=OFFSET, payload=b"left over")
    read = WireOp(Kind.READ_MEM, a=OFFSET, b=16)
    assert observe(lab, write, read)[1].data == b"left over" + bytes(7)
    assert observe(lab, read)[0].data == bytes(16)
    assert [seen.err for seen in observe(lab, *UP)] == [0, 0, 0]


def test_guest_and_user_share_memory(lab: LabTransport) -> None:
    # ldr x0, [x1]; add x0, x0, #1; str x0, [x1, #8] with x1 := DATA_BASE
    program = (0xD2A80001, 0xF2900001, 0xF9400020, 0x91000400, 0xF9000420)
    *_, ran, read = observe(
        lab,
        WireOp(Kind.CREATE_VCPU),
        WireOp(Kind.INIT, a=5, payload=NO_SVE),
        WireOp(Kind.WRITE_MEM, a=OFFSET, payload=(41).to_bytes(8, "little")),
        run(*program, MOVZ_X30_MMIO, STR_X0_X30),
        WireOp(Kind.READ_MEM, a=OFFSET, b=16),
    )
    assert run_data(ran)["value"] == 42
    assert struct.unpack("<QQ", read.data) == (41, 42)


def test_the_guest_runs_the_code_it_was_given_last(lab: LabTransport) -> None:
    """Short programs whose later blocks differ: an emulator must not run the earlier ones."""
    isb, branch = 0xD5033FDF, 0x14000001
    programs = [
        run(*[isb] * (value % 3), 0xD2800000 | value << 5, branch, MOVZ_X30_MMIO, STR_X0_X30)
        for value in range(40)
    ]
    seen = observe(lab, *UP, *programs)[3:]
    assert [run_data(o)["value"] for o in seen] == list(range(40))


def test_a_reused_vm_cannot_be_told_from_a_fresh_one(lab: LabTransport) -> None:
    assert reuse.is_sound(lab, turns=80)  # more than one VM has vcpus for


def test_a_case_that_would_notice_gets_a_fresh_vm(lab: LabTransport) -> None:
    id_aa64zfr0 = 0x6030_0000_0013_C024

    def reusing(*ops: WireOp) -> tuple[Observation, ...]:
        reply = lab.collect(lab.submit(pack_request(ops, FLAG_REUSE_VM)))
        assert reply.response is not None
        return unpack_response(reply.response)

    ran = reusing(*UP, run(MOVZ_X30_MMIO, STR_X0_X30))[3]
    assert run_data(ran)["reason"] == KVM_EXIT_MMIO
    # EBUSY in a VM that has run; EINVAL for a vcpu unlike the VM's first one.
    assert reusing(*UP, WireOp(Kind.SET_REG, a=id_aa64zfr0, payload=bytes(8)))[3].err == 0
    assert reusing(*UP)[1].err == 0
    assert reusing(UP[0], WireOp(Kind.INIT, a=5, payload=NO_SVE))[1].err == 0
    mixed = (WireOp(Kind.CREATE_VCPU, 1), WireOp(Kind.INIT, 1, a=5, payload=NO_SVE))
    assert [o.err for o in reusing(*UP, *mixed)] == [0, 0, 0, 0, errno.EINVAL]
    assert reusing(UP[0], UP[0])[1].err == errno.EEXIST


def test_memory_accesses_are_clipped(lab: LabTransport) -> None:
    end, beyond, write, huge = observe(
        lab,
        WireOp(Kind.READ_MEM, a=RAM_SIZE - 4, b=100),
        WireOp(Kind.READ_MEM, a=RAM_SIZE, b=1),
        WireOp(Kind.WRITE_MEM, a=RAM_SIZE - 1, payload=b"abc"),
        WireOp(Kind.READ_MEM, a=2**64 - 1, b=2**64 - 1),
    )
    assert (end.data, beyond.data, huge.data, write.err) == (bytes(4), b"", b"", 0)


def test_an_exception_shows_as_its_vector(lab: LabTransport) -> None:
    *_, ran = observe(lab, *UP, run(0))  # udf
    seen = run_data(ran)
    current_el_spx_sync = VECTOR_MMIO + 8 * 4
    assert (seen["address"], seen["value"]) == (current_el_spx_sync, current_el_spx_sync)


def test_a_guest_that_never_exits_is_cut_off(lab: LabTransport) -> None:
    started = time.monotonic()
    *_, looped, again = observe(lab, *UP, run(0x14000000), run(MOVZ_X30_MMIO, STR_X0_X30))
    assert looped.err == errno.EINTR
    assert run_data(looped) == dict.fromkeys(run_data(looped), 0) | {"flags": 2}
    assert time.monotonic() - started >= RUN_LIMIT_MS / 1000
    assert (again.err, run_data(again)["reason"]) == (0, KVM_EXIT_MMIO)


def test_a_guest_that_waits_is_not_waited_for(lab: LabTransport) -> None:
    started = time.monotonic()
    *_, waited, again = observe(lab, *UP, run(WFI), run(MOVZ_X30_MMIO, STR_X0_X30))
    assert waited.err == errno.EINTR
    assert run_data(waited) == dict.fromkeys(run_data(waited), 0) | {"flags": 2}
    assert time.monotonic() - started < RUN_LIMIT_MS / 1000
    assert (again.err, run_data(again)["reason"]) == (0, KVM_EXIT_MMIO)


def test_an_aarch32_guest_gets_its_way_out_and_the_code_stays(lab: LabTransport) -> None:
    endless = 0x14000000
    *_, ran, code_left = observe(
        lab,
        WireOp(Kind.CREATE_VCPU),
        WireOp(Kind.INIT, a=5, payload=AARCH32),
        run(endless),
        WireOp(Kind.READ_MEM, a=CODE_BASE & (RAM_SIZE - 1), b=4),
    )
    seen = run_data(ran)
    assert (ran.err, seen["reason"], seen["flags"]) == (0, KVM_EXIT_MMIO, 0)
    assert (seen["address"], seen["length"]) == (MMIO_BASE, 4)
    assert code_left.data[:4] == endless.to_bytes(4, "little")


def test_runs_without_entering(lab: LabTransport) -> None:
    stopped, stopped_run, _, immediate = observe(
        lab,
        *UP,
        WireOp(Kind.SET_MP, a=MP_STOPPED),
        run(MOVZ_X30_MMIO, STR_X0_X30),
        WireOp(Kind.SET_MP, a=0),
        WireOp(Kind.RUN, a=1, payload=code(MOVZ_X30_MMIO, STR_X0_X30)),
    )[3:]
    assert stopped.err == 0
    assert (stopped_run.err, run_data(stopped_run)["flags"]) == (errno.EINTR, 1)
    assert (immediate.err, run_data(immediate)["flags"]) == (errno.EINTR, 0)


def test_buffers_end_where_they_are_said_to(lab: LabTransport) -> None:
    x0, x1 = CORE, CORE + 2
    none, some, whole, partly, read, pointer = observe(
        lab,
        *UP,
        WireOp(Kind.SET_REG, a=x0, b=1, payload=b"\x11" * 8),
        WireOp(Kind.SET_REG, a=x0, b=1 + 7, payload=b"\x11" * 8),
        WireOp(Kind.SET_REG, a=x0, b=1 + 8, payload=b"\x22" * 8),
        WireOp(Kind.GET_REG, a=x0, b=1 + 7),
        WireOp(Kind.GET_REG, a=x0, b=1 + 8),
        WireOp(Kind.GET_REG, a=x1, b=1),
    )[3:]
    assert [o.err for o in (none, some, whole)] == [errno.EFAULT, errno.EFAULT, 0]
    assert (partly.err, len(partly.data)) == (errno.EFAULT, 7)
    assert (read.err, read.data) == (0, b"\x22" * 8)
    assert (pointer.err, pointer.data) == (errno.EFAULT, b"")


def test_unread_bytes_of_a_buffer_keep_their_fill(lab: LabTransport) -> None:
    unknown = 0x6030_0000_0013_0001
    (seen,) = observe(lab, *UP, WireOp(Kind.GET_REG, a=unknown))[3:]
    assert (seen.err, seen.data) == (errno.ENOENT, b"\x5a" * 8)


def test_ops_on_a_vcpu_never_created(lab: LabTransport) -> None:
    seen = observe(
        lab,
        *(WireOp(kind, 1, payload=NO_SVE) for kind in (Kind.INIT,)),
        *(WireOp(kind, 1) for kind in (Kind.FINALIZE, Kind.SET_MP, Kind.GET_MP, Kind.REG_LIST)),
        WireOp(Kind.GET_REG, 1, a=z(0)),
        WireOp(Kind.SET_REG, 1, a=z(0), payload=bytes(256)),
        WireOp(Kind.RUN, 1),
        WireOp(Kind.READ_ALL, 1, payload=pack_groups([[z(0), z(1)], [CORE]])),
    )
    assert {o.err for o in seen} == {errno.EBADF}
    assert seen[7].aux == errno.EBADF | errno.EBADF << 32
    assert [err for err, _ in unpack_values(seen[8].data)] == [errno.EBADF] * 2


def test_a_slot_is_created_once(lab: LabTransport) -> None:
    first, second, other = observe(lab, UP[0], UP[0], WireOp(Kind.CREATE_VCPU, 2))
    assert [o.err for o in (first, second, other)] == [0, errno.EEXIST, 0]


def test_register_list_tells_its_length_first(lab: LabTransport) -> None:
    short, whole = observe(lab, *UP, WireOp(Kind.REG_LIST), WireOp(Kind.REG_LIST, a=1024))[3:]
    count = int.from_bytes(whole.data[:8], "little")
    assert (short.err, short.data) == (errno.E2BIG, count.to_bytes(8, "little"))
    ids = struct.unpack(f"<{count}Q", whole.data[8:])
    assert {VLS, z(0), z(31), ZCR_EL1} <= set(ids)


def test_read_all_leaves_out_the_rest_of_a_failing_group(lab: LabTransport) -> None:
    v0 = 0x6040_0000_0010_0054
    groups = [[z(0), ZCR_EL1], [v0, v0 + 4], [CORE, v0]]
    (seen,) = observe(lab, *UP, WireOp(Kind.READ_ALL, payload=pack_groups(groups)))[3:]
    assert [(err, len(value)) for err, value in unpack_values(seen.data)] == [
        *((0, 256), (0, 8)),
        (errno.EINVAL, 0),
        *((0, 8), (errno.EINVAL, 0)),
    ]


def test_preferred_target_and_mp_state(lab: LabTransport) -> None:
    target, *_, state = observe(lab, WireOp(Kind.PREF_TARGET), *UP, WireOp(Kind.GET_MP))
    assert (target.err, len(target.data)) == (0, 32)
    assert (state.err, state.data) == (0, bytes(4))


def _malformed() -> Iterator[tuple[str, bytes]]:
    good = pack_request(UP)
    yield "empty", b""
    yield "short", good[:15]
    yield "truncated", good[:-1]
    yield "magic", b"XXXX" + good[4:]
    yield "total", good[:4] + struct.pack("<I", 2**32 - 1) + good[8:]
    yield "count", good[:8] + struct.pack("<I", len(UP) + 1) + good[12:]
    yield "fewer", good[:8] + struct.pack("<I", len(UP) - 1) + good[12:]
    yield "kind", pack_request([WireOp(Kind.PROBE)]).replace(b"\0\0\0\0", b"\xff\xff\0\0", 1)
    payload = bytearray(good)
    payload[16 + 4 : 16 + 8] = struct.pack("<I", 0xFFFF_FFF8)
    yield "payload", bytes(payload)
    yield "probe", pack_request([WireOp(Kind.PROBE), *UP])
    yield "features", pack_request([WireOp(Kind.INIT, payload=bytes(24))])
    yield "code", pack_request([WireOp(Kind.RUN, payload=bytes(0x3001))])
    yield "edge", pack_request([WireOp(Kind.GET_REG, b=2**64 - 1)])
    yield "groups", pack_request([WireOp(Kind.READ_ALL, payload=struct.pack("<II", 2**31, 0))])
    yield "host code", pack_request([WireOp(Kind.HOST_RUN, payload=bytes(0x3001))])
    yield "host SVCR", pack_request([WireOp(Kind.HOST_RUN, b=4 << SVCR_SHIFT)])
    yield "init", pack_request([WireOp(Kind.MIGRATE, payload=bytes(31))])
    yield "slot", pack_request([WireOp(Kind.MIGRATE, a=256, payload=bytes(32))])
    groups = bytes(32) + struct.pack("<II", 1, 0)
    yield "migrated groups", pack_request([WireOp(Kind.MIGRATE, a=1, payload=groups)])
    yield "lists", pack_request([WireOp(Kind.THREADS, payload=LISTS.pack(0, 1))])
    yield "more in lists", pack_request([WireOp(Kind.THREADS, payload=LISTS.pack(1, 0))])
    lists, run = WireOp(Kind.THREADS, payload=LISTS.pack(2, 1)), WireOp(Kind.RUN)
    one_list = WireOp(Kind.THREADS, payload=LISTS.pack(2, 2))
    yield "late run", pack_request([one_list, WireOp(Kind.GET_MP), run])
    yield "not beside", pack_request([lists, run, WireOp(Kind.READ_ALL)])
    yield "a vcpu twice", pack_request([lists, run, run])
    three = WireOp(Kind.THREADS, payload=LISTS.pack(3, 1))
    yield "late run of two", pack_request([three, run, WireOp(Kind.GET_MP), WireOp(Kind.RUN, 1)])


@pytest.mark.parametrize(
    ("what", "request_bytes"), list(_malformed()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_malformed_requests_are_refused(lab: LabTransport, what: str, request_bytes: bytes) -> None:
    reply = lab.collect(lab.submit(request_bytes))
    assert reply.ending is Ending.OK
    assert reply.response is not None
    assert struct.unpack_from("<4I", reply.response)[2:] == (0, 1)
    with pytest.raises(WireError, match="status 1"):
        unpack_response(reply.response)


def test_a_full_response_keeps_what_fits(lab: LabTransport) -> None:
    lots = pack_groups([[z(n) for n in range(32)] * 20])
    reply = lab.collect(lab.submit(pack_request([*UP, *[WireOp(Kind.READ_ALL, payload=lots)] * 8])))
    assert reply.response is not None
    _, total, count, status = struct.unpack_from("<4I", reply.response)
    assert status == 2
    assert 3 < count < 11
    assert total <= len(reply.response)


def test_several_in_flight_are_answered_in_any_order(lab: LabTransport) -> None:
    def case(value: int) -> bytes:
        data = bytes([value]) * 8
        return pack_request(
            [WireOp(Kind.WRITE_MEM, a=OFFSET, payload=data), WireOp(Kind.READ_MEM, a=OFFSET, b=8)]
        )

    for turn in range(20):
        first, second = lab.submit(case(2 * turn)), lab.submit(case(2 * turn + 1))
        for ticket, value in ((second, 2 * turn + 1), (first, 2 * turn)):
            reply = lab.collect(ticket)
            assert reply.response is not None
            assert unpack_response(reply.response)[1].data == bytes([value]) * 8
            assert reply.log == ""


def test_an_idle_guest_sleeps_and_wakes(lab: LabTransport) -> None:
    observe(lab, *UP)
    assert lab.pid is not None
    before = _cpu_seconds(lab.pid)
    time.sleep(2)
    assert _cpu_seconds(lab.pid) - before < 0.4
    observe(lab, *UP)


def test_guest_files_can_be_read(lab: LabTransport) -> None:
    symbols = lab.read_guest_file("/proc/kallsyms").decode()
    lines = symbols.splitlines()
    assert len(lines) > 50_000
    assert any(line.endswith(" T kvm_arm_vcpu_finalize") for line in lines)
    assert not lines[0].startswith("0000000000000000 ")
    with pytest.raises(TransportError, match="errno 9"):
        lab.read_guest_file("/no/such/file")
    observe(lab, *UP)


def test_a_panic_is_told_with_its_log(lab: LabTransport) -> None:
    observe(lab, *UP)
    assert lab.pid is not None
    guestfaults.panic(lab.pid)
    reply = lab.collect(lab.submit(pack_request(UP)))
    assert reply.ending is Ending.CRASH
    assert reply.fault is not None
    assert (reply.fault.kind, reply.fault.place) == (FaultKind.PANIC, "do_exit")
    assert "Attempted to kill init!" in reply.fault.line
    assert lab.losses() == []
    assert [seen.err for seen in observe(lab, *UP)] == [0, 0, 0]


def test_a_panic_nobody_waits_for_is_told_when_all_ends(lab: LabTransport) -> None:
    observe(lab, *UP)
    assert lab.pid is not None
    guestfaults.panic(lab.pid)
    time.sleep(2)
    lab.close()
    (loss,) = lab.losses()
    assert loss.fault.kind is FaultKind.PANIC
    assert "Memory Limit" in loss.log  # to its end, though the line holds only a part


def test_a_guest_without_progress_hangs_and_tells_where(
    lab: LabTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe(lab, *UP)
    hurry(monkeypatch)
    assert lab.pid is not None
    guestfaults.ignore_requests(lab.pid)
    reply = lab.collect(lab.submit(pack_request(UP)))
    assert reply.ending is Ending.HANG
    assert 2 <= reply.seconds < 15
    assert re.fullmatch(r"lab: CPU 0 hung at \w+\+0x\w+/0x\w+ \(EL2\)\n", reply.log)
    assert lab.pid is None
    monkeypatch.undo()
    assert [seen.err for seen in observe(lab, *UP)] == [0, 0, 0]


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds without progress are a hang."""
    monkeypatch.setattr(pace, "FLOOR_S", 2.0)
    monkeypatch.setattr(pace, "CEILING_S", 2.0)


def test_leaves_nothing_behind() -> None:
    transport = legname.open_transport(legname.parse(LEG))
    assert isinstance(transport, LabTransport)
    transport.start()
    pid = transport.pid
    assert pid is not None
    descriptors = len(os.listdir("/proc/self/fd"))
    transport.close()
    transport.close()
    assert not Path(f"/proc/{pid}").exists()
    assert len(os.listdir("/proc/self/fd")) < descriptors


def test_dies_with_its_parent() -> None:
    script = f"""
        import sys, time
        from targets.kvm import legname, reuse
        transport = legname.open_transport(legname.parse({LEG!r}))
        transport.start()
        print(transport.pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(pid)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("rdinit=/nowhere", "Kernel panic - not syncing: "),
        ("arm64.nosve", "has no SVE"),
        ("kvm-arm.mode=none", "no usable /dev/kvm"),
        ("kvm-arm.mode=nvhe", "came up in KVM mode nvhe, not vhe"),
    ],
)
def test_a_kernel_that_is_of_no_use_says_why(options: str, says: str) -> None:
    spec = LabSpec(LEG, partial(kernels.fetch, "6.12"), "vhe", options)
    transport = LabTransport(spec)
    with pytest.raises(TransportError, match=says) as caught:
        transport.start()
    assert "\n" not in str(caught.value)
    assert transport.pid is None


def test_missing_qemu_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(qemu.VARIABLE, "/nowhere/qemu-system-aarch64")
    with pytest.raises(TransportError, match="/nowhere/qemu-system-aarch64"):
        legname.open_transport(legname.parse(LEG)).start()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
