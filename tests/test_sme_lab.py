"""A host thread with ZA on, or in streaming mode, on real KVM: what it made KVM_RUN with comes
back, and what a system call takes is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corpus.text import parse_case
from corpus.wire import (
    HOST_THREAD_DATA,
    RUN_DATA,
    SME_DATA,
    SME_EVENT,
    digest,
    host_fill,
    streaming_fill,
    za_fill,
)
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.base import Target
from targets.legs import open_leg

pytestmark = pytest.mark.lab

GUEST = """
    movz x0, #0x33, lsl #16
    msr cpacr_el1, x0
    isb
    ptrue p0.b
    hvc-loop #50
    dup z3.b, #-1
"""
CASE = """create v0
init v0
finalize v0
set v0 z3 0xee*
{opening}
host-run v0 vl={vl} svcr={svcr} {{{guest}}}
{closing}
host-run v0 vl=64 {{ }}
get v0 z3
"""


@pytest.fixture(scope="module")
def leg() -> Iterator[Target]:
    """Debian's kernels of 6.12 and before have no SME."""
    with open_leg("kvm:newest:vhe") as opened:
        yield opened


def test_the_probe_tells_streaming_lengths(leg: Target) -> None:
    assert leg.profile.svqs == 0b1000_0000_1000_1011  # an SVL is a power of two (Arm ARM)


@pytest.mark.parametrize(("svcr", "bits"), [("sm", 1), ("za", 2), ("sm+za", 3)])
@pytest.mark.parametrize(
    ("vl", "svl", "stranger"),
    [(16, 16, ""), (256, 256, ""), (48, 32, "signal"), (256, 256, "thread"), (64, 64, "step")],
)
def test_what_a_thread_had_comes_back(
    leg: Target, svcr: str, bits: int, vl: int, svl: int, stranger: str
) -> None:
    opening = f"disturb {stranger} after=300000 {{" if stranger else ""
    case = parse_case(
        CASE.format(vl=vl, svcr=svcr, guest=GUEST, opening=opening, closing="}" * bool(stranger))
    )
    trace = leg.run(case)
    assert isinstance(judge(case, trace, leg.profile), Agree)
    seen = trace.observations[4 + bool(stranger)]
    assert seen.err == 0
    states = RUN_DATA.size + HOST_THREAD_DATA.size + 2 * len(host_fill(0, vl))
    told = seen.data[states:]
    assert SME_DATA.unpack_from(told) == (0, svl)
    za = [digest(za_fill(turn, svl)) if bits & 2 else 0 for turn in (0, 1)]
    vectors = digest(streaming_fill(1, svl)) if bits & 1 else 0
    assert list(SME_EVENT.iter_unpack(told[SME_DATA.size :])) == [
        (bits & 2, svl, za[0], 0),
        (bits, svl, za[1], vectors),
    ]
