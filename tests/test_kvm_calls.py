"""What KVM in the lab does for a guest that calls it, for a host thread with vector state of
its own and for a register file that moves to another vcpu."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest
from emulator_leg import (
    ENABLE,
    EXIT,
    PC,
    SVE,
    VLS,
    ZCR,
    Exit,
    create,
    exit_of,
    finalize,
    get,
    init,
    number,
    p,
    put,
    run,
    z,
)
from emulator_leg import x as x_id
from migration import migrate, moved

from corpus.trace import Ending, Observation
from corpus.wire import (
    FLAG_REUSE_VM,
    HOST_FPCR,
    HOST_FPSR,
    HOST_THREAD_DATA,
    RUN_DATA,
    Kind,
    WireOp,
    host_fill,
    pack_request,
    unpack_response,
)
from targets.kvm import legname
from targets.kvm.lab import boot, kernels
from targets.kvm.lab.transport import LabTransport

pytestmark = pytest.mark.lab

LEG = "kvm:6.12:vhe"
PSCI = SVE | 4
STOPPED = 5
HVC = 0xD400_0002
CPU_OFF, CPU_ON, SYSTEM_OFF, RESET2 = 0x8400_0002, 0x8400_0003, 0x8400_0008, 0xC400_0012


@pytest.fixture(scope="module")
def lab() -> Iterator[LabTransport]:
    transport = legname.open_transport(legname.parse(LEG))
    assert isinstance(transport, LabTransport)
    transport.start()
    yield transport
    transport.close()


def observe(lab: LabTransport, *ops: WireOp, flags: int = 0) -> tuple[Observation, ...]:
    reply = lab.collect(lab.submit(pack_request(ops, flags)))
    assert reply.ending is Ending.OK
    assert reply.response is not None
    return unpack_response(reply.response)


def up(features: int, vcpu: int = 0) -> tuple[WireOp, ...]:
    return (create(vcpu), init(features, vcpu=vcpu), finalize(vcpu=vcpu))


def arguments(*values: int) -> tuple[WireOp, ...]:
    return tuple(put(x_id(n), value) for n, value in enumerate(values))


@pytest.mark.parametrize(("function", "event"), [(SYSTEM_OFF, (1, 0)), (RESET2, (2, 1))])
def test_a_system_event_shows_its_type_and_flags(
    lab: LabTransport, function: int, event: tuple[int, int]
) -> None:
    ops = (*up(PSCI), *up(PSCI, 1), *arguments(function, 0), run(HVC))
    *_, ran, state = observe(lab, *ops, WireOp(Kind.GET_MP, 1))
    assert (ran.err, exit_of(ran)) == (0, Exit(24, *event, 0, 0, 0))
    assert number(state) == STOPPED


def test_cpu_off_ends_by_the_time_limit(lab: LabTransport) -> None:
    ops = (*up(PSCI), *arguments(CPU_OFF), run(HVC), WireOp(Kind.GET_MP), get(PC))
    *_, ran, state, pc = observe(lab, *ops)
    assert (ran.err, exit_of(ran)) == (errno.EINTR, Exit(0, 0, 0, 0, 0, 2))
    assert (number(state), number(pc)) == (STOPPED, 0x4000_1004)


def test_a_case_with_a_call_gets_a_fresh_vm(lab: LabTransport) -> None:
    """In a VM that served other cases slot 1 is not the vcpu of affinity 1."""
    entry, context = 0x4000_8000, 77
    stop = WireOp(Kind.SET_MP, 1, STOPPED)
    turn_on = (stop, *arguments(CPU_ON, 1, entry, context), run(HVC, *EXIT))
    ops = (*up(PSCI), *up(PSCI, 1), *turn_on, get(PC, vcpu=1), get(x_id(0), vcpu=1))
    for _ in range(2):
        observe(lab, *up(PSCI), flags=FLAG_REUSE_VM)
        seen = observe(lab, *ops, flags=FLAG_REUSE_VM)
        assert [number(o) for o in seen[-2:]] == [entry, context]


COUNTERS = {0x6030_0000_0013_DF1A, 0x6030_0000_0013_DF01}
"""KVM_REG_ARM_TIMER_CNT and KVM_REG_ARM_PTIMER_CNT: they go on while one looks."""
RDVL = 0x04BF_5022


@pytest.mark.parametrize("flags", [0, FLAG_REUSE_VM])
@pytest.mark.parametrize("code", [(), (*ENABLE, *EXIT), (*ENABLE, RDVL, *EXIT)])
def test_all_but_counters_arrives(lab: LabTransport, flags: int, code: tuple[int, ...]) -> None:
    dirty = (put(p(2), b"\x5a" * 32), put(ZCR, 15), put(x_id(7), 7), put(z(3), b"\xab" * 256))
    first = (create(), init(SVE), put(VLS, 0b1111), finalize(), *dirty)
    ran = (run(*code),) if code else ()
    groups = migrate(SVE).payload[32:]
    ops = (*first, *ran, WireOp(Kind.READ_ALL, 0, 0, 0, groups), migrate(SVE))
    there = (WireOp(Kind.READ_ALL, 2, 0, 0, groups), get(VLS, vcpu=2))
    seen = observe(lab, *ops, *there, flags=flags)
    read, move, arrived, vls = seen[-4], moved(seen[-3]), seen[-2], seen[-1]
    assert (move.err, move.stage) == (0, 0)
    assert move.listed > 200
    assert {record.id for record in move.records} == COUNTERS
    for record in move.records:
        assert (record.read, record.written, record.read_back) == (0, 0, 0)
        assert record.source != record.destination
    size = len(read.data)
    assert seen[-3].data[8 : 8 + size] == read.data
    assert arrived.data == read.data
    assert number(vls) == 0b1111


def test_a_vcpu_without_sve_moves(lab: LabTransport) -> None:
    v3 = 0x6040_0000_0010_0060
    *_, last, there = observe(
        lab, create(), init(0), put(v3, b"\xab" * 16), migrate(0), get(v3, vcpu=2)
    )
    assert {record.id for record in moved(last).records} == COUNTERS
    assert there.data == b"\xab" * 16


@pytest.mark.parametrize(
    ("ops", "err", "stage"),
    [
        ((migrate(SVE),), errno.EBADF, 1),
        ((*up(SVE)[:2], migrate(SVE)), errno.EPERM, 1),
        ((*up(SVE), migrate(SVE, to=0)), errno.EEXIST, 2),
        ((*up(SVE), migrate(0)), errno.EINVAL, 3),
        ((*up(SVE), migrate(1 << 31)), errno.ENOENT, 3),
    ],
)
def test_stages_of_a_move_that_fail(
    lab: LabTransport, ops: tuple[WireOp, ...], err: int, stage: int
) -> None:
    move = moved(observe(lab, *ops)[-1])
    assert (move.err, move.stage, move.records) == (err, stage, [])
    assert (move.listed > 0, bool(move.groups)) == (stage > 1, stage > 1)


def test_a_move_to_other_features_gets_a_fresh_vm(lab: LabTransport) -> None:
    observe(lab, *up(SVE), flags=FLAG_REUSE_VM)
    for _ in range(40):  # more vcpus than a shared VM has
        assert observe(lab, *up(SVE), migrate(SVE), flags=FLAG_REUSE_VM)[3].err == 0
    *_, alone = observe(lab, create(), init(0), migrate(0), flags=FLAG_REUSE_VM)
    assert alone.err == 0
    *_, mixed = observe(lab, create(), init(0), migrate(SVE), flags=FLAG_REUSE_VM)
    assert (mixed.err, mixed.aux) == (errno.EINVAL, 3)


class HostRun(NamedTuple):
    """A HOST_RUN observation."""

    err: int
    aux: int
    exit: Exit
    prctl_err: int
    vl: tuple[int, int]
    fpsr: int
    fpcr: int
    after_run: bytes
    after_signal: bytes


def host_run(vl: int, *code: int, vcpu: int = 0, immediate: int = 0) -> WireOp:
    return WireOp(Kind.HOST_RUN, vcpu, immediate, vl, struct.pack(f"<{len(code)}I", *code))


def host_ran(seen: Observation) -> HostRun:
    run_data = RUN_DATA.unpack_from(seen.data)
    err, before, after, fpsr, fpcr, zero = HOST_THREAD_DATA.unpack_from(seen.data, RUN_DATA.size)
    ran = Exit(*run_data)
    assert zero == 0
    states = seen.data[RUN_DATA.size + HOST_THREAD_DATA.size :]
    half = len(host_fill(0, before))
    assert len(states) == 2 * half
    vl = (before, after)
    return HostRun(seen.err, seen.aux, ran, err, vl, fpsr, fpcr, states[:half], states[half:])


def after_a_system_call(vl: int) -> bytes:
    """Linux keeps the low 128 bits of Z and zeroes all else (arch/arm64/sve.rst)."""
    filled = host_fill(0, vl)
    z_part = b"".join(filled[n * vl : n * vl + 16] + bytes(vl - 16) for n in range(32))
    return z_part + bytes(len(filled) - len(z_part))


GUESTS = {
    "idle": EXIT,
    "sve": (*ENABLE, RDVL, *EXIT),
    "vl-64": (*ENABLE, 0xD280_0063, 0xD518_1203, RDVL, *EXIT),  # mov x3, #3; msr zcr_el1, x3
    "udf": (0,),
}


@pytest.mark.parametrize("vl", [16, 32, 48, 128, 256])
@pytest.mark.parametrize("guest", GUESTS)
def test_a_host_threads_vectors_survive_the_guest(lab: LabTransport, guest: str, vl: int) -> None:
    *_, last = observe(lab, *up(SVE), put(z(3), b"\xee" * 256), host_run(vl, *GUESTS[guest]))
    seen = host_ran(last)
    assert (seen.err, seen.aux, seen.exit.reason, seen.prctl_err, seen.vl) == (0, 0, 6, 0, (vl, vl))
    assert (seen.fpsr, seen.fpcr) == (HOST_FPSR, HOST_FPCR)
    assert seen.after_run == after_a_system_call(vl)
    assert seen.after_signal == host_fill(1, vl)


def test_a_host_run_is_a_run(lab: LabTransport) -> None:
    code = (*ENABLE, RDVL, *EXIT)
    ops = (*up(SVE), put(ZCR, 3), put(z(3), b"\xab" * 256))
    reads = (get(x_id(2)), get(z(3)), get(PC))
    plain = observe(lab, *ops, run(*code), *reads)[len(ops) :]
    host = observe(lab, *ops, host_run(0, *code), *reads)[len(ops) :]
    assert host[0].data[:32] == plain[0].data
    assert [o.data for o in host[1:]] == [o.data for o in plain[1:]]


def test_the_threads_vector_length_is_put_back(lab: LabTransport) -> None:
    seen = observe(lab, *up(SVE), *(host_run(vl, *EXIT) for vl in (0, 256, 0, 16, 0)))
    usual, wide, again, narrow, last = (host_ran(o).vl[0] for o in seen[3:])
    assert (wide, narrow) == (256, 16)
    assert usual == again == last


@pytest.mark.parametrize(
    ("asked", "err", "vl"),
    [(17, errno.EINVAL, None), (8, errno.EINVAL, None), (512, 0, 256), (8192, 0, 256)],
)
def test_lengths_that_prctl_refuses_or_rounds(
    lab: LabTransport, asked: int, err: int, vl: int | None
) -> None:
    *_, usual, last = observe(lab, *up(SVE), host_run(0, *EXIT), host_run(asked, *EXIT))
    seen = host_ran(last)
    assert (seen.err, seen.prctl_err) == (0, err)
    assert seen.vl[0] == (host_ran(usual).vl[0] if vl is None else vl)


def test_host_runs_that_do_not_enter(lab: LabTransport) -> None:
    loop = 0x1400_0000
    stop = WireOp(Kind.SET_MP, 0, STOPPED)
    nobody, immediate, looped, _, stopped = observe(
        lab,
        *up(SVE),
        host_run(32, *EXIT, vcpu=1),
        host_run(32, *EXIT, immediate=1),
        host_run(32, loop),
        stop,
        host_run(32, *EXIT),
    )[3:]
    seen = [host_ran(o) for o in (nobody, immediate, looped, stopped)]
    assert [s.err for s in seen] == [errno.EBADF, errno.EINTR, errno.EINTR, errno.EINTR]
    assert [s.exit.flags for s in seen] == [0, 0, 2, 1]
    assert seen[0].aux == errno.EBADF | errno.EBADF << 32
    for s in seen:
        assert s.after_run == after_a_system_call(32)
        assert s.after_signal == host_fill(1, 32)


def test_a_host_without_sve_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: object) -> str:
        return ""

    monkeypatch.setattr(boot, "unfit", fit)
    kernel = partial(kernels.fetch, "6.12")
    transport = LabTransport(boot.LabSpec(LEG, kernel, "vhe", "arm64.nosve"))
    try:
        *_, state, refused, after = observe(
            transport,
            *(create(), init(0), put(PC, 8), WireOp(Kind.GET_MP)),
            *(host_run(0, *EXIT), get(PC)),
        )
    finally:
        transport.close()
    assert state.err == 0
    assert (refused.err, refused.aux, refused.data) == (errno.EOPNOTSUPP, 0, b"")
    assert number(after) == 8
