"""What is left to a thread that had ZA on, or was in streaming mode, when it made KVM_RUN.

A system call leaves streaming mode and keeps ZA (Documentation/arch/arm64/sme.rst, section 3). A
signal handler returns to ZA (section 5), and to the mode and its registers, as kernels write and
read its frame. Of Z, P and FFR after a system call in streaming mode only that is certain which
is so after any: that what is there is the thread's own. To change the mode zeroes them, and sets
FPSR (Arm ARM, PSTATE.SM). Facts 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpus import wire
from corpus.wire import SVCR_SM, SVCR_ZA
from targets.spec.errno import EINVAL
from targets.spec.permitted import Mismatch

SIZE = wire.SME_DATA.size + 2 * wire.SME_EVENT.size
"""Bytes that HOST_RUN tells of SME."""

LABELS = {
    "host SME prctl": "host.sme-prctl",
    "host SVL": "host.sme-length-kept",
    "host streaming mode": "host.sme-streaming-ends",
    "host ZA": "host.sme-za-kept",
    "host streaming vectors": "host.sme-vectors-not-the-guests",
    "host streaming FP control": "host.sme-fp-control",
    "host signal ZA": "host.sme-signal-restores-za",
    "host signal mode": "host.sme-signal-restores-mode",
}
"""What can be wrong, and the rule against it."""

_CHANGED_FPSR = 0x0800_009F
"""What a change of PSTATE.SM leaves in FPSR."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """What a thread asked for: an SVL of `asked` bytes (0: none), for which it has to get one of
    `wanted` bytes, or 0: that is refused, and `svcr`; `svqs`: what there is."""

    asked: int
    wanted: int
    svcr: int
    svqs: int

    def check(self, data: bytes) -> Mismatch | None:
        """Against what HOST_RUN tells of SME, of SIZE bytes."""
        err, svl = wire.SME_DATA.unpack_from(data)
        if err != self._err or (self.wanted and svl != self.wanted):
            wanted = f"{self.wanted or 'any length'}, errno {self._err}"
            return Mismatch("host SME prctl", wanted, f"{svl}, errno {err}")
        if svl % 16 or svl < 16 or not self.svqs >> svl // 16 - 1 & 1:
            return Mismatch("host SME prctl", "a streaming length of the host", f"{svl} bytes")
        run, signalled = wire.SME_EVENT.iter_unpack(data[wire.SME_DATA.size :])
        return self._check_run(svl, *run) or self._check_signal(svl, *signalled)

    @property
    def _err(self) -> int:
        return EINVAL if self.asked and not self.wanted else 0

    def _check_run(self, svl: int, svcr: int, now: int, za: int, _: int) -> Mismatch | None:
        if now != svl:
            return Mismatch("host SVL", f"{svl} bytes", f"{now} bytes", "after KVM_RUN")
        if svcr & SVCR_SM:
            return Mismatch("host streaming mode", "SVCR.SM 0", f"SVCR {svcr:#x}")
        return self._check_za("host ZA", svl, 0, svcr, za)

    def _check_signal(self, svl: int, svcr: int, now: int, za: int, seen: int) -> Mismatch | None:
        if now != svl:
            return Mismatch("host SVL", f"{svl} bytes", f"{now} bytes", "after the signal")
        wrong = self._check_za("host signal ZA", svl, 1, svcr, za)
        if wrong:
            return wrong
        vectors = _digest_of_vectors(1, svl) if self.svcr & SVCR_SM else 0
        if (svcr & SVCR_SM, seen) != (self.svcr & SVCR_SM, vectors):
            return Mismatch(
                "host signal mode",
                f"SVCR {self.svcr:#x}, Z and P {vectors:#018x}",
                f"SVCR {svcr:#x}, Z and P {seen:#018x}",
            )
        return None

    def _check_za(self, label: str, svl: int, turn: int, svcr: int, za: int) -> Mismatch | None:
        wanted = _digest_of_za(turn, svl) if self.svcr & SVCR_ZA else 0
        if (svcr & SVCR_ZA, za) == (self.svcr & SVCR_ZA, wanted):
            return None
        return Mismatch(
            label,
            f"SVCR.ZA {self.svcr >> 1}, ZA {wanted:#018x}",
            f"SVCR.ZA {svcr >> 1 & 1}, ZA {za:#018x}",
        )

    def make(self) -> bytes:
        """What a host tells that does what is permitted."""
        shortest = 16 * (self.svqs & -self.svqs).bit_length()
        svl = self.wanted or shortest
        has_za = bool(self.svcr & SVCR_ZA)
        run, signalled = (has_za * _digest_of_za(turn, svl) for turn in (0, 1))
        vectors = _digest_of_vectors(1, svl) if self.svcr & SVCR_SM else 0
        return (
            wire.SME_DATA.pack(self._err, svl)
            + wire.SME_EVENT.pack(self.svcr & SVCR_ZA, svl, run, 0)
            + wire.SME_EVENT.pack(self.svcr, svl, signalled, vectors)
        )


def check_fp_control(fpsr: int, fpcr: int) -> Mismatch | None:
    """FPSR and FPCR after KVM_RUN from streaming mode."""
    if fpcr == wire.HOST_FPCR and fpsr in (wire.HOST_FPSR, _CHANGED_FPSR):
        return None
    expected = f"FPSR {wire.HOST_FPSR:#x} or {_CHANGED_FPSR:#x}, FPCR {wire.HOST_FPCR:#x}"
    return Mismatch("host streaming FP control", expected, f"FPSR {fpsr:#x}, FPCR {fpcr:#x}")


def check_vectors(state: bytes, vl: int, told: bytes) -> Mismatch | None:
    """Z, P and FFR, as HOST_RUN tells them at a VL of `vl` bytes, after KVM_RUN from streaming
    mode; `told`: what it tells of SME."""
    _, svl = wire.SME_DATA.unpack_from(told)
    plain, streaming = wire.host_fill(0, vl), wire.streaming_fill(0, svl)
    for n in range(32):
        at = n * vl
        own = streaming[n * svl : (n + 1) * svl][:vl].ljust(vl, b"\0")
        for part, which in ((slice(16), "127:0"), (slice(16, vl), "128 up")):
            seen, was = state[at : at + vl][part], plain[at : at + vl][part]
            if seen not in (was, own[part], bytes(len(was))):
                return _not_its_own(f"Z{n}, bits {which}", own[part], seen)
    for n in range(17):
        at, size = 32 * vl + n * (vl // 8), vl // 8
        mine = 32 * svl + n * (svl // 8)
        own = streaming[mine : mine + svl // 8][:size].ljust(size, b"\0")
        seen = state[at : at + size]
        if seen not in (plain[at : at + size], own, bytes(size)):
            return _not_its_own(f"P{n}" if n < 16 else "FFR", own, seen)
    return None


def _not_its_own(where: str, own: bytes, seen: bytes) -> Mismatch:
    label = "host streaming vectors"
    return Mismatch(label, f"{own[:32].hex()} or zero", seen[:32].hex(), where)


def _digest_of_za(turn: int, svl: int) -> int:
    return wire.digest(wire.za_fill(turn, svl))


def _digest_of_vectors(turn: int, svl: int) -> int:
    return wire.digest(wire.streaming_fill(turn, svl))
