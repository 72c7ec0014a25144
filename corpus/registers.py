"""The register table: names and KVM_{GET,SET}_ONE_REG ids.

Ids follow the uapi header: arm64 | size code | coprocessor | index
(KVM api.rst 4.68 and arch/arm64/include/uapi/asm/kvm.h).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from corpus.domain import TAG_SIZE, Domain, TagTable, TextError, nearest, quoted
from corpus.stream import Sink, Source

ARM64 = 0x6000_0000_0000_0000
U32, U64, U128, U256, U512, U2048 = (code << 52 for code in (2, 3, 4, 5, 6, 8))
CORE, SYSREG, SVE = 0x10 << 16, 0x13 << 16, 0x15 << 16

VLS_ID = ARM64 | U512 | SVE | 0xFFFF


def size_of(reg: int) -> int:
    """Bytes that the id's size code asks for (1 to 32768)."""
    return 1 << (reg >> 52 & 0xF)


@dataclass(frozen=True, slots=True)
class Register:
    """One row: `kind` groups registers that the specification treats alike."""

    name: str
    id: int
    kind: str


def _core(name: str, word: int, size: int = U64, kind: str = "core") -> Register:
    return Register(name, ARM64 | size | CORE | word, kind)


def sysreg_id(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The ONE_REG id of an AArch64 system register."""
    return ARM64 | U64 | SYSREG | op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


SYSREG_ENCODINGS: dict[str, tuple[int, int, int, int, int]] = {
    "zcr_el1": (3, 0, 1, 2, 0),
    "zcr_el2": (3, 4, 1, 2, 0),
    "cpacr_el1": (3, 0, 1, 0, 2),
    "sctlr_el1": (3, 0, 1, 0, 0),
    "tpidr_el0": (3, 3, 13, 0, 2),
    "tpidr_el1": (3, 0, 13, 0, 4),
    "tpidrro_el0": (3, 3, 13, 0, 3),
    "vbar_el1": (3, 0, 12, 0, 0),
    "esr_el1": (3, 0, 5, 2, 0),
    "far_el1": (3, 0, 6, 0, 0),
    "smcr_el1": (3, 0, 1, 2, 6),
    "svcr": (3, 3, 4, 2, 2),
    "fpmr": (3, 3, 4, 4, 2),
    "hcr_el2": (3, 4, 1, 1, 0),
    "cptr_el2": (3, 4, 1, 1, 2),
    "spsr_el2": (3, 4, 4, 0, 0),
    "elr_el2": (3, 4, 4, 0, 1),
    "sp_el2": (3, 6, 4, 1, 0),
    "esr_el2": (3, 4, 5, 2, 0),
    "far_el2": (3, 4, 6, 0, 0),
    "vbar_el2": (3, 4, 12, 0, 0),
    "tpidr_el2": (3, 4, 13, 0, 2),
    "id_aa64pfr0_el1": (3, 0, 0, 4, 0),
    "id_aa64pfr1_el1": (3, 0, 0, 4, 1),
    "id_aa64zfr0_el1": (3, 0, 0, 4, 4),
    "id_aa64smfr0_el1": (3, 0, 0, 4, 5),
    **{
        f"ap{key}key{half}_el1": (3, 0, 2, crm, op2 + number)
        for key, crm, op2 in (("ia", 1, 0), ("ib", 1, 2), ("da", 2, 0), ("db", 2, 2), ("ga", 3, 0))
        for number, half in enumerate(("lo", "hi"))
    },
    "rgsr_el1": (3, 0, 1, 0, 5),
    "gcr_el1": (3, 0, 1, 0, 6),
    "tfsr_el1": (3, 0, 5, 6, 0),
    "tfsre0_el1": (3, 0, 5, 6, 1),
}
_KINDS = {
    **{"id_": "id", "api": "key", "apd": "key", "apg": "key"},
    **{"rgs": "tagging", "gcr": "tagging", "tfs": "tagging"},
}
"""Kinds of system registers, by how their names begin."""


def _rows() -> Iterator[Register]:
    for n in range(32):
        yield Register(f"z{n}", ARM64 | U2048 | SVE | n << 5, "z")
    for n in range(16):
        yield Register(f"p{n}", ARM64 | U256 | SVE | 0x400 | n << 5, "p")
    yield Register("ffr", ARM64 | U256 | SVE | 0x600, "ffr")
    yield Register("vls", VLS_ID, "vls")
    for n in range(32):
        yield _core(f"v{n}", 0x54 + 4 * n, U128, "v")
    for n in range(31):
        yield _core(f"x{n}", 2 * n)
    yield _core("sp", 0x3E)
    yield _core("pc", 0x40)
    yield _core("pstate", 0x42, kind="pstate")
    yield _core("sp_el1", 0x44)
    yield _core("elr_el1", 0x46)
    for n, name in enumerate(("el1", "abt", "und", "irq", "fiq")):
        yield _core(f"spsr_{name}", 0x48 + 2 * n)
    yield _core("fpsr", 0xD4, U32, "fpsr")
    yield _core("fpcr", 0xD5, U32, "fpcr")
    for name, encoding in SYSREG_ENCODINGS.items():
        yield Register(name, sysreg_id(*encoding), _KINDS.get(name[:3], "sysreg"))


REGISTERS: dict[str, Register] = {row.name: row for row in _rows()}
BY_ID: dict[int, Register] = {row.id: row for row in REGISTERS.values()}
_TAGS = TagTable({name: row.id for name, row in REGISTERS.items()})

EL2_NAMES = tuple(name for name in SYSREG_ENCODINGS if name.endswith("_el2"))
"""Registers that only vcpus with EL2 have."""

KEY_NAMES = tuple(row.name for row in REGISTERS.values() if row.kind == "key")
"""The keys of pointer authentication: of each the low half, then the high one."""

TAGGING_NAMES = tuple(row.name for row in REGISTERS.values() if row.kind == "tagging")
"""What VMs with memory tagging have besides."""

Z_IDS = tuple(REGISTERS[f"z{n}"].id for n in range(32))
P_IDS = tuple(REGISTERS[f"p{n}"].id for n in range(16))
V_IDS = tuple(REGISTERS[f"v{n}"].id for n in range(32))
X_IDS = tuple(REGISTERS[f"x{n}"].id for n in range(31))


def name_of(reg: int) -> str:
    """The register's name, or its id in hexadecimal."""
    row = BY_ID.get(reg)
    return row.name if row else f"{reg:#x}"


class RegisterDomain(Domain[int]):
    """Register ids: by name, near misses of a name, or any 64 bits."""

    _NEAR, _RAW = 0xE0, 0xF8
    pattern = r"[a-z]\w*|0x[0-9a-f]+"

    def draw(self, source: Source) -> int:
        tag = source.u8()
        if tag >= self._RAW:
            return source.uint(8)
        base = _TAGS.nearest(source.uint(TAG_SIZE))
        return base ^ (1 << source.u8() % 64) if tag >= self._NEAR else base

    def put(self, value: int, sink: Sink) -> None:
        row = BY_ID.get(value)
        if row:
            sink.u8(0)
            sink.uint(_TAGS.tag(row.name), TAG_SIZE)
        else:
            sink.u8(self._RAW)
            sink.uint(value, 8)

    def parse(self, text: str) -> int:
        if text in REGISTERS:
            return REGISTERS[text].id
        if re.fullmatch(r"0x[0-9a-f]{1,16}", text, re.IGNORECASE | re.ASCII):
            return int(text, 16)
        raise TextError(
            f"{quoted(text)} is neither a register name nor a 64-bit id in hexadecimal"
            f"{nearest(text, REGISTERS)}"
        )

    def format(self, value: int) -> str:
        return name_of(value)

    def simpler(self, value: int) -> Iterator[int]:
        row = BY_ID.get(value)
        if row is None:
            return
        first = next(r for r in REGISTERS.values() if r.kind == row.kind)
        if first.id != value and row.kind in ("z", "p", "v"):
            yield first.id
