"""Cryptography: AES, polynomial products, SHA, SM3 and SM4, of AdvSIMD and of SVE2."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import at, imm, v, z
from corpus.isa.rows import rows

_TWO = (v("vd", 0), v("vn", 5))
_THREE = (*_TWO, v("vm", 16))
_FOUR = (*_THREE, v("va", 10))


def _lanes(
    cap: str, arrangement: str, operands: tuple[Operand, ...], table: dict[str, int]
) -> tuple[Form, ...]:
    """Rows whose operands are all vectors of one arrangement."""
    tail = ", ".join(f"{{{operand.name}}}.{arrangement}" for operand in operands)
    return rows("crypto", cap, tail, operands, table, "_v")


_AES = (
    *_lanes(
        "aes",
        "16b",
        _TWO,
        {
            "aese": 0x4E28_4800,
            "aesd": 0x4E28_5800,
            "aesmc": 0x4E28_6800,
            "aesimc": 0x4E28_7800,
        },
    ),
    *rows("crypto", "pmull", "{vd}.1q, {vn}.1d, {vm}.1d", _THREE, {"pmull": 0x0EE0_E000}, "_v1q"),
    *rows("crypto", "pmull", "{vd}.1q, {vn}.2d, {vm}.2d", _THREE, {"pmull2": 0x4EE0_E000}, "_v1q"),
)


def _hash(
    cap: str, letters: str, lanes: str, operands: tuple[Operand, ...], table: dict[str, int]
) -> tuple[Form, ...]:
    """Rows on a hash state in scalar registers; `letters`: those of vd and vn."""
    names = [f"{{{operand.name}}}" for operand in operands]
    tail = ", ".join([*names[:2], *(f"{name}.{lanes}" for name in names[2:])])
    first = (v("vd", 0, letters[0]), v("vn", 5, letters[1]))
    return rows("crypto", cap, tail, (*first, *operands[2:]), table, "_v")


_SHA = (
    *_hash(
        "sha1",
        "qs",
        "4s",
        _THREE,
        {"sha1c": 0x5E00_0000, "sha1p": 0x5E00_1000, "sha1m": 0x5E00_2000},
    ),
    *_hash("sha1", "ss", "", _TWO, {"sha1h": 0x5E28_0800}),
    *_lanes("sha1", "4s", _THREE, {"sha1su0": 0x5E00_3000}),
    *_lanes("sha1", "4s", _TWO, {"sha1su1": 0x5E28_1800}),
    *_hash("sha256", "qq", "4s", _THREE, {"sha256h": 0x5E00_4000, "sha256h2": 0x5E00_5000}),
    *_lanes("sha256", "4s", _THREE, {"sha256su1": 0x5E00_6000}),
    *_lanes("sha256", "4s", _TWO, {"sha256su0": 0x5E28_2800}),
    *_hash("sha512", "qq", "2d", _THREE, {"sha512h": 0xCE60_8000, "sha512h2": 0xCE60_8400}),
    *_lanes("sha512", "2d", _THREE, {"sha512su1": 0xCE60_8800}),
    *_lanes("sha512", "2d", _TWO, {"sha512su0": 0xCEC0_8000}),
    *_lanes("sha3", "16b", _FOUR, {"eor3": 0xCE00_0000, "bcax": 0xCE20_0000}),
    *_lanes("sha3", "2d", _THREE, {"rax1": 0xCE60_8C00}),
    *rows(
        "crypto",
        "sha3",
        "{vd}.2d, {vn}.2d, {vm}.2d, #{imm}",
        (*_THREE, imm("imm", 0, 63, at(10))),
        {"xar": 0xCE80_0000},
        "_v",
    ),
)

_SM = (
    *_lanes("sm3", "4s", _FOUR, {"sm3ss1": 0xCE40_0000}),
    *rows(
        "crypto",
        "sm3",
        "{vd}.4s, {vn}.4s, {vm}.s[{imm}]",
        (*_THREE, imm("imm", 0, 3, at(12))),
        {
            "sm3tt1a": 0xCE40_8000,
            "sm3tt1b": 0xCE40_8400,
            "sm3tt2a": 0xCE40_8800,
            "sm3tt2b": 0xCE40_8C00,
        },
        "_v",
    ),
    *_lanes("sm3", "4s", _THREE, {"sm3partw1": 0xCE60_C000, "sm3partw2": 0xCE60_C400}),
    *_lanes("sm4", "4s", _TWO, {"sm4e": 0xCEC0_8400}),
    *_lanes("sm4", "4s", _THREE, {"sm4ekey": 0xCE60_C800}),
)

_UPDATE = (z("zdn", 0), z("zm", 5))
_ZZZ = (z("zd", 0), z("zn", 5), z("zm", 16))

_SVE = (
    *rows(
        "sve-crypto",
        "sve-aes",
        "{zdn}.b, {zdn}.b, {zm}.b",
        _UPDATE,
        {"aese": 0x4522_E000, "aesd": 0x4522_E400},
        "_z",
    ),
    *rows(
        "sve-crypto",
        "sve-aes",
        "{zdn}.b, {zdn}.b",
        _UPDATE[:1],
        {"aesmc": 0x4520_E000, "aesimc": 0x4520_E400},
        "_z",
    ),
    *rows(
        "sve-crypto",
        "sve-pmull",
        "{zd}.q, {zn}.d, {zm}.d",
        _ZZZ,
        {"pmullb": 0x4500_6800, "pmullt": 0x4500_6C00},
        "_zq",
    ),
    *rows("sve-crypto", "sve-sha3", "{zd}.d, {zn}.d, {zm}.d", _ZZZ, {"rax1": 0x4520_F400}, "_z"),
    *rows(
        "sve-crypto", "sve-sm4", "{zdn}.s, {zdn}.s, {zm}.s", _UPDATE, {"sm4e": 0x4523_E000}, "_z"
    ),
    *rows("sve-crypto", "sve-sm4", "{zd}.s, {zn}.s, {zm}.s", _ZZZ, {"sm4ekey": 0x4520_F000}, "_z"),
)

FORMS: tuple[Form, ...] = (*_AES, *_SHA, *_SM, *_SVE)
