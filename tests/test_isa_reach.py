"""No legal encoding is out of reach: neither of the table's operands nor of generation."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from isa_disassembler import disassembled
from isa_draws import draws

from corpus.isa.decode import decode, fixed_bits
from corpus.isa.form import Form, Insn, Operand
from corpus.isa.system import ANY
from corpus.isa.table import FORMS
from fuzz.generate import is_memory, memory_access, random_insn

ONE_WORD = [form for form in FORMS.values() if len(form.words) == 1 and form.name != ANY]

_OUT_OF_REACH = {
    r"m(rs|sr)\s": "with a register that cases do not follow",
    r"(dup|mov)\s+v\d+": "with bits set that a size of element ignores",
    r"(and|orr|eor|dupm|mov|bic|orn|eon)\s+z\d+": "with another code for the same immediate",
    r"ldn?p\s": "of one register twice, which is CONSTRAINED UNPREDICTABLE",
}
"""What disassembles, has the fixed bits of a form, and is none of its encodings."""


def test_every_encoding_decodes_to_its_instruction() -> None:
    for form in ONE_WORD:
        for drawn in draws(form, 8):
            assert decode(drawn.words()[0]) == drawn


def test_what_is_no_instruction_of_the_table_is_not_decoded() -> None:
    assert decode(0xFFFF_FFFF) is None
    assert decode(0x0001_0000) is None


@pytest.mark.long
def test_operands_take_every_legal_value() -> None:
    rng = random.Random(7)
    owners: dict[int, str] = {}
    for form in ONE_WORD:
        fixed, value = fixed_bits(form.name)
        for _ in range(40):
            word = rng.getrandbits(32) & ~fixed | value
            if decode(word) is None:
                owners[word] = form.name
    texts = disassembled(list(owners))
    for pattern in _OUT_OF_REACH:  # else nothing was drawn, or nothing disassembled
        assert any(re.match(pattern, text) for text in texts.values()), pattern
    excused = re.compile("|".join(_OUT_OF_REACH))
    missing = {owners[word]: text for word, text in texts.items() if not excused.match(text)}
    assert not missing


def _generated(rng: random.Random, form: Form, count: int) -> Iterator[Insn]:
    for _ in range(count):
        code = memory_access(rng, form) if is_memory(form) else [random_insn(rng, form)]
        yield next(insn for insn in reversed(code) if insn.form is form)


def _kinds() -> dict[tuple[str, str, tuple[int, ...]], list[tuple[Form, int]]]:
    """Operands that are drawn alike: group, name and values -> where they are."""
    kinds: dict[tuple[str, str, tuple[int, ...]], list[tuple[Form, int]]] = defaultdict(list)
    for form in FORMS.values():
        for index, operand in enumerate(form.operands):
            if len(operand.domain.values) <= 32:
                kinds[form.group, operand.name, tuple(operand.domain.values)].append((form, index))
    return kinds


@pytest.mark.long
def test_generation_reaches_every_value_of_every_register() -> None:
    rng = random.Random(8)
    reached: dict[tuple[str, int], set[int]] = defaultdict(set)
    kinds = _kinds()
    wanted: dict[str, int] = defaultdict(int)
    for places in kinds.values():
        for form, _ in places:
            wanted[form.name] = max(wanted[form.name], 1 + 1500 // len(places))
    for name, count in wanted.items():
        for insn in _generated(rng, FORMS[name], count):
            for index, value in enumerate(insn.args):
                reached[name, index].add(value)
    for (group, name, values), places in kinds.items():
        seen = set().union(*(reached[form.name, index] for form, index in places))
        assert set(values) <= seen, (group, name, sorted(set(values) - seen))


def test_the_stack_pointer_is_a_base_of_every_form_that_has_one() -> None:
    rng = random.Random(9)

    def is_base(operand: Operand) -> bool:
        return operand.name == "xn" and operand.domain.format(31) == "xsp"

    bases = [
        form for form in FORMS.values() if is_memory(form) and any(map(is_base, form.operands))
    ]
    assert len(bases) > 400
    for form in bases:
        assert any("sp" in insn.format() for insn in _generated(rng, form, 120)), form.name
