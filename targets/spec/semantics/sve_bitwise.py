"""SVE bitwise logic on whole vectors."""

from __future__ import annotations

from collections.abc import Callable

from targets.spec.cpu import Cpu
from targets.spec.semantics.lanes import ones, put_z
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.sve_perm import repeat

_TWO: dict[str, Callable[[int, int], int]] = {
    "and_zz": lambda n, m: n & m,
    "orr_zz": lambda n, m: n | m,
    "eor_zz": lambda n, m: n ^ m,
    "bic_zz": lambda n, m: n & ~m,
}


def _bitwise(name: str) -> Semantic:
    f = _TWO[name]

    def run(cpu: Cpu, zd: int, zn: int, zm: int) -> None:
        (n, mn), (m, mm) = cpu.z(zn), cpu.z(zm)
        put_z(cpu, zd, f(n, m), mn | mm)

    return run


for _name in _TWO:
    SEMANTICS[_name] = _bitwise(_name)


def _bitwise_immediate(name: str) -> Semantic:
    f = _TWO[name]

    def run(cpu: Cpu, zdn: int, mask: int) -> None:
        value, unknown = cpu.z(zdn)
        put_z(cpu, zdn, f(value, repeat(cpu, mask, 3)), unknown)

    return run


for _name in ("and", "orr", "eor"):
    SEMANTICS[f"{_name}_zi"] = _bitwise_immediate(f"{_name}_zz")


@semantic("dupm")
def dupm(cpu: Cpu, zd: int, mask: int) -> None:
    cpu.set_z(zd, repeat(cpu, mask, 3))


_SELECTS: dict[str, Callable[[int, int, int], int]] = {
    "eor3_zzz": lambda n, m, k: n ^ m ^ k,
    "bcax_zzz": lambda n, m, k: n ^ (m & ~k),
    "bsl_zzz": lambda n, m, k: n & k | m & ~k,
    "bsl1n_zzz": lambda n, m, k: ~n & k | m & ~k,
    "bsl2n_zzz": lambda n, m, k: n & k | ~m & ~k,
    "nbsl_zzz": lambda n, m, k: ~(n & k | m & ~k),
}


def _select(name: str) -> Semantic:
    f = _SELECTS[name]

    def run(cpu: Cpu, zdn: int, zm: int, zk: int) -> None:
        (n, mn), (m, mm), (k, mk) = cpu.z(zdn), cpu.z(zm), cpu.z(zk)
        put_z(cpu, zdn, f(n, m, k) & ones(cpu.vl * 8), mn | mm | mk)

    return run


for _name in _SELECTS:
    SEMANTICS[_name] = _select(_name)
