"""Functions of two kernels held against each other: assembled here word by word."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from targets.codemap import CodeMap, Function
from targets.kvm.lab.coverage.changed import Change, How, KernelCode, changes, ranges

TEXT = 0xFFFF800080010000
BEFORE_TEXT = bytes(0x10000)
"""What lies in an Image before its text."""

RET, NOP = 0xD65F03C0, 0xD503201F
MOV_1, MOV_2 = 0xD2800020, 0xD2800040  # mov x0, #1 and #2
ADRP_X0, ADD_X0, LDR_X1_X0 = 0x90000000, 0x91000000, 0xF9400001
MOV_X0_X2 = 0xAA0203E0


def _bl(distance: int) -> int:
    return 0x94000000 | distance // 4 & 0x3FFFFFF


def _cbz(distance: int) -> int:
    return 0xB4000000 | (distance // 4 & 0x7FFFF) << 5


def _tbz(distance: int) -> int:
    return 0x36000000 | (distance // 4 & 0x3FFF) << 5


def _bcond(distance: int) -> int:
    return 0x54000000 | (distance // 4 & 0x7FFFF) << 5


def _adrp(pages: int) -> int:
    return ADRP_X0 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5


def _add(offset: int) -> int:
    return ADD_X0 | offset << 10


def _ldr(offset: int) -> int:
    return LDR_X1_X0 | offset // 8 << 10


def _kernel(*functions: tuple[str, Sequence[int]], area: str = "guest.c") -> KernelCode:
    """A kernel of these functions, one behind the other."""
    words: list[int] = []
    placed = []
    for name, body in functions:
        placed.append(Function(4 * len(words), 4 * len(body), name, area))
        words += body
    image = BEFORE_TEXT + struct.pack(f"<{len(words)}I", *words)
    code = CodeMap(TEXT, 4 * len(words), tuple(placed))

    def name_of(address: int) -> str | None:
        found = code.function_at(address - TEXT)
        return f"{found.name}+{address - TEXT - found.offset:#x}/0x1" if found else None

    return KernelCode(image, code, name_of)


def _changed(one: KernelCode, other: KernelCode) -> list[tuple[str, How]]:
    return [(change.name, change.how) for change in changes(one, other)]


def test_what_only_moved_is_the_same() -> None:
    """A longer neighbour moves a function; its calls, branches and data are as they were."""
    body = [_cbz(8), _bl(-8), _tbz(4), _bcond(-4), RET]
    one = _kernel(("near", [NOP, RET]), ("f", [body[0], _bl(-12), *body[2:]]))
    other = _kernel(("near", [MOV_1, NOP, RET]), ("f", [body[0], _bl(-16), *body[2:]]))
    assert _changed(one, other) == [("near", How.CHANGED)]


def test_another_callee_is_a_change() -> None:
    both = ("a", [RET]), ("b", [RET])
    one = _kernel(*both, ("f", [_bl(-8), RET]))
    other = _kernel(*both, ("f", [_bl(-4), RET]))
    assert changes(one, other) == [Change("guest.c", "f", How.CHANGED, 8, 8, 0)]


@pytest.mark.parametrize("branch", [_cbz, _tbz, _bcond])
def test_another_way_within_a_function_is_a_change(branch: type) -> None:
    one = _kernel(("f", [MOV_1, branch(8), MOV_2, RET]))
    other = _kernel(("f", [MOV_1, branch(4), MOV_2, RET]))
    assert changes(one, other) == [Change("guest.c", "f", How.CHANGED, 0, 16, 4)]


def test_where_data_lies_does_not_matter() -> None:
    one = _kernel(("f", [_adrp(5), _add(0x10), _ldr(8), RET]))
    other = _kernel(("f", [_adrp(9), _add(0x230), _ldr(8), RET]))
    assert _changed(one, other) == []
    one = _kernel(("f", [_adrp(5), _ldr(0x10), RET]))
    other = _kernel(("f", [_adrp(5), _ldr(0x20), RET]))
    assert _changed(one, other) == []


def test_an_offset_into_what_an_argument_points_to_does_matter() -> None:
    one = _kernel(("f", [_ldr(0x10), RET]))
    other = _kernel(("f", [_ldr(0x18), RET]))
    assert _changed(one, other) == [("f", How.CHANGED)]
    # The register was a page, and is something else by then.
    one = _kernel(("f", [_adrp(1), MOV_X0_X2, _ldr(0x10), RET]))
    other = _kernel(("f", [_adrp(1), MOV_X0_X2, _ldr(0x18), RET]))
    assert _changed(one, other) == [("f", How.CHANGED)]
    # A call leaves nothing in it.
    one = _kernel(("f", [_adrp(1), _bl(0), _ldr(0x10), RET]))
    other = _kernel(("f", [_adrp(1), _bl(0), _ldr(0x18), RET]))
    assert _changed(one, other) == [("f", How.CHANGED)]


def test_what_fills_a_gap_does_not_matter() -> None:
    one = _kernel(("f", [MOV_1, RET]), ("g", [RET]))
    other = _kernel(("f", [MOV_1, RET, NOP, NOP, 0]), ("g", [RET]))
    assert _changed(one, other) == []


def test_nops_by_which_code_is_aligned_do_not_matter() -> None:
    """Nor do they move what is branched to."""
    one = _kernel(("f", [_cbz(12), MOV_1, _bcond(-4), MOV_2, RET]))
    other = _kernel(("f", [_cbz(20), NOP, MOV_1, NOP, _bcond(-8), MOV_2, RET]))
    assert _changed(one, other) == []
    other = _kernel(("f", [_cbz(24), NOP, MOV_1, NOP, _bcond(-8), MOV_2, RET]))
    assert changes(one, other) == [Change("guest.c", "f", How.CHANGED, 0, 28, 0)]


def test_what_is_patched_into_a_longer_function_stays_the_same() -> None:
    """A replacement behind the last function of a file jumps back into another."""
    one = _kernel(("f", [MOV_1, RET]), ("last", [RET, _bl(-8)]))
    other = _kernel(("f", [NOP, MOV_2, MOV_1, RET]), ("last", [RET, _bl(-8)]))
    assert _changed(one, other) == [("f", How.CHANGED)]


def test_a_function_that_only_grew_or_shrank() -> None:
    short, long = _kernel(("f", [MOV_1])), _kernel(("f", [MOV_1, NOP, MOV_2, RET]))
    assert [change.first for change in changes(short, long)] == [8]
    assert [change.first for change in changes(long, short)] == [4]


def test_functions_that_come_and_go() -> None:
    one = _kernel(("f", [RET]), ("old", [MOV_1, RET]))
    other = _kernel(("f", [RET]), ("young", [MOV_2, RET, NOP]))
    found = changes(one, other)
    assert [(c.name, c.how) for c in found] == [("old", How.GONE), ("young", How.NEW)]
    assert list(ranges(found)) == [(4, 16)]


def test_functions_of_one_name_are_told_apart_by_their_order() -> None:
    one = _kernel(("f", [MOV_1, RET]), ("f", [MOV_2, RET]))
    other = _kernel(("f", [MOV_1, RET]), ("f", [MOV_1, RET]))
    assert changes(one, other) == [Change("guest.c", "f", How.CHANGED, 8, 8, 0)]


def test_only_the_areas_asked_for() -> None:
    one = _kernel(("f", [MOV_1, RET]))
    other = _kernel(("f", [MOV_2, RET]))
    assert _changed(one, other) == [("f", How.CHANGED)]
    assert changes(one, other, ("reset.c",)) == []
    assert len(changes(one, other, ("guest.c", "reset.c"))) == 1
