"""What makes two divergences the same: never raw values, only their shape."""

from __future__ import annotations

import re

from corpus import registers as regs
from corpus.case import Case
from corpus.ops import GetReg, SetReg
from db.records import SignatureRecord
from fuzz.oracle.culprit import responsible
from fuzz.oracle.verdict import Diverge

_RAW_ID = re.compile(r"0x[0-9a-f]+")
_NUMBERED = re.compile(r"([zpvx])\d+")


def signature(case: Case, verdict: Diverge, legs: str) -> SignatureRecord:
    """The bucket that `verdict` on `case` belongs to. A fault goes by its kind and place:
    what the case was about when it struck says little."""
    if verdict.fault and verdict.fault.named:
        rule, place = verdict.fault.rule, verdict.fault.place
        return SignatureRecord(verdict.oracle, place or "-", rule, "", "-", legs)
    op = case.ops[verdict.op_index]
    register = _class_of(verdict.label)
    if isinstance(op, GetReg | SetReg) and register == "":
        register = _class_of(regs.name_of(op.reg))
    if verdict.label == "errno":
        register = f"{register or 'op'}:{verdict.expected}->{verdict.observed}"
    return SignatureRecord(
        oracle=verdict.oracle,
        op_kind=verdict.op_word,
        rule=responsible(case, verdict),
        register_class=register,
        vl_relation=verdict.context.relation if verdict.context else "-",
        legs=legs,
    )


def _class_of(label: str) -> str:
    """z3 -> z, id 0x60... -> raw id, mmio address -> mmio address."""
    if _RAW_ID.fullmatch(label):
        return "raw-id"
    numbered = _NUMBERED.fullmatch(label)
    if numbered:
        return numbered[1]
    return "" if label == "errno" else label
