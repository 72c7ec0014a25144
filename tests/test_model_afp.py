"""FPCR.AH, FIZ and NEP (FEAT_AFP), the finer estimates of FEAT_RPRES, and FPCR.EBF."""

from __future__ import annotations

from fractions import Fraction

import pytest

from corpus.text import parse_case
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.judge import invent
from targets.spec.model import Model
from targets.spec.semantics import fpbf16, fpsteps, softconvert, softfloat
from targets.spec.semantics.softfloat import (
    AH,
    DN,
    EBF,
    FIZ,
    FZ,
    FZ16,
    IDC,
    IOC,
    IXC,
    PLUS,
    RMODE_SHIFT,
    RPRES,
    UFC,
)
from targets.spec.sets import low

ONE, TWO, INFINITY, QUIET, SIGNAL = 0x3F80_0000, 0x4000_0000, 0x7F80_0000, 0x7FC0_0005, 0x7F80_0001
MINUS_NAN, DENORMAL, LEAST = 0xFFC0_0000, 0x0000_1000, 0x0080_0000


def test_the_default_nan_is_negative() -> None:
    assert softfloat.subtract(INFINITY, INFINITY, 2, AH) == (MINUS_NAN, IOC)
    assert softfloat.add(QUIET, ONE, 2, AH | DN) == (MINUS_NAN, 0)
    assert softconvert.convert(QUIET, 2, 3, AH | DN) == (0xFFF8 << 48, 0)
    assert fpbf16.dot(0, 0x7F80, 0, AH) == MINUS_NAN


def test_of_several_nans_the_place_decides() -> None:
    assert softfloat.add(QUIET, SIGNAL, 2, AH) == (QUIET, IOC)
    assert softfloat.multiply_add(SIGNAL, ONE, QUIET, 2, AH) == (QUIET, IOC)
    assert softfloat.multiply_add(SIGNAL, QUIET + 1, QUIET, 2, AH) == (QUIET + 1, IOC)
    assert softfloat.multiply_add(QUIET, 0, INFINITY, 2, AH) == (QUIET, 0), "not invalid"


def test_no_operation_changes_the_sign_of_a_nan() -> None:
    assert softfloat.negate(QUIET, 2, AH) == QUIET
    assert softfloat.absolute(MINUS_NAN, 2, AH) == MINUS_NAN
    assert softfloat.negate(ONE, 2, AH) == 1 << 31 | ONE
    assert softfloat.absolute(1 << 31 | INFINITY, 2, AH) == INFINITY, "an infinity is none"


def test_extremes_give_the_second_operand_where_the_two_do_not_compare() -> None:
    for largest in (False, True):
        assert softconvert.extreme(ONE, QUIET, 2, AH, largest, False) == (QUIET, IOC)
        assert softconvert.extreme(SIGNAL, ONE, 2, AH, largest, False) == (ONE, IOC)
        assert softconvert.extreme(SIGNAL, DENORMAL, 2, AH | FIZ, largest, False) == (0, IOC)
        assert softconvert.extreme(0, 1 << 31, 2, AH, largest, False) == (1 << 31, 0)
        assert softconvert.extreme(1 << 31, 0, 2, AH, largest, False) == (0, 0)
    low = softconvert.extreme(DENORMAL, ONE, 2, AH | FZ, False, False)
    assert low == (DENORMAL, IDC), "which is not flushed"
    assert softconvert.extreme(QUIET, SIGNAL, 2, AH, True, True) == (QUIET, IOC)
    assert softconvert.extreme(QUIET, ONE, 2, AH, True, True) == (ONE, 0)


def test_a_denormal_that_is_used_says_so() -> None:
    assert softfloat.add(DENORMAL, ONE, 2, AH) == (ONE, IXC | IDC)
    assert softfloat.add(DENORMAL, INFINITY, 2, AH) == (INFINITY, IDC)
    assert softfloat.add(DENORMAL, QUIET, 2, AH) == (QUIET, 0)
    assert softfloat.divide(DENORMAL, 0, 2, AH)[1] & IDC == 0
    assert softfloat.multiply_add(DENORMAL, INFINITY, 0, 2, AH) == (MINUS_NAN, IOC)
    assert softfloat.square_root(1 << 31 | DENORMAL, 2, AH) == (MINUS_NAN, IOC)
    assert softfloat.add(1, 0, 1, AH) == (1, 0), "not of half precision"
    assert softconvert.to_integer(DENORMAL, 2, AH, 0, 32, True, 0) == (0, IXC)


def test_inputs_are_flushed_by_fiz_and_by_fz_without_ah() -> None:
    assert softfloat.add(DENORMAL, 0, 2, FIZ) == (0, 0)
    assert softfloat.add(DENORMAL, 0, 2, FIZ | FZ) == (0, IDC)
    assert softfloat.add(DENORMAL, LEAST, 2, FZ | AH) == (LEAST | DENORMAL, IDC)
    assert softfloat.add(1, 0, 1, FIZ) == (1, 0), "FIZ does not concern half precision"
    assert softfloat.add(1, 0, 1, FZ16 | AH) == (0, 0)


def test_what_is_tiny_is_decided_after_rounding() -> None:
    """The largest number below the least normal one, and less by a half unit of a half."""
    half, below = 0x3F00_0000, 0x00FF_FFFF
    assert softfloat.multiply(below, half, 2, 0) == (LEAST, UFC | IXC)
    assert softfloat.multiply(below, half, 2, AH) == (LEAST, UFC | IXC), "not with its own exponent"
    near = 0x3F7F_FFFF
    assert softfloat.multiply(LEAST, near, 2, PLUS << RMODE_SHIFT) == (LEAST, UFC | IXC)
    almost = softfloat.multiply_add(LEAST, 0x8000_0001, 0x3E00_0000, 2, AH)
    assert almost == (LEAST, IXC | IDC), "a quarter of the last place would be cut off anyway"
    assert softfloat.multiply_add(LEAST, 0x8000_0001, 0x3E00_0000, 2, 0) == (LEAST, UFC | IXC)
    assert softfloat.multiply(LEAST, half, 2, AH | FZ) == (0, UFC | IXC)
    assert softfloat.multiply(LEAST, half, 2, FZ) == (0, UFC)


def exact(x: int) -> Fraction:
    """The value of a positive normal number."""
    return Fraction(x & 0x7F_FFFF | 0x80_0000) * Fraction(2) ** ((x >> 23) - 150)


def test_estimates_are_finer_quiet_and_rounded_to_nearest() -> None:
    for x in (ONE, 0x3FC0_0000, 0x3F99_999A, 0x40FF_FFFF):
        estimate, flags = fpsteps.reciprocal_estimate(x, 2, AH | RPRES)
        assert flags == 0
        assert abs(exact(estimate) * exact(x) - 1) < Fraction(1, 1 << 11)
        root, _ = fpsteps.reciprocal_sqrt_estimate(x, 2, AH | RPRES)
        assert abs(exact(root) ** 2 * exact(x) - 1) < Fraction(1, 1 << 10)
    assert fpsteps.reciprocal_estimate(ONE, 2, AH)[0] == 0x3F7F_8000
    assert fpsteps.reciprocal_estimate(ONE, 2, RPRES)[0] == 0x3F7F_8000, "only with AH"
    assert fpsteps.reciprocal_estimate(0, 2, AH) == (INFINITY, 0)
    assert fpsteps.reciprocal_estimate(DENORMAL, 2, AH) == (INFINITY, 0)
    assert fpsteps.reciprocal_step(SIGNAL, ONE, 2, AH) == (SIGNAL | 1 << 22, 0)
    assert softconvert.to_bf16(0x3F80_FFFF, AH | 3 << RMODE_SHIFT) == (0x3F81, 0)


def test_ebf_sums_two_products_with_one_rounding() -> None:
    one = 0x3F80
    both, tiny = one | one << 16, one | 0x3180 << 16  # 1 and 2**-28
    assert fpbf16.dot(0, both, tiny, EBF) == ONE
    assert fpbf16.dot(0, both, tiny, 0) == ONE | 1, "to odd without"
    assert fpbf16.dot(0, both, tiny, EBF | PLUS << RMODE_SHIFT) == ONE + 1
    assert fpbf16.dot(QUIET, 0, 0, EBF | AH) == MINUS_NAN
    assert fpbf16.dot(0, 0x7F80, 0, EBF) == 0x7FC0_0000
    assert fpbf16.dot(0, 0x7F80_7F80, 0xBF80_3F80, EBF) == 0x7FC0_0000, "infinities of both signs"
    assert fpbf16.dot(1 << 31, 0x8000_8000, both, EBF) == 1 << 31
    assert fpbf16.dot(0, 0x0001, one, EBF) == 0x1_0000, "denormals count"
    assert fpbf16.dot(0, 0x0001, one, EBF | FIZ) == 0


TOLD = Profile(fpcr_bits=0x07FF_2007, fpsr_bits=0xF800_009F, rpres=True)
CASE = """\
create v0
init v0
finalize v0
set v0 z0 0x11*
set v0 z1 0x22*
set v0 z2 0x33*
set v0 z3 0x44*
set v0 fpcr {fpcr:#x}
set v0 cpacr_el1 0x330000
run v0 {{
    {insn}
}}
get v0 z0
"""


def left(insn: str, fpcr: int, profile: Profile = TOLD) -> tuple[int, int]:
    """V0 and its unknown bits after an instruction."""
    model = Model(profile)
    for op in parse_case(CASE.format(insn=insn, fpcr=fpcr)).ops[:-1]:
        invent(model.step(op), lambda _: 0)
    return low(model.vm.vcpus[0].z[0], 128)


@pytest.mark.parametrize(
    ("insn", "above"),
    [
        ("fadd s0, s1, s2", 0x22),
        ("fabd s0, s1, s2", 0x22),
        ("fcmge s0, s1, s2", 0x33),
        ("fmadd s0, s1, s2, s3", 0x44),
        ("fmla s0, s1, v2.s[0]", 0x11),
        ("fmul s0, s1, v2.s[0]", 0x22),
        ("fsqrt s0, s1", 0x11),
        ("scvtf s0, x1", 0x11),
        ("fcvt s0, d1", 0x11),
        ("fcmge s0, s1, #0.0", 0),
        ("fmov s0, s1", 0),
        ("faddp s0, v1.2s", 0),
    ],
)
def test_nep_leaves_the_elements_above_as_in_a_source(insn: str, above: int) -> None:
    value, mask = left(insn, 0b100)
    assert (value >> 32, mask) == (int.from_bytes(bytes([above]) * 12, "little"), 0)
    assert left(insn, 0)[0] >> 32 == 0


def test_a_result_that_unknown_bits_decide_is_unknown_and_judging_goes_on() -> None:
    assert left("fadd v0.4s, v1.4s, v2.4s", 0b001, Profile())[1] == (1 << 128) - 1
    assert left("fadd v0.4s, v1.4s, v2.4s", 0b001)[1] == 0
    case = parse_case(CASE.format(insn="fadd v0.4s, v1.4s, v2.4s", fpcr=0b001))
    trace = ModelTarget(Profile()).run(case)
    verdict = judge(case, trace, Profile())
    assert isinstance(verdict, Agree)
    assert not verdict.reason


def test_trapped_exceptions_stop_judging_and_are_named() -> None:
    told = Profile(fpcr_bits=0xFFFF_FFFF)
    case = parse_case(CASE.format(insn="fadd s0, s1, s2", fpcr=1 << 8))
    trace = ModelTarget(told).run(case)
    verdict = judge(case, trace, told)
    assert isinstance(verdict, Agree)
    assert "FPCR.IOE" in verdict.reason


def test_the_probe_tells_how_fine_estimates_are() -> None:
    assert Profile.from_probe({"id_aa64isar2": "0x10"}).rpres
    assert Profile.from_probe({"id_aa64isar2": "0x1"}).rpres is False
    assert Profile.from_probe({}).rpres is None
    older = Profile().described.replace(',"rpres":false', "")
    assert Profile.from_fingerprint({"profile": older}).rpres is None
