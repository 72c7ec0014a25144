"""Laws of the instruction table: text and bytes round-trip, names last, simplification ends."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from isa_draws import draws, every_draw

from corpus.domain import tag_of
from corpus.isa.form import Form, Insn
from corpus.isa.table import FORMS, draw_insn, insn, put_insn, simpler_insn
from corpus.stream import Sink, Source
from targets.spec.cpu import BASE_CAPS, FP_CAPS


def every(wrong: Callable[[Form], object]) -> None:
    """Hold each row of the table against a law: `wrong` gives or raises what is wrong with it. One
    test for all rows, which names all that break it."""
    broken: list[str] = []
    for form in FORMS.values():
        try:
            told = wrong(form)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        if told:
            broken.append(f"{form.name}: {told}")
    assert not broken, f"{len(broken)} of {len(FORMS)} forms:\n" + "\n".join(broken)


SVE_CAPS = {
    *("sve", "sve2", "bitperm", "i8mm", "bf16", "f32mm", "f64mm"),
    *("sve2p1", "sve-aes", "sve-pmull", "sve-sha3", "sve-sm4"),
}
CAPS = BASE_CAPS | FP_CAPS | SVE_CAPS


def test_the_table_is_large_enough() -> None:
    assert len(FORMS) >= 210


def test_tags_are_unique() -> None:
    assert len({tag_of(name) for name in FORMS}) == len(FORMS)


def test_a_program_is_a_line_per_instruction() -> None:
    """In a case's text, lists of registers may have braces, but on their line."""

    def wrong(form: Form) -> list[str]:
        texts = [drawn.format() for drawn in draws(form, 4)]
        return [t for t in texts if set(";\n") & set(t) or not t.count("{") == t.count("}") <= 1]

    every(wrong)


def test_codec_round_trip() -> None:
    def wrong(form: Form) -> list[str]:
        return [drawn.format() for drawn in draws(form) if _carried(drawn) != drawn]

    every(wrong)


def _carried(drawn: Insn) -> Insn:
    sink = Sink()
    put_insn(drawn, sink)
    return draw_insn(Source(sink.bytes()))


@given(st.binary(max_size=24))
def test_every_byte_string_is_an_instruction(data: bytes) -> None:
    drawn = draw_insn(Source(data))
    assert drawn.form.valid is None or drawn.form.valid(drawn.args)
    assert all(0 <= word < 1 << 32 for word in drawn.words())


def test_simplification_ends() -> None:
    def wrong(form: Form) -> str:
        for drawn in draws(form, 3):
            now: Insn | None = drawn
            for _ in range(400):
                if now is None:
                    break
                if form.valid is not None and not form.valid(now.args):
                    return f"{drawn.format()} becomes {now.format()}, which is not valid"
                now = next(simpler_insn(now), None)
            if now is not None:
                return f"{drawn.format()} is never simple enough"
        return ""

    every(wrong)


def test_operands_stay_within_their_bits() -> None:
    """Operand bits never overlap the fixed ones or, but for joint fields, each other."""

    def wrong(form: Form) -> str:
        fixed = sum(word << 32 * index for index, word in enumerate(form.words))
        for drawn in draws(form):
            used = fixed
            for operand, value in zip(form.operands, drawn.args, strict=True):
                placed = operand.place(value)
                if placed & used:
                    return f"{operand.name} of {drawn.format()} overlaps"
                used |= placed
            if form.joint and form.joint(drawn.args) & used:
                return f"joint fields of {drawn.format()} overlap"
        return ""

    every(wrong)


def test_one_text_one_encoding() -> None:
    words: dict[str, tuple[int, ...]] = {}
    for drawn in every_draw():
        assert words.setdefault(drawn.format(), drawn.words()) == drawn.words()


def test_group_and_capability_are_named() -> None:
    every(lambda form: "" if form.group and form.cap in CAPS else f"{form.group} {form.cap}")


def test_operands_are_in_syntax_once_named() -> None:
    for form in FORMS.values():
        names = [operand.name for operand in form.operands]
        assert len(set(names)) == len(names)
        for name in names:
            assert "{" + name + "}" in form.syntax


def test_programs_are_built_by_name() -> None:
    assert insn("rdvl", 3, -2).format() == "rdvl x3, #-2"
