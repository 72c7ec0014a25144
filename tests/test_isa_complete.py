"""The table has every FP, AdvSIMD and SVE instruction that an assembler knows, but those named."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from isa_disassembler import disassembled
from isa_draws import draws

from corpus.isa.form import Form
from corpus.isa.system import ANY
from corpus.isa.table import FORMS

_LEFT_OUT = {
    r"dup\s": "with bits set that a size of element ignores",
    r"fcmpe?\s.*#0.0": "with a register number that is ignored",
    r"movprfx\s": "comes only in front of what it prefixes (`prefixed`)",
    r"ldr\s[bhsdq]\d+, #": "from a literal",
    r"(ldr|str)\s[bhsdq]\d+, \[\w+, \w+, (s|u)xt": "with an extended register offset",
    r"(ldr|str)\s[bhsdq]\d+, \[\w+, \w+(, lsl #0)?\]": "with one that is not scaled",
}
_SPACES = (
    *((0x0400_0000 | high << 29, 0xFE00_0000, 9000) for high in range(8)),  # SVE
    (0x0E00_0000, 0x0E00_0000, 60000),  # data processing of AdvSIMD and FP
    (0x5E20_0000, 0xDF20_0000, 40000),  # AdvSIMD on scalars
    (0x1E20_0000, 0xFE20_0000, 12000),  # FP on scalars
    (0x0C00_0000, 0x0E00_0000, 12000),  # loads and stores
    (0xA000_0000, 0xFE00_0000, 9000),  # of several SVE vectors
)
"""Fixed bits, their mask, and how many words to draw."""


def _words(rng: random.Random) -> Iterator[int]:
    for fixed, mask, count in _SPACES:
        for _ in range(count):
            yield rng.getrandbits(32) & ~mask | fixed


def _pattern(form: Form) -> tuple[int, int]:
    """The bits that all encodings of a form share: which, and their values."""
    lowest, highest = 0xFFFF_FFFF, 0
    for insn in draws(form, 80):
        lowest &= insn.words()[0]
        highest |= insn.words()[0]
    fixed = ~(lowest ^ highest) & 0xFFFF_FFFF
    return fixed, lowest & fixed


@pytest.mark.long
def test_the_table_is_complete() -> None:
    patterns = {
        _pattern(form) for form in FORMS.values() if len(form.words) == 1 and form.name != ANY
    }
    by_mask: dict[int, set[int]] = {}
    for mask, value in patterns:
        by_mask.setdefault(mask, set()).add(value)
    unknown = [
        word
        for word in _words(random.Random(1))
        if not any(word & mask in values for mask, values in by_mask.items())
    ]
    texts = list(disassembled(unknown).values())
    for pattern in _LEFT_OUT:  # else nothing was drawn, or nothing disassembled
        assert any(re.match(pattern, text) for text in texts), pattern
    left_out = re.compile("|".join(_LEFT_OUT))
    missing = {text.split()[0]: text for text in texts if not left_out.match(text)}
    assert not missing
