"""From machine code back to instructions of the table.

Nothing is written down twice: what bits an operand may set, and which of its values sets
which, is found by asking the form for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product

from corpus.isa.form import Args, Form, Insn
from corpus.isa.system import ANY
from corpus.isa.table import FORMS

_WORD = 0xFFFF_FFFF


def meant(insn: Insn) -> Insn:
    """The instruction that a `.inst` is, if the table has it; any other as it is."""
    if insn.form.name != ANY:
        return insn
    return decode(insn.args[0]) or insn


def decode(word: int) -> Insn | None:
    """The instruction of the table that one 32-bit word encodes, or None. Forms of several
    words are not found."""
    for mask, forms in _by_fixed_bits().items():
        for form in forms.get(word & mask, ()):
            for args in _readings(form, word):
                if (not form.valid or form.valid(args)) and form.encode(args)[0] == word:
                    return Insn(form, args)
    return None


@cache
def fixed_bits(name: str) -> tuple[int, int]:
    """The bits that every encoding of a one-word form shares: which, and their values."""
    form = FORMS[name]
    free = _joint_bits(form)
    for operand in form.operands:
        free |= _placed_bits(name, operand.name)
    return ~free & _WORD, form.words[0] & ~free & _WORD


@cache
def _by_fixed_bits() -> Mapping[int, Mapping[int, list[Form]]]:
    found: dict[int, dict[int, list[Form]]] = {}
    for name, form in FORMS.items():
        if len(form.words) == 1 and name != ANY:
            mask, value = fixed_bits(name)
            found.setdefault(mask, {}).setdefault(value, []).append(form)
    return found


@cache
def _values_at(form: str, name: str) -> Mapping[int, tuple[int, ...]]:
    """An operand's values, by the bits that it sets."""
    operand = next(o for o in FORMS[form].operands if o.name == name)
    found: dict[int, tuple[int, ...]] = {}
    for value in operand.domain.values:
        bits = operand.place(value)
        found[bits] = (*found.get(bits, ()), value)
    return found


@cache
def _placed_bits(form: str, name: str) -> int:
    bits = 0
    operand = next(o for o in FORMS[form].operands if o.name == name)
    for value in operand.domain.values:
        bits |= operand.place(value)
    return bits


@cache
def _joint_operands(name: str) -> tuple[int, ...]:
    """Which operands a form's joint field depends on."""
    form = FORMS[name]
    if not form.joint:
        return ()
    domains = [operand.domain.values for operand in form.operands]
    first = tuple(values[0] for values in domains)
    last = tuple(values[-1] for values in domains)

    def matters(index: int) -> bool:
        assert form.joint
        return any(
            len({form.joint((*base[:index], v, *base[index + 1 :])) for v in domains[index]}) > 1
            for base in (first, last)
        )

    return tuple(index for index in range(len(form.operands)) if matters(index))


@cache
def _joint_values(name: str) -> Mapping[int, tuple[Args, ...]]:
    """Values of the operands of the joint field, by the bits that they set together."""
    form, indices = FORMS[name], _joint_operands(name)
    if not form.joint:
        return {}
    args = [operand.domain.values[0] for operand in form.operands]
    found: dict[int, tuple[Args, ...]] = {}
    for values in product(*(form.operands[index].domain.values for index in indices)):
        for index, value in zip(indices, values, strict=True):
            args[index] = value
        if not form.valid or form.valid(tuple(args)):
            bits = form.joint(tuple(args))
            found[bits] = (*found.get(bits, ()), values)
    return found


def _joint_bits(form: Form) -> int:
    bits = 0
    for joint in _joint_values(form.name):
        bits |= joint
    return bits


def _readings(form: Form, word: int) -> Iterator[Args]:
    """Operand values that may stand in `word`; what they encode may still be another word."""
    together = _joint_operands(form.name)
    apart = [
        (
            index,
            _values_at(form.name, operand.name).get(
                word & _placed_bits(form.name, operand.name), ()
            ),
        )
        for index, operand in enumerate(form.operands)
        if index not in together
    ]
    joint = _joint_values(form.name).get(word & _joint_bits(form), ()) if form.joint else ((),)
    args = [0] * len(form.operands)
    for values in joint:
        for index, value in zip(together, values, strict=True):
            args[index] = value
        for chosen in product(*(found for _, found in apart)):
            for (index, _), value in zip(apart, chosen, strict=True):
                args[index] = value
            yield tuple(args)
