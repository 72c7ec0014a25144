"""SVE contiguous loads and stores, structures and broadcasts."""

from __future__ import annotations

import re

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import UNDEFINED, GuestException, Unpredictable
from targets.spec.semantics.access import (
    extend,
    known_predicate,
    load_elements,
    load_span,
    offsets,
    store_elements,
    truncate,
)
from targets.spec.semantics.lanes import Array, active, every, join_lanes, ones, put_p, put_z, split
from targets.spec.semantics.registry import SEMANTICS, semantic

MSIZE = {"b": 0, "h": 1, "w": 2, "d": 3}


@semantic("ldr_z")
def ldr_z(cpu: Cpu, zt: int, xn: int, imm: int) -> None:
    put_z(cpu, zt, *load_span(cpu, cpu.address(xn, imm * cpu.vl), cpu.vl, (zt,)))


@semantic("str_z")
def str_z(cpu: Cpu, zt: int, xn: int, imm: int) -> None:
    cpu.store(cpu.address(xn, imm * cpu.vl), cpu.vl, *cpu.z(zt))


@semantic("ldr_p")
def ldr_p(cpu: Cpu, pt: int, xn: int, imm: int) -> None:
    size = cpu.vl // 8
    address = cpu.address(xn, imm * size)
    if not cpu.reaches(address, size):
        cpu.set_p(pt, 0, ones(cpu.vl))
    put_p(cpu, pt, *cpu.load(address, size))


@semantic("str_p")
def str_p(cpu: Cpu, pt: int, xn: int, imm: int) -> None:
    size = cpu.vl // 8
    cpu.store(cpu.address(xn, imm * size), size, *cpu.p(pt))


def index_register(cpu: Cpu, xm: int) -> int:
    """An index register. Raises Unpredictable."""
    value, mask = cpu.x(xm)
    if mask:
        raise Unpredictable("an address is not known")
    return value


def _load(cpu: Cpu, zt: int, t: int, pg: int, base: int, msize: int, negative: bool) -> None:
    vl = cpu.vl
    count = vl >> t
    chosen = known_predicate(cpu, pg, every(vl, t))
    span = count << msize
    if not chosen:
        cpu.set_z(zt, 0)
        return
    if cpu.reaches(base, span):
        value, mask = cpu.load(base, span)
    else:
        addresses = offsets(base, count, 1 << msize, chosen, t)
        value, mask = load_elements(cpu, addresses, 1 << msize, (zt,))
    lanes = active(chosen, vl, t)
    value = extend(value, count, msize, t, negative=negative) & lanes
    mask = extend(mask, count, msize, t, negative=negative) & lanes if mask else 0
    put_z(cpu, zt, value, mask)


def _store(cpu: Cpu, zt: int, t: int, pg: int, base: int, msize: int) -> None:
    vl = cpu.vl
    count = vl >> t
    chosen = known_predicate(cpu, pg, every(vl, t))
    value, mask = cpu.z(zt)
    value = truncate(value, count, msize, t)
    mask = truncate(mask, count, msize, t) if mask else 0
    span = count << msize
    if cpu.reaches(base, span, write=True):
        lanes = truncate(active(chosen, vl, t), count, msize, t)
        old, old_mask = cpu.load(base, span)
        value = value & lanes | old & ~lanes
        cpu.store(base, span, value, mask & lanes | old_mask & ~lanes)
    else:
        store_elements(cpu, offsets(base, count, 1 << msize, chosen, t), 1 << msize, value, mask)


def _contiguous(form: Form) -> None:
    """ld1*, ldnt1*, st1*, stnt1* with an immediate or a register offset."""
    kind, memory = re.fullmatch(r"(ld|ldnt|st|stnt)1(s?[bhwd])", form.mnemonic).groups()  # type: ignore[union-attr]
    msize, negative = MSIZE[memory[-1]], len(memory) == 2

    def access(cpu: Cpu, zt: int, t: int, pg: int, base: int) -> None:
        if kind.startswith("ld"):
            _load(cpu, zt, t, pg, base, msize, negative)
        else:
            _store(cpu, zt, t, pg, base, msize)

    def by_immediate(cpu: Cpu, zt: int, t: int, pg: int, xn: int, imm: int) -> None:
        access(cpu, zt, t, pg, cpu.address(xn, imm * (cpu.vl >> t) << msize))

    def by_register(cpu: Cpu, zt: int, t: int, pg: int, xn: int, xm: int) -> None:
        access(cpu, zt, t, pg, cpu.address(xn, index_register(cpu, xm) << msize))

    SEMANTICS[form.name] = by_immediate if form.name.endswith("_i") else by_register


def _structure(form: Form) -> None:
    """ld2* to ld4* and st2* to st4*: `count` registers, elements interleaved in memory."""
    kind, digit, memory = re.fullmatch(r"(ld|st)([234])([bhwd])", form.mnemonic).groups()  # type: ignore[union-attr]
    n, t = int(digit), MSIZE[memory]
    run = _load_structure if kind == "ld" else _store_structure

    def by_immediate(cpu: Cpu, zt: int, _t: int, pg: int, xn: int, imm: int) -> None:
        run(cpu, zt, t, pg, cpu.address(xn, imm * cpu.vl), n)

    def by_register(cpu: Cpu, zt: int, _t: int, pg: int, xn: int, xm: int) -> None:
        run(cpu, zt, t, pg, cpu.address(xn, index_register(cpu, xm) << t), n)

    SEMANTICS[form.name] = by_immediate if form.name.endswith("_i") else by_register


def _note_tags(cpu: Cpu, base: int, size: int, *, write: bool = False) -> None:
    """Ask where tags differ from that of the base, accessed or not: see `defects`."""
    if cpu.vcpu.tagged:
        cpu.reaches(base, size, write=write)


def _repeated(chosen: int, vl: int, t: int, n: int) -> list[bool]:
    """Whether each of the n * lanes interleaved elements is active."""
    return [bool(chosen >> (index << t) & 1) for index in range(vl >> t) for _ in range(n)]


def _load_structure(cpu: Cpu, zt: int, t: int, pg: int, base: int, n: int) -> None:
    vl = cpu.vl
    registers = [(zt + i) % 32 for i in range(n)]
    chosen = known_predicate(cpu, pg, every(vl, t))
    if chosen and cpu.reaches(base, n * vl):
        both = cpu.load(base, n * vl)
    else:
        size = 1 << t
        wanted = _repeated(chosen, vl, t, n)
        addresses = [base + i * size & U64 if use else None for i, use in enumerate(wanted)]
        both = load_elements(cpu, addresses, size, registers)
    lanes = active(chosen, vl, t)
    value, mask = (split(x, n * vl, t).reshape(-1, n) for x in both)
    for i, register in enumerate(registers):
        put_z(cpu, register, join_lanes(value[:, i]) & lanes, join_lanes(mask[:, i]) & lanes)


def _store_structure(cpu: Cpu, zt: int, t: int, pg: int, base: int, n: int) -> None:
    vl, size = cpu.vl, 1 << t
    chosen = known_predicate(cpu, pg, every(vl, t))
    both = [cpu.z((zt + i) % 32) for i in range(n)]
    value, mask = (
        join_lanes(_interleaved([split(pair[which], vl, t) for pair in both])) for which in (0, 1)
    )
    wanted = _repeated(chosen, vl, t, n)
    addresses = [base + i * size & U64 if use else None for i, use in enumerate(wanted)]
    _note_tags(cpu, base, n * vl, write=True)
    store_elements(cpu, addresses, size, value, mask)


def _interleaved(columns: list[Array]) -> Array:
    return np.stack(columns, axis=1).reshape(-1)


def _broadcast_element(form: Form) -> None:
    """ld1r*: one memory element into every active lane."""
    memory = form.mnemonic[4:]
    msize, negative = MSIZE[memory[-1]], len(memory) == 2

    def run(cpu: Cpu, zt: int, t: int, pg: int, xn: int, imm: int) -> None:
        vl = cpu.vl
        address = cpu.address(xn, imm)
        chosen = known_predicate(cpu, pg, every(vl, t))
        if not chosen:
            cpu.set_z(zt, 0)
            return
        both = load_span(cpu, address, 1 << msize, (zt,))
        lanes = active(chosen, vl, t)
        value, mask = (
            extend(x, 1, msize, t, negative=negative) * every(vl * 8, t + 3) & lanes for x in both
        )
        put_z(cpu, zt, value, mask)

    SEMANTICS[form.name] = run


def _broadcast_block(form: Form) -> None:
    """ld1rq*, ld1ro*: 16 or 32 bytes into every block of that size."""
    size = 16 if form.mnemonic[4] == "q" else 32
    t = MSIZE[form.mnemonic[5]]

    def access(cpu: Cpu, zt: int, pg: int, base: int) -> None:
        vl = cpu.vl
        chosen = known_predicate(cpu, pg, every(size, t))
        addresses = offsets(base, size >> t, 1 << t, chosen, t)
        _note_tags(cpu, base, size)
        copies = vl // size
        repeat = sum(1 << 8 * size * i for i in range(copies))
        value, mask = load_elements(cpu, addresses, 1 << t, (zt,))
        put_z(cpu, zt, value * repeat, mask * repeat)

    def by_immediate(cpu: Cpu, zt: int, pg: int, xn: int, imm: int) -> None:
        if cpu.vl < size:
            raise GuestException(UNDEFINED)
        access(cpu, zt, pg, cpu.address(xn, imm))

    def by_register(cpu: Cpu, zt: int, pg: int, xn: int, xm: int) -> None:
        if cpu.vl < size:
            raise GuestException(UNDEFINED)
        access(cpu, zt, pg, cpu.address(xn, index_register(cpu, xm) << t))

    SEMANTICS[form.name] = by_immediate if form.name.endswith("_i") else by_register


def _register() -> None:
    for form in FORMS.values():
        if form.group in ("sve-load", "sve-store") and form.mnemonic not in ("ldr", "str"):
            _contiguous(form)
        elif form.group in ("sve-load-structure", "sve-store-structure"):
            _structure(form)
        elif form.group == "sve-load-broadcast":
            if form.mnemonic[4] in "qo":
                _broadcast_block(form)
            else:
                _broadcast_element(form)


_register()
