"""Floating-point operations by mnemonic, and running them over lanes.

An operation takes bit patterns, then t and ctl (see softfloat), and returns bits and
FPSR flags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from targets.spec.cpu import FPCR_STATEFUL, Cpu
from targets.spec.errors import Unpredictable
from targets.spec.semantics import fpsteps, softconvert, softfloat
from targets.spec.semantics.softconvert import EQ, GE, GT, LE, LT, NE, UO
from targets.spec.semantics.softfloat import (
    AHP,
    FZ16,
    MINUS,
    PLUS,
    TIES_AWAY,
    TIES_EVEN,
    ZERO,
    Result,
    absolute,
    negate,
    rmode,
)
from targets.spec.sets import ZERO as KNOWN_ZERO
from targets.spec.sets import join

One: TypeAlias = Callable[[int, int, int], Result]
Two: TypeAlias = Callable[[int, int, int, int], Result]

FLAGS = 0x9F
"""All cumulative exception bits of FPSR but QC."""

AH_NEP = 0b110
"""FEAT_AFP: NaNs keep their sign in FABS and FNEG; scalars leave the elements above them."""
_MODELLED = FPCR_STATEFUL | FZ16
_MATTERS = _MODELLED | 0x9F00 | 1 << 13 | 7
"""FPCR bits that change results: besides the modelled ones trap enables, EBF and the
alternate behaviours."""


def control(cpu: Cpu) -> int:
    """AHP, DN, FZ, RMode and FZ16. Raises Unpredictable unless all that matters is known."""
    fpcr = cpu.vcpu.core["fpcr"]
    if fpcr == KNOWN_ZERO:
        return 0
    value, mask = join(fpcr)
    if mask & _MATTERS or value & _MATTERS & ~_MODELLED:
        raise Unpredictable("FPCR is not known, or asks for behaviour that is not modelled")
    return value & _MODELLED


def arithmetic(cpu: Cpu) -> int:
    """As `control`, without AHP, which only conversions look at."""
    return control(cpu) & ~AHP


def _negated(f: Two) -> Two:
    def run(a: int, b: int, t: int, ctl: int) -> Result:
        value, flags = f(a, b, t, ctl)
        return negate(value, t), flags

    return run


def _difference(a: int, b: int, t: int, ctl: int) -> Result:
    value, flags = softfloat.subtract(a, b, t, ctl)
    return absolute(value, t), flags


def _extreme(largest: bool, number: bool) -> Two:
    return lambda a, b, t, ctl: softconvert.extreme(a, b, t, ctl, largest, number)


def _swapped(f: Two) -> Two:
    return lambda a, b, t, ctl: f(b, a, t, ctl)


TWO: dict[str, Two] = {
    "fadd": softfloat.add,
    "fsub": softfloat.subtract,
    "fsubr": _swapped(softfloat.subtract),
    "fmul": softfloat.multiply,
    "fmulx": softfloat.multiply_extended,
    "fnmul": _negated(softfloat.multiply),
    "fdiv": softfloat.divide,
    "fdivr": _swapped(softfloat.divide),
    "fmax": _extreme(True, False),
    "fmin": _extreme(False, False),
    "fmaxnm": _extreme(True, True),
    "fminnm": _extreme(False, True),
    "fabd": _difference,
    "frecps": fpsteps.reciprocal_step,
    "frsqrts": fpsteps.reciprocal_sqrt_step,
    "ftsmul": fpsteps.trig_multiply,
    "ftssel": fpsteps.trig_select,
    "fscale": fpsteps.scale,
}

FMA: dict[str, tuple[bool, bool]] = {
    "fmla": (False, False),
    "fmls": (False, True),
    "fnmla": (True, True),
    "fnmls": (True, False),
    "fmadd": (False, False),
    "fmsub": (False, True),
    "fnmadd": (True, True),
    "fnmsub": (True, False),
    "fmad": (False, False),
    "fmsb": (False, True),
    "fnmad": (True, True),
    "fnmsb": (True, False),
}
"""Whether the addend, and whether the first factor, is negated."""


def fused(name: str) -> Callable[[int, int, int, int, int], Result]:
    """acc, a, b, t, ctl -> ±acc ± a * b."""
    negate_acc, negate_a = FMA[name]

    def run(acc: int, a: int, b: int, t: int, ctl: int) -> Result:
        return softfloat.multiply_add(
            negate(acc, t) if negate_acc else acc, negate(a, t) if negate_a else a, b, t, ctl
        )

    return run


ROUNDING: dict[str, int | None] = {
    "n": TIES_EVEN,
    "p": PLUS,
    "m": MINUS,
    "z": ZERO,
    "a": TIES_AWAY,
    "x": None,
    "i": None,
}
"""By the letter in FRINTx and FCVTx; None: what FPCR says."""


def _round(letter: str) -> One:
    mode, exact = ROUNDING[letter], letter == "x"
    return lambda a, t, ctl: softconvert.round_integral(
        a, t, ctl, rmode(ctl) if mode is None else mode, exact
    )


def _round_within(bits: int, mode: int | None) -> One:
    """FRINT32Z and kin."""
    return lambda a, t, ctl: softconvert.round_within(
        a, t, ctl, rmode(ctl) if mode is None else mode, bits
    )


def to_integer(name: str, bits: int, scale: int = 0) -> One:
    """FCVTns to FCVTzu, into an integer of `bits`."""
    mode, negative = ROUNDING[name[4]], name[5] == "s"
    assert mode is not None
    return lambda a, t, ctl: softconvert.to_integer(a, t, ctl, mode, bits, negative, scale)


def from_integer(name: str, bits: int, scale: int = 0) -> One:
    """SCVTF and UCVTF, from an integer of `bits`."""
    negative = name[0] == "s"
    return lambda a, t, ctl: softconvert.from_integer(a, t, ctl, bits, negative, scale)


def converting(name: str, t: int, scale: int = 0) -> One | None:
    """The conversion between numbers and integers of the same size, if `name` is one."""
    if name in ("scvtf", "ucvtf"):
        return from_integer(name, 8 << t, scale)
    if name.startswith("fcvt") and len(name) == 6 and name[5] in "su":
        return to_integer(name, 8 << t, scale)
    return None


ONE: dict[str, One] = {
    "fabs": lambda a, t, ctl: (absolute(a, t), 0),
    "fneg": lambda a, t, ctl: (negate(a, t), 0),
    "fsqrt": softfloat.square_root,
    "frecpe": fpsteps.reciprocal_estimate,
    "frsqrte": fpsteps.reciprocal_sqrt_estimate,
    "frecpx": fpsteps.reciprocal_exponent,
    "fexpa": fpsteps.exponential,
    "flogb": fpsteps.logarithm,
    **{f"frint{letter}": _round(letter) for letter in ROUNDING},
    **{
        f"frint{bits}{letter}": _round_within(bits, ROUNDING[letter])
        for bits in (32, 64)
        for letter in "xz"
    },
}

RELATION = {"eq": EQ, "ge": GE, "gt": GT, "le": LE, "lt": LT, "ne": NE, "uo": UO}


def comparing(name: str) -> Two:
    """FCMxx and FACxx: 1 or 0."""
    relation, magnitudes = RELATION[name[3:]], name.startswith("fac")

    def run(a: int, b: int, t: int, ctl: int) -> Result:
        if magnitudes:
            a, b = absolute(a, t), absolute(b, t)
        return softconvert.compare(a, b, t, ctl, relation)

    return run


def over_lanes(
    cpu: Cpu,
    f: Callable[..., Result],
    columns: Sequence[Sequence[int]],
    rest: tuple[int, ...],
    skip: Sequence[bool] | None = None,
) -> list[int]:
    """Apply f(lane of each column, *rest) and accumulate FPSR. Lanes to `skip` give zero."""
    results = []
    flags = 0
    if skip is None:
        for lane in zip(*columns, strict=True):
            value, more = f(*lane, *rest)
            flags |= more
            results.append(value)
    else:
        for skipped, *operands in zip(skip, *columns, strict=True):
            value, more = (0, 0) if skipped else f(*operands, *rest)
            flags |= more
            results.append(value)
    cpu.raise_fpsr(flags)
    return results


SIGN_ONLY = frozenset({"fabs", "fneg", "ftssel"})


def silent(name: str) -> bool:
    """Whether an operation of one operand raises no flag, and looks at no control bit but
    those of FEAT_AFP."""
    return name in ("fabs", "fneg", "fexpa")


def control_for(cpu: Cpu, name: str) -> int:
    """As `arithmetic`, for an operation that may need no control. Raises Unpredictable."""
    if name in SIGN_ONLY:
        value, mask = join(cpu.vcpu.core["fpcr"])
        if (value | mask) & AH_NEP:
            raise Unpredictable("FPCR.AH or NEP may be set: signs of NaNs, upper elements")
        return 0
    return 0 if silent(name) else arithmetic(cpu)
