"""AdvSIMD moves, permutes, table lookups and modified immediates."""

from __future__ import annotations

import re

from corpus.isa.form import Form
from corpus.isa.fpimm import expand_mask
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.asimd_shift import element
from targets.spec.semantics.fpimm import fp_bits
from targets.spec.semantics.lanes import BITS, join_lanes, ones, put_v, split, spread
from targets.spec.semantics.permute import REARRANGE
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.sve_perm import lookup


def repeated(value: int, t: int, size: int) -> int:
    """An element in every lane of `size` bytes."""
    return value * (ones(8 * size) // ones(BITS[t]))


@semantic("dup_vx")
def dup_element(cpu: Cpu, vd: int, a: int, vn: int, index: int) -> None:
    value, mask = (repeated(x, a >> 1, 8 << (a & 1)) for x in element(cpu, vn, a >> 1, index))
    put_v(cpu, vd, value, mask)


@semantic("dup_vr")
def dup_general(cpu: Cpu, vd: int, a: int, rn: int) -> None:
    keep = ones(BITS[a >> 1])
    value, mask = (repeated(x & keep, a >> 1, 8 << (a & 1)) for x in cpu.x(rn))
    put_v(cpu, vd, value, mask)


@semantic("mov_sc")
def mov_scalar(cpu: Cpu, t: int, vd: int, vn: int, index: int) -> None:
    put_v(cpu, vd, *element(cpu, vn, t, index))


@semantic("umov_w", "umov_x")
def umov(cpu: Cpu, rd: int, vn: int, t: int, index: int) -> None:
    cpu.set_x(rd, *element(cpu, vn, t, index))


def _smov(bits: int) -> Semantic:
    def run(cpu: Cpu, rd: int, vn: int, t: int, index: int) -> None:
        sign = 1 << BITS[t] - 1
        value, mask = ((x ^ sign) - sign & ones(bits) for x in element(cpu, vn, t, index))
        cpu.set_x(rd, value, mask)

    return run


SEMANTICS["smov_w"], SEMANTICS["smov_x"] = _smov(32), _smov(64)


def _insert(cpu: Cpu, vd: int, t: int, index: int, new: tuple[int, int]) -> None:
    at, keep = index * BITS[t], ones(BITS[t])
    value, mask = (
        old & ~(keep << at) | (part & keep) << at for old, part in zip(cpu.v(vd), new, strict=True)
    )
    put_v(cpu, vd, value, mask)


@semantic("ins_r")
def ins_general(cpu: Cpu, vd: int, t: int, index: int, rn: int) -> None:
    _insert(cpu, vd, t, index, cpu.x(rn))


@semantic("ins_v")
def ins_element(cpu: Cpu, vd: int, t: int, index: int, vn: int, from_index: int) -> None:
    _insert(cpu, vd, t, index, element(cpu, vn, t, from_index))


@semantic("fmov_v1x")
def fmov_high(cpu: Cpu, vd: int, xn: int) -> None:
    _insert(cpu, vd, 3, 1, cpu.x(xn))


def _from_general(size: int) -> Semantic:
    def run(cpu: Cpu, vd: int, rn: int) -> None:
        value, mask = (x & ones(8 * size) for x in cpu.x(rn))
        put_v(cpu, vd, value, mask)

    return run


def _to_general(size: int) -> Semantic:
    return lambda cpu, rd, vn: cpu.set_x(rd, *cpu.v(vn, size))


for _name, _size in (("sw", 4), ("dx", 8), ("hw", 2), ("hx", 2)):
    SEMANTICS[f"fmov_{_name}"] = _from_general(_size)
    SEMANTICS[f"fmov_{_name[::-1]}"] = _to_general(_size)


@semantic("fmov_xv1")
def fmov_from_high(cpu: Cpu, xd: int, vn: int) -> None:
    cpu.set_x(xd, *element(cpu, vn, 3, 1))


@semantic("fmov_sc")
def fmov(cpu: Cpu, t: int, vd: int, vn: int) -> None:
    put_v(cpu, vd, *cpu.v(vn, 1 << t))


@semantic("fmov_h")
def fmov_half(cpu: Cpu, vd: int, vn: int) -> None:
    put_v(cpu, vd, *cpu.v(vn, 2))


@semantic("fmov_sci", "fmov_schi")
def fmov_immediate(cpu: Cpu, t: int, vd: int, imm: int) -> None:
    cpu.set_v(vd, fp_bits(imm, t))


def _rearrange(name: str) -> Semantic:
    f = REARRANGE[name]

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        size, t = 8 << (a & 1), a >> 1
        (x, mx), (y, my) = cpu.v(vn, size), cpu.v(vm, size)
        mask = join_lanes(f(split(mx, size, t), split(my, size, t))) if mx | my else 0
        put_v(cpu, vd, join_lanes(f(split(x, size, t), split(y, size, t))), mask)

    return run


for _name in REARRANGE:
    SEMANTICS[f"{_name}_v"] = _rearrange(_name)


@semantic("ext_v")
def ext(cpu: Cpu, vd: int, a: int, vn: int, vm: int, imm: int) -> None:
    size = 8 << (a & 1)
    value, mask = (
        (y << 8 * size | x) >> 8 * imm & ones(8 * size)
        for x, y in zip(cpu.v(vn, size), cpu.v(vm, size), strict=True)
    )
    put_v(cpu, vd, value, mask)


def _table(count: int, extension: bool) -> Semantic:
    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        size = 8 << (a & 1)
        parts = [cpu.v((vn + i) % 32) for i in range(count)]
        (index, index_mask), old = cpu.v(vm, size), cpu.v(vd, size) if extension else (0, 0)
        indices = split(index, size, 0)

        def pick(which: int) -> int:
            table = sum(part[which] << 128 * i for i, part in enumerate(parts))
            found = lookup(split(table, 16 * count, 0), indices, split(old[which], size, 0))
            return join_lanes(found)

        put_v(cpu, vd, pick(0), pick(1) | spread(index_mask, size, 0))

    return run


for _count in (1, 2, 3, 4):
    SEMANTICS[f"tbl_v{_count}"] = _table(_count, False)
    SEMANTICS[f"tbx_v{_count}"] = _table(_count, True)


def _modified_immediate(form: Form) -> None:
    """movi, mvni, orr and bic with an 8-bit immediate: vd, arrangement, imm[, shift]."""
    name = form.mnemonic
    fill_ones = form.name.endswith("_ones")

    def run(cpu: Cpu, vd: int, a: int, imm: int, shift: int = 0) -> None:
        size, t = 8 << (a & 1), a >> 1
        below = 8 * (shift + fill_ones)
        value = repeated(imm << below | (ones(below) if fill_ones else 0), t, size)
        mask = 0
        if name == "mvni":
            value ^= ones(8 * size)
        elif name in ("orr", "bic"):
            old, mask = cpu.v(vd, size)
            value = old | value if name == "orr" else old & ~value
        put_v(cpu, vd, value, mask)

    SEMANTICS[form.name] = run


for _form in FORMS.values():
    if _form.group == "asimd-imm" and re.fullmatch(
        r"(movi|mvni|orr|bic)_(b|hi|si|ones)", _form.name
    ):
        _modified_immediate(_form)


@semantic("movi_d")
def movi_d(cpu: Cpu, vd: int, imm: int) -> None:
    cpu.set_v(vd, expand_mask(imm))


@semantic("movi_2d")
def movi_2d(cpu: Cpu, vd: int, imm: int) -> None:
    cpu.set_v(vd, repeated(expand_mask(imm), 3, 16))


@semantic("fmov_vi", "fmov_vh")
def fmov_vector(cpu: Cpu, vd: int, a: int, imm: int) -> None:
    cpu.set_v(vd, repeated(fp_bits(imm, a >> 1), a >> 1, 8 << (a & 1)))


@semantic("fmov_2d")
def fmov_2d(cpu: Cpu, vd: int, imm: int) -> None:
    cpu.set_v(vd, repeated(fp_bits(imm, 3), 3, 16))
