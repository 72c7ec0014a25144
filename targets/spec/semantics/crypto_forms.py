"""Cryptographic instructions, on V registers and on each 128 bits of Z registers.

A result has unknown bits throughout its 128 bits if any bit of an operand is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from targets.spec.cpu import Cpu
from targets.spec.semantics import crypto
from targets.spec.semantics.crypto import choose, majority, parity
from targets.spec.semantics.lanes import ones, put_v, put_z, spread
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic

Step: TypeAlias = Callable[..., int]

_Q = 4
"""log2 of the bytes of a quadword."""


def _write(cpu: Cpu, vd: int, f: Step, operands: list[tuple[int, int]]) -> None:
    """f of register values, or all unknown bits."""
    if any(mask for _, mask in operands):
        cpu.set_v(vd, 0, ones(128))
        return
    cpu.set_v(vd, f(*(value for value, _ in operands)))


def _updating(f: Step) -> Semantic:
    """Of the destination and all sources."""
    return lambda cpu, vd, *sources: _write(cpu, vd, f, [cpu.v(n) for n in (vd, *sources)])


def _fresh(f: Step) -> Semantic:
    """Of the sources only."""
    return lambda cpu, vd, *sources: _write(cpu, vd, f, [cpu.v(n) for n in sources])


_UPDATING: dict[str, Step] = {
    "aese_v": crypto.aes_encrypt,
    "aesd_v": crypto.aes_decrypt,
    "sha1su0_v": crypto.sha1_schedule0,
    "sha1su1_v": crypto.sha1_schedule1,
    "sha256h_v": lambda d, n, m: crypto.sha256_rounds(d, n, m)[0],
    "sha256h2_v": lambda d, n, m: crypto.sha256_rounds(n, d, m)[1],
    "sha256su0_v": crypto.sha256_schedule0,
    "sha256su1_v": crypto.sha256_schedule1,
    "sha512h_v": crypto.sha512_first,
    "sha512h2_v": crypto.sha512_second,
    "sha512su0_v": crypto.sha512_schedule0,
    "sha512su1_v": crypto.sha512_schedule1,
    "sm3partw1_v": crypto.sm3_part1,
    "sm3partw2_v": crypto.sm3_part2,
    "sm4e_v": crypto.sm4_encrypt,
}
_FRESH: dict[str, Step] = {
    "aesmc_v": crypto.aes_mix,
    "aesimc_v": crypto.aes_unmix,
    "rax1_v": crypto.rotated_sum,
    "sm3ss1_v": crypto.sm3_ss1,
    "sm4ekey_v": crypto.sm4_key,
}

for _name, _step in _UPDATING.items():
    SEMANTICS[_name] = _updating(_step)
for _name, _step in _FRESH.items():
    SEMANTICS[_name] = _fresh(_step)


def _sha1(function: crypto.Choice) -> Semantic:
    """The fifth word of the state is the lowest word of the second operand."""

    def run(cpu: Cpu, vd: int, vn: int, vm: int) -> None:
        operands = [cpu.v(vd), cpu.v(vn, 4), cpu.v(vm)]
        _write(cpu, vd, lambda d, e, m: crypto.sha1_rounds(d, e, m, function), operands)

    return run


SEMANTICS["sha1c_v"], SEMANTICS["sha1m_v"] = _sha1(choose), _sha1(majority)
SEMANTICS["sha1p_v"] = _sha1(parity)


@semantic("sha1h_v")
def sha1h(cpu: Cpu, vd: int, vn: int) -> None:
    value, mask = cpu.v(vn, 4)
    put_v(cpu, vd, crypto.rol(value, 30), crypto.rol(mask, 30))


@semantic("eor3_v")
def eor3(cpu: Cpu, vd: int, vn: int, vm: int, va: int) -> None:
    (x, mx), (y, my), (z, mz) = cpu.v(vn), cpu.v(vm), cpu.v(va)
    put_v(cpu, vd, x ^ y ^ z, mx | my | mz)


@semantic("bcax_v")
def bcax(cpu: Cpu, vd: int, vn: int, vm: int, va: int) -> None:
    (x, mx), (y, my), (z, mz) = cpu.v(vn), cpu.v(vm), cpu.v(va)
    put_v(cpu, vd, x ^ y & ~z, mx | my | mz)


@semantic("xar_v")
def xar(cpu: Cpu, vd: int, vn: int, vm: int, by: int) -> None:
    (x, mx), (y, my) = cpu.v(vn), cpu.v(vm)
    put_v(cpu, vd, crypto.sum_rotated(x, y, by), crypto.sum_rotated(mx | my, 0, by))


def _sm3(step: Callable[[int, int, int, crypto.Choice], int], function: crypto.Choice) -> Semantic:
    """One round with one word of the schedule."""

    def run(cpu: Cpu, vd: int, vn: int, vm: int, index: int) -> None:
        w, mask = (part >> 32 * index & ones(32) for part in cpu.v(vm))
        operands = [cpu.v(vd), cpu.v(vn), (w, mask)]
        _write(cpu, vd, lambda d, n, m: step(d, n, m, function), operands)

    return run


SEMANTICS["sm3tt1a_v"] = _sm3(crypto.sm3_tt1, parity)
SEMANTICS["sm3tt1b_v"] = _sm3(crypto.sm3_tt1, majority)
SEMANTICS["sm3tt2a_v"] = _sm3(crypto.sm3_tt2, parity)
SEMANTICS["sm3tt2b_v"] = _sm3(crypto.sm3_tt2, choose)


def _half(value: tuple[int, int], high: bool) -> tuple[int, int]:
    at = 64 if high else 0
    return value[0] >> at & ones(64), value[1] >> at & ones(64)


def _product(high: bool) -> Semantic:
    def run(cpu: Cpu, vd: int, vn: int, vm: int) -> None:
        operands = [_half(cpu.v(n), high) for n in (vn, vm)]
        _write(cpu, vd, crypto.polynomial_product, operands)

    return run


SEMANTICS["pmull_v1q"], SEMANTICS["pmull2_v1q"] = _product(False), _product(True)


def _by_segment(f: Step, *, updating: bool) -> Semantic:
    """f over each 128 bits: of the destination and its sources, or of the sources only."""

    def run(cpu: Cpu, zd: int, *sources: int) -> None:
        operands = [cpu.z(n) for n in ((zd, *sources) if updating else sources)]
        dirty = value = 0
        for _, mask in operands:
            dirty |= mask
        for at in range(0, 8 * cpu.vl, 128):
            value |= f(*(operand >> at & ones(128) for operand, _ in operands)) << at
        put_z(cpu, zd, value, spread(dirty, cpu.vl, _Q))

    return run


def _product_of_halves(at: int) -> Step:
    return lambda n, m: crypto.polynomial_product(n >> at & ones(64), m >> at & ones(64))


for _name, _step in (
    ("aese_z", crypto.aes_encrypt),
    ("aesd_z", crypto.aes_decrypt),
    ("aesmc_z", crypto.aes_mix),
    ("aesimc_z", crypto.aes_unmix),
    ("sm4e_z", crypto.sm4_encrypt),
):
    SEMANTICS[_name] = _by_segment(_step, updating=True)
for _name, _step in (
    ("pmullb_zq", _product_of_halves(0)),
    ("pmullt_zq", _product_of_halves(64)),
    ("rax1_z", crypto.rotated_sum),
    ("sm4ekey_z", crypto.sm4_key),
):
    SEMANTICS[_name] = _by_segment(_step, updating=False)
