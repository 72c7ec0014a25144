"""Rearrangements of elements, the same for vectors and predicates.

Rows are the elements: lanes of a vector, groups of bits of a predicate, 16-byte rows of
a vector of quadwords.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from targets.spec.semantics.lanes import Array


def _interleave(a: Array, b: Array) -> Array:
    out = np.empty((2 * len(a), *a.shape[1:]), a.dtype)
    out[0::2], out[1::2] = a, b
    return out


def _zip(part: int) -> Callable[[Array, Array], Array]:
    def rearrange(a: Array, b: Array) -> Array:
        half = len(a) // 2
        chosen = slice(part * half, part * half + half)
        return _interleave(a[chosen], b[chosen])

    return rearrange


def _uzp(part: int) -> Callable[[Array, Array], Array]:
    return lambda a, b: np.concatenate((a[part::2], b[part::2]))


def _trn(part: int) -> Callable[[Array, Array], Array]:
    return lambda a, b: _interleave(a[part::2], b[part::2])


REARRANGE: dict[str, Callable[[Array, Array], Array]] = {
    "zip1": _zip(0),
    "zip2": _zip(1),
    "uzp1": _uzp(0),
    "uzp2": _uzp(1),
    "trn1": _trn(0),
    "trn2": _trn(1),
}
