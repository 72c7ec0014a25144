"""Migrations and host runs: what the oracle accepts, and the rule behind what it does not."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import registers as regs
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import HOST_FPCR, host_fill, unpack_migration
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.steps.hosts import HEADER, host_vl

MIGRATION = parse_case("create v0\ninit v0\nfinalize v0\nset v0 z3 0xab*\nmigrate v0\nget v2 z3")
HOST = parse_case("create v0\ninit v0\nfinalize v0\nhost-run v0 vl=256 { }")
RUN_DATA = 32


def with_record(data: bytes, reg: int, errors: tuple[int, int, int]) -> bytes:
    """A migration's data with one record more."""
    head, size = data[:-16], 8
    record = struct.pack("<Q4I", reg, *errors, size) + b"\1" * size + b"\2" * size
    return head + struct.pack("<2Q", 200, 1) + record


def verdict_with(case_index: int, change: Callable[[bytes], bytes]) -> Agree | Diverge:
    case = MIGRATION if case_index == 4 else HOST
    trace = ModelTarget(Profile()).run(case)
    seen = list(trace.observations)
    old = seen[case_index]
    seen[case_index] = Observation(old.err, old.aux, change(old.data))
    verdict = judge(case, Trace(tuple(seen)), Profile())
    assert isinstance(verdict, Agree | Diverge)
    return verdict


@pytest.mark.parametrize(
    ("reg", "errors", "rule"),
    [
        (regs.Z_IDS[3], (0, 0, 0), "migrate.identity"),
        (regs.REGISTERS["zcr_el1"].id, (0, 22, 0), "migrate.identity"),
        (regs.sysreg_id(3, 0, 2, 0, 0), (0, 0, 0), "migrate.other-registers"),
    ],
)
def test_a_register_that_does_not_arrive(reg: int, errors: tuple[int, int, int], rule: str) -> None:
    verdict = verdict_with(4, lambda data: with_record(data, reg, errors))
    assert isinstance(verdict, Diverge)
    assert verdict.rule == rule


def test_timers_may_go_on() -> None:
    counter = regs.sysreg_id(3, 3, 14, 3, 2)
    assert isinstance(verdict_with(4, lambda d: with_record(d, counter, (0, 0, 0))), Agree)


def test_what_arrived_is_known_of_the_new_vcpu() -> None:
    trace = ModelTarget(Profile()).run(MIGRATION)
    wrong = (*trace.observations[:-1], Observation(0, 0, bytes(256)))
    verdict = judge(MIGRATION, Trace(wrong), Profile())
    assert isinstance(verdict, Diverge)
    assert verdict.rule == "migrate.identity"


@given(st.binary(max_size=200))
def test_any_data_is_judged(data: bytes) -> None:
    verdict_with(4, lambda _: data)
    verdict_with(3, lambda _: data)


def test_an_unpacked_migration_is_what_was_packed() -> None:
    data = with_record(bytes(16), regs.Z_IDS[0], (1, 2, 3))
    listed, (record,) = unpack_migration(data)
    assert listed == 200
    assert (record.id, record.read, record.written, record.read_back) == (regs.Z_IDS[0], 1, 2, 3)
    assert (record.source, record.destination) == (b"\1" * 8, b"\2" * 8)


def changed(at: int, value: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        return data[:at] + bytes([value]) + data[at + 1 :]

    return change


STATE = RUN_DATA + HEADER.size
SIGNAL = STATE + len(host_fill(0, 256))


@pytest.mark.parametrize(
    ("at", "value", "rule"),
    [
        (RUN_DATA + 5, 2, "host.prctl"),
        (RUN_DATA + 8, 16, "host.length-kept"),
        (RUN_DATA + 18, HOST_FPCR >> 24, "host.fp-control-kept"),
        (STATE + 2 * 256 + 15, 0, "host.low-quadwords-kept"),
        (STATE + 2 * 256 + 16, 0xEE, "host.upper-bits-not-the-guests"),
        (STATE + 32 * 256 + 40, 0xEE, "host.upper-bits-not-the-guests"),
        (SIGNAL + 5 * 256 + 200, 0, "host.signal-restores-all"),
    ],
)
def test_host_state_that_is_lost(at: int, value: int, rule: str) -> None:
    verdict = verdict_with(3, changed(at, value))
    assert isinstance(verdict, Diverge)
    assert verdict.rule == rule


def test_upper_bits_may_be_cleared_register_by_register() -> None:
    def clear_one(data: bytes) -> bytes:
        at = STATE + 7 * 256 + 16
        return data[:at] + bytes(240) + data[at + 240 :]

    assert isinstance(verdict_with(3, clear_one), Agree)


@pytest.mark.parametrize(
    ("asked", "vqs", "vl"),
    [(256, 0xFFFF, 256), (8192, 0xFFFF, 256), (48, 0b1011, 32), (8, 0xFFFF, 0), (8208, 3, 0)],
)
def test_the_length_a_thread_gets(asked: int, vqs: int, vl: int) -> None:
    assert host_vl(asked, vqs) == vl


def test_an_executor_without_a_host_thread_says_so() -> None:
    profile = Profile(kernel=(0, 0), host_thread=False)
    trace = ModelTarget(profile).run(HOST)
    assert trace.observations[3].err == 95
    assert isinstance(judge(HOST, trace, profile), Agree)
