"""SVE2.1 instructions on vectors: per 128 bits, clamps, two-way dot products, narrowing.

Most of what SVE2.1 brings came with some version of SME, too, and is not bound to Streaming SVE
mode (Arm ARM, PSEL: FEAT_SME or FEAT_SVE2p1, and CheckSVEEnabled), so that a CPU may have it
without SVE2.1. No ID register that KVM shows to a vcpu tells, as SME is hidden from it.
"""

from __future__ import annotations

from corpus.isa.form import Args, Form
from corpus.isa.operands import at, esize, imm, nowhere, p, split, v, z, z_list
from corpus.isa.rows import Bound, rows

CAP = "sve2p1"
ALONE = ("sve21-quad",)
"""How the names of groups begin that only SVE2.1 has."""


def may_be_of_sme(form: Form) -> bool:
    """Whether a CPU may have an instruction of SVE2.1 without that."""
    return form.cap == CAP and not form.group.startswith(ALONE)


_ACROSS = "{vd}.{t.full}, {pg}, {zn}.{t}"
_LANES = "{zd}.{t}, {zn}.{t}, {zm}.{t}"
_ZZZ = (z("zd", 0), esize(), z("zn", 5), z("zm", 16))

_REDUCTIONS = (
    *rows(
        "sve21-reduce",
        CAP,
        _ACROSS,
        (v("vd", 0), esize(), p("pg", 10, 8), z("zn", 5)),
        {
            "addqv": 0x0405_2000,
            "smaxqv": 0x040C_2000,
            "umaxqv": 0x040D_2000,
            "sminqv": 0x040E_2000,
            "uminqv": 0x040F_2000,
            "orqv": 0x041C_2000,
            "eorqv": 0x041D_2000,
            "andqv": 0x041E_2000,
        },
    ),
    *rows(
        "sve21-fp-reduce",
        CAP,
        _ACROSS,
        (v("vd", 0), esize(names="hsd"), p("pg", 10, 8), z("zn", 5)),
        {
            "faddqv": 0x6410_A000,
            "fmaxnmqv": 0x6414_A000,
            "fminnmqv": 0x6415_A000,
            "fmaxqv": 0x6416_A000,
            "fminqv": 0x6417_A000,
        },
    ),
)

_CLAMPS = (
    *rows("sve21-clamp", CAP, _LANES, _ZZZ, {"sclamp": 0x4400_C000, "uclamp": 0x4400_C400}),
    *rows(
        "sve21-fp",
        CAP,
        _LANES,
        (z("zd", 0), esize(names="hsd"), z("zn", 5), z("zm", 16)),
        {"fclamp": 0x6420_2400},
    ),
)


def _dupq_joint(args: Args) -> int:
    """i1:tsz: the index above a one that marks the element size."""
    _, t, _, index = args
    return at(16)((2 * index + 1) << t)


_DUPQ_INDEX = Bound(3, lambda args: (0, (16 >> args[1]) - 1))

_PERMUTES = (
    *rows(
        "sve21-permute",
        CAP,
        "{zd}.{t}, {zn}.{t}[{imm}]",
        (z("zd", 0), esize(place=nowhere), z("zn", 5), imm("imm", 0, 15, nowhere)),
        {"dupq": 0x0520_2400},
        valid=_DUPQ_INDEX.valid,
        repair=_DUPQ_INDEX.repair,
        joint=_dupq_joint,
    ),
    *rows(
        "sve21-permute",
        CAP,
        "{zdn}.b, {zdn}.b, {zm}.b, #{imm}",
        (z("zdn", 0), z("zm", 5), imm("imm", 0, 15, at(16))),
        {"extq": 0x0560_2400},
    ),
    *rows(
        "sve21-permute",
        CAP,
        "{zd}.{t}, {{{zn}.{t}}}, {zm}.{t}",
        _ZZZ,
        {"tblq": 0x4400_F800},
    ),
    *rows(
        "sve21-permute",
        CAP,
        _LANES,
        _ZZZ,
        {
            "tbxq": 0x0520_3400,
            "zipq1": 0x4400_E000,
            "zipq2": 0x4400_E400,
            "uzpq1": 0x4400_E800,
            "uzpq2": 0x4400_EC00,
        },
    ),
    *rows(
        "sve21-permute",
        CAP,
        "{zd}.q, {pg}/m, {zn}.q",
        (z("zd", 0), p("pg", 10, 8), z("zn", 5)),
        {"revd": 0x052E_8000},
    ),
)


def _predicate_moves() -> tuple[Form, ...]:
    """PMOV: bits of a part of a vector to a predicate's elements, and back."""
    forms = rows(
        "sve21-pmov", CAP, "{pd}.b, {zn}", (p("pd", 0), z("zn", 5)), {"pmov": 0x052A_3800}, "_pb"
    )
    forms += rows(
        "sve21-pmov", CAP, "{zd}, {pn}.b", (z("zd", 0), p("pn", 5)), {"pmov": 0x052B_3800}, "_zb"
    )
    for letter, word, last in (("h", 0x052C_3800, 1), ("s", 0x0568_3800, 3), ("d", 0x05A8_3800, 7)):
        part = imm("imm", 0, last, split((17, 2), (22, 1)))
        forms += rows(
            "sve21-pmov",
            CAP,
            f"{{pd}}.{letter}, {{zn}}[{{imm}}]",
            (p("pd", 0), z("zn", 5), part),
            {"pmov": word},
            f"_p{letter}",
        )
        forms += rows(
            "sve21-pmov",
            CAP,
            f"{{zd}}[{{imm}}], {{pn}}.{letter}",
            (z("zd", 0), part, p("pn", 5)),
            {"pmov": word | 0x1_0000},
            f"_z{letter}",
        )
    return forms


_THREE = (z("zda", 0), z("zn", 5), z("zm", 16))
_PAIR_OF_EACH = (z("zda", 0), z("zn", 5), z("zm", 16, 8), imm("imm", 0, 3, at(19)))
_NUMBER_OF_EACH = (
    z("zda", 0),
    z("zn", 5),
    z("zm", 16, 8),
    imm("imm", 0, 7, split((11, 1), (19, 2))),
)
_BY_VECTOR, _BY_ELEMENT = "{zda}.s, {zn}.h, {zm}.h", "{zda}.s, {zn}.h, {zm}.h[{imm}]"

_DOT = (
    *rows("sve21-dot", CAP, _BY_VECTOR, _THREE, {"sdot": 0x4400_C800, "udot": 0x4400_CC00}, "_zhh"),
    *rows(
        "sve21-dot",
        CAP,
        _BY_ELEMENT,
        _PAIR_OF_EACH,
        {"sdot": 0x4480_C800, "udot": 0x4480_CC00},
        "_zhhx",
    ),
    *rows("sve21-fp", CAP, _BY_VECTOR, _THREE, {"fdot": 0x6420_8000}, "_zhh"),
    *rows("sve21-fp", CAP, _BY_ELEMENT, _PAIR_OF_EACH, {"fdot": 0x6420_4000}, "_zhhx"),
    *rows(
        "sve21-bf16",
        CAP,
        _BY_VECTOR,
        _THREE,
        {"bfmlslb": 0x64E0_A000, "bfmlslt": 0x64E0_A400},
        "_z",
    ),
    *rows(
        "sve21-bf16",
        CAP,
        _BY_ELEMENT,
        _NUMBER_OF_EACH,
        {"bfmlslb": 0x64E0_6000, "bfmlslt": 0x64E0_6400},
        "_zx",
    ),
)

_TWO = "{zd}.h, {{{zn}.s, {zn.next}.s}}"

_NARROWING = (
    *rows(
        "sve21-narrow",
        CAP,
        _TWO,
        (z("zd", 0), z_list("zn", 5, 2)),
        {"sqcvtn": 0x4531_4000, "uqcvtn": 0x4531_4800, "sqcvtun": 0x4531_5000},
    ),
    *rows(
        "sve21-narrow",
        CAP,
        _TWO + ", #{imm}",
        (z("zd", 0), z_list("zn", 5, 2), imm("imm", 1, 16, lambda amount: 16 - amount << 16)),
        {"sqrshrun": 0x45B0_0800, "sqrshrn": 0x45B0_2800, "uqrshrn": 0x45B0_3800},
    ),
)

FORMS: tuple[Form, ...] = (
    *_REDUCTIONS,
    *_CLAMPS,
    *_PERMUTES,
    *_predicate_moves(),
    *_DOT,
    *_NARROWING,
)
