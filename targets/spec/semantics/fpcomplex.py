"""Complex numbers in pairs of lanes: what a rotation makes of the operands of an addition and
of a multiplication (Arm ARM, FCADD and FCMLA)."""

from __future__ import annotations

from collections.abc import Sequence

from targets.spec.semantics.softfloat import negate


def turned(lanes: Sequence[int], three_quarters: bool, t: int, ctl: int) -> list[int]:
    """FCADD's second operand: real parts gain -imaginary (90 degrees) or +imaginary (270),
    imaginary parts the opposite."""
    out = []
    for real, imaginary in zip(lanes[0::2], lanes[1::2], strict=True):
        if three_quarters:
            out += [imaginary, negate(real, t, ctl)]
        else:
            out += [negate(imaginary, t, ctl), real]
    return out


def factors(
    x: Sequence[int], y: Sequence[int], quarters: int, t: int, ctl: int
) -> tuple[list[int], list[int]]:
    """FCMLA's factors, lane by lane, for a rotation by some quarter turns."""
    part = quarters & 1
    first = [lane for lane in x[part::2] for _ in range(2)]
    second = []
    for real, imaginary in zip(y[0::2], y[1::2], strict=True):
        to_real, to_imaginary = (imaginary, real) if part else (real, imaginary)
        second.append(negate(to_real, t, ctl) if quarters in (1, 2) else to_real)
        second.append(negate(to_imaginary, t, ctl) if quarters in (2, 3) else to_imaginary)
    return first, second
