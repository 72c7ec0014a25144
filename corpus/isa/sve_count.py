"""SVE instructions that read the vector length: RDVL, ADDVL, CNTx, INCx, DECx and kin."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.operands import bits, imm, pattern, r, w, x, xsp, z
from corpus.isa.rows import rows

_MULTIPLE = (pattern(), imm("imm", 1, 16, bits(16, 4, offset=1), default=1))

_SIZES = {"b": 0, "h": 1, "w": 2, "d": 3}


def _sized(stem: str, word: int, sizes: str = "bhwd") -> dict[str, int]:
    return {stem + size: word | _SIZES[size] << 22 for size in sizes}


FORMS: tuple[Form, ...] = (
    *rows(
        "sve-vl",
        "sve",
        "{xd}, #{imm}",
        (x("xd", 0), imm("imm", -32, 31, bits(5, 6))),
        {"rdvl": 0x04BF_5000},
    ),
    *rows(
        "sve-vl",
        "sve",
        "{xd}, {xn}, #{imm}",
        (xsp("xd", 0), xsp("xn", 16), imm("imm", -32, 31, bits(5, 6))),
        {"addvl": 0x0420_5000, "addpl": 0x0460_5000},
    ),
    *rows(
        "sve-vl",
        "sve",
        "{xd}, {pat}, mul #{imm}",
        (x("xd", 0), *_MULTIPLE),
        _sized("cnt", 0x0420_E000),
        "_x",
    ),
    *rows(
        "sve-vl",
        "sve",
        "{xdn}, {pat}, mul #{imm}",
        (x("xdn", 0), *_MULTIPLE),
        {
            **_sized("inc", 0x0430_E000),
            **_sized("dec", 0x0430_E400),
            **_sized("sqinc", 0x0430_F000),
            **_sized("uqinc", 0x0430_F400),
            **_sized("sqdec", 0x0430_F800),
            **_sized("uqdec", 0x0430_FC00),
        },
        "_x",
    ),
    *rows(
        "sve-vl",
        "sve",
        "{wdn}, {pat}, mul #{imm}",
        (w("wdn", 0), *_MULTIPLE),
        {**_sized("uqinc", 0x0420_F400), **_sized("uqdec", 0x0420_FC00)},
        "_w",
    ),
    *rows(
        "sve-vl",
        "sve",
        "x{rdn}, w{rdn}, {pat}, mul #{imm}",
        (r("rdn", 0), *_MULTIPLE),
        {**_sized("sqinc", 0x0420_F000), **_sized("sqdec", 0x0420_F800)},
        "_w",
    ),
    *(
        form
        for size, letter in (("h", "h"), ("w", "s"), ("d", "d"))
        for form in rows(
            "sve-vl",
            "sve",
            f"{{zdn}}.{letter}, {{pat}}, mul #{{imm}}",
            (z("zdn", 0), *_MULTIPLE),
            {
                **_sized("inc", 0x0430_C000, size),
                **_sized("dec", 0x0430_C400, size),
                **_sized("sqinc", 0x0420_C000, size),
                **_sized("uqinc", 0x0420_C400, size),
                **_sized("sqdec", 0x0420_C800, size),
                **_sized("uqdec", 0x0420_CC00, size),
            },
            "_z",
        )
    ),
)
