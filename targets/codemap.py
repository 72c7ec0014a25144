"""The functions of a leg's code that coverage is about: where each lies, and to what it belongs.

A *block* is a place where straight-line code begins, as an offset in bytes from the start
of the text; it is the same in every run of the same image.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Function:
    """A function: `offset` from the start of the text and `size`, in bytes. `area` is the
    part of the source it comes from."""

    offset: int
    size: int
    name: str
    area: str


@dataclass(frozen=True, slots=True)
class CodeMap:
    """Functions of one image in ascending order, where its text is linked to run, and how far
    into it the vectors of its exceptions are, if that is known."""

    text: int
    text_size: int
    functions: tuple[Function, ...]
    vectors: int | None = None
    _starts: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", [f.offset for f in self.functions])

    def function_at(self, block: int) -> Function | None:
        """The function a block lies in."""
        index = bisect_right(self._starts, block) - 1
        if index < 0:
            return None
        found = self.functions[index]
        return found if block < found.offset + found.size else None

    def ranges(self) -> Sequence[tuple[int, int]]:
        """(begin, end) offsets that the functions cover, ascending, neighbours joined."""
        joined: list[tuple[int, int]] = []
        for function in self.functions:
            end = function.offset + function.size
            if joined and joined[-1][1] == function.offset:
                joined[-1] = joined[-1][0], end
            else:
                joined.append((function.offset, end))
        return joined
