"""The flat form in which a case is executed, and the form in which its trace returns.

Every executor (the C one for KVM, the C++ one for the emulator) reads and writes
exactly this. All integers are little-endian; every record starts 8-byte aligned.

Request::

    u32 magic 'VFC1' | u32 total bytes | u32 number of ops | u32 flags
    per op:  u16 kind | u8 vcpu slot | u8 0 | u32 payload bytes | u64 a | u64 b
             payload, padded with zeros to a multiple of 8

Response::

    u32 magic 'VFT1' | u32 total bytes | u32 number of observations | u32 status
    per op:  u16 kind | u8 vcpu slot | u8 0 | u32 err | u64 aux | u32 data bytes | u32 0
             data, padded with zeros to a multiple of 8

`err` is 0 or a positive errno; for the status, see `Status`. The executors' headers say the
same in their languages: targets/kvm/executor/wire.h and targets/emulator/worker/wire.h.

An op on a slot whose vcpu was never created observes EBADF, as an ioctl on
descriptor -1 does. The vcpu in OTHER_SLOT is the only one of another VM, which
has RAM of its own: what follows of the VM and of guest RAM is of that one then, where an op names
that vcpu. Per kind (`a`, `b`, payload -> aux, data):

============  =====================================================================
CREATE_VCPU   create vcpu `slot` (vcpu id = slot). EEXIST if it exists. EOPNOTSUPP for
              OTHER_SLOT where there is one VM only.
PREF_TARGET   KVM_ARM_PREFERRED_TARGET on the VM -> struct kvm_vcpu_init, 32 bytes.
INIT          a = target; payload = features[7], u32 each.
FINALIZE      a = what (as the int the ioctl reads).
SET_REG       a = id; payload = buffer. b = 0: the buffer is followed by mapped
              zeros up to 64 KiB. b = 1 + n: only the first n payload bytes are
              mapped, directly below an unmapped page (n = 0: pointer to it).
GET_REG       a = id; b as above. Buffer pre-filled with 0x5a. Data = the first
              min(1 << size code, 256) bytes (b = 0) or n bytes, also after an error.
REG_LIST      a = user's n. Data = u64 n as written back; after success followed by
              the n ids, u64 each, in KVM's order. ROOM_EXACT less d, where d is 0 or
              1: first with n = 0; if that is E2BIG, again with d less than it told.
RUN           payload = guest code, u32 words; a: bit 0 immediate_exit. The code is
              copied to CODE_BASE, PC := CODE_BASE and VBAR_EL1 := VECTOR_BASE
              through SET_ONE_REG (aux = errno of the former | errno of the latter
              << 32), and VBAR_EL2 := VECTOR_BASE (errno not told) in a VM of vcpus
              with EL2, then KVM_RUN. After an MMIO exit the access is completed by
              one more KVM_RUN with immediate_exit set. If the vcpu's MP_STATE is
              not RUNNABLE the run is made with immediate_exit, too. `err` is that
              of the first KVM_RUN; EINTR also when its limit passes, or when the vcpu
              waits (WFI, CPU_OFF), which nothing ends. A vcpu in AArch32 state is
              given a store to MMIO_BASE to execute instead of the code, which is back
              in its place after the run.
              A KVM_RUN that fails with EINTR to tell that the line of a timer changed (api.rst 5,
              device_irq_level) is made again, with the vcpu's interrupt line as told
              (KVM_IRQ_LINE), without which a guest that then waits would wait for ever.
              Data = u32 exit reason | u32 is_write | u64 mmio address | u64 mmio
              data (zero-extended) | u32 mmio length | u32 flags (RUN_...). All zero when
              KVM_RUN failed, except flags. After a system event (PSCI) is_write is the
              event's type and the mmio address its flags. After
              KVM_EXIT_ARM_NISV is_write is esr_iss and the mmio address fault_ipa.
READ_ALL      payload = groups: u32 count | u32 0 | count x u64 id. Each id is read
              with GET_ONE_REG; when the first id of a group fails the rest of that
              group is left out. Data = per id read: u32 err | u32 size |
              value (size bytes, 0 bytes after an error) padded to 8.
SET_MP        a = mp_state.  KVM_SET_MP_STATE.
GET_MP        KVM_GET_MP_STATE -> u32 (4 bytes).
SET_EVENTS    payload = struct kvm_vcpu_events, 64 bytes.  KVM_SET_VCPU_EVENTS.
GET_EVENTS    KVM_GET_VCPU_EVENTS -> the same; no data after an error.
DEVICE_ATTR   a = `Ask`, b = group | attribute << 32; payload = u64 value.
              KVM_{SET,GET,HAS}_DEVICE_ATTR on the vcpu -> of GET the value, u64, zero-extended
              and 0 after an error.
SMCCC_FILTER  payload = u32 base | u32 count | u32 action.  KVM_SET_DEVICE_ATTR on the VM of
              KVM_ARM_VM_SMCCC_FILTER.
ENABLE_CAP    a = capability, b = flags.  KVM_ENABLE_CAP on the VM.
CREATE_VM     a = what the VM's type has beside its IPA size.  KVM_CREATE_VM. What follows is
              about the new VM, or, after an error, still about the one before. EEXIST, and
              nothing done, once a vcpu was created. Of a protected VM (VM_PROTECTED) user space
              cannot reach memory that its guest has: the programs of all RUNs and HOST_RUNs
              behind the op lie in RAM from then on, one behind the other from CODE_BASE on, each
              at a multiple of CODE_ALIGNMENT, and those that do not end within CODE_SIZE
              nowhere: their runs are ENOSPC. After the first run READ_MEM and WRITE_MEM are
              EFAULT, and no vcpu is helped out of AArch32 state.
CREATE_GIC    KVM_CREATE_DEVICE on the VM of a GICv3, then its addresses (GIC_DIST, GIC_REDIST) and
              its initialisation, after which KVM creates no vcpus; err is of what failed first.
READ_MEM      a = offset in guest RAM, b = length (clipped to RAM) -> bytes.
WRITE_MEM     a = offset in guest RAM; payload = bytes (clipped to RAM).
HOST_RUN      RUN (a, payload, aux and err as there) by a host thread with vector state
              of its own. Before KVM_RUN it sets its vector length with
              PR_SVE_SET_VL, b's low 16 bits in bytes (0: does not), then fills Z, P, FFR,
              FPSR and FPCR. KVM_RUN is the only system call between that and reading all
              of it back. Then it fills them again, takes a SIGILL whose handler
              steps over the instruction, and reads all back again. Data = RUN's 32
              bytes | u32 errno of the prctl | u32 VL by prctl before KVM_RUN | u32 VL
              (RDVL) after it | u32 FPSR | u32 FPCR, both read after KVM_RUN | u32 0
              | state after KVM_RUN | state after the SIGILL. A state is Z0..Z31 (VL
              bytes each), P0..P15, FFR (VL / 8 bytes each), padded to 8; what is
              filled in, see `host_fill`. EOPNOTSUPP, and nothing done and no data, by
              an executor that has no host thread with SVE. b's bits from SVCR_SHIFT up are
              the SVCR that the thread has at both events; if not 0, it sets its streaming
              vector length (SVL) with PR_SME_SET_VL likewise, fills ZA (`za_fill`) if that is
              to be on, and then Z and P once more, of SVL bytes and SVL / 8 bytes
              (`streaming_fill`), if it is to be in streaming mode; EOPNOTSUPP, too, without
              SME. After each event it looks at these and leaves both before it reads what
              is told above. Behind that follow u32 errno of PR_SME_SET_VL | u32 SVL by
              prctl before KVM_RUN, and per event u32 SVCR | u32 SVL (RDSVL) | u64 `digest`
              of ZA | u64 digest of Z and P in streaming mode; 0 of what SVCR says is off.
MIGRATE       a = slot of the destination; payload = features[7] | u32 target | groups
              as for READ_ALL. List the source's registers, read them all, create
              the destination, INIT it, SET VLS and FINALIZE if VLS is listed, SET
              the other listed registers in order, read them all. aux = the `Stage` that
              failed, err its errno.
              Data = u64 length of the next block | the source's groups, as the data of
              READ_ALL (read after listing; empty if stage 1 failed) | u64 registers
              listed | u64 records | records. A record is u64 id | u32 errno of GET
              from the source | u32 of SET | u32 of GET from the destination | u32
              size | value read from the source | value read back (each `size` bytes,
              zeros after an error, padded to 8). There is one, in order, for each
              listed register, except VLS, for which an errno is not 0 or the values
              differ. After a failed stage there is none. No slot is OTHER_SLOT.
DISTURB       a = `Stranger`, b = delay in ns; payload = u32 span | u32 VL in bytes. From now
              on and over the next `span` ops there is a stranger: something beside the vcpu
              that is no business of its. It strikes b ns after each of these ops begins; in
              RUN and HOST_RUN, after KVM_RUN does. Of two of a kind the later counts.
              SOFTIRQ: kernel-mode NEON in a softirq on this CPU. THREAD, once: a thread on
              this CPU that comes before ours, with vector state at a length asked for as in
              HOST_RUN. SIGNAL: one to this thread; a run that it ends goes on. MOVE: this
              thread goes on on another CPU. STEP, without delay: a debugger, so that up to
              400 instructions of each RUN and HOST_RUN are a KVM_RUN each; strikes are
              KVM_EXIT_DEBUGs.
              Data, which is complete when the block is over = u32 strikes | u32 strikes that
              came to nothing; of THREAD also what HOST_RUN has behind RUN's bytes, the first
              state being that after its sleep. No stranger and no data after EOPNOTSUPP, where
              there is none of the kind, and EAGAIN, where it cannot be started.
THREADS       b = delay in ns; payload = u32 span | u32 of them that are the first list. The
              next `span` ops are two lists. This thread does the first; another one, on
              another CPU where there are two, does the second, from b ns after both could
              begin. They hold nothing but INIT, FINALIZE, SET_REG, GET_REG, REG_LIST and
              GET_MP; in the first place of either list RUN, too, of two on vcpus that differ: all
              that it does before KVM_RUN is done before both begin, and a MMIO access is
              completed after both are over. The second list's has its code at ASIDE_CODE_BASE,
              and strangers let it be. Data = u32 CPUs | u32 how often KVM_RUN was made for a RUN
              (more than once where a signal ended it) | per op in the lists u64 | u64: ns from the
              beginning to just before it and just after it. No data, and the ops done in
              turn, after EOPNOTSUPP, where there is one thread only, and EAGAIN, where another
              cannot be started.
PROBE         only op of a request -> text, "key=value" lines.
============  =====================================================================

A VM in which an INIT with HAS_EL2 (bit 7) succeeded, and that has none, gets a GICv3 of KVM's
own before its first KVM_RUN, as CREATE_GIC makes it: such vcpus do not run without one. No vcpu
can be created after that, so those of slots 0 to 2 that are missing are created just before,
and CREATE_VCPU hands them out; in other slots it fails as KVM does.

Any SET_ONE_REG or GET_ONE_REG first performs a reset that another vcpu asked for by PSCI.

Guest RAM is RAM_SIZE bytes at RAM_BASE, all zero when the VM is created except the
vectors. Vector entry i (i = 0..15, at VECTOR_BASE + 0x80 * i) is
``movz x30, #0x5000, lsl #16; movk x30, #(0x100 + 8 * i); str x30, [x30]``: an
exception taken to EL1 (or EL2) shows as an MMIO write at VECTOR_MMIO + 8 * i.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from corpus.trace import Observation

REQUEST_MAGIC = 0x31434656
RESPONSE_MAGIC = 0x31544656

RAM_BASE = 0x4000_0000
RAM_SIZE = 0x1_0000
VECTOR_BASE = RAM_BASE
CODE_BASE = RAM_BASE + 0x1000
CODE_SIZE = 0x3000
ASIDE_CODE_BASE = RAM_BASE + 0x5000
CODE_ALIGNMENT = 64
"""Of each program in a protected VM."""
VM_PROTECTED = 1 << 31
"""Bit of a VM's type (uapi linux/kvm.h, KVM_VM_TYPE_ARM_PROTECTED)."""
DATA_BASE = RAM_BASE + 0x8000
MMIO_BASE = 0x5000_0000
VECTOR_MMIO = MMIO_BASE + 0x100
GIC_DIST = 0x0800_0000
GIC_REDIST = 0x080A_0000
RUN_LIMIT_MS = 500
LOOP_LIMIT_MS = 2000
"""Instead, of a program with a loop in it that takes its time."""

SLOTS = 256
"""Of vcpus."""
OTHER_SLOT = 3
"""Of the vcpu that is another VM's."""
BUFFER_SIZE = 0x1_0000
"""Mapped bytes of a user buffer without an edge."""
FILL = 0x5A
"""What GET finds its buffer full of."""
LARGEST_REG = 256
"""Bytes that are shown of a register; ids may ask for more."""
ROOM_EXACT = 0xFFFF
"""Room for as many ids as there are."""
VL_LIMIT = 0xFFFF
"""The most that a VL asked for may be: above it are prctl's flags."""
SVCR_SHIFT = 16
"""Of HOST_RUN's `b`: SVCR stands above the VL."""
SVCR_SM, SVCR_ZA = 1, 2
"""Bits of SVCR: streaming mode, and ZA (Arm ARM, SVCR)."""
DELAY_LIMIT = 0xFF_FFFF
"""The most that the `b` of DISTURB and THREADS may be, in ns."""
BLOCK_LIMIT = 0xFFFF
"""The most that the span of DISTURB and THREADS may be."""

FLAG_REUSE_VM = 1
"""Request flag: the executor may run this case in a VM that served an earlier case."""

RUN_IMMEDIATE = 1
"""Bit of RUN's `a`: made with immediate_exit."""
RUN_NOT_RUNNABLE, RUN_TIMED_OUT = 1, 2
"""Flags of RUN's data: made with immediate_exit because not runnable; the limit struck."""


class Kind(IntEnum):
    """Wire op kinds; the numbers are shared with the C and C++ executors."""

    PROBE = 0
    CREATE_VCPU = 1
    PREF_TARGET = 2
    INIT = 3
    FINALIZE = 4
    SET_REG = 5
    GET_REG = 6
    REG_LIST = 7
    RUN = 8
    READ_ALL = 9
    SET_MP = 10
    GET_MP = 11
    READ_MEM = 12
    WRITE_MEM = 13
    HOST_RUN = 14
    MIGRATE = 15
    DISTURB = 16
    THREADS = 17
    SET_EVENTS = 18
    GET_EVENTS = 19
    DEVICE_ATTR = 20
    SMCCC_FILTER = 21
    ENABLE_CAP = 22
    CREATE_VM = 23
    CREATE_GIC = 24


class Ask(IntEnum):
    """What DEVICE_ATTR does with an attribute."""

    HAS = 0
    GET = 1
    SET = 2


class Stranger(IntEnum):
    """Who disturbs."""

    SOFTIRQ = 0
    THREAD = 1
    SIGNAL = 2
    MOVE = 3
    STEP = 4


class Status(IntEnum):
    """How an executor answers a request as a whole."""

    OK = 0  # all ops executed
    MALFORMED = 1
    FULL = 2  # the response is; observations up to there are valid
    NO_VM = 3  # KVM's executor: /dev/kvm or a VM could not be had


class Stage(IntEnum):
    """Where MIGRATE failed."""

    LIST = 1
    CREATE = 2
    INIT = 3
    VLS = 4
    FINALIZE = 5


@dataclass(frozen=True, slots=True)
class WireOp:
    """One op as the executors see it."""

    kind: Kind
    vcpu: int = 0
    a: int = 0
    b: int = 0
    payload: bytes = b""


class WireError(ValueError):
    """A response that does not follow the form above."""


_HEADER = struct.Struct("<4I")
_OP = struct.Struct("<HBBIQQ")
_OBS = struct.Struct("<HBBIQII")
RUN_DATA = struct.Struct("<2I2Q2I")
HOST_THREAD_DATA = struct.Struct("<6I")
SME_DATA = struct.Struct("<2I")
SME_EVENT = struct.Struct("<2I2Q")
DISTURB_DATA = struct.Struct("<2I")
THREADS_DATA = struct.Struct("<2I")
INTERVAL = struct.Struct("<2Q")
INIT_PARAMETERS = struct.Struct("<7II")
EVENTS = struct.Struct("<4BIQ12I")
FILTER = struct.Struct("<3I")
BLOCK = struct.Struct("<2I")
LISTS = struct.Struct("<2I")
"""The fixed parts of data of RUN, of HOST_RUN behind it, of HOST_RUN with SVCR behind that and per
event, of DISTURB and of THREADS, what THREADS tells of each op, the payload of MIGRATE (its head),
a vcpu's events, a range of hypercalls, and the payloads of DISTURB and THREADS."""


def _padding(n: int) -> int:
    return -n & 7


def pack_request(ops: Sequence[WireOp], flags: int = 0) -> bytes:
    """Lay `ops` out as one request."""
    parts = [b""]
    for op in ops:
        size = len(op.payload)
        parts.append(_OP.pack(op.kind, op.vcpu, 0, size, op.a, op.b))
        parts.append(op.payload)
        parts.append(bytes(_padding(size)))
    total = _HEADER.size + sum(map(len, parts))
    parts[0] = _HEADER.pack(REQUEST_MAGIC, total, len(ops), flags)
    return b"".join(parts)


def with_flags(request: bytes, flags: int) -> bytes:
    """A packed request with other flags."""
    return request[:12] + flags.to_bytes(4, "little") + request[16:]


def unpack_response(response: bytes) -> tuple[Observation, ...]:
    """Take a response apart. Raises WireError."""
    if len(response) < _HEADER.size:
        raise WireError(f"response of {len(response)} bytes is shorter than its header")
    magic, total, count, status = _HEADER.unpack_from(response)
    if magic != RESPONSE_MAGIC or total > len(response):
        raise WireError(f"bad response header: magic {magic:#x}, {total} of {len(response)} bytes")
    if status != Status.OK:
        raise WireError(f"executor refused the request with status {status}")
    at = _HEADER.size
    observations = []
    for _ in range(count):
        if at + _OBS.size > total:
            raise WireError("response ends inside an observation")
        _kind, _vcpu, _zero, err, aux, size, _pad = _OBS.unpack_from(response, at)
        at += _OBS.size
        if at + size > total:
            raise WireError("response ends inside an observation's data")
        observations.append(Observation(err, aux, response[at : at + size]))
        at += size + _padding(size)
    return tuple(observations)


_GROUP = struct.Struct("<II")
_VALUE = struct.Struct("<II")


def pack_groups(groups: Iterable[Sequence[int]]) -> bytes:
    """The payload of READ_ALL for groups of register ids."""
    parts = []
    for ids in groups:
        parts.append(_GROUP.pack(len(ids), 0))
        parts.append(struct.pack(f"<{len(ids)}Q", *ids))
    return b"".join(parts)


def unpack_values(data: bytes) -> list[tuple[int, bytes]]:
    """The data of READ_ALL: (errno, value) per id that was read, in order. Raises WireError."""
    at = 0
    values = []
    while at < len(data):
        if at + _VALUE.size > len(data):
            raise WireError("register values end early")
        err, size = _VALUE.unpack_from(data, at)
        at += _VALUE.size
        if at + size > len(data):
            raise WireError("register value ends early")
        values.append((err, data[at : at + size]))
        at += size + _padding(size)
    return values


HOST_FPCR = 0x00C0_0000
HOST_FPSR = 0x0000_0015


@lru_cache(maxsize=64)
def host_fill(turn: int, vl: int) -> bytes:
    """The vector state that HOST_RUN fills in: `turn` 0 before KVM_RUN, 1 before SIGILL;
    `vl` in bytes. FFR is monotonic: VL / 16 low bits set."""
    seed = 0x40 + 0x51 * turn
    z = bytes((seed + 7 * n + i) & 0xFF for n in range(32) for i in range(vl))
    p = bytes((seed + 37 * n + 11 * i) & 0xFF for n in range(16) for i in range(vl // 8))
    ffr = ((1 << vl // 2) - 1).to_bytes(vl // 8, "little")
    state = z + p + ffr
    return state + bytes(_padding(len(state)))


@lru_cache(maxsize=64)
def streaming_fill(turn: int, svl: int) -> bytes:
    """Z and P in streaming mode, as HOST_RUN fills them in for the same turns; `svl` in bytes."""
    return host_fill(2 + turn, svl)[: 34 * svl]


@lru_cache(maxsize=64)
def za_fill(turn: int, svl: int) -> bytes:
    """ZA likewise: `svl` vectors of `svl` bytes, none of them like another."""
    seed = 0x23 + 0x51 * turn
    rows = (range(seed + 7 * row, seed + 7 * row + svl * (3 + row), 3 + row) for row in range(svl))
    return bytes(byte & 0xFF for row in rows for byte in row)


FNV_BASIS = 0xCBF2_9CE4_8422_2325
FNV_PRIME = 0x100_0000_01B3


@lru_cache(maxsize=64)
def digest(data: bytes) -> int:
    """FNV-1a of 64 bits."""
    value = FNV_BASIS
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & 0xFFFF_FFFF_FFFF_FFFF
    return value


class Record(NamedTuple):
    """What MIGRATE tells of one register that did not arrive unchanged."""

    id: int
    read: int
    written: int
    read_back: int
    source: bytes
    destination: bytes


_RECORD = struct.Struct("<Q4I")


def unpack_migration(data: bytes) -> tuple[int, list[Record]]:
    """The part of MIGRATE's data behind the groups: registers listed, and the records.
    Raises WireError."""
    if len(data) < 16:
        raise WireError("migration data ends early")
    listed, count = struct.unpack_from("<2Q", data)
    at = 16
    records = []
    for _ in range(count):
        if at + _RECORD.size > len(data):
            raise WireError("a migration record ends early")
        reg, read, written, back, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        step = size + _padding(size)
        if at + 2 * step > len(data):
            raise WireError("a migrated value ends early")
        source, dest = data[at : at + size], data[at + step : at + step + size]
        records.append(Record(reg, read, written, back, source, dest))
        at += 2 * step
    return listed, records
