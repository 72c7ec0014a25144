"""What KVM in the lab does for a guest that calls it, for a host thread with vector state of
its own and for a register file that moves to another vcpu."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from emulator_leg import EXIT, PC, SVE, Exit, create, exit_of, finalize, get, init, number, put, run
from emulator_leg import x as x_id

from corpus.trace import Ending, Observation
from corpus.wire import FLAG_REUSE_VM, Kind, WireOp, pack_request, unpack_response
from targets.kvm import legs
from targets.kvm.lab.transport import LabTransport

LEG = "kvm:6.12:vhe"
PSCI = SVE | 4
STOPPED = 5
HVC = 0xD400_0002
CPU_OFF, CPU_ON, SYSTEM_OFF, RESET2 = 0x8400_0002, 0x8400_0003, 0x8400_0008, 0xC400_0012


@pytest.fixture(scope="module")
def lab() -> Iterator[LabTransport]:
    transport = legs.open_transport(legs.parse(LEG))
    assert isinstance(transport, LabTransport)
    transport.start()
    yield transport
    transport.close()


def observe(lab: LabTransport, *ops: WireOp, flags: int = 0) -> tuple[Observation, ...]:
    reply = lab.collect(lab.submit(pack_request(ops, flags)))
    assert reply.ending is Ending.OK
    assert reply.response is not None
    return unpack_response(reply.response)


def up(features: int, vcpu: int = 0) -> tuple[WireOp, ...]:
    return (create(vcpu), init(features, vcpu=vcpu), finalize(vcpu=vcpu))


def arguments(*values: int) -> tuple[WireOp, ...]:
    return tuple(put(x_id(n), value) for n, value in enumerate(values))


@pytest.mark.parametrize(("function", "event"), [(SYSTEM_OFF, (1, 0)), (RESET2, (2, 1))])
def test_a_system_event_shows_its_type_and_flags(
    lab: LabTransport, function: int, event: tuple[int, int]
) -> None:
    ops = (*up(PSCI), *up(PSCI, 1), *arguments(function, 0), run(HVC))
    *_, ran, state = observe(lab, *ops, WireOp(Kind.GET_MP, 1))
    assert (ran.err, exit_of(ran)) == (0, Exit(24, *event, 0, 0, 0))
    assert number(state) == STOPPED


def test_cpu_off_ends_by_the_time_limit(lab: LabTransport) -> None:
    ops = (*up(PSCI), *arguments(CPU_OFF), run(HVC), WireOp(Kind.GET_MP), get(PC))
    *_, ran, state, pc = observe(lab, *ops)
    assert (ran.err, exit_of(ran)) == (errno.EINTR, Exit(0, 0, 0, 0, 0, 2))
    assert (number(state), number(pc)) == (STOPPED, 0x4000_1004)


def test_a_case_with_a_call_gets_a_fresh_vm(lab: LabTransport) -> None:
    """In a VM that served other cases slot 1 is not the vcpu of affinity 1."""
    entry, context = 0x4000_8000, 77
    stop = WireOp(Kind.SET_MP, 1, STOPPED)
    turn_on = (stop, *arguments(CPU_ON, 1, entry, context), run(HVC, *EXIT))
    ops = (*up(PSCI), *up(PSCI, 1), *turn_on, get(PC, vcpu=1), get(x_id(0), vcpu=1))
    for _ in range(2):
        observe(lab, *up(PSCI), flags=FLAG_REUSE_VM)
        seen = observe(lab, *ops, flags=FLAG_REUSE_VM)
        assert [number(o) for o in seen[-2:]] == [entry, context]
