"""Programs whose instructions are reached: one that the vcpu cannot execute ends the run, and
what stands behind it is never tried."""

from __future__ import annotations

import random
from collections.abc import Sequence

from corpus.isa.form import Insn
from corpus.isa.table import FORMS
from targets.spec.cpu import BASE_CAPS, FP_CAPS

KEPT = 0.15
"""How much code stays as it is: that such an instruction ends a run is to be seen, too."""


def reached(
    rng: random.Random, code: Sequence[Insn], *, sve: bool, pauth: bool, at_el0: bool
) -> list[Insn]:
    """Code, mostly without what is UNDEFINED for a vcpu without SVE, or without pointer
    authentication, or at EL0."""

    def ends(each: Insn) -> bool:
        form = each.form
        return (
            (not sve and (form.cap not in _WITHOUT_SVE or _name(each) == "zcr_el1"))
            or (not pauth and form.group == "pauth")
            or (at_el0 and (form.name in _PRIVILEGED or _is_privileged(each)))
        )

    return [each for each in code if not ends(each)] if rng.random() >= KEPT else list(code)


_WITHOUT_SVE = BASE_CAPS | FP_CAPS
_PRIVILEGED = frozenset({"stage_1_on", "tag_checks", "hvc", "eret_to", "enable_keys", "msr_tco"})
_REGISTER = {
    name: next(n for n, operand in enumerate(FORMS[name].operands) if operand.name != "xt")
    for name in ("mrs", "msr")
}
"""Which operand of an access names the system register."""


def _name(each: Insn) -> str:
    place = _REGISTER.get(each.form.name)
    if place is None:
        return ""
    return each.form.operands[place].domain.format(each.args[place])


def _is_privileged(each: Insn) -> bool:
    """Whether it accesses a register of EL1 or EL2: so their names end."""
    return _name(each).endswith(("_el1", "_el12", "_el2"))
