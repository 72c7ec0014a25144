"""Laws of the instruction table: text and bytes round-trip, names last, simplification ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isa_draws import draws, every_draw

from corpus.domain import TextError, tag_of
from corpus.isa.form import Form, Insn
from corpus.isa.table import FORMS, draw_insn, insn, parse_insn, put_insn, simpler_insn
from corpus.stream import Sink, Source
from targets.spec.cpu import BASE_CAPS, FP_CAPS

FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())

SVE_CAPS = {
    *("sve", "sve2", "bitperm", "i8mm", "bf16", "f32mm", "f64mm"),
    *("sve-aes", "sve-pmull", "sve-sha3", "sve-sm4"),
}
CAPS = BASE_CAPS | FP_CAPS | SVE_CAPS


def test_the_table_is_large_enough() -> None:
    assert len(FORMS) >= 210


def test_tags_are_unique() -> None:
    assert len({tag_of(name) for name in FORMS}) == len(FORMS)


@FORM
def test_text_round_trip(form: Form) -> None:
    for drawn in draws(form):
        assert parse_insn(drawn.format()) == drawn
        assert parse_insn("  " + drawn.format().upper().replace(", ", " ,  ", 0)) == drawn


@FORM
def test_case_text_is_free_of_block_marks(form: Form) -> None:
    for drawn in draws(form, 4):
        assert not set("{};\n") & set(drawn.format())


@FORM
def test_codec_round_trip(form: Form) -> None:
    for drawn in draws(form):
        sink = Sink()
        put_insn(drawn, sink)
        assert draw_insn(Source(sink.bytes())) == drawn


@given(st.binary(max_size=24))
def test_every_byte_string_is_an_instruction(data: bytes) -> None:
    drawn = draw_insn(Source(data))
    assert drawn.form.valid is None or drawn.form.valid(drawn.args)
    assert all(0 <= word < 1 << 32 for word in drawn.words())


@FORM
def test_simplification_ends(form: Form) -> None:
    for drawn in draws(form, 3):
        now: Insn | None = drawn
        for _ in range(400):
            if now is None:
                break
            assert form.valid is None or form.valid(now.args)
            now = next(simpler_insn(now), None)
        assert now is None


@FORM
def test_operands_stay_within_their_bits(form: Form) -> None:
    """Operand bits never overlap the fixed ones or, but for joint fields, each other."""
    fixed = sum(word << 32 * index for index, word in enumerate(form.words))
    for drawn in draws(form):
        used = fixed
        for operand, value in zip(form.operands, drawn.args, strict=True):
            placed = operand.place(value)
            assert not placed & used
            used |= placed
        if form.joint:
            assert not form.joint(drawn.args) & used


def test_one_text_one_encoding() -> None:
    words: dict[str, tuple[int, ...]] = {}
    for drawn in every_draw():
        assert words.setdefault(drawn.format(), drawn.words()) == drawn.words()


@FORM
def test_group_and_capability_are_named(form: Form) -> None:
    assert form.group
    assert form.cap in CAPS


def test_operands_are_in_syntax_once_named() -> None:
    for form in FORMS.values():
        names = [operand.name for operand in form.operands]
        assert len(set(names)) == len(names)
        for name in names:
            assert "{" + name + "}" in form.syntax


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("frobnicate z0.b", "not in the instruction table"),
        ("mov x0, #65536", "outside 0..65535"),
        ("add z0.b, z0.b, #1, lsl #8", "does not have"),
        ("index z0.d, w1, #1", "mixes operand sizes"),
        ("add z0.b, z1.b, z2.h", "not in the instruction table"),
    ],
)
def test_bad_text_is_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(TextError, match=complaint):
        parse_insn(text)


def test_braces_and_parentheses_are_read_alike() -> None:
    assert parse_insn("ld1b {z0.b}, p0/z, [x1, x2]") == parse_insn("ld1b (z0.b), p0/z, [x1, x2]")


def test_programs_are_built_by_name() -> None:
    assert insn("rdvl", 3, -2).format() == "rdvl x3, #-2"
