"""Shared by the emulator's tests: ops in short form, one transport per leg name."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from corpus.trace import Ending, Observation
from corpus.wire import RUN_DATA, Kind, WireOp, pack_request, unpack_response
from targets.emulator.legname import open_transport, parse
from targets.emulator.transport import EmulatorTransport

SVE = 1 << 4
VLS = 0x6060_0000_0015_FFFF
FFR = 0x6050_0000_0015_0600
FPSR = 0x6020_0000_0010_00D4
FPCR = 0x6020_0000_0010_00D5
SP_EL0 = 0x6030_0000_0010_003E
PC = 0x6030_0000_0010_0040
PSTATE = 0x6030_0000_0010_0042
SP_EL1 = 0x6030_0000_0010_0044
ELR = 0x6030_0000_0010_0046
SPSR = 0x6030_0000_0010_0048
ZCR = 0x6030_0000_0013_C090
CPACR = 0x6030_0000_0013_C082
SCTLR = 0x6030_0000_0013_C080
ESR = 0x6030_0000_0013_C290
FAR = 0x6030_0000_0013_C300
PFR0 = 0x6030_0000_0013_C020
SMFR0 = 0x6030_0000_0013_C025
ISAR0 = 0x6030_0000_0013_C030

EXIT = (0xD2AA_0001, 0xF900_003F)
"""movz x1, #0x5000, lsl #16; str xzr, [x1]: the MMIO store that ends a run."""
ENABLE = (0xD2A0_0660, 0xD518_1040)
"""movz x0, #0x33, lsl #16; msr cpacr_el1, x0: FP and SVE without traps at EL1 and EL0."""


def z(n: int) -> int:
    """The ONE_REG id of Zn."""
    return 0x6080_0000_0015_0000 + 32 * n


def p(n: int) -> int:
    """The ONE_REG id of Pn."""
    return 0x6050_0000_0015_0400 + 32 * n


def v(n: int) -> int:
    """The ONE_REG id of Vn, for vcpus without SVE."""
    return 0x6040_0000_0010_0054 + 4 * n


def x(n: int) -> int:
    """The ONE_REG id of Xn."""
    return 0x6030_0000_0010_0000 + 2 * n


def create(vcpu: int = 0) -> WireOp:
    return WireOp(Kind.CREATE_VCPU, vcpu)


def init(*features: int, vcpu: int = 0, target: int = 5) -> WireOp:
    words = [*features, *[0] * (7 - len(features))]
    return WireOp(Kind.INIT, vcpu, target, 0, struct.pack("<7I", *words))


def finalize(what: int = 4, vcpu: int = 0) -> WireOp:
    return WireOp(Kind.FINALIZE, vcpu, what)


def put(reg: int, value: int | bytes, *, edge: int | None = None, vcpu: int = 0) -> WireOp:
    size = 1 << (reg >> 52 & 15)
    payload = value if isinstance(value, bytes) else value.to_bytes(size, "little")
    return WireOp(Kind.SET_REG, vcpu, reg, 0 if edge is None else 1 + edge, payload)


def get(reg: int, *, edge: int | None = None, vcpu: int = 0) -> WireOp:
    return WireOp(Kind.GET_REG, vcpu, reg, 0 if edge is None else 1 + edge)


def run(*code: int, vcpu: int = 0, immediate: bool = False) -> WireOp:
    return WireOp(Kind.RUN, vcpu, immediate, 0, struct.pack(f"<{len(code)}I", *code))


SVE_VCPU = (create(), init(SVE), finalize())


@dataclass(frozen=True, slots=True)
class Exit:
    """The data of a RUN observation."""

    reason: int
    is_write: int
    address: int
    value: int
    length: int
    flags: int


def exit_of(observation: Observation) -> Exit:
    """Take the data of a RUN observation apart."""
    return Exit(*RUN_DATA.unpack(observation.data))


def number(observation: Observation) -> int:
    """The value a GET observed; it must have succeeded."""
    assert observation.err == 0
    return int.from_bytes(observation.data, "little")


class Leg:
    """An open emulator leg."""

    def __init__(self, transport: EmulatorTransport) -> None:
        self.transport = transport

    def do(self, *ops: WireOp) -> tuple[Observation, ...]:
        """Run `ops` as one request."""
        reply = self.transport.collect(self.transport.submit(pack_request(ops)))
        assert reply.ending is Ending.OK, reply.log
        assert reply.response is not None
        return unpack_response(reply.response)

    def errs(self, *ops: WireOp) -> list[int]:
        """The errno of each op of one request."""
        return [observation.err for observation in self.do(*ops)]

    def guest(self, before: Sequence[WireOp], code: Sequence[int], *reads: int) -> list[int]:
        """Run `code` on an SVE vcpu after `before`; the values of `reads` afterwards."""
        ops = (*SVE_VCPU, *before, run(*code), *map(get, reads))
        return [number(seen) for seen in self.do(*ops)[len(ops) - len(reads) :]]


@contextmanager
def open_leg(name: str) -> Iterator[Leg]:
    """A leg by name, closed at the end."""
    transport = open_transport(parse(name))
    try:
        transport.start()
        yield Leg(transport)
    finally:
        transport.close()
