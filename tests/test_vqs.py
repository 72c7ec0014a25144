"""Sets of vector lengths as leg names give them."""

from __future__ import annotations

import pytest

from corpus.domain import TextError
from corpus.fields import VQ_LIMIT, parse_vqs
from targets.emulator import legname as emulator_legname
from targets.kvm import legname as kvm_legname
from targets.vqs import ALL_VQS, missing, named, parse_option


@pytest.mark.parametrize(
    ("option", "vqs"),
    [
        ("vq=1", (1,)),
        ("vq=1,2,4", (1, 2, 4)),
        ("vq=4,2,1", (1, 2, 4)),
        ("vq=1-3", (1, 2, 3)),
        ("vq=1-4,8,9-9", (1, 2, 3, 4, 8, 9)),
        ("vq=1-16", ALL_VQS),
    ],
)
def test_options(option: str, vqs: tuple[int, ...]) -> None:
    assert parse_option(option) == vqs
    assert kvm_legname.parse(f"kvm:6.12:vhe:{option}").vqs == vqs
    assert emulator_legname.parse(f"emulator:zero:{option}").vqs == vqs


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("vl=1", "'vl=1' is not vq=..., all that"),
        ("vq", "'vq' is not vq=..., all that"),
        ("vq=", "names no length"),
        ("vq=none", "names no length"),
        ("vq=1,x", "'x' is neither a number nor a range of numbers"),
        ("vq=1,,2", "'' is neither"),
        ("vq=1-2-4", "'1-2-4' is neither"),
        ("vq=0x1", "'0x1' is neither"),
        ("vq=\u0661", "'\u0661' is neither"),
        ("vq=-1", "'-1' is neither"),
        ("vq=1_0", "'1_0' is neither"),
        ("vq=1,2,1-4", "'1-4' names a vector length that was named before"),
        ("vq=4-1", "the range 4-1 is empty"),
        ("vq=0,1", r"'0' is no vector length in quadwords \(1 to 16\)"),
        ("vq=1-17", r"'1-17' is no vector length in quadwords \(1 to 16\)"),
        ("vq=1-99999999", "'1-99999999' is no vector length"),
        ("vq=1,3", "lacks 2: a CPU has every power of two below its longest"),
        ("vq=16", "lacks 1, 2, 4, 8: a CPU"),
        ("vq=1\x1b[2J", r"'vq=1\\x1b\[2J' is no list"),
    ],
)
def test_what_is_no_set_is_one_sentence(option: str, says: str) -> None:
    for parse in (
        parse_option,
        lambda option: kvm_legname.parse(f"kvm:6.12:vhe:{option}"),
        lambda option: emulator_legname.parse(f"emulator:zero:{option}"),
    ):
        with pytest.raises(TextError, match=says) as caught:
            parse(option)
        assert str(caught.value).isprintable()
        assert str(caught.value).endswith(".")


def test_names_are_the_shortest() -> None:
    assert named("kvm:6.12:vhe", ALL_VQS) == "kvm:6.12:vhe"
    assert named("emulator:keep", (1, 2, 3)) == "emulator:keep:vq=1,2,3"


def test_what_a_cpu_has_besides() -> None:
    assert missing((1, 2, 4, 8, 16)) == missing((1,)) == missing(()) == []
    assert missing((9,)) == [1, 2, 4, 8]
    assert missing((1, 4)) == [2]


def test_cases_may_ask_for_lengths_that_no_machine_has() -> None:
    assert parse_vqs("none") == 0
    assert parse_vqs("1,512") == 1 | 1 << 511
    with pytest.raises(TextError, match=f"1 to {VQ_LIMIT}"):
        parse_vqs("513")
