"""The vcpu interface of the emulator, ioctl by ioctl, against kernel 6.12's rules."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from errno import (
    E2BIG,
    EBADF,
    EBUSY,
    EEXIST,
    EFAULT,
    EINTR,
    EINVAL,
    ENOENT,
    ENOEXEC,
    EOPNOTSUPP,
    EPERM,
)

import pytest
from emulator_leg import (
    CPACR,
    ELR,
    ENABLE,
    EXIT,
    FFR,
    FPCR,
    FPSR,
    ISAR0,
    PC,
    PFR0,
    PSTATE,
    SMFR0,
    SP_EL0,
    SP_EL1,
    SPSR,
    SVE,
    SVE_VCPU,
    VLS,
    ZCR,
    Leg,
    create,
    exit_of,
    finalize,
    get,
    init,
    number,
    open_leg,
    p,
    put,
    run,
    v,
    x,
    z,
)

from corpus.wire import SVCR_SHIFT, Kind, WireOp, pack_groups, unpack_values

ALL_16 = 0xFFFF


@pytest.fixture(scope="module")
def leg() -> Iterator[Leg]:
    with open_leg("emulator:keep") as opened:
        yield opened


def test_a_vcpu_is_created_once(leg: Leg) -> None:
    assert leg.errs(create(), create(), create(1)) == [0, EEXIST, 0]


def test_preferred_target_is_generic_v8_without_features(leg: Leg) -> None:
    (seen,) = leg.do(WireOp(Kind.PREF_TARGET))
    assert (seen.err, seen.data) == (0, struct.pack("<8I", 5, *[0] * 7))


@pytest.mark.parametrize(
    ("features", "target", "err"),
    [
        ((SVE,), 5, 0),
        ((0,), 5, 0),
        ((1,), 5, 0),  # POWER_OFF
        ((4,), 5, 0),  # PSCI_0_2
        ((SVE,), 0, EINVAL),
        ((SVE,), 6, EINVAL),
        ((SVE | 1 << 31,), 6, EINVAL),  # the target is looked at first
        ((SVE | 1 << 7,), 5, ENOENT),  # HAS_EL2 is not known to 6.12
        ((1 << 31,), 5, ENOENT),
        ((0, 1), 5, ENOENT),
        ((2, 0, 0, 0, 0, 0, 1), 5, ENOENT),  # unknown before unsupported
        ((2,), 5, EINVAL),  # EL1_32BIT
        ((8,), 5, EINVAL),  # PMU_V3
        ((0x20,), 5, EINVAL),
        ((0x60,), 5, EINVAL),  # PTRAUTH, which this host lacks
    ],
)
def test_init_checks(leg: Leg, features: tuple[int, ...], target: int, err: int) -> None:
    assert leg.errs(create(), init(*features, target=target)) == [0, err]


def test_all_vcpus_of_a_vm_have_the_features_of_the_first(leg: Leg) -> None:
    ops = (create(), create(1), init(2), init(0), init(SVE, vcpu=1), init(1, vcpu=1), init(SVE))
    assert leg.errs(*ops) == [0, 0, EINVAL, 0, EINVAL, 0, EINVAL]


def test_before_init_nothing_works_but_mp_state(leg: Leg) -> None:
    ops = (
        create(),
        finalize(),
        get(x(0)),
        put(x(0), 1, edge=0),
        WireOp(Kind.REG_LIST, 0, 1000),
        run(*EXIT),
        WireOp(Kind.GET_MP),
    )
    seen = leg.do(*ops)
    assert [o.err for o in seen] == [0, *[ENOEXEC] * 5, 0]
    assert seen[5].aux == ENOEXEC << 32 | ENOEXEC
    assert not any(seen[5].data)
    assert seen[6].data == bytes(4)


def test_a_slot_without_a_vcpu_gives_ebadf(leg: Leg) -> None:
    groups = pack_groups([[x(0), x(1)], [PC]])
    seen = leg.do(
        get(x(0)),
        WireOp(Kind.REG_LIST, 0, 7),
        run(*EXIT),
        WireOp(Kind.READ_ALL, 0, 0, 0, groups),
        WireOp(Kind.GET_MP),
        init(SVE),
        finalize(),
        put(x(0), 1),
    )
    assert {o.err for o in seen} == {EBADF}
    assert seen[0].data == b"\x5a" * 8
    assert seen[1].data == struct.pack("<Q", 7)
    assert (seen[2].aux, seen[2].data) == (EBADF << 32 | EBADF, bytes(32))
    assert unpack_values(seen[3].data) == [(EBADF, b""), (EBADF, b"")]


def test_finalize_checks(leg: Leg) -> None:
    assert leg.errs(create(), init(0), finalize()) == [0, 0, EINVAL]
    ops = (create(), init(SVE), finalize(3), finalize(1 << 32 | 4), finalize(), finalize(5))
    assert leg.errs(*ops) == [0, 0, EINVAL, 0, EPERM, EINVAL]


def test_reinit_forgets_what_kvm_forgets(leg: Leg) -> None:
    """6.12 resets neither SP_EL1 nor ELR_EL1 nor SPSR_EL1."""
    before = (put(SP_EL0, 1), put(SP_EL1, 2), put(ELR, 3), put(SPSR, 4), put(SPSR + 2, 5))
    seen = leg.do(*SVE_VCPU, *before, init(SVE), *map(get, (SP_EL0, SP_EL1, ELR, SPSR, SPSR + 2)))
    assert [number(o) for o in seen[-5:]] == [0, 2, 3, 4, 0]


@pytest.mark.parametrize("ran", [False, True])
def test_reinit_resets_registers_and_keeps_the_finalized_length(leg: Leg, ran: bool) -> None:
    seen = leg.do(
        create(),
        init(SVE),
        put(VLS, 0b11),
        finalize(),
        put(z(0), b"\xab" * 256),
        put(ZCR, 5),
        *([run(*EXIT)] if ran else []),
        init(SVE),
        get(VLS),
        get(z(0)),
        get(ZCR),
        get(PSTATE),
        put(VLS, 0b11),
    )
    vls, z0, zcr, pstate, again = seen[-5:]
    assert (number(vls), number(z0), number(zcr), number(pstate)) == (0b11, 0, 0, 0x3C5)
    assert again.err == EPERM


def test_reinit_before_finalize_forgets_the_length(leg: Leg) -> None:
    seen = leg.do(create(), init(SVE), put(VLS, 1), get(VLS), init(SVE), get(VLS))
    assert (number(seen[3]), number(seen[5])) == (1, ALL_16)


def test_vector_length_set_and_get(leg: Leg) -> None:
    ops = (create(), init(SVE), put(VLS, 0), put(VLS, 1 << 16), put(VLS, 0b101), put(VLS, 0b111))
    assert leg.errs(*ops) == [0, 0, EINVAL, EINVAL, EINVAL, 0]
    assert leg.errs(create(), init(SVE), put(VLS, 1 << 511)) == [0, 0, EINVAL]
    edges = (create(), init(SVE), put(VLS, 1, edge=63), get(VLS, edge=63), put(VLS, 1, edge=64))
    assert leg.errs(*edges) == [0, 0, EFAULT, EFAULT, 0]
    assert leg.errs(create(), init(0), put(VLS, 1, edge=0), get(VLS)) == [0, 0, ENOENT, ENOENT]
    assert leg.errs(*SVE_VCPU, put(VLS, ALL_16, edge=0), get(VLS))[3:] == [EPERM, 0]
    wrong_size = VLS ^ 1 << 52
    assert leg.errs(create(), init(SVE), get(wrong_size)) == [0, 0, EINVAL]


def test_only_truncations_of_the_hosts_own_set_are_lengths() -> None:
    with open_leg("emulator:keep:vq=1,2,4") as leg:
        ops = (create(), init(SVE), get(VLS))
        assert number(leg.do(*ops)[2]) == 0b1011
        for vqs, err in ((0b1, 0), (0b11, 0), (0b1011, 0), (0b111, EINVAL), (0b1001, EINVAL)):
            assert leg.errs(create(), init(SVE), put(VLS, vqs))[2] == err


@pytest.mark.parametrize("sve", [True, False])
@pytest.mark.parametrize(
    ("reg", "without", "with_sve"),
    [
        (z(0), ENOENT, 0),
        (z(31), ENOENT, 0),
        (z(0) + 1, ENOENT, ENOENT),  # slices beyond the first
        (z(31) + 31, ENOENT, ENOENT),
        (p(0), ENOENT, 0),
        (FFR, ENOENT, 0),
        (FFR + 31, ENOENT, ENOENT),
        (FFR + 32, EINVAL, EINVAL),
        (z(0) ^ 1 << 52, EINVAL, EINVAL),  # wrong sizes
        (p(0) ^ 1 << 52, EINVAL, EINVAL),
        (z(0) | 1 << 28, EINVAL, EINVAL),
        (z(0) | 1 << 32, EINVAL, EINVAL),
        (v(0), 0, EINVAL),
        (v(31), 0, EINVAL),
        (v(0) + 1, EINVAL, EINVAL),
        (x(30), 0, 0),
        (x(0) + 1, EINVAL, EINVAL),
        (x(0) ^ 1 << 52, EINVAL, EINVAL),
        (x(0) | 1 << 28, ENOENT, ENOENT),
        (x(0) | 1 << 40, EINVAL, EINVAL),
        (PC | 0xF << 52, ENOENT, ENOENT),  # so large that the index leaves struct kvm_regs
        (FPSR, 0, 0),
        (FPSR ^ 1 << 52, EINVAL, EINVAL),
        (FPCR + 1, EINVAL, EINVAL),
        (FPCR + 2, ENOENT, ENOENT),
        (0, EINVAL, EINVAL),
        (ZCR, ENOENT, 0),
        (ZCR ^ 1 << 52, ENOENT, ENOENT),
        (ZCR | 1 << 28, ENOENT, ENOENT),
        (0x6030_0000_0013_E090, ENOENT, ENOENT),  # ZCR_EL2
        (0x6030_0000_0013_C096, ENOENT, ENOENT),  # SMCR_EL1
        (CPACR, 0, 0),
        (SMFR0, 0, 0),
    ],
)
def test_ids(leg: Leg, sve: bool, reg: int, without: int, with_sve: int) -> None:
    ops = SVE_VCPU if sve else (create(), init(0))
    assert leg.do(*ops, get(reg))[-1].err == (with_sve if sve else without)


def test_vector_registers_wait_for_finalize(leg: Leg) -> None:
    ops = (create(), init(SVE), get(z(0)), put(p(0), 0, edge=0), get(z(0) + 1), get(ZCR), get(v(0)))
    assert leg.errs(*ops) == [0, 0, EPERM, EPERM, ENOENT, 0, EINVAL]
    assert leg.errs(create(), init(SVE), WireOp(Kind.REG_LIST), run(*EXIT)) == [0, 0, EPERM, EPERM]


def test_bytes_above_the_length_are_neither_read_nor_kept(leg: Leg) -> None:
    seen = leg.do(
        create(),
        init(SVE),
        put(VLS, 0b11),
        finalize(),
        put(z(1), b"\xab" * 256, edge=32),
        get(z(1)),
        put(p(1), b"\xcd" * 32, edge=4),
        get(p(1)),
    )
    assert [o.err for o in seen] == [0] * 8
    assert seen[5].data == b"\xab" * 32 + bytes(224)
    assert seen[7].data == b"\xcd" * 4 + bytes(28)


def test_a_set_that_faults_half_way_leaves_the_rest_zero(leg: Leg) -> None:
    seen = leg.do(
        *SVE_VCPU,
        put(z(1), b"\xab" * 256),
        put(z(1), b"\xcd" * 256, edge=100),
        get(z(1)),
        put(x(1), 7),
        put(x(1), 8, edge=7),
        get(x(1)),
    )
    assert seen[4].err == EFAULT
    assert seen[5].data == b"\xcd" * 100 + bytes(156)
    assert (seen[7].err, number(seen[8])) == (EFAULT, 7)


def test_a_get_that_faults_half_way_leaves_a_partial_buffer(leg: Leg) -> None:
    seen = leg.do(
        *SVE_VCPU,
        put(z(1), b"\xab" * 256),
        get(z(1), edge=100),
        get(z(1), edge=256),
        get(ZCR, edge=7),
        get(x(0), edge=0),
        get(z(1) + 1, edge=0),
    )
    assert (seen[4].err, seen[4].data) == (EFAULT, b"\xab" * 100)
    assert (seen[5].err, seen[5].data) == (0, b"\xab" * 256)
    assert (seen[6].err, seen[6].data) == (EFAULT, b"\x5a" * 7)
    assert (seen[7].err, seen[7].data) == (EFAULT, b"")
    assert (seen[8].err, seen[8].data) == (ENOENT, b"")


def test_order_of_checks_for_system_registers(leg: Leg) -> None:
    unknown = ZCR | 7 << 11
    ops = (
        put(unknown, 0),
        put(unknown, 0, edge=7),
        get(unknown, edge=0),
        put(z(0) + 1, b"", edge=0),
    )
    assert leg.errs(*SVE_VCPU, *ops)[3:] == [ENOENT, EFAULT, ENOENT, ENOENT]


@pytest.mark.parametrize(
    ("mode", "err"),
    [(0, 0), (4, 0), (5, 0), (8, EINVAL), (9, EINVAL), (13, EINVAL), (1, EINVAL), (0x10, EINVAL)],
)
def test_pstate_modes(leg: Leg, mode: int, err: int) -> None:
    seen = leg.do(*SVE_VCPU, put(PSTATE, 0xF000_03C0 | mode), get(PSTATE))
    assert seen[3].err == err
    assert number(seen[4]) == (0x3C5 if err else 0xF000_03C0 | mode)


def test_system_registers_are_stored_raw(leg: Leg) -> None:
    ones = (1 << 64) - 1
    ops = (put(ZCR, ones), put(CPACR, ones), put(FPCR, 0xFFFFFFFF), put(FPSR, 0xFFFFFFFF))
    seen = leg.do(*SVE_VCPU, *ops, run(*EXIT), get(ZCR), get(CPACR), get(FPCR), get(FPSR))
    assert [number(o) for o in seen[-4:]] == [ones, ones, 0xFFFFFFFF, 0xFFFFFFFF]


def test_id_registers(leg: Leg) -> None:
    pfr0 = number(leg.do(*SVE_VCPU, get(PFR0))[-1])
    assert pfr0 >> 32 & 15 == 1
    assert number(leg.do(create(), init(0), get(PFR0))[-1]) == pfr0 & ~(15 << 32)
    isar0 = number(leg.do(*SVE_VCPU, get(ISAR0))[-1])
    less = isar0 & ~(15 << 16)
    ops = (
        put(PFR0, pfr0 & ~(15 << 32)),
        put(ISAR0, isar0 + (1 << 16)),
        put(ISAR0, less),
        put(SMFR0, 1),
        put(SMFR0, 0),
        run(immediate=True),
        put(ISAR0, isar0),
        put(ISAR0, less),
        put(SMFR0, 1),
        init(SVE),
        get(ISAR0),
    )
    seen = leg.do(*SVE_VCPU, *ops)[3:]
    assert [o.err for o in seen[:5]] == [EINVAL, EINVAL, 0, EINVAL, 0]
    assert [o.err for o in seen[5:9]] == [EINTR, EBUSY, 0, EBUSY]
    assert number(seen[10]) == less


def test_register_list(leg: Leg) -> None:
    def listed(*ops: WireOp) -> list[int]:
        seen = leg.do(*ops, WireOp(Kind.REG_LIST, 0, 1000))[-1]
        n, *ids = struct.unpack(f"<{len(seen.data) // 8}Q", seen.data)
        assert n == len(ids) == len(set(ids))
        assert {o.err for o in leg.do(*ops, *map(get, ids))} == {0}
        return ids

    plain, sve = listed(create(), init(0)), listed(*SVE_VCPU)
    assert sum(reg >> 16 & 0xFFF == 0x10 for reg in plain) == 75
    assert sum(reg >> 16 & 0xFFF == 0x10 for reg in sve) == 43
    vectors = [reg for reg in sve if reg >> 16 & 0xFFF == 0x15]
    assert vectors == [VLS, *map(z, range(32)), *map(p, range(16)), FFR]
    assert set(sve) - set(plain) == {*vectors, ZCR}
    room = leg.do(*SVE_VCPU, WireOp(Kind.REG_LIST, 0, len(sve) - 1))[-1]
    assert (room.err, room.data) == (E2BIG, struct.pack("<Q", len(sve)))


def test_mp_state_decides_whether_the_guest_runs(leg: Leg) -> None:
    stop, wrong = WireOp(Kind.SET_MP, 0, 5), WireOp(Kind.SET_MP, 0, 3)
    seen = leg.do(*SVE_VCPU, wrong, stop, WireOp(Kind.GET_MP), run(*EXIT), get(PC), init(SVE | 1))
    assert [o.err for o in seen[3:7]] == [EINVAL, 0, 0, EINTR]
    assert number(seen[5]) == 5
    assert exit_of(seen[6]).flags == 1
    assert number(seen[7]) == 0x4000_1000
    off = leg.do(create(), init(SVE | 1), WireOp(Kind.GET_MP), init(SVE), WireOp(Kind.GET_MP))
    assert (number(off[2]), number(off[4])) == (5, 0)


def test_guest_memory(leg: Leg) -> None:
    seen = leg.do(
        WireOp(Kind.WRITE_MEM, 0, 0xFFFE, 0, b"abcd"),
        WireOp(Kind.READ_MEM, 0, 0xFFFC, 100),
        WireOp(Kind.READ_MEM, 0, 0x10000, 1),
        WireOp(Kind.READ_MEM, 0, 0x200, 12),
    )
    assert [o.data for o in seen[1:3]] == [b"\0\0ab", b""]
    assert seen[3].data == struct.pack("<3I", 0xD2AA_001E, 0xF280_241E, 0xF900_03DE)
    assert leg.do(WireOp(Kind.READ_MEM, 0, 0xFFFE, 2))[0].data == b"\0\0"


def test_read_all_leaves_out_the_rest_of_a_group_that_fails(leg: Leg) -> None:
    groups = pack_groups([[x(0), z(0) + 1, x(1)], [ZCR, x(2)], [FPCR]])
    seen = leg.do(create(), init(0), put(x(0), 7), WireOp(Kind.READ_ALL, 0, 0, 0, groups))[-1]
    assert unpack_values(seen.data) == [
        (0, struct.pack("<Q", 7)),
        (ENOENT, b""),
        (0, bytes(8)),
        (ENOENT, b""),
        (0, bytes(4)),
    ]


def test_two_vcpus_share_memory_and_nothing_else(leg: Leg) -> None:
    store = (0xD2A8_0002, 0xF290_0002, 0xD280_0023, 0xF900_0043)  # x2 = RAM + 0x8000; str #1, [x2]
    load = (0xD2A8_0002, 0xF290_0002, 0xF940_0044)  # ldr x4, [x2]
    ops = (create(1), init(SVE, vcpu=1), finalize(vcpu=1))
    seen = leg.do(
        *SVE_VCPU,
        *ops,
        run(*store, *EXIT),
        run(*load, *EXIT, vcpu=1),
        get(x(4), vcpu=1),
        get(x(4)),
        get(CPACR, vcpu=1),
        run(*ENABLE, *EXIT),
        get(CPACR, vcpu=1),
    )
    assert [number(o) for o in (*seen[8:11], seen[12])] == [1, 0, 0, 0]


@pytest.mark.parametrize("svcr", [0, 3])
def test_a_host_thread_with_sve_is_more_than_an_emulator_has(leg: Leg, svcr: int) -> None:
    code = struct.pack("<2I", *EXIT)
    vl = 32 | svcr << SVCR_SHIFT
    *_, seen, pc = leg.do(*SVE_VCPU, WireOp(Kind.HOST_RUN, 0, 0, vl, code), get(PC))
    assert (seen.err, seen.aux, seen.data) == (EOPNOTSUPP, 0, b"")
    assert number(pc) == 0
