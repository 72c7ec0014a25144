"""The codec is total, canonical, and agrees with the text form."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import cases, raw_bytes

from corpus.case import MAX_OPS, MOST_OPS, Case, decode
from corpus.opfields import fields_of
from corpus.ops import OPS, GetMp
from corpus.text import format_case, parse_case
from corpus.wire import Kind, WireError, pack_request, unpack_response, unpack_values


@given(raw_bytes)
def test_every_byte_string_is_a_case_with_canonical_bytes(data: bytes) -> None:
    case = decode(data)
    assert len(case.ops) <= (MOST_OPS if data[:1] >= b"\xef" else MAX_OPS)
    assert decode(case.encoded) == case


@given(raw_bytes)
def test_a_long_case_says_so_in_its_first_byte(data: bytes) -> None:
    whole = decode(b"\xf1" + data + bytes(64 * MAX_OPS))
    assert whole.min_vq == 2
    assert len(whole.ops) > MAX_OPS
    assert decode(whole.encoded) == whole
    assert len(decode(b"\x02" + data + bytes(64 * MAX_OPS)).ops) == MAX_OPS


@settings(max_examples=300)
@given(cases)
@pytest.mark.long
def test_round_trips(case: Case) -> None:
    assert decode(case.encoded) == case
    if case.ops:
        assert parse_case(format_case(case)) == case


@given(cases)
def test_simpler_values_round_trip_and_differ(case: Case) -> None:
    for op in case.ops:
        for field in fields_of(type(op)):
            value = getattr(op, field.name)
            for simpler in field.domain.simpler(value):
                assert simpler != value
                assert field.domain.parse(field.domain.format(simpler)) == simpler
                break


@given(cases)
def test_requests_count_their_bytes(case: Case) -> None:
    request = case.request
    assert int.from_bytes(request[4:8], "little") == len(request)
    assert int.from_bytes(request[8:12], "little") == len(case.ops)


def test_the_id_is_a_function_of_the_case() -> None:
    text = "create v0\ninit v0\n"
    assert parse_case(text).id == parse_case("# hello\n" + text).id
    assert parse_case(text).id != parse_case("create v0\ninit v1\n").id


def test_svcr_is_told_only_where_there_is_some() -> None:
    """So that a host-run that was stored before there was SVCR is the same case, and its name."""
    plain, *others = (
        parse_case(f"host-run v0 vl=64{svcr} {{ nop }}\nget-mp v1")
        for svcr in ("", " svcr=sm", " svcr=za", " svcr=sm+za")
    )
    assert plain.id == "8aa6cb8d50a4a9b2"
    assert parse_case("host-run v0 vl=64 svcr=none { nop }\nget-mp v1") == plain
    assert "svcr" not in format_case(plain)
    assert len({case.id for case in (plain, *others)}) == 4
    for case in others:
        assert len(case.encoded) == len(plain.encoded) + 1
        assert decode(case.encoded) == case == parse_case(format_case(case))


def test_another_vms_vcpu_is_named_by_one_byte_of_all() -> None:
    """So that what was stored before there was one is the same case, and few are drawn with one."""
    named = [decode(Case((GetMp(0),)).encoded[:-1] + bytes([byte])).ops[0] for byte in range(256)]
    assert named == [*(GetMp(byte % 3) for byte in range(255)), GetMp(3)]
    (case,) = {decode(Case((GetMp(3),)).encoded), parse_case("get-mp v3\n")}
    assert format_case(case) == "get-mp v3\n"


def test_every_op_has_a_row() -> None:
    assert len({op.code for op in OPS.values()}) == len(OPS)
    assert {op().lower().kind for op in OPS.values() if not fields_of(op)} <= set(Kind)


def test_responses_that_lie_about_their_size_are_refused() -> None:
    with pytest.raises(WireError):
        unpack_response(b"short")
    with pytest.raises(WireError):
        unpack_response(pack_request([]))
    with pytest.raises(WireError):
        unpack_values(b"\0\0\0\0\xff\0\0\0")
