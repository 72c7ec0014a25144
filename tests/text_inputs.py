"""Texts for the fuzzer of the text form (`fuzz_text`), and what it asks of each."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from corpus.case import decode
from corpus.domain import TextError
from corpus.fields import FEATURE_BITS
from corpus.inputs import case_of, is_text, read_document
from corpus.isa.spelling import variants
from corpus.isa.table import SPELLINGS
from corpus.opfields import fields_of
from corpus.ops import OPS
from corpus.registers import REGISTERS
from corpus.stream import Source
from corpus.text import format_case, parse_case

LONGEST_COMPLAINT = 900

Text = bytearray


def check(data: bytes) -> str:
    """What an input is; AssertionError, or whatever else is wrong, if it is mistreated."""
    try:
        document = read_document(data)
    except TextError as error:
        sentence = str(error)
        assert sentence
        assert sentence.isprintable(), ascii(sentence)
        assert len(sentence) < LONGEST_COMPLAINT, sentence
        return "refused"
    case = document.case
    assert case.ops
    assert decode(case.encoded) == case
    assert case_of(data) == case
    text = format_case(case, document.about)
    assert parse_case(text) == case, text
    assert is_text(text.encode())
    return "text" if is_text(data) else "bytes"


def _words() -> list[bytes]:
    """What means something somewhere, from the tables."""
    fields = {f"{field.name}=" for kind in OPS.values() for field in fields_of(kind)}
    headers = ("# requires: vq>=2", "# machine: release=6.*", "# diverges: kvm isa.x tail")
    values = ("0xab*", "count:3", "noise:77", "ones:16", "vq>=", "1-16", "none", "yes", "generic")
    marks = ("{", "}", "(", ")", "[", "]", ";", "#", "//", ",", "=", "!", "-", "*", " ", "\t")
    ends = ("\n", "\r\n", "\r")
    odd = ("\ufeff", "\u0663", "\u2028", "\x85", "\xa0", "\x00", "\x1b", "\ud800")
    numbers = ("0", "1", "-1", "31", "32", "0x", "0xffffffffffffffff", "1e9", "00", "1_0", "9" * 30)
    operands = ("x0", "sp", "xzr", "w3", "z1.d", "v2.16b", "p0/z", "p0.b", "mul vl", "lsl #3")
    every = (
        *(fields | set(OPS) | set(REGISTERS) | set(FEATURE_BITS) | set(SPELLINGS)),
        *(s.usage for spellings in SPELLINGS.values() for s in spellings),
        *(*headers, *values, *marks, *ends, *odd, *numbers, *operands),
    )
    return sorted(word.encode("utf-8", "surrogatepass") for word in every)


_WORDS = _words()
_SPELLINGS = [
    variant for spellings in SPELLINGS.values() for s in spellings for variant in variants(s)
]
_TOKEN = re.compile(rb"[\w.+>-]+=?|\s+|.")
_NUMBER = re.compile(rb"0x[0-9a-fA-F]+|[0-9]+")


def fresh(rng: random.Random) -> bytes:
    """The text of a random case, of few ops so that much is tried in little time."""
    case = decode(rng.randbytes(rng.choice((8, 20, 40, 90))))
    return format_case(case, rng.choice(("", "why\nmore"))).encode()


def _at(rng: random.Random, text: Text) -> int:
    return rng.randrange(len(text) + 1)


def _insert_word(rng: random.Random, text: Text) -> None:
    at = _at(rng, text)
    text[at:at] = rng.choice((b"", b" ")) + rng.choice(_WORDS) + rng.choice((b"", b" "))


def _replace_token(rng: random.Random, text: Text) -> None:
    tokens = list(_TOKEN.finditer(text))
    if tokens:
        token = rng.choice(tokens)
        text[token.start() : token.end()] = rng.choice(_WORDS)


def _other_instruction(rng: random.Random, text: Text) -> None:
    """An instruction in some spelling in place of one, or in a new run."""
    insn = b"    " + _spelled(rng)
    lines = bytes(text).split(b"\n")
    places = [index for index, line in enumerate(lines) if line[:1] in (b" ", b"\t")]
    if places:
        lines[rng.choice(places)] = insn
    else:
        lines += [b"run v0 {", insn, b"}"]
    text[:] = b"\n".join(lines)


def _spelled(rng: random.Random) -> bytes:
    spelling = rng.choice(_SPELLINGS)
    return spelling.format(spelling.draw(Source(rng.randbytes(40)))).encode()


def _other_number(rng: random.Random, text: Text) -> None:
    numbers = list(_NUMBER.finditer(text))
    if numbers:
        number = rng.choice(numbers)
        value = rng.choice((0, 1, 7, 8, 15, 16, 17, 31, 32, 63, 64, 255, 256, 65535, 1 << 32))
        new = rng.choice((f"{value}", f"{value:#x}", f"-{value}", f"0{value}", f"{value}.0"))
        text[number.start() : number.end()] = new.encode()


def _delete(rng: random.Random, text: Text) -> None:
    at = _at(rng, text)
    del text[at : at + rng.choice((1, 1, 1, 2, 5, 30))]


def _repeat(rng: random.Random, text: Text) -> None:
    at = _at(rng, text)
    piece = text[at : at + rng.choice((1, 1, 4, 20))]
    text[at:at] = piece * rng.choice((1, 1, 2, 60))


def _swap_case(rng: random.Random, text: Text) -> None:
    at = _at(rng, text)
    end = at + rng.choice((1, 6, 60))
    text[at:end] = text[at:end].swapcase()


def _any_byte(rng: random.Random, text: Text) -> None:
    at = _at(rng, text)
    text[at : at + rng.randrange(2)] = rng.randbytes(1)


def _shuffle_lines(rng: random.Random, text: Text) -> None:
    lines = bytes(text).split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines.insert(to, lines[at])
    else:
        lines[at], lines[to] = lines[to], lines[at]
    text[:] = rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"; ")).join(lines)


def _few_lines(rng: random.Random, text: Text) -> None:
    """Short texts take little time."""
    lines = bytes(text).split(b"\n")
    at = rng.randrange(len(lines))
    text[:] = b"\n".join(lines[at : at + rng.choice((1, 2, 4))])


def _join(rng: random.Random, text: Text) -> None:
    other = fresh(rng)
    text[_at(rng, text) :] = other[rng.randrange(len(other)) :]


_CHANGES: tuple[Callable[[random.Random, Text], None], ...] = (
    *(_insert_word, _replace_token, _replace_token, _other_number),
    *(_other_instruction, _other_instruction, _other_instruction),
    *(_delete, _repeat, _swap_case, _any_byte, _shuffle_lines, _few_lines, _join),
)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's custom mutator: another text, now and then a new one."""
    rng = random.Random(seed)
    text = Text(fresh(rng) if not data or rng.random() < 0.1 else data)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3, 6))):
        rng.choice(_CHANGES)(rng, text)
    return bytes(text[:max_size])
