"""SVE2.1 loads and stores: of 128-bit elements, and of two or four vectors by a counter."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from corpus.isa import sve21_mem as table
from corpus.isa.form import Form
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import Unpredictable
from targets.spec.semantics.access import (
    known_predicate,
    load_elements,
    load_span,
    offsets,
    store_elements,
)
from targets.spec.semantics.counter import decoded
from targets.spec.semantics.lanes import active, every, ones, put_z
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.semantics.sve_mem import MSIZE, index_register

_QUAD = 4
"""log2 of the bytes of a 128-bit element."""

Access = Callable[[Cpu, int, int, int], None]
"""(cpu, first register, predicate register, address)."""


def _stretched(packed: int, count: int, size: int) -> int:
    """`count` elements of `size` bytes, each in 128 bits."""
    return sum((packed >> 8 * size * n & ones(8 * size)) << 128 * n for n in range(count))


def _packed(lanes: int, count: int, size: int) -> int:
    """The low `size` bytes of each 128 bits."""
    return sum((lanes >> 128 * n & ones(8 * size)) << 8 * size * n for n in range(count))


def _load(size: int) -> Access:
    def run(cpu: Cpu, zt: int, pg: int, base: int) -> None:
        count = cpu.vl >> _QUAD
        chosen = known_predicate(cpu, pg, every(cpu.vl, _QUAD))
        addresses = offsets(base, count, size, chosen, _QUAD)
        both = load_elements(cpu, addresses, size, (zt,))
        put_z(cpu, zt, *(_stretched(x, count, size) for x in both))

    return run


def _store(size: int) -> Access:
    def run(cpu: Cpu, zt: int, pg: int, base: int) -> None:
        count = cpu.vl >> _QUAD
        chosen = known_predicate(cpu, pg, every(cpu.vl, _QUAD))
        addresses = offsets(base, count, size, chosen, _QUAD)
        value, mask = (_packed(x, count, size) for x in cpu.z(zt))
        store_elements(cpu, addresses, size, value, mask)

    return run


def _repeated(cpu: Cpu, base: int, chosen: int, n: int) -> list[int | None]:
    """Addresses of the elements of n registers, interleaved in memory."""
    return [
        base + 16 * (index * n + i) & U64 if chosen >> (index << _QUAD) & 1 else None
        for index in range(cpu.vl >> _QUAD)
        for i in range(n)
    ]


def _load_structure(n: int) -> Access:
    def run(cpu: Cpu, zt: int, pg: int, base: int) -> None:
        registers = [(zt + i) % 32 for i in range(n)]
        chosen = known_predicate(cpu, pg, every(cpu.vl, _QUAD))
        both = load_elements(cpu, _repeated(cpu, base, chosen, n), 16, registers)
        for i, register in enumerate(registers):
            places = range(i, n * cpu.vl >> _QUAD, n)
            put_z(cpu, register, *(_gathered(x, places) for x in both))

    return run


def _gathered(quadwords: int, places: Sequence[int]) -> int:
    return sum((quadwords >> 128 * at & ones(128)) << 128 * n for n, at in enumerate(places))


def _store_structure(n: int) -> Access:
    def run(cpu: Cpu, zt: int, pg: int, base: int) -> None:
        count = cpu.vl >> _QUAD
        chosen = known_predicate(cpu, pg, every(cpu.vl, _QUAD))
        registers = [cpu.z((zt + i) % 32) for i in range(n)]
        value, mask = (
            sum(
                (pair[which] >> 128 * index & ones(128)) << 128 * (index * n + i)
                for index in range(count)
                for i, pair in enumerate(registers)
            )
            for which in (0, 1)
        )
        store_elements(cpu, _repeated(cpu, base, chosen, n), 16, value, mask)

    return run


def _counted(cpu: Cpu, pn: int, count: int) -> int:
    """The predicate of `count` vectors that a counter stands for. Raises Unpredictable."""
    value, mask = cpu.p(pn)
    if mask & ones(16):
        raise Unpredictable("the predicate of a memory access is not known")
    return decoded(value, cpu.vl) & ones(count * cpu.vl)


def _load_multiple(t: int, count: int) -> Access:
    def run(cpu: Cpu, zt: int, pn: int, base: int) -> None:
        size, registers = count * cpu.vl, range(zt, zt + count)
        chosen = _counted(cpu, pn, count) & every(size, t)
        if chosen == every(size, t):
            both = load_span(cpu, base, size, registers)
        else:
            addresses = offsets(base, size >> t, 1 << t, chosen, t)
            both = load_elements(cpu, addresses, 1 << t, registers)
        for n, register in enumerate(registers):
            put_z(cpu, register, *(x >> 8 * cpu.vl * n & ones(8 * cpu.vl) for x in both))

    return run


def _store_multiple(t: int, count: int) -> Access:
    def run(cpu: Cpu, zt: int, pn: int, base: int) -> None:
        size = count * cpu.vl
        chosen = _counted(cpu, pn, count) & every(size, t)
        vectors = [cpu.z(zt + n) for n in range(count)]
        value, mask = (
            sum(pair[which] << 8 * cpu.vl * n for n, pair in enumerate(vectors)) for which in (0, 1)
        )
        addresses = offsets(base, size >> t, 1 << t, chosen, t)
        store_elements(cpu, addresses, 1 << t, value, mask)

    return run


def _addressed(access: Access, form: Form, unit: Callable[[int], int], scale: int) -> Semantic:
    """With an immediate, of which one is `unit(vl)` bytes, or a register times 2**scale."""

    def by_immediate(cpu: Cpu, zt: int, pg: int, xn: int, imm: int) -> None:
        access(cpu, zt, pg, cpu.address(xn, imm * unit(cpu.vl)))

    def by_register(cpu: Cpu, zt: int, pg: int, xn: int, xm: int) -> None:
        access(cpu, zt, pg, cpu.address(xn, index_register(cpu, xm) << scale))

    return by_immediate if form.name.endswith("_i") else by_register


def _by_vector(load: bool) -> Semantic:
    """LD1Q, ST1Q: an address in the low half of each 128 bits of zn, plus a register."""

    def run(cpu: Cpu, zt: int, pg: int, zn: int, xm: int) -> None:
        count = cpu.vl >> _QUAD
        chosen = known_predicate(cpu, pg, every(cpu.vl, _QUAD))
        value, mask = cpu.z(zn)
        if mask & active(chosen, cpu.vl, _QUAD) & every(8 * cpu.vl, _QUAD + 3) * U64:
            raise Unpredictable("an address is not known")
        by = index_register(cpu, xm) if chosen else 0
        addresses = [
            (value >> 128 * n) + by & U64 if chosen >> (n << _QUAD) & 1 else None
            for n in range(count)
        ]
        if load:
            put_z(cpu, zt, *load_elements(cpu, addresses, 16, (zt,)))
        else:
            store_elements(cpu, addresses, 16, *cpu.z(zt))

    return run


SEMANTICS["ld1q_gd"], SEMANTICS["st1q_gd"] = _by_vector(True), _by_vector(False)


def _register(form: Form) -> None:
    group, msize = form.group, MSIZE.get(form.mnemonic[-1], _QUAD)
    if group in (table.LOAD, table.STORE):
        access = (_load if group == table.LOAD else _store)(1 << msize)
        SEMANTICS[form.name] = _addressed(access, form, lambda vl: (vl >> _QUAD) << msize, msize)
    elif group in (table.LOAD_STRUCTURE, table.STORE_STRUCTURE):
        build = _load_structure if group == table.LOAD_STRUCTURE else _store_structure
        SEMANTICS[form.name] = _addressed(build(int(form.mnemonic[2])), form, int, _QUAD)
    elif group in (table.LOAD_MULTIPLE, table.STORE_MULTIPLE):
        several = _load_multiple if group == table.LOAD_MULTIPLE else _store_multiple
        count = re.search(r"_x([24])_", form.name)
        assert count
        SEMANTICS[form.name] = _addressed(several(msize, int(count[1])), form, int, msize)


for _form in table.FORMS:
    _register(_form)
