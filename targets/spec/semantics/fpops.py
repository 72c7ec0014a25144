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
    AH,
    AHP,
    EBF,
    FIZ,
    FZ16,
    MINUS,
    PLUS,
    RPRES,
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

NEP = 1 << 2
"""FEAT_AFP: scalar operations leave the elements above theirs as they are in a source."""
_NAMES = {
    **{26: "AHP", 25: "DN", 24: "FZ", 23: "RMode", 22: "RMode", 19: "FZ16", 13: "EBF"},
    **{15: "IDE", 12: "IXE", 11: "UFE", 10: "OFE", 9: "DZE", 8: "IOE"},
    **{2: "NEP", 1: "AH", 0: "FIZ"},
}
_TRAPS = 0x9F00
_ARITHMETIC = FPCR_STATEFUL & ~AHP | FZ16 | AH | FIZ


class ControlUnknown(Unpredictable):
    """A bit of FPCR that a result depends on is not known."""


def _known(cpu: Cpu, bits: int) -> int:
    """Some bits of FPCR. Raises ControlUnknown, or Unpredictable where exceptions may trap."""
    fpcr = cpu.vcpu.core["fpcr"]
    if fpcr == KNOWN_ZERO:
        return 0
    value, mask = join(fpcr)
    if (value | mask) & _TRAPS:
        raise Unpredictable(f"FPCR.{_named((value | mask) & _TRAPS)} may have exceptions trap")
    if mask & bits:
        raise ControlUnknown(f"FPCR.{_named(mask & bits)} is not known")
    return value & bits


def _named(bits: int) -> str:
    return " and ".join(dict.fromkeys(n for bit, n in _NAMES.items() if bits >> bit & 1))


def control(cpu: Cpu) -> int:
    """What conversions look at: as `arithmetic`, and AHP. Raises Unpredictable."""
    return _known(cpu, _ARITHMETIC | AHP)


def arithmetic(cpu: Cpu) -> int:
    """DN, FZ, RMode, FZ16, AH and FIZ. Raises Unpredictable."""
    return _known(cpu, _ARITHMETIC)


def bfloat(cpu: Cpu) -> int:
    """What sums of BF16 products look at: as `arithmetic`, and EBF. Raises Unpredictable."""
    return _known(cpu, _ARITHMETIC | EBF)


def estimating(cpu: Cpu) -> int:
    """What estimates look at: as `arithmetic`, and how fine they are. Raises Unpredictable."""
    ctl = arithmetic(cpu)
    if not ctl & AH:
        return ctl
    if cpu.rpres is None:
        raise ControlUnknown("how fine estimates are with FPCR.AH is not known")
    return ctl | RPRES if cpu.rpres else ctl


def put_scalar(cpu: Cpu, vd: int, source: int, size: int, value: int, mask: int = 0) -> None:
    """Write the result of a scalar operation, of `size` bytes. With NEP the bits above it become
    those of V register `source`, else zero."""
    bits = 8 * size
    fpcr = join(cpu.vcpu.core["fpcr"])
    if (fpcr[0] | fpcr[1]) & NEP:
        above, unknown = cpu.v(source)
        above, unknown = above >> bits << bits, unknown >> bits << bits
        if fpcr[1] & NEP:
            above, unknown = 0, unknown | above
        value, mask = value | above, mask | unknown
    cpu.set_v(vd, value & ~mask, mask)


def _negated(f: Two) -> Two:
    def run(a: int, b: int, t: int, ctl: int) -> Result:
        value, flags = f(a, b, t, ctl)
        return negate(value, t, ctl), flags

    return run


def _difference(a: int, b: int, t: int, ctl: int) -> Result:
    value, flags = softfloat.subtract(a, b, t, ctl)
    return absolute(value, t, ctl), flags


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
        if negate_acc:
            acc = negate(acc, t, ctl)
        if negate_a:
            a = negate(a, t, ctl)
        return softfloat.multiply_add(acc, a, b, t, ctl)

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
    "fabs": lambda a, t, ctl: (absolute(a, t, ctl), 0),
    "fneg": lambda a, t, ctl: (negate(a, t, ctl), 0),
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
            a, b = absolute(a, t, ctl), absolute(b, t, ctl)
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
_ESTIMATES = frozenset({"frecpe", "frsqrte"})


def silent(name: str) -> bool:
    """Whether an operation of one operand raises no flag, and looks at no control bit but AH."""
    return name in ("fabs", "fneg", "fexpa")


def control_for(cpu: Cpu, name: str) -> int:
    """What an operation looks at. Raises Unpredictable."""
    if name in SIGN_ONLY:
        return _known(cpu, AH)
    if name in _ESTIMATES:
        return estimating(cpu)
    return 0 if silent(name) else arithmetic(cpu)
