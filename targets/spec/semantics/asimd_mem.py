"""Loads and stores of V registers."""

from __future__ import annotations

import re

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.access import spoil
from targets.spec.semantics.asimd_move import repeated
from targets.spec.semantics.asimd_shift import element
from targets.spec.semantics.lanes import BITS, join_lanes, ones, put_v, split
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.semantics.sve_mem import index_register

_SIZES = {"b": 1, "h": 2, "s": 4, "d": 8, "q": 16}


def _write_back(cpu: Cpu, xn: int, address: int) -> None:
    cpu.set_xsp(xn, address)


def _load(
    cpu: Cpu, address: int, size: int, registers: tuple[int, ...], element: int = 0
) -> tuple[int, int]:
    """Load `size` bytes, in elements of so many if that is told. One V register is a single access
    with a syndrome KVM can use only if it is a general register's; so vector accesses outside RAM
    fail."""
    if not cpu.reaches(address, size) or cpu.misaligned(address, size, element, write=False):
        spoil(cpu, registers)
    return cpu.load(address, size, element=element)


def _single(form: Form) -> None:
    """ldr, str, ldur, stur of one register: vt, xn, offset."""
    match = re.fullmatch(r"(ldr|str|ldur|stur)_([bhsdq])(_r|_post|_pre)?", form.name)
    assert match
    kind, letter, mode = match.groups()
    size = _SIZES[letter]
    scale = size if mode == "_r" else 1
    load = kind.startswith("ld")

    def run(cpu: Cpu, vt: int, xn: int, offset: int) -> None:
        if mode == "_r":
            offset = index_register(cpu, offset) * scale
        address = cpu.address(xn, 0 if mode == "_post" else offset)
        if load:
            both = _load(cpu, address, size, (vt,), size)
        else:
            cpu.store(address, size, *cpu.v(vt, size), element=size)
        if mode in ("_post", "_pre"):
            _write_back(cpu, xn, cpu.address(xn, offset))
        if load:
            put_v(cpu, vt, *both)

    SEMANTICS[form.name] = run


def _pair(form: Form) -> None:
    """ldp, stp, ldnp, stnp: vt, vt2, xn, offset."""
    match = re.fullmatch(r"(ld|st)n?p_([sdq])(_post|_pre)?", form.name)
    assert match
    kind, letter, mode = match.groups()
    size = _SIZES[letter]

    def run(cpu: Cpu, vt: int, vt2: int, xn: int, offset: int) -> None:
        address = cpu.address(xn, 0 if mode == "_post" else offset)
        if kind == "ld":
            value, mask = _load(cpu, address, 2 * size, (vt, vt2), size)
            put_v(cpu, vt, value & ones(8 * size), mask & ones(8 * size))
            put_v(cpu, vt2, value >> 8 * size, mask >> 8 * size)
        else:
            (a, ma), (b, mb) = cpu.v(vt, size), cpu.v(vt2, size)
            value, mask = a | b << 8 * size, ma | mb << 8 * size
            cpu.store(address, 2 * size, value, mask, element=size)
        if mode:
            _write_back(cpu, xn, cpu.address(xn, offset))

    SEMANTICS[form.name] = run


def _after(cpu: Cpu, post: str | None, xn: int, size: int, xm: int | None) -> None:
    """The write-back of an access of `size` bytes, or by register xm."""
    if post:
        by = size if xm is None else index_register(cpu, xm)
        _write_back(cpu, xn, cpu.address(xn, by))


def _multiple(form: Form) -> None:
    """ld1 to ld4 and st1 to st4 of whole registers: vt, arrangement, xn[, xm]."""
    match = re.fullmatch(r"(ld|st)([1-4])_m([1-4])(_postr?)?", form.name)
    assert match
    kind, structure, count_text, post = match.groups()
    count, interleaved = int(count_text), structure != "1"

    def run(cpu: Cpu, vt: int, a: int, xn: int, xm: int | None = None) -> None:
        size, t = 8 << (a & 1), a >> 1
        address = cpu.address(xn)
        registers = tuple((vt + i) % 32 for i in range(count))
        if kind == "ld":
            both = _load(cpu, address, size * count, registers)
            parts = [_separate(x, size, t, count, interleaved) for x in both]
            for register, value, mask in zip(registers, *parts, strict=True):
                put_v(cpu, register, value, mask)
        else:
            stored = [cpu.v(register, size) for register in registers]
            value, mask = (
                _combine([x[which] for x in stored], size, t, interleaved) for which in (0, 1)
            )
            cpu.store(address, size * count, value, mask)
        _after(cpu, post, xn, size * count, xm)

    SEMANTICS[form.name] = run


def _separate(value: int, size: int, t: int, count: int, interleaved: bool) -> list[int]:
    """Memory contents as register values."""
    if interleaved:
        rows = split(value, size * count, t).reshape(-1, count)
        return [join_lanes(rows[:, i]) for i in range(count)]
    return [value >> 8 * size * i & ones(8 * size) for i in range(count)]


def _combine(values: list[int], size: int, t: int, interleaved: bool) -> int:
    """Register values as memory contents."""
    if interleaved:
        return join_lanes(np.stack([split(v, size, t) for v in values], axis=1).reshape(-1))
    return sum(value << 8 * size * i for i, value in enumerate(values))


def _lane(form: Form) -> None:
    """ld1 to ld4 and st1 to st4 of one lane: vt, index, xn[, xm]."""
    match = re.fullmatch(r"(ld|st)([1-4])_lane_([bhsd])(_postr?)?", form.name)
    assert match
    kind, count_text, letter, post = match.groups()
    count, t = int(count_text), "bhsd".index(letter)
    size = 1 << t

    def run(cpu: Cpu, vt: int, index: int, xn: int, xm: int | None = None) -> None:
        address = cpu.address(xn)
        registers = tuple((vt + i) % 32 for i in range(count))
        at, keep = index * BITS[t], ones(BITS[t])
        if kind == "ld":
            loaded = _load(cpu, address, size * count, registers)
            for i, register in enumerate(registers):
                value, mask = (
                    old & ~(keep << at) | (new >> BITS[t] * i & keep) << at
                    for old, new in zip(cpu.v(register), loaded, strict=True)
                )
                put_v(cpu, register, value, mask)
        else:
            lanes = [element(cpu, register, t, index) for register in registers]
            value, mask = (
                sum(x[which] << BITS[t] * i for i, x in enumerate(lanes)) for which in (0, 1)
            )
            cpu.store(address, size * count, value, mask)
        _after(cpu, post, xn, size * count, xm)

    SEMANTICS[form.name] = run


def _replicate(count: int, post: str | None) -> Semantic:
    def run(cpu: Cpu, vt: int, a: int, xn: int, xm: int | None = None) -> None:
        size, t = 8 << (a & 1), a >> 1
        registers = tuple((vt + i) % 32 for i in range(count))
        both = _load(cpu, cpu.address(xn), count << t, registers)
        for i, register in enumerate(registers):
            value, mask = (repeated(x >> BITS[t] * i & ones(BITS[t]), t, size) for x in both)
            put_v(cpu, register, value, mask)
        _after(cpu, post, xn, count << t, xm)

    return run


def _register() -> None:
    for form in FORMS.values():
        if form.group not in ("asimd-load", "asimd-store"):
            continue
        if form.mnemonic in ("ldr", "str", "ldur", "stur"):
            _single(form)
        elif form.mnemonic in ("ldp", "stp", "ldnp", "stnp"):
            _pair(form)
        elif form.mnemonic.endswith("r"):
            post = form.name.partition("_v_")[2]
            SEMANTICS[form.name] = _replicate(int(form.mnemonic[2]), post)
        elif "_lane_" in form.name:
            _lane(form)
        else:
            _multiple(form)


_register()
