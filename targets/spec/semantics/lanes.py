"""Lanes: register values as numpy arrays, predicates as lane masks, and unknown bits.

A register value is a Python int; a *lane array* is its unsigned numpy view. Where an
input lane has any unknown bit, the result lane is unknown as a whole (`spread`): sound,
and free while everything is known.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np

from targets.spec.cpu import Cpu

Array: TypeAlias = Any
"""A numpy array of lanes; numpy's ufuncs are typed too loosely to say more."""

UINT = tuple(np.dtype(f"<u{1 << t}") for t in range(4))
SINT = tuple(np.dtype(f"<i{1 << t}") for t in range(4))
BITS = (8, 16, 32, 64, 128)
"""Bits of an element, by t = log2 of its bytes (the value of an element size operand)."""


def split(value: int, size: int, t: int) -> Array:
    """The low `size` bytes of `value` as unsigned lanes of 2**t bytes."""
    return np.frombuffer(value.to_bytes(size, "little"), UINT[t])


def join_lanes(array: Array) -> int:
    """The register value of a lane array."""
    return int.from_bytes(array.tobytes(), "little")


def signed(array: Array, t: int) -> Array:
    """The same lanes, read as two's complement."""
    return array.view(SINT[t])


def unsigned(array: Array, t: int) -> Array:
    """The same lanes, read as unsigned; comparison results become all ones or zero."""
    return array.view(UINT[t])


@cache
def every(size: int, t: int) -> int:
    """One bit at the lowest bit of each of the lanes of `size` bits, 2**t bits apart.

    With a vector's bytes as `size` these are the predicate bits that elements use; other
    multiples give e.g. the lowest bit of each element of a vector.
    """
    return ((1 << size) - 1) // ((1 << (1 << t)) - 1)


@cache
def ones(bits: int) -> int:
    """`bits` ones."""
    return (1 << bits) - 1


def spread(mask: int, size: int, t: int) -> int:
    """Lanes that have an unknown bit, as a mask of all their bits."""
    if not mask:
        return 0
    if t > 3:
        lane = ones(BITS[t])
        parts = range(0, size * 8, BITS[t])
        return sum(lane << at for at in parts if mask >> at & lane)
    touched = split(mask, size, t) != 0
    return join_lanes(-touched.astype(UINT[t]))


def active(bits: int, size: int, t: int) -> int:
    """Predicate bits (one per byte) as a mask of all the bits of active lanes."""
    if t > 3:
        return join_lanes(-np.repeat(flags(bits, size, t), 1 << t - 3).astype(UINT[3]))
    return join_lanes(-flags(bits, size, t).astype(UINT[t]))


def flags(bits: int, size: int, t: int) -> Array:
    """Predicate bits as one 0 or 1 (uint8) per lane of 2**t bytes."""
    raw = np.frombuffer(bits.to_bytes(size + 7 >> 3, "little"), np.uint8)
    return np.unpackbits(raw, bitorder="little")[: size : 1 << t]


def predicate(lanes: Array, t: int) -> int:
    """One flag per lane as predicate bits, at the lowest byte of each lane."""
    if t:
        wide = np.zeros(len(lanes) << t, np.uint8)
        wide[:: 1 << t] = lanes
        lanes = wide
    return int.from_bytes(np.packbits(lanes, bitorder="little").tobytes(), "little")


def governing(cpu: Cpu, pg: int, t: int) -> tuple[int, int]:
    """Lane masks of a governing predicate: lanes that are active, lanes that may be."""
    value, mask = cpu.p(pg)
    maybe = active(mask, cpu.vl, t) if mask else 0
    return active(value, cpu.vl, t), maybe


def merge(new: tuple[int, int], old: tuple[int, int], chosen: int, maybe: int) -> tuple[int, int]:
    """`new` in the chosen lanes, `old` elsewhere; lanes in `maybe` become unknown."""
    if not (new[1] | old[1] | maybe):
        return new[0] & chosen | old[0] & ~chosen, 0
    value = new[0] & chosen | old[0] & ~chosen
    mask = new[1] & chosen | old[1] & ~chosen | maybe
    return value & ~mask, mask


def in_segments(value: tuple[int, int], vl: int, bits: int, index: int) -> tuple[int, int]:
    """Element `index` of each 128 bits, in all lanes of `bits` of those 128 bits."""
    everywhere = ones(128) // ones(bits)
    out = [0, 0]
    for at in range(0, 8 * vl, 128):
        for n in (0, 1):
            out[n] |= (value[n] >> at + index * bits & ones(bits)) * everywhere << at
    return out[0], out[1]


def put_z(cpu: Cpu, zd: int, value: int, mask: int = 0) -> None:
    """Write a Z register; unknown bits are taken out of `value`."""
    cpu.set_z(zd, value & ~mask if mask else value, mask)


def put_v(cpu: Cpu, vd: int, value: int, mask: int = 0) -> None:
    """Write a V register; unknown bits are taken out of `value`."""
    cpu.set_v(vd, value & ~mask if mask else value, mask)


def put_p(cpu: Cpu, pd: int, value: int, mask: int = 0) -> None:
    """Write a predicate; unknown bits are taken out of `value`."""
    cpu.set_p(pd, value & ~mask if mask else value, mask)


def predicate_test(
    cpu: Cpu, governing_bits: tuple[int, int], result: tuple[int, int], t: int
) -> None:
    """Set NZCV from a predicate result (Arm ARM, PredTest): N first active element true,
    Z none true, C last active element false, V clear."""
    lanes = every(cpu.vl, t)
    chosen, values = governing_bits[0] & lanes, result[0]
    if (governing_bits[1] | result[1]) & lanes:
        cpu.set_nzcv(0, 0b1110)
        return
    hits = chosen & values
    first = chosen & -chosen
    last = 1 << chosen.bit_length() >> 1
    n = 8 if hits & first else 0
    z = 0 if hits else 4
    c = 0 if hits & last else 2
    cpu.set_nzcv(n | z | c)


QC = 1 << 27
"""FPSR.QC, the cumulative saturation flag."""


def note_saturation(cpu: Cpu, clipped: bool, taint: int) -> None:
    """Set QC; with unknown inputs it may be set."""
    if clipped and not taint:
        cpu.raise_fpsr(QC)
    elif clipped or taint:
        cpu.raise_fpsr(0, QC)
