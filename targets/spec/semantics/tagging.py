"""Which accesses are checked for their tags (Arm ARM, Tag checked and unchecked accesses)."""

from __future__ import annotations

import re

from corpus.isa.form import Form, Insn
from corpus.isa.mte import MEMORY_GROUP
from corpus.isa.operands import names_sp
from corpus.isa.table import FORMS

_WRITTEN_BACK = re.compile(r"\[\{xn\}[^]]*\][,!]")
_INDICES = frozenset({"xm", "zm", "zn"})


def _base_that_spares(form: Form) -> int | None:
    """The operand of a base register that, as SP, has the access not checked: there is nothing but
    an immediate beside it, and it is not written back."""
    names = [operand.name for operand in form.operands]
    if "xn" not in names or _INDICES & set(names) or _WRITTEN_BACK.search(form.syntax):
        return None
    return names.index("xn")


_BASES = {form.name: _base_that_spares(form) for form in FORMS.values()}


def is_checked(insn: Insn) -> bool:
    """Whether accesses of an instruction are checked, where anything is."""
    form = insn.form
    if form.group == MEMORY_GROUP:
        return False
    base = _BASES[form.name]
    return base is None or not names_sp(form.operands[base], insn.args[base])
