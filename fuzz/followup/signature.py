"""What makes two divergences the same: never raw values, only their shape."""

from __future__ import annotations

import re

from corpus import registers as regs
from corpus.case import Case
from corpus.ops import GetReg, Run, SetReg
from db.records import SignatureRecord
from fuzz.oracle.verdict import Diverge
from targets.profile import Profile


def signature(case: Case, verdict: Diverge, legs: str, profile: Profile) -> SignatureRecord:
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
        vl_relation=_vl_relation(verdict, profile),
        legs=legs,
    )


def responsible(case: Case, verdict: Diverge) -> str:
    """The rule to name. A run that ended otherwise than it should says nothing of the
    culprit itself: that is the program's last vector or memory instruction, which in a
    minimised case is right. A fault goes with its place, as kept cases name it."""
    if verdict.fault and verdict.fault.named:
        return f"{verdict.fault.rule}@{verdict.fault.place or '-'}"
    op = case.ops[verdict.op_index]
    if verdict.rule not in ("run.exit", "run.fails", "ending.ok") or not isinstance(op, Run):
        return verdict.rule
    suspects = [i.form.name for i in op.program if i.form.cap != "base" or i.form.group == "mem"]
    return f"isa.{suspects[-1]}" if suspects else verdict.rule


def _class_of(label: str) -> str:
    """z3 -> z, id 0x60... -> raw id, mmio address -> mmio address."""
    if re.fullmatch(r"0x[0-9a-f]+", label):
        return "raw-id"
    match = re.fullmatch(r"([zpvx])\d+", label)
    return match[1] if match else ("" if label == "errno" else label)


def _vl_relation(verdict: Diverge, profile: Profile) -> str:
    """Whether the guest's VL is below the vcpu's, as far as the context tells."""
    vcpu = re.search(r"vcpu VL (\d+)", verdict.context)
    guest = re.search(r"guest VL (\d+)", verdict.context)
    if not vcpu or not guest:
        return "-"
    relation = "guest<vcpu" if int(guest[1]) < int(vcpu[1]) else "guest=vcpu"
    return relation + ("<host" if int(vcpu[1]) < profile.max_vq * 16 else "=host")
