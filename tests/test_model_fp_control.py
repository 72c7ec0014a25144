"""FPCR and FPSR: raw until loaded, then what the CPU keeps of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.cpu import FP_CONTROL

TOLD = Profile(fpcr_bits=0x07FF_0000, fpsr_bits=0xF800_009F)
CASE = """\
create v0
init v0
finalize v0
set v0 {name} {value:#x}
run v0 {{
    movz x0, #51, lsl #16
    msr cpacr_el1, x0
    isb
    {touch}
}}
get v0 {name}
"""


def verdict(name: str, raw: int, seen: int, profile: Profile, touch: str) -> Agree | Diverge:
    """Of a leg on which the register reads `seen` after the run."""
    case = parse_case(CASE.format(name=name, value=raw, touch=touch))
    observations = list(ModelTarget(profile).run(case).observations)
    last = observations[-1]
    observations[-1] = type(last)(last.err, last.aux, seen.to_bytes(4, "little"))
    return judge(case, Trace(tuple(observations)), profile)


REGISTERS = pytest.mark.parametrize("name", ["fpcr", "fpsr"])


@REGISTERS
@given(raw=st.integers(0, 2**32 - 1), seen=st.integers(0, 2**32 - 1))
def test_a_cpu_that_was_asked_keeps_just_its_bits(name: str, raw: int, seen: int) -> None:
    kept = {"fpcr": TOLD.fpcr_bits, "fpsr": TOLD.fpsr_bits}[name]
    assert kept is not None
    assert isinstance(verdict(name, raw, raw & kept, TOLD, "fmov d0, x0"), Agree)
    if seen != raw & kept:
        assert isinstance(verdict(name, raw, seen, TOLD, "fmov d0, x0"), Diverge)


@REGISTERS
@given(raw=st.integers(0, 2**32 - 1), dropped=st.integers(0, 2**32 - 1))
def test_a_cpu_that_was_not_may_drop_the_optional_bits(name: str, raw: int, dropped: int) -> None:
    seen = raw & (FP_CONTROL[name] | ~dropped)
    assert isinstance(verdict(name, raw, seen, Profile(), "fmov d0, x0"), Agree)


@REGISTERS
@given(raw=st.integers(0, 2**32 - 1))
def test_a_run_without_fp_leaves_it_raw(name: str, raw: int) -> None:
    assert isinstance(verdict(name, raw, raw, TOLD, "mov x1, #1"), Agree)
    if raw & 1:
        assert isinstance(verdict(name, raw, raw & ~1, TOLD, "mov x1, #1"), Diverge)


def test_the_probe_tells_which_bits_there_are() -> None:
    told = Profile.from_probe({"fpcr_bits": "0x7c80000", "fpsr_bits": "0x800009f"})
    assert (told.fpcr_bits, told.fpsr_bits) == (0x07C8_0000, 0x0800_009F)
    assert Profile.from_probe({}).fpcr_bits is None
