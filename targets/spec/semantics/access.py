"""Memory accesses of vector instructions: spans, single elements, and what faults leave.

A load that aborts leaves its destination UNKNOWN; a store that aborts may or may not
have written the elements that were in RAM.
"""

from __future__ import annotations

from collections.abc import Sequence

from targets.spec.cpu import U64, Cpu
from targets.spec.errors import Unpredictable
from targets.spec.semantics.lanes import SINT, UINT, join_lanes, ones, split


def extend(span: int, count: int, msize: int, t: int, *, negative: bool) -> int:
    """`count` memory elements of 2**msize bytes as register lanes of 2**t bytes."""
    if msize == t:
        return span
    lanes = split(span, count << msize, msize)
    if negative:
        return join_lanes(lanes.view(SINT[msize]).astype(SINT[t]))
    return join_lanes(lanes.astype(UINT[t]))


def truncate(lanes: int, count: int, msize: int, t: int) -> int:
    """Register lanes as memory elements."""
    return lanes if msize == t else join_lanes(split(lanes, count << t, t).astype(UINT[msize]))


def spoil(cpu: Cpu, registers: Sequence[int]) -> None:
    """Destinations of a load that aborted."""
    for zt in registers:
        cpu.set_z(zt, 0, ones(cpu.vl * 8))


def load_span(cpu: Cpu, address: int, size: int, registers: Sequence[int]) -> tuple[int, int]:
    """Load `size` bytes that are all accessed; `registers` are spoilt if that aborts."""
    if not cpu.reaches(address, size):
        spoil(cpu, registers)
    return cpu.load(address, size)


def aborting(
    cpu: Cpu, addresses: Sequence[int | None], size: int, *, write: bool = False
) -> tuple[int, int] | None:
    """An element that aborts, by its index and its address: the first of its kind, and of several
    kinds up to the CPU. None if none does."""
    ways: dict[int, tuple[int, int]] = {}
    for index, address in enumerate(addresses):
        if address is not None and not cpu.reaches(address, size, write=write):
            ways.setdefault(cpu.aborts_as(address, size, write=write), (index, address))
    kinds = list(ways.values())
    if len(kinds) > 1:
        return kinds[cpu.forks.choose(len(kinds))]
    return kinds[0] if kinds else None


def load_elements(
    cpu: Cpu, addresses: Sequence[int | None], size: int, registers: Sequence[int]
) -> tuple[int, int]:
    """Elements of `size` bytes at `addresses`, one after another; None: not accessed, zero."""
    outside = aborting(cpu, addresses, size)
    if outside is not None:
        spoil(cpu, registers)
        cpu.load(outside[1], size)
    value = mask = at = 0
    for address in addresses:
        if address is not None:
            loaded, unknown = cpu.load(address, size)
            value |= loaded << at
            mask |= unknown << at
        at += 8 * size
    return value, mask


def store_elements(
    cpu: Cpu, addresses: Sequence[int | None], size: int, value: int, mask: int
) -> None:
    """Store elements of `size` bytes at `addresses`, in order; None: not accessed."""
    keep = ones(8 * size)
    outside = aborting(cpu, addresses, size, write=True)
    for index, address in enumerate(addresses):
        if address is None:
            continue
        new, unknown = value >> 8 * size * index & keep, mask >> 8 * size * index & keep
        if outside is None:
            cpu.store(address, size, new & ~unknown, unknown)
        else:
            cpu.perhaps_store(address, size, new, unknown)
    if outside is not None:
        index, address = outside
        cpu.store(address, size, value >> 8 * size * index & keep, mask >> 8 * size * index & keep)


def offsets(base: int, count: int, size: int, chosen: int, t: int) -> list[int | None]:
    """Addresses of consecutive elements; None where the predicate bit is clear."""
    return [
        base + index * size & U64 if chosen >> (index << t) & 1 else None for index in range(count)
    ]


def known_predicate(cpu: Cpu, pg: int, lanes: int) -> int:
    """Governing predicate bits of a memory access. Raises Unpredictable if not known."""
    value, mask = cpu.p(pg)
    if mask & lanes:
        raise Unpredictable("the predicate of a memory access is not known")
    return value & lanes
