"""SVE2 instructions that widen or narrow elements, and its shifts by immediate."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.lanes import (
    BITS,
    UINT,
    Array,
    every,
    governing,
    join_lanes,
    merge,
    ones,
    put_z,
    split,
    spread,
)
from targets.spec.semantics.longops import (
    LONG,
    SHIFT_BY,
    doubling_long,
    high_half,
    lengthen,
    narrow_shift,
    polynomial_long,
    saturating_shift_by,
)
from targets.spec.semantics.registry import SEMANTICS, semantic


def _halves(form: Form) -> tuple[str, int, int]:
    """The mnemonic without its ending, and whether zn and zm give odd (1) or even lanes."""
    name = form.mnemonic
    for ending, parts in (("bt", (0, 1)), ("tb", (1, 0))):
        if name in ("saddlbt", "ssublbt", "ssubltb", "sqdmlalbt", "sqdmlslbt") and name.endswith(
            ending
        ):
            return name[:-2], *parts
    top = int(name[-1] == "t")
    return name[:-1], top, top


def _widen(form: Form) -> None:
    """zd (or zda), t of the result, zn, zm."""
    stem, first, second = _halves(form)
    wide_first = stem.endswith("w")
    negative = stem[0] == "s"
    doubling, polynomial = stem.startswith("sqd"), stem == "pmull"
    kind = stem[1:]
    accumulates = (doubling and stem != "sqdmull") or kind in ("abal", "mlal", "mlsl")
    sign = -1 if stem == "sqdmlsl" else 1

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        d, md = cpu.z(zd) if accumulates else (0, 0)
        acc = split(a if wide_first else d, vl, t)
        y = lengthen(split(b, vl, t - 1)[second::2], t - 1, negative=negative)
        x = y
        if not wide_first:
            x = lengthen(split(a, vl, t - 1)[first::2], t - 1, negative=negative)
        if polynomial:
            result = polynomial_long(x, y, t)
        elif doubling:
            result = doubling_long(acc if accumulates else None, x, y, t, sign)[0]
        else:
            result = LONG[kind](acc, x, y, t)
        put_z(cpu, zd, join_lanes(result), spread(ma | mb | md, vl, t))

    SEMANTICS[form.name] = run


def _shift_long(form: Form) -> None:
    """sshllb and kin: zd, t of the source, zn, amount."""
    negative, top = form.mnemonic[0] == "s", int(form.mnemonic[-1] == "t")

    def run(cpu: Cpu, zd: int, t: int, zn: int, amount: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        lanes = lengthen(split(a, vl, t)[top::2], t, negative=negative)
        value = join_lanes(lanes << UINT[t + 1].type(amount))
        put_z(cpu, zd, value, spread(ma, vl, t + 1))

    SEMANTICS[form.name] = run


def _put_narrow(cpu: Cpu, zd: int, t: int, lanes: Array, mask: int, top: bool) -> None:
    """Results of half size t: in the even lanes with zero in the odd ones, or (`top`) in
    the odd lanes with the even ones kept."""
    vl = cpu.vl
    old, old_mask = cpu.z(zd) if top else (0, 0)
    both = split(old, vl, t).copy()
    both[int(top) :: 2] = lanes
    even = every(vl * 8, t + 4) * ones(BITS[t])
    chosen = even << BITS[t] if top else even
    mask = mask & chosen | (old_mask & ~chosen)
    put_z(cpu, zd, join_lanes(both), mask)


def _high_narrow(form: Form) -> None:
    """addhnb and kin: zd, t of the sources, zn, zm."""
    rounding, add, top = form.mnemonic[0] == "r", "add" in form.mnemonic, form.mnemonic[-1] == "t"

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        x, y = split(a, vl, t), split(b, vl, t)
        lanes = high_half(x + y if add else x - y, t, rounding)
        _put_narrow(cpu, zd, t - 1, lanes, spread(ma | mb, vl, t), top)

    SEMANTICS[form.name] = run


def _shift_narrow(form: Form) -> None:
    """sqxtnb, shrnb and kin: zd, t of the result, zn[, amount]."""
    name, top = form.mnemonic[:-1], form.mnemonic[-1] == "t"

    def run(cpu: Cpu, zd: int, t: int, zn: int, amount: int = 0) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        lanes = narrow_shift(name, split(a, vl, t + 1), amount, t + 1)[0]
        _put_narrow(cpu, zd, t, lanes, spread(ma, vl, t + 1), top)

    SEMANTICS[form.name] = run


# -- shifts --------------------------------------------------------------------------


def _shift(form: Form) -> None:
    """ssra, sri and kin: zd, t, zn, amount."""
    f = SHIFT_BY[form.mnemonic]

    def run(cpu: Cpu, zd: int, t: int, zn: int, amount: int) -> None:
        (d, md), (a, ma), vl = cpu.z(zd), cpu.z(zn), cpu.vl
        result = f(split(d, vl, t), split(a, vl, t), amount, t)
        put_z(cpu, zd, join_lanes(result), spread(md | ma, vl, t))

    SEMANTICS[form.name] = run


def _governed_shift(form: Form) -> None:
    """srshr, sqshl and kin: zdn, t, pg, amount."""
    name = form.mnemonic

    def run(cpu: Cpu, zdn: int, t: int, pg: int, amount: int) -> None:
        old, vl = cpu.z(zdn), cpu.vl
        lanes = split(old[0], vl, t)
        if name in SHIFT_BY:
            result = SHIFT_BY[name](lanes, lanes, amount, t)
        else:
            result = saturating_shift_by(name, lanes, amount, t)[0]
        new = (join_lanes(result), spread(old[1], vl, t))
        put_z(cpu, zdn, *merge(new, old, *governing(cpu, pg, t)))

    SEMANTICS[form.name] = run


@semantic("xar_zi")
def xar(cpu: Cpu, zdn: int, t: int, zm: int, amount: int) -> None:
    """Exclusive or, rotated right by 1 to the element's bits."""
    (a, ma), (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
    x, kind = split(a ^ b, vl, t), UINT[t].type
    turn = amount % BITS[t]
    rotated = x >> kind(turn) | x << kind(BITS[t] - turn) if turn else x
    put_z(cpu, zdn, join_lanes(rotated), spread(ma | mb, vl, t))


# -- dot products, matrices, elements ------------------------------------------------


def _register() -> None:
    for form in FORMS.values():
        if form.group == "sve-widen":
            (_shift_long if "shll" in form.mnemonic else _widen)(form)
        elif form.group == "sve-narrow":
            (_high_narrow if form.mnemonic[:-1].endswith("hn") else _shift_narrow)(form)
        elif form.group == "sve-shift" and form.cap == "sve2" and form.mnemonic != "xar":
            (_governed_shift if form.name.endswith("_zpi") else _shift)(form)


_register()
