"""The instruction table: every form the guest can run, by name, by tag and by text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from corpus.domain import TAG_SIZE, TagTable, TextError
from corpus.isa import (
    asimd_fp,
    asimd_int,
    asimd_mem,
    asimd_move,
    asimd_shift,
    crypto,
    fp,
    fp_later,
    fp_scalar,
    fp_simd,
    prefixed,
    sve2,
    sve_count,
    sve_dot,
    sve_fp,
    sve_gather,
    sve_int,
    sve_mem,
    sve_perm,
    sve_pred,
    sve_prefetch,
    system,
)
from corpus.isa.form import LIST_MARKS, Form, Insn, with_letter
from corpus.stream import Sink, Source

_TABLES = (
    system.FORMS,
    asimd_int.FORMS,
    asimd_shift.FORMS,
    asimd_move.FORMS,
    asimd_mem.FORMS,
    fp.FORMS,
    asimd_fp.FORMS,
    fp_simd.FORMS,
    sve_int.FORMS,
    sve_perm.FORMS,
    sve_pred.FORMS,
    sve_count.FORMS,
    sve_mem.FORMS,
    sve_gather.FORMS,
    sve_prefetch.FORMS,
    sve_fp.FORMS,
    sve2.FORMS,
    sve_dot.FORMS,
    prefixed.FORMS,
    fp_later.FORMS,
    fp_scalar.FORMS,
    crypto.FORMS,
)


def _by_name() -> dict[str, Form]:
    forms: dict[str, Form] = {}
    for form in (form for table in _TABLES for form in table):
        if form.name in forms:
            raise ValueError(f"two instruction forms are called {form.name!r}")
        forms[form.name] = form
    return forms


FORMS: dict[str, Form] = _by_name()
_TAGS = TagTable(FORMS)
_BY_MNEMONIC: dict[str, list[Form]] = {}
for _form in FORMS.values():
    _BY_MNEMONIC.setdefault(_form.mnemonic, []).append(_form)


@cache
def _matchers(mnemonic: str) -> list[tuple[Form, re.Pattern[str]]]:
    """Only of the mnemonic asked for: to compile all takes the better part of a second."""
    return [(form, form.regex()) for form in _BY_MNEMONIC.get(mnemonic, [])]


def draw_insn(source: Source) -> Insn:
    """An instruction from bytes; every byte string gives one."""
    form = _TAGS.nearest(source.uint(TAG_SIZE))
    return Insn(form, form.draw(source))


def put_insn(insn: Insn, sink: Sink) -> None:
    """The canonical bytes of `insn`."""
    sink.uint(_TAGS.tag(insn.form.name), TAG_SIZE)
    insn.form.put(insn.args, sink)


def parse_insn(text: str) -> Insn:
    """An instruction from its assembler-like text; register lists in braces or parentheses.

    Raises TextError.
    """
    text = re.sub(r"\s+", " ", text.strip().lower()).translate(LIST_MARKS)
    complaint = None
    lettered = with_letter(text)
    for form, regex in _matchers(text.partition(" ")[0]):
        match = regex.fullmatch(lettered)
        if match:
            try:
                return Insn(form, form.parse(match))
            except TextError as error:
                complaint = error
    if complaint:
        raise TextError(f"instruction {text!r}: {complaint}")
    raise TextError(f"instruction {text!r} is not in the instruction table")


def simpler_insn(insn: Insn) -> Iterator[Insn]:
    """The same form with one simpler operand."""
    for args in insn.form.simpler(insn.args):
        yield Insn(insn.form, args)


def insn(form: str, *args: int) -> Insn:
    """An instruction by form name and operand values, for code that builds programs."""
    return Insn(FORMS[form], args)
