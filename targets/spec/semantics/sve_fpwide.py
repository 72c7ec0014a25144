"""SVE floating-point conversions, reductions and matrix multiplications."""

from __future__ import annotations

from collections.abc import Callable

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.errors import UNDEFINED, GuestException
from targets.spec.semantics import fpsteps, softconvert, softfloat
from targets.spec.semantics.fp import from_list, tree
from targets.spec.semantics.fpops import FLAGS, TWO, arithmetic, from_integer, to_integer
from targets.spec.semantics.lanes import BITS, active, every, ones, put_v, put_z, split
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.softfloat import ODD, Result
from targets.spec.semantics.sve_fp import merging


def _conversion(name: str, to_t: int, from_t: int) -> Callable[[int, int], Result]:
    """(source bits, ctl) -> destination bits; integers narrower than the lane come extended."""
    wide = BITS[max(to_t, from_t)]
    if name.startswith("fcvtz"):
        f = to_integer(name, BITS[to_t])
        sign = 1 << BITS[to_t] - 1 if name[-1] == "s" else 0

        def to_int(a: int, ctl: int) -> Result:
            value, flags = f(a, from_t, ctl)
            return ((value ^ sign) - sign) & ones(wide), flags

        return to_int
    if name in ("scvtf", "ucvtf"):
        g = from_integer(name, BITS[from_t])
        return lambda a, ctl: g(a, to_t, ctl)
    mode = ODD if name.startswith("fcvtx") else None
    return lambda a, ctl: softconvert.convert(a, from_t, to_t, ctl, mode)


def _convert(form: Form) -> None:
    """zd, pg, zn; lanes are as wide as the wider of the two formats. AHP is ignored
    (Arm ARM, FPConvertSVE)."""
    name = form.mnemonic
    to_t, from_t = ("bhsd".index(letter) for letter in form.name[-2:])
    t = max(to_t, from_t)
    f = _conversion(name, to_t, from_t)
    from_top, into_top = name == "fcvtlt", name.endswith("nt")

    def run(cpu: Cpu, zd: int, pg: int, zn: int) -> None:
        ctl = arithmetic(cpu)
        old = cpu.z(zd)

        def lane(a: int, before: int) -> Result:
            source = a >> BITS[from_t] if from_top else a & ones(BITS[from_t])
            value, flags = f(source, ctl)
            if into_top:
                value = value << BITS[to_t] | before & ones(BITS[to_t])
            return value, flags

        second = old if into_top else (0, 0)
        put_z(cpu, zd, *merging(cpu, lane, (cpu.z(zn), second), t, (), pg, old))

    SEMANTICS[form.name] = run


def _bfloat(top: bool) -> Semantic:
    """BFCVT, BFCVTNT."""

    def run(cpu: Cpu, zd: int, pg: int, zn: int) -> None:
        ctl = arithmetic(cpu)
        old = cpu.z(zd)

        def lane(a: int, before: int) -> Result:
            value, flags = softconvert.to_bf16(a, ctl)
            return (value << 16 | before & 0xFFFF if top else value), flags

        second = old if top else (0, 0)
        put_z(cpu, zd, *merging(cpu, lane, (cpu.z(zn), second), 2, (), pg, old))

    return run


SEMANTICS["bfcvt_z"], SEMANTICS["bfcvtnt_z"] = _bfloat(False), _bfloat(True)


def identity(name: str, t: int, ctl: int) -> int:
    """What stands for lanes that are inactive or past the end."""
    return {
        "faddv": 0,
        "fmaxv": softfloat.infinity(1, t),
        "fminv": softfloat.infinity(0, t),
        "fmaxnmv": softfloat.default_nan(t, ctl),
        "fminnmv": softfloat.default_nan(t, ctl),
    }[name]


def _reduce(form: Form) -> None:
    """A tree over the next power of two of lanes: t, vd, pg, zn."""
    name = form.mnemonic
    f = TWO[name.removesuffix("v")]

    def run(cpu: Cpu, t: int, vd: int, pg: int, zn: int) -> None:
        (a, ma), (g, mg), vl = cpu.z(zn), cpu.p(pg), cpu.vl
        ctl = arithmetic(cpu)
        if mg & every(vl, t) or ma & active(g, vl, t):
            cpu.raise_fpsr(0, FLAGS)
            put_v(cpu, vd, 0, ones(BITS[t]))
            return
        fill = identity(name, t, ctl)
        lanes = [
            lane if g >> (index << t) & 1 else fill
            for index, lane in enumerate(split(a, vl, t).tolist())
        ]
        lanes += [fill] * ((1 << (len(lanes) - 1).bit_length()) - len(lanes))
        value, flags = tree(f, lanes, t, ctl)
        cpu.raise_fpsr(flags)
        cpu.set_v(vd, value)

    SEMANTICS[form.name] = run


@semantic("fadda_z")
def fadda(cpu: Cpu, t: int, vdn: int, pg: int, zm: int) -> None:
    """Adds the active lanes one after another."""
    (a, ma), (g, mg), (start, ms), vl = cpu.z(zm), cpu.p(pg), cpu.v(vdn, 1 << t), cpu.vl
    ctl = arithmetic(cpu)
    if ms or mg & every(vl, t) or ma & active(g, vl, t):
        cpu.raise_fpsr(0, FLAGS)
        put_v(cpu, vdn, 0, ones(BITS[t]))
        return
    raised = 0
    for index, lane in enumerate(split(a, vl, t).tolist()):
        if g >> (index << t) & 1:
            start, flags = softfloat.add(start, lane, t, ctl)
            raised |= flags
    cpu.raise_fpsr(raised)
    cpu.set_v(vdn, start)


def _matrix(t: int) -> Semantic:
    """FMMLA: 2x2 matrices in four lanes; zn times zm transposed."""

    def run(cpu: Cpu, zda: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        if vl < 4 << t:
            raise GuestException(UNDEFINED)
        ctl = arithmetic(cpu)
        blocks = vl // (4 << t)
        if md | ma | mb:
            cpu.raise_fpsr(0, FLAGS)
            cpu.set_z(zda, 0, ones(blocks * (32 << t)))
            return
        acc, n, m = (split(value, vl, t).tolist() for value in (d, a, b))
        raised = 0
        for block in range(blocks):
            at = 4 * block
            for i in (0, 1):
                for j in (0, 1):
                    row, column = n[at + 2 * i : at + 2 * i + 2], m[at + 2 * j : at + 2 * j + 2]
                    here = at + 2 * i + j
                    acc[here], flags = fpsteps.pairwise_sum_of_products(
                        acc[here], (row[0], row[1]), (column[0], column[1]), t, ctl
                    )
                    raised |= flags
        cpu.raise_fpsr(raised)
        cpu.set_z(zda, from_list(acc[: 4 * blocks], t))

    return run


SEMANTICS["fmmla_s"], SEMANTICS["fmmla_d"] = _matrix(2), _matrix(3)

for _form in FORMS.values():
    if _form.group == "sve-fp-convert" and not _form.mnemonic.startswith("bf"):
        _convert(_form)
    elif _form.group == "sve-fp-reduce" and _form.mnemonic != "fadda":
        _reduce(_form)
