"""Moving a register file to another vcpu of the emulator."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from errno import EBADF, EBUSY, EEXIST, EINVAL, EPERM

import pytest
from emulator_leg import (
    ENABLE,
    EXIT,
    FPCR,
    ISAR0,
    PFR0,
    SP_EL1,
    SVE,
    SVE_VCPU,
    VLS,
    ZCR,
    Leg,
    create,
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
from migration import migrate, moved

from corpus.readgroups import READ_GROUPS
from corpus.wire import Kind, WireOp

LIST = WireOp(Kind.REG_LIST, 0, 1024)
MPIDR = 0x6030_0000_0013_C005


@pytest.fixture(scope="module")
def leg() -> Iterator[Leg]:
    with open_leg("emulator:keep") as opened:
        yield opened


def test_everything_arrives(leg: Leg) -> None:
    dirty = (
        put(z(3), bytes(range(256))),
        put(p(2), b"\x5a" * 32),
        put(x(7), 7),
        put(SP_EL1, 8),
        put(ZCR, (1 << 64) - 1),
        put(FPCR, 0xFFFF_FFFF),
    )
    regs = (z(3), p(2), x(7), SP_EL1, ZCR, FPCR, MPIDR, VLS)
    ops = (*SVE_VCPU, *dirty, run(*ENABLE, *EXIT), *map(get, regs), LIST, migrate(SVE))
    seen = leg.do(*ops, *(get(reg, vcpu=2) for reg in regs))
    move = moved(seen[len(ops) - 1])
    assert (move.err, move.stage, move.records) == (0, 0, [])
    assert move.listed == struct.unpack_from("<Q", seen[len(ops) - 2].data)[0]
    before = [o.data for o in seen[len(ops) - 2 - len(regs) : len(ops) - 2]]
    assert [o.data for o in seen[len(ops) :]] == before


def test_the_groups_are_what_read_all_reads(leg: Leg) -> None:
    *_, read, last = leg.do(
        *SVE_VCPU,
        put(z(3), b"\xab" * 256),
        WireOp(Kind.READ_ALL, 0, 0, 0, migrate(SVE).payload[32:]),
        migrate(SVE),
    )
    assert last.data[8 : 8 + len(read.data)] == read.data
    # V beside SVE; keys of pointer authentication; memory tagging
    refused = READ_GROUPS[1], *READ_GROUPS[-2:]
    told = sum(map(len, READ_GROUPS)) - sum(map(len, refused)) + len(refused)
    assert len(moved(last).groups) == told


def test_a_vcpu_without_sve(leg: Leg) -> None:
    ops = (create(), init(0), put(v(3), b"\xab" * 16), migrate(0), get(v(3), vcpu=2))
    *_, last, there = leg.do(*ops)
    move = moved(last)
    assert (move.err, move.records, there.data) == (0, [], b"\xab" * 16)


def test_the_vector_lengths_move_with_it() -> None:
    with open_leg("emulator:keep:vq=1,2,4") as leg:
        ops = (create(), init(SVE), put(VLS, 0b11), finalize(), put(z(1), b"\xcd" * 256))
        *_, last, vls, there = leg.do(*ops, migrate(SVE), get(VLS, vcpu=2), get(z(1), vcpu=2))
        assert moved(last).records == []
        assert (number(vls), there.data) == (0b11, b"\xcd" * 32 + bytes(224))


@pytest.mark.parametrize(
    ("ops", "err", "stage"),
    [
        ((migrate(SVE),), EBADF, 1),
        ((*SVE_VCPU[:2], migrate(SVE)), EPERM, 1),
        ((*SVE_VCPU, migrate(SVE, to=0)), EEXIST, 2),
        ((*SVE_VCPU, create(2), migrate(SVE)), EEXIST, 2),
        ((*SVE_VCPU, migrate(0)), EINVAL, 3),
    ],
)
def test_stages_that_fail(leg: Leg, ops: tuple[WireOp, ...], err: int, stage: int) -> None:
    move = moved(leg.do(*ops)[-1])
    assert (move.err, move.stage, move.records) == (err, stage, [])
    assert (move.listed > 0, bool(move.groups)) == (stage > 1, stage > 1)


def test_a_move_copies_nothing_when_it_fails(leg: Leg) -> None:
    *_, last, again = leg.do(*SVE_VCPU, migrate(0), init(SVE, vcpu=2))
    assert (moved(last).stage, again.err) == (3, 0)


def test_registers_of_the_vm_are_written_back_as_they_are(leg: Leg) -> None:
    """After the first run identification registers take nothing but their own value."""
    lower = (get(ISAR0), put(ISAR0, 0), run(*EXIT), put(PFR0, 0))
    *_, refused, last = leg.do(*SVE_VCPU, *lower, migrate(SVE))
    assert refused.err == EBUSY
    assert moved(last).records == []
