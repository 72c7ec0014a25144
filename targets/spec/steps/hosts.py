"""HostRun: what a run may do to the vector state of the host thread that makes it.

Linux promises a thread its vector length, the low 128 bits of Z, FPSR and FPCR across a
system call; the rest is unspecified (Documentation/arch/arm64/sve.rst, section 3), and what
is there must at least not be the guest's. A signal handler returns to all of it
(section 5). Facts 4.3: K26, K29, K30 were defects here. What a thread with SME is promised
beyond that is in `targets.spec.streaming`.
"""

from __future__ import annotations

from corpus import wire
from corpus.ops import HostRun
from targets.spec import streaming
from targets.spec.errno import EINVAL, EOPNOTSUPP
from targets.spec.permitted import Mismatch, Outcome, Permitted, Tail
from targets.spec.steps.registry import step
from targets.spec.steps.running import run_vcpu
from targets.spec.streaming import Streaming
from targets.spec.world import World

HEADER = wire.HOST_THREAD_DATA
VL_LIMIT = 8192
"""Bytes; the longest length that prctl(PR_SVE_SET_VL) can be asked for."""

LABELS = {
    "host prctl": "host.prctl",
    "host VL": "host.length-kept",
    "host V": "host.low-quadwords-kept",
    "host FP control": "host.fp-control-kept",
    "host upper bits": "host.upper-bits-not-the-guests",
    "host signal frame": "host.signal-restores-all",
}
"""What can be wrong with the host's state, and the rule against it."""


@step(HostRun)
def host_run(world: World, op: HostRun) -> Permitted:
    if not world.profile.host_thread:
        return Permitted("host.no-thread", (Outcome(EOPNOTSUPP),))
    if op.svcr and not world.profile.svqs:
        return Permitted("host.no-sme", (Outcome(EOPNOTSUPP),))
    ran = run_vcpu(world, op.vcpu, op.program, immediate=False)
    tail = _sme_tail(world, op) if op.svcr else thread_tail(world, op.vl)
    outcomes = tuple(
        Outcome(o.err, o.known_parts, o.aux, tail=tail, effect=o.effect) for o in ran.outcomes
    )
    labels = {**LABELS, **streaming.LABELS} if op.svcr else LABELS
    world.rules.update(labels.values())
    return Permitted(ran.rule, outcomes, ran.context, origins={**(ran.origins or {}), **labels})


def _sme_tail(world: World, op: HostRun) -> Tail:
    """The same as `thread_tail` of a thread that has ZA on or is in streaming mode."""
    profile = world.profile
    sme = Streaming(op.vl, streaming_vl(op.vl, profile.svqs), op.svcr, profile.svqs)
    from_streaming = bool(op.svcr & wire.SVCR_SM)
    plain = thread_tail(world, op.vl)

    def check(data: bytes) -> Mismatch | None:
        state, told = data[: -streaming.SIZE], data[-streaming.SIZE :]
        if len(state) < HEADER.size:
            return Mismatch("data", f"{HEADER.size + streaming.SIZE} bytes", f"{len(data)} bytes")
        return sme.check(told) or (
            _check(state, op.vl, profile.vqs, told) if from_streaming else plain.check(state)
        )

    return Tail(check, lambda: plain.make() + sme.make())


def thread_tail(world: World, asked: int) -> Tail:
    """What a thread with vector state of its own, which asked for a VL of `asked` bytes, finds
    after an event and after a signal (`corpus.wire`, HOST_RUN)."""
    vqs = world.profile.vqs

    def check(data: bytes) -> Mismatch | None:
        return _check(data, asked, vqs)

    def make() -> bytes:
        vl = host_vl(asked, vqs) or 16
        refused = 0 if asked == 0 or host_vl(asked, vqs) else EINVAL
        head = HEADER.pack(refused, vl, vl, wire.HOST_FPSR, wire.HOST_FPCR, 0)
        return head + wire.host_fill(0, vl) + wire.host_fill(1, vl)

    return Tail(check, make)


def host_vl(asked: int, vqs: int) -> int:
    """The VL in bytes that PR_SVE_SET_VL gives for `asked`, rounded down to one that the
    host has; 0 where it refuses (sve.rst, section 7)."""
    if asked % 16 or not 16 <= asked <= VL_LIMIT:
        return 0
    return 16 * (vqs & ((1 << asked // 16) - 1)).bit_length()


def streaming_vl(asked: int, svqs: int) -> int:
    """The same of PR_SME_SET_VL (sme.rst, section 6), which rounds up to the shortest that there
    is (fpsimd.c)."""
    valid = host_vl(asked, 1)
    return valid and max(host_vl(asked, svqs), 16 * (svqs & -svqs).bit_length())


def _check(data: bytes, asked: int, vqs: int, told: bytes = b"") -> Mismatch | None:
    """`told`: of a thread that was in streaming mode, what HOST_RUN tells of SME. The signal brings
    such a thread back to that mode's registers, not to these."""
    if len(data) < HEADER.size:
        return Mismatch("data", f"{HEADER.size} bytes", f"{len(data)} bytes")
    err, before, after, fpsr, fpcr, _ = HEADER.unpack_from(data)
    state = len(wire.host_fill(0, before)) if before and before % 16 == 0 else 0
    if asked:
        wanted = host_vl(asked, vqs)
        if (err, before) != (0, wanted) if wanted else err != EINVAL:
            return Mismatch("host prctl", str(wanted or "EINVAL"), f"{before}, errno {err}")
    if after != before:
        return Mismatch("host VL", f"{before} bytes", f"{after} bytes")
    if not state or len(data) != HEADER.size + 2 * state:
        return Mismatch("data", f"two states of VL {before}", f"{len(data)} bytes")
    ran, signalled = data[HEADER.size : HEADER.size + state], data[HEADER.size + state :]
    if told:
        wrong = streaming.check_fp_control(fpsr, fpcr)
        return wrong or streaming.check_vectors(ran, before, told)
    if (fpsr, fpcr) != (wire.HOST_FPSR, wire.HOST_FPCR):
        expected = f"FPSR {wire.HOST_FPSR:#x}, FPCR {wire.HOST_FPCR:#x}"
        return Mismatch("host FP control", expected, f"FPSR {fpsr:#x}, FPCR {fpcr:#x}")
    return _check_run(ran, before) or _check_signal(signalled, before)


def _check_run(seen: bytes, vl: int) -> Mismatch | None:
    """The state after KVM_RUN."""
    filled = wire.host_fill(0, vl)
    for n in range(32):
        at = n * vl
        if seen[at : at + 16] != filled[at : at + 16]:
            return _differs("host V", f"Z{n}", filled[at : at + 16], seen[at : at + 16])
        upper, was = seen[at + 16 : at + vl], filled[at + 16 : at + vl]
        if upper not in (was, bytes(len(was))):
            return _differs("host upper bits", f"Z{n}, bytes 16 up", was, upper)
    start, size = 32 * vl, vl // 8
    for n in range(17):
        at = start + n * size
        now, was = seen[at : at + size], filled[at : at + size]
        if now not in (was, bytes(size)):
            return _differs("host upper bits", f"P{n}" if n < 16 else "FFR", was, now)
    return None


def _check_signal(seen: bytes, vl: int) -> Mismatch | None:
    filled = wire.host_fill(1, vl)
    if seen == filled:
        return None
    at = next(i for i, (a, b) in enumerate(zip(seen, filled, strict=True)) if a != b)
    where = f"Z{at // vl}" if at < 32 * vl else f"predicate {(at - 32 * vl) // (vl // 8)}"
    return _differs("host signal frame", where, filled[at : at + 16], seen[at : at + 16])


def _differs(label: str, where: str, expected: bytes, observed: bytes) -> Mismatch:
    return Mismatch(label, expected[:32].hex(), observed[:32].hex(), where)
