"""Migrations and host runs: what the oracle accepts, and the rule behind what it does not."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import registers as regs
from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import (
    HOST_FPCR,
    SME_DATA,
    SME_EVENT,
    digest,
    host_fill,
    streaming_fill,
    unpack_migration,
    za_fill,
)
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.rules import is_strict
from targets.spec.steps.hosts import HEADER, host_vl, streaming_vl

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


SME = Profile(svqs=0x808B)
STREAMING = ("sm", "za", "sm+za")


def streaming_case(svcr: str, vl: int = 64) -> Case:
    return parse_case(f"create v0\ninit v0\nfinalize v0\nhost-run v0 vl={vl} svcr={svcr} {{ }}")


def streaming_verdict(svcr: str, change: Callable[[bytes], bytes], vl: int = 64) -> Agree | Diverge:
    case = streaming_case(svcr, vl)
    *before, old = ModelTarget(SME).run(case).observations
    seen = Observation(old.err, old.aux, change(old.data))
    verdict = judge(case, Trace((*before, seen)), SME)
    assert isinstance(verdict, Agree | Diverge)
    return verdict


def end_with(behind: int, new: bytes) -> Callable[[bytes], bytes]:
    """Other bytes so many in front of the end."""
    return lambda data: data[:-behind] + new + data[len(data) - behind + len(new) :]


RAN, SIGNALLED = 2 * SME_EVENT.size, SME_EVENT.size
NO_ZA = SME_EVENT.pack(0, 64, 0, 0)


def test_za_and_vectors_are_told_as_digests_of_what_was_filled_in() -> None:
    told = ModelTarget(SME).run(streaming_case("sm+za", 64)).observations[3].data
    assert SME_DATA.unpack_from(told[-2 * SME_EVENT.size - SME_DATA.size :]) == (0, 64)
    assert list(SME_EVENT.iter_unpack(told[-2 * SME_EVENT.size :])) == [
        (2, 64, digest(za_fill(0, 64)), 0),
        (3, 64, digest(za_fill(1, 64)), digest(streaming_fill(1, 64))),
    ]


@pytest.mark.parametrize("svcr", STREAMING)
def test_a_thread_with_sme_is_left_as_the_document_says(svcr: str) -> None:
    assert isinstance(streaming_verdict(svcr, lambda data: data), Agree)


@pytest.mark.parametrize(
    ("svcr", "behind", "new", "rule"),
    [
        ("za", RAN + SME_DATA.size, SME_DATA.pack(0, 32), "host.sme-prctl"),
        ("za", RAN + SME_DATA.size, SME_DATA.pack(22, 64), "host.sme-prctl"),
        ("za", RAN - 4, b"\x20", "host.sme-length-kept"),
        ("za", SIGNALLED - 4, b"\x20", "host.sme-length-kept"),
        ("sm", RAN, b"\x01", "host.sme-streaming-ends"),
        ("sm+za", RAN, b"\x03", "host.sme-streaming-ends"),
        ("za", RAN, b"\x03", "host.sme-streaming-ends"),
        ("za", RAN, NO_ZA, "host.sme-za-kept"),
        ("sm+za", RAN, NO_ZA, "host.sme-za-kept"),
        ("za", RAN - 8, b"\xee", "host.sme-za-kept"),
        ("sm", RAN, b"\x02", "host.sme-za-kept"),
        ("za", SIGNALLED, NO_ZA, "host.sme-signal-restores-za"),
        ("za", SIGNALLED - 15, b"\xee\xee", "host.sme-signal-restores-za"),
        ("sm+za", SIGNALLED, b"\x02", "host.sme-signal-restores-mode"),
        ("za", SIGNALLED, b"\x03", "host.sme-signal-restores-mode"),
        ("sm", 1, b"\xee", "host.sme-signal-restores-mode"),
    ],
)
def test_sme_state_that_is_lost(svcr: str, behind: int, new: bytes, rule: str) -> None:
    verdict = streaming_verdict(svcr, end_with(behind, new))
    assert (verdict.rule if isinstance(verdict, Diverge) else "agree") == rule


Z3, P3 = STATE + 3 * 64, STATE + 32 * 64 + 3 * 8
OWN_Z3, OWN_P3 = streaming_fill(0, 64)[3 * 64 : 4 * 64], streaming_fill(0, 64)[2072:2080]


@pytest.mark.parametrize(
    ("at", "new", "rule"),
    [
        (Z3, OWN_Z3, "agree"),
        (Z3, OWN_Z3[:16], "agree"),
        (Z3, host_fill(0, 64)[3 * 64 : 3 * 64 + 16], "agree"),
        (Z3, b"\xee" * 16, "host.sme-vectors-not-the-guests"),
        (Z3 + 16, b"\xee" * 48, "host.sme-vectors-not-the-guests"),
        (P3, OWN_P3, "agree"),
        (P3, b"\xee", "host.sme-vectors-not-the-guests"),
        (STATE + 34 * 64, b"\1", "host.sme-vectors-not-the-guests"),
        (STATE - 12, b"\x9f\0\0\x08", "agree"),
        (STATE - 12, b"\x9f\0\0\x09", "host.sme-fp-control"),
        (STATE - 8, b"\1", "host.sme-fp-control"),
    ],
)
def test_vectors_after_streaming_mode_are_the_threads(at: int, new: bytes, rule: str) -> None:
    cleared = STATE + 34 * 64 + 8

    def change(data: bytes) -> bytes:
        data = data[:STATE] + bytes(cleared - STATE) + data[cleared:]
        return data[:at] + new + data[at + len(new) :]

    verdict = streaming_verdict("sm", change)
    assert (verdict.rule if isinstance(verdict, Diverge) else "agree") == rule


@pytest.mark.parametrize(
    ("err", "svl"), [(0, 0), (0, 15), (0, 24), (0, 48), (0, 512), (0, 272), (22, 32)]
)
def test_a_length_that_no_host_can_have(err: int, svl: int) -> None:
    told = SME_DATA.pack(err, svl) + SME_EVENT.pack(0, svl, 0, 0) + SME_EVENT.pack(1, svl, 0, 0)
    verdict = streaming_verdict("sm", end_with(len(told), told), vl=0)
    assert isinstance(verdict, Diverge)
    assert verdict.rule == "host.sme-prctl"


def after_streaming(vl: int, at: int, new: bytes) -> Agree | Diverge:
    """With bytes at a place in the state after KVM_RUN, which is all zero but for them."""

    def change(data: bytes) -> bytes:
        state = bytearray(len(host_fill(0, vl)))
        state[at : at + len(new)] = new
        return data[:STATE] + bytes(state) + data[STATE + len(state) :]

    return streaming_verdict("sm", change, vl)


@pytest.mark.parametrize(
    ("at", "detail"),
    [
        (31 * 48 + 15, "Z31, bits 127:0"),
        (16, "Z0, bits 128 up"),
        (32 * 48, "P0"),
        (34 * 48 - 1, "P15"),
        (34 * 48, "FFR"),
        (34 * 48 + 5, "FFR"),
    ],
)
def test_a_register_that_is_not_the_threads_is_named(at: int, detail: str) -> None:
    verdict = after_streaming(48, at, b"\xed")
    assert isinstance(verdict, Diverge)
    assert (verdict.rule, verdict.detail) == ("host.sme-vectors-not-the-guests", detail)


@pytest.mark.parametrize("n", [0, 1, 31])
def test_of_a_shorter_streaming_register_the_rest_is_zero(n: int) -> None:
    """The thread asked for 48 bytes, and has a VL of 48 and an SVL of 32."""
    own = streaming_fill(0, 32)[32 * n : 32 * (n + 1)]
    assert isinstance(after_streaming(48, 48 * n, own), Agree)
    assert isinstance(after_streaming(48, 48 * n, own + b"\xee"), Diverge)
    own = streaming_fill(0, 32)[32 * 32 + 4 * (n % 16) :][:4]
    assert isinstance(after_streaming(48, 32 * 48 + 6 * (n % 16), own), Agree)
    assert isinstance(after_streaming(48, 32 * 48 + 6 * (n % 16), own + b"\xee"), Diverge)
    assert isinstance(after_streaming(48, 34 * 48, host_fill(0, 48)[34 * 48 :][:6]), Agree)


def test_the_model_has_the_shortest_length_where_none_is_asked_for() -> None:
    for svqs in (0x808B, 0b1010):
        profile = Profile(svqs=svqs)
        case = streaming_case("sm+za", 0)
        trace = ModelTarget(profile).run(case)
        assert isinstance(judge(case, trace, profile), Agree)
        (_, svl) = SME_DATA.unpack_from(trace.observations[3].data[-2 * SME_EVENT.size - 8 :])
        assert svl == {0x808B: 16, 0b1010: 32}[svqs]


def test_what_holds_for_others_holds_with_za() -> None:
    assert isinstance(verdict := streaming_verdict("za", changed(Z3, 0xEE)), Diverge)
    assert verdict.rule == "host.low-quadwords-kept"
    assert is_strict("host.sme-za-kept")
    assert not is_strict("host.sme-vectors-not-the-guests")


@given(st.binary(max_size=200), st.sampled_from(STREAMING))
def test_any_data_of_sme_is_judged(data: bytes, svcr: str) -> None:
    streaming_verdict(svcr, lambda _: data)
    streaming_verdict(svcr, lambda good: good[: -len(data)] + data)


@pytest.mark.parametrize(
    ("asked", "svqs", "svl"),
    [(256, 0x808B, 256), (48, 0x808B, 32), (16, 0b1010, 32), (8, 0x808B, 0), (0, 0x808B, 0)],
)
def test_the_streaming_length_a_thread_gets(asked: int, svqs: int, svl: int) -> None:
    assert streaming_vl(asked, svqs) == svl


@pytest.mark.parametrize("vl", [0, 17, 48, 256, 8192])
def test_a_thread_with_sme_may_ask_for_any_length(vl: int) -> None:
    case = streaming_case("sm+za", vl)
    trace = ModelTarget(SME).run(case)
    assert trace.observations[3].err == 0
    assert isinstance(judge(case, trace, SME), Agree)


@pytest.mark.parametrize("profile", [Profile(), Profile(kernel=(0, 0), host_thread=False)])
def test_a_host_without_sme_says_so_and_does_nothing(profile: Profile) -> None:
    case = streaming_case("za")
    trace = ModelTarget(profile).run(case)
    assert trace.observations[3] == Observation(95)
    assert isinstance(judge(case, trace, profile), Agree)


def test_no_two_vectors_that_are_filled_in_are_alike() -> None:
    za = za_fill(1, 256)
    assert len({za[256 * row :][:256] for row in range(256)}) == 256
    assert za_fill(0, 256) != za
    assert (len(za_fill(0, 16)), za_fill(0, 16)[17]) == (256, 0x23 + 7 + 3 + 1)
    assert len(streaming_fill(0, 64)) == 34 * 64
    assert digest(b"") == 0xCBF29CE484222325
    assert digest(b"foobar") == 0x85944171F73967E8  # from the authors' own list


def test_an_executor_without_a_host_thread_says_so() -> None:
    profile = Profile(kernel=(0, 0), host_thread=False)
    trace = ModelTarget(profile).run(HOST)
    assert trace.observations[3].err == 95
    assert isinstance(judge(HOST, trace, profile), Agree)
