"""Whether a leg may run cases in VMs that served earlier ones (`FLAG_REUSE_VM`).

KVM cannot take a vcpu away, so a reused VM holds the vcpus of earlier cases. Most
kernels do not mind; protected KVM of 6.12 denies SVE to every vcpu that is initialised
after the VM's first run. A leg is asked by trying.
"""

from __future__ import annotations

import struct

from corpus.trace import Ending
from corpus.wire import FLAG_REUSE_VM, Kind, WireOp, pack_request
from targets.transport import Transport

_Z3 = 0x6080_0000_0015_0060
_ENABLE_SVE = (0xD2A00660, 0xD5181040, 0xD5033FDF)  # x0 := 0x330000; msr cpacr_el1, x0; isb
_RDVL_AND_EXIT = (0x04BF5020, 0xD2AA001E, 0xF90003C0)  # rdvl x0, #1; str x0, [0x50000000]
_RUN = WireOp(Kind.RUN, payload=struct.pack("<6I", *_ENABLE_SVE, *_RDVL_AND_EXIT))

_PROBE = (
    WireOp(Kind.CREATE_VCPU),
    WireOp(Kind.INIT, a=5, payload=struct.pack("<7I", 1 << 4, *[0] * 6)),
    WireOp(Kind.FINALIZE, a=4),
    WireOp(Kind.SET_REG, a=_Z3, payload=b"\xab" * 256),
    _RUN,
    WireOp(Kind.GET_REG, a=_Z3),
    _RUN,
)


def is_sound(transport: Transport, turns: int = 3) -> bool:
    """Whether a case in a reused VM does what it does in a fresh one.

    Raises TransportError if the executor cannot be started.
    """
    fresh = transport.collect(transport.submit(pack_request(_PROBE)))
    if fresh.ending is not Ending.OK:
        return False
    for _ in range(turns):
        again = transport.collect(transport.submit(pack_request(_PROBE, FLAG_REUSE_VM)))
        if again.ending is not Ending.OK or again.response != fresh.response:
            return False
    return True
