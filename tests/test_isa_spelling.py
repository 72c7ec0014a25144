"""Instructions are read as assemblers read them: names, defaults, lists, numbers, blanks."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path

import pytest
from assemblers import assembled, disassembled, dumped
from isa_draws import draws

from corpus.domain import TextError
from corpus.isa.aliases import ALIASES
from corpus.isa.form import Args, Form, Insn
from corpus.isa.spelling import Spelling, variants
from corpus.isa.sve21 import CAP
from corpus.isa.system import ANY
from corpus.isa.table import FORMS, SPELLINGS, parse_insn
from corpus.stream import Source

PER_FORM = 2

CORNERS = 3


def some(form: Form) -> list[Insn]:
    """A few instructions of a form, and those with the first or the last value of operands."""
    ends = [(values[0], values[-1]) for values in (op.domain.values for op in form.operands)]
    corners = (Insn(form, args) for args in product(*ends) if not form.valid or form.valid(args))
    return list(dict.fromkeys([*draws(form, PER_FORM), *islice(corners, CORNERS)]))


DRAWN = [insn for form in FORMS.values() for insn in some(form)]


def read(text: str) -> Insn | str:
    """The instruction, or why it is none."""
    try:
        return parse_insn(text)
    except TextError as error:
        return str(error)


def is_single(insn: Insn) -> bool:
    """Whether an assembler has it as one instruction: `.inst` is any word."""
    return len(insn.words()) == 1 and insn.form.name != ANY


def wrong(rows: Iterator[tuple[str, object, object]]) -> str:
    """A line per row whose two last values differ."""
    bad = [f"{text}: {ours}, not {theirs}" for text, ours, theirs in rows if ours != theirs]
    return f"{len(bad)} wrong:\n" + "\n".join(bad[:40]) if bad else ""


def test_what_the_table_prints_is_read_back() -> None:
    assert not wrong((insn.format(), read(insn.format()), insn) for insn in DRAWN)


def test_what_the_table_prints_an_assembler_takes() -> None:
    """But for the pseudo-instructions, which are several."""
    differ = {insn.form.name for insn in DRAWN if "\n" not in _for_assembler(insn) != insn.format()}
    assert not differ


def _for_assembler(insn: Insn) -> str:
    return insn.form.format(insn.args, assembler=True)


def _without_marks(text: str) -> str:
    """Immediates at the beginning of an operand; llvm-mc wants the mark in `mul #3`, and where
    a negative number has a shift."""
    if text.startswith(("cpy", "dup")) and "lsl" in text:
        return text
    return re.sub(r"(, |^\S+ )#(?=[-\d])", r"\1", text)


def _in_hexadecimal(text: str) -> str:
    if "." in text.partition("#")[2]:  # of a floating-point immediate that would be its encoding
        return text
    return re.sub(r"#(-?)(\d+)\b(?!x)", lambda m: f"#{m[1]}{int(m[2]):#x}", text)


_BY_NAME = {"x29": "fp", "x30": "lr"}

WAYS: dict[str, Callable[[str], str]] = {
    "in capitals": str.upper,
    "with blanks": lambda text: re.sub(r"([\[\]{},/!])", r" \1\t ", text),
    "without blanks": lambda text: text.replace(", ", ","),
    "with immediates bare": _without_marks,
    "in hexadecimal": _in_hexadecimal,
    "with parentheses": lambda text: text.replace("{", "(").replace("}", ")"),
    "x29 and x30 by name": lambda t: re.sub(r"\bx(29|30)\b", lambda m: _BY_NAME[m[0]], t),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_may_be_written(way: str) -> None:
    third = DRAWN[list(WAYS).index(way) % 3 :: 3]
    rows = [(insn, WAYS[way](insn.format())) for insn in third]
    changed = [(insn, text) for insn, text in rows if text != insn.format()]
    assert len(changed) > 12
    assert not wrong((text, read(text), insn) for insn, text in changed)
    if way != "with parentheses":  # which are ours alone
        single = [(insn, text) for insn, text in changed if is_single(insn)]
        theirs = assembled([text for _, text in single])
        pairs = zip(single, theirs, strict=True)
        assert not wrong((text, word, insn.words()[0]) for (insn, text), word in pairs)


def _drawn(spelling: Spelling) -> Iterator[Args]:
    """Operand values that are written so."""
    rng = random.Random(spelling.syntax)
    tries = (spelling.draw(Source(rng.randbytes(40))) for _ in range(200))
    return (args for args in tries if spelling.allows(args))


def _other_spellings() -> Iterator[Spelling]:
    """All but what the table prints, of forms that are one instruction."""
    for spelling in (s for spellings in SPELLINGS.values() for s in spellings):
        if len(spelling.form.words) == 1 and spelling.form.name != ANY:
            yield from (v for v in variants(spelling) if v.syntax != spelling.form.syntax)


def test_every_alias_is_of_a_form_that_there_is() -> None:
    assert set(ALIASES) <= set(FORMS)


def test_every_alias_is_what_an_assembler_makes_of_it() -> None:
    rows = [
        (spelling, [spelling.format(args) for args in islice(_drawn(spelling), PER_FORM)])
        for spelling in _other_spellings()
    ]
    assert not [spelling.syntax for spelling, texts in rows if not texts]
    assert len(rows) > 900
    texts = [text for _, found in rows for text in found]
    ours = [
        (insn := read(text), insn.words()[0] if isinstance(insn, Insn) else insn)[1]
        for text in texts
    ]
    assert not wrong(zip(texts, ours, assembled(texts), strict=True))


@pytest.mark.parametrize("printer", ["llvm-mc", "objdump"])
def test_what_a_disassembler_prints_is_read(printer: str, tmp_path: Path) -> None:
    single = [insn for insn in DRAWN if is_single(insn)]
    if printer == "objdump":  # Debian 12's does not know SVE2.1
        single = [insn for insn in single if insn.form.cap != CAP]
    words = [insn.words()[0] for insn in single]
    texts = disassembled(words) if printer == "llvm-mc" else dumped(words, tmp_path)
    assert len(texts) == len(words)
    found = [read(text) for text in texts]
    ours = [insn.words()[0] if isinstance(insn, Insn) else insn for insn in found]
    assert not wrong(zip(texts, ours, words, strict=True))
    aliases = {text for text, insn in zip(texts, single, strict=True) if text != insn.format()}
    assert len(aliases) > 1000


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("pmov z1, p2.d", "pmov z1[0], p2.d"),
        ("ld1q {z0.q}, p1/z, [z2.d]", "ld1q {z0.q}, p1/z, [z2.d, xzr]"),
        (
            "ldnt1w {z4.s-z7.s}, pn9/z, [x1]",
            "ldnt1w {z4.s, z5.s, z6.s, z7.s}, pn9/z, [x1, #0, mul vl]",
        ),
        ("ld1b {z1.d}, p0/z, [x1]", "ld1b {z1.d}, p0/z, [x1, #0, mul vl]"),
        ("ld1b (z1.d), p0/z, [x1, x2]", "ld1b {z1.d}, p0/z, [x1, x2]"),
        ("ld1b z1.d, p0/z, [x1, x2]", "ld1b {z1.d}, p0/z, [x1, x2]"),
        ("ld1w {z0.s}, p0/z, [z1.s]", "ld1w {z0.s}, p0/z, [z1.s, #0]"),
        ("ld4 {v30.16b-v1.16b}, [sp]", "ld4 {v30.16b, v31.16b, v0.16b, v1.16b}, [sp]"),
        ("cntb x2", "cntb x2, all, mul #1"),
        ("cntb x2, vl3", "cntb x2, vl3, mul #1"),
        ("cntb x2, 31, mul #2", "cntb x2, all, mul #2"),
        ("sqincw x0, w0", "sqincw x0, w0, all, mul #1"),
        ("ptrue p0.b", "ptrue p0.b, all"),
        ("str z0, [x1]", "str z0, [x1, #0, mul vl]"),
        ("ldr q0, [fp]", "ldr q0, [x29, #0]"),
        ("ldr q0, [x1, #-16]", "ldur q0, [x1, #-16]"),
        ("movk x0, #1", "movk x0, #1, lsl #0"),
        ("mov x0, #0x330000", "movz x0, #51, lsl #16"),
        ("mov x0, sp", "add x0, sp, #0"),
        ("mov z0.d, sp", "dup z0.d, sp"),
        ("mov z0.b, p0/m, wsp", "cpy z0.b, p0/m, wsp"),
        ("ldff1b {z0.b}, p0/z, [x1]", "ldff1b {z0.b}, p0/z, [x1, xzr]"),
        (".INST 0X6400D000", ".inst 0x6400d000"),
        (".inst 1", ".inst 0x00000001"),
        ("mov z0.b, #0xff", "dup z0.b, #-1"),
        ("mov z0.h, #256", "dup z0.h, #1, lsl #8"),
        ("mov z0.h, #255", "dupm z0.d, #0xff00ff00ff00ff"),
        ("bic z0.b, z0.b, #1", "and z0.d, z0.d, #0xfefefefefefefefe"),
        ("mov z0.b, p1/m, z2.b", "sel z0.b, p1, z2.b, z0.b"),
        ("not p0.b, p1/z, p2.b", "eor p0.b, p1/z, p2.b, p1.b"),
        ("cmple p0.b, p1/z, z2.b, z3.b", "cmpge p0.b, p1/z, z3.b, z2.b"),
        ("fmov z0.s, #0.0", "dup z0.s, #0"),
        ("fmov d0, #5e-1", "fmov d0, #0.5"),
        ("mrs x0, S3_0_C1_C0_2", "mrs x0, cpacr_el1"),
        ("fcsel s0, s1, s2, cs", "fcsel s0, s1, s2, hs"),
    ],
)
def test_usual_ways_to_write(text: str, meant: str) -> None:
    assert parse_insn(text).format() == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("frobnicate z0.b", "no instruction of the table is called 'frobnicate'"),
        ("ldb1 {z0.b}, p0/z, [x0]", "nearest: ld1b"),
        ("cmbeq v0.4s, v1.4s, v2.4s", "nearest: cmeq"),
        ("movprfx z0, z1", "nearest: movprfx+"),
        ("mov x0, #65537", "'65537' is outside 0..65535"),
        ("movz x0, #0x10000", "'0x10000' is outside 0..65535"),
        ("mov x0, #010", "'010' is not a number"),
        ("mov x31, #1", "'x31' does not exist: write xzr"),
        ("add x31, x0, #1", "'x31' does not exist: write sp"),
        ("add z0.b, z0.b, #1, lsl #8", "does not have this combination of operands"),
        ("index z0.d, w1, #1", "operand sizes do not go together"),
        ("add z0.b, z1.b, z2.h", "it is written add <zd>.<t>, <zn>.<t>, <zm>.<t> or add"),
        ("ld1w {z0.s}, p0/z, [x0, z1.s, sxtv]", "it is written ld1w {<zt>.s}, <pg>/z, [<xn>, <zm>"),
        ("fmov d0, #0x1e", "it is written fmov"),
        ("fmov d0, #0.3", "'0.3' is none of"),
        ("fmov z0.s, #0.3", "'0.3' is none of 0.0, or '0.3' is none of 2.0"),
        ("mov x0, x303", "'x303' is outside x0..x30 or sp"),
        ("fmov d0, #-0.0", "'-0.0' is none of"),
        ("fmov d0, #1e999", "'1e999' is none of"),
        ("and z0.b, z0.b, #0x100", "'0x100' does not fit 8 bits"),
        ("and z0.b, z0.b, #0xff", "'0xff' is no bitmask immediate"),
        ("mov z0.b, #256", "is outside -128..127"),
        ("ldr q0, [x1]!", "it is written ldr"),
        ("ld1 {v0.16b, v2.16b}, [x0]", "the registers of a list follow each other"),
        ("x" * 300, "longer than 200 characters"),
        ("mov x٣, #1", "not ASCII"),
        ("ldr x0, [xsp]", "'xsp' does not exist: write sp"),
        (".inst 0x100000000", "'0x100000000' is outside"),
        ("{z0.b}", "does not begin with the name of an instruction"),
        ("", "does not begin with the name of an instruction"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(text: str, complaint: str) -> None:
    said = read(text)
    assert isinstance(said, str)
    assert complaint in said
    assert said.isprintable()
    assert len(said) < 600
