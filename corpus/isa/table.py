"""The instruction table: every form the guest can run, by name, by tag and by text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache

from corpus.domain import TAG_SIZE, TagTable, TextError, nearest, quoted
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
    mops,
    mte,
    pauth,
    prefixed,
    sve2,
    sve21,
    sve21_mem,
    sve21_pred,
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
    unallocated,
)
from corpus.isa.aliases import aliases
from corpus.isa.form import Form, Insn
from corpus.isa.spelling import Reader, Spelling, normal, variants
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
    pauth.FORMS,
    mops.FORMS,
    mte.FORMS,
    sve21.FORMS,
    sve21_pred.FORMS,
    sve21_mem.FORMS,
)


def _by_name() -> dict[str, Form]:
    forms: dict[str, Form] = {}
    for form in (form for table in _TABLES for form in table):
        if form.name in forms:
            raise ValueError(f"two instruction forms are called {form.name!r}")
        forms[form.name] = form
    return forms


FORMS: dict[str, Form] = _by_name()
COMMON: dict[str, Form] = {
    name: form
    for name, form in FORMS.items()
    if form.cap != unallocated.NEWER and name not in pauth.FLOW
}
"""Forms but for those that few machines have, which are drawn for these alone
(`fuzz.generate.newer`), and those that mean something behind others only
(`fuzz.generate.signing`)."""
_TAGS, _NEAREST = TagTable(FORMS), TagTable(COMMON)
_OTHERS = {_TAGS.tag(name): FORMS[name] for name in FORMS.keys() - COMMON.keys()}


def _by_mnemonic() -> dict[str, list[Spelling]]:
    """What the table itself prints comes first, so that no alias can shadow it."""
    found: dict[str, list[Spelling]] = {}
    printed = [Spelling(form, form.syntax) for form in FORMS.values()]
    others = [alias for form in FORMS.values() for alias in aliases(form)]
    for spelling in (*printed, *others):
        found.setdefault(spelling.mnemonic, []).append(spelling)
    return found


SPELLINGS: dict[str, list[Spelling]] = _by_mnemonic()
"""How instructions are written, by mnemonic."""


@cache
def _readers(mnemonic: str) -> list[Reader]:
    """Only of the mnemonic asked for: to compile all takes more than a second."""
    return [Reader(shorter) for s in SPELLINGS.get(mnemonic, ()) for shorter in variants(s)]


def draw_insn(source: Source) -> Insn:
    """An instruction from bytes; every byte string gives one."""
    tag = source.uint(TAG_SIZE)
    form = _OTHERS.get(tag) or _NEAREST.nearest(tag)
    return Insn(form, form.draw(source))


def put_insn(insn: Insn, sink: Sink) -> None:
    """The canonical bytes of `insn`."""
    sink.uint(_TAGS.tag(insn.form.name), TAG_SIZE)
    insn.form.put(insn.args, sink)


def parse_insn(text: str) -> Insn:
    """An instruction from what an assembler reads; register lists also in parentheses.

    Raises TextError.
    """
    mnemonic, operands = normal(text)
    complaints: dict[str, None] = {}  # by each spelling that the operands fit but for a value
    for reader in _readers(mnemonic):
        try:
            args = reader.read(operands)
        except TextError as error:
            complaints[str(error)] = None
            continue
        if args is not None:
            return Insn(reader.spelling.form, args)
    why = ", or ".join([*complaints][:_MOST_COMPLAINTS]) or _unlike(mnemonic, operands)
    raise TextError(f"{quoted(' '.join(text.split()))}: {why}")


_MOST_COMPLAINTS = 3


def _unlike(mnemonic: str, operands: str) -> str:
    """Why no spelling matches, and which come close."""
    if mnemonic not in SPELLINGS:
        close = nearest(mnemonic, SPELLINGS)
        return f"no instruction of the table is called {quoted(mnemonic)}{close}"
    shape = _shape(operands)
    by_shape = {s.usage: _shape(s.usage.partition(" ")[2]) for s in SPELLINGS[mnemonic]}
    close_first = sorted(
        by_shape, key=lambda usage: SequenceMatcher(None, shape, by_shape[usage]).ratio()
    )
    return "it is written " + " or ".join(reversed(close_first[-2:]))


def _shape(operands: str) -> str:
    """Operands without what tells registers and numbers from each other."""
    return re.sub(r"<([a-z])[^>]*>|([a-z])[0-9]+|[0-9]+", r"\1\2", operands)


def simpler_insn(insn: Insn) -> Iterator[Insn]:
    """The same form with one simpler operand."""
    for args in insn.form.simpler(insn.args):
        yield Insn(insn.form, args)


def insn(form: str, *args: int) -> Insn:
    """An instruction by form name and operand values, for code that builds programs."""
    return Insn(FORMS[form], args)
