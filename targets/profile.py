"""What the model must know of the machine whose behaviour it predicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from corpus.fields import FEATURE_BITS, parse_vqs
from corpus.kept import Effect

MEMORY_TAGS = 2
"""Of a profile's `mte`."""
HCRX_IN_PROTECTED_MODE = (7, 2)
"""The first kernel known to let guests at FPMR there. 6.12 offers it, but its hypervisor does not
take over what HCRX_EL2 is to be (flush_hyp_vcpu), so that it is UNDEFINED."""
_FEATURE_CAPS = {
    "el1_32bit": "cap.el1_32bit",
    "pmu_v3": "cap.pmu_v3",
    "sve": "cap.sve",
    "ptrauth_address": "cap.ptrauth_address",
    "ptrauth_generic": "cap.ptrauth_generic",
    "has_el2": "cap.el2",
    "has_el2_e2h0": "cap.el2",
}
"""INIT features that a host may lack, with the probe line that tells (api.rst 4.82)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The machine behind a leg, as its probe described it.

    `vqs`: host vector lengths, bit vq - 1 each, as KVM offers them to guests.
    `features`: supported INIT feature bits. `kernel`: (major, minor), (0, 0) when the
    leg is no kernel.
    """

    vqs: int = 0xFFFF
    features: int = 0x7F
    kernel: tuple[int, int] = (6, 12)
    mode: str = "vhe"
    el0_32bit: bool = True
    host_thread: bool = True
    """Whether the executor is a thread of the host, with vector state of its own."""
    svqs: int = 0
    """Streaming vector lengths of the host's threads, likewise; 0: they have no SME."""
    strangers: frozenset[str] = frozenset()
    """What can go on beside a vcpu there: names of `corpus.wire.Stranger` in lower case."""
    threads: bool = False
    """Whether two threads can do ops at once there."""
    two_vms: bool = False
    """Whether there can be another VM."""
    fpcr_bits: int | None = None
    """Bits that the CPU's FPCR keeps when all are written; None: it was not asked."""
    fpsr_bits: int | None = None
    """The same of FPSR."""
    unaligned: bool = True
    """Whether accesses need no alignment while the guest's MMU is off. Its memory is Device
    then, where the architecture has them fault; QEMU and VIXL let them pass."""
    stage1: bool = True
    """Whether its vcpus translate addresses; older emulators did not."""
    reads_on: bool = True
    """Whether a first-fault load reads every element that it can in the page it begins in. The
    architecture lets a CPU stop at any but the first one; QEMU does so in other pages, and VIXL
    at random."""
    fpmr: bool | None = False
    """Whether vcpus have FPMR; None: it was not asked."""
    rpres: bool | None = False
    """Whether the CPU's estimates have twelve bits with FPCR.AH; None: it was not asked."""
    pauth: bool | None = True
    """Whether the CPU has pointer authentication, if not every vcpu; None: it was not asked."""
    mte: int | None = 2
    """What the CPU has of memory tagging: 0 nothing, 1 the instructions at least, 2 tags of memory,
    which KVM lets VMs have; None: it was not asked."""
    gic: bool | None = True
    """Whether VMs may have a GICv3 of KVM's own; None: it was not asked."""
    lacks: frozenset[str] = frozenset()
    """Instruction capabilities (`corpus.isa`) that the machine does not have: such
    instructions are UNDEFINED there."""
    defects: Mapping[str, frozenset[Effect]] = field(default_factory=dict)
    """Known defects of the leg by rule: what they can spoil is not judged."""
    avoid: frozenset[str] = frozenset()
    """Rules that kill the machine: cases that come to them are not run on it."""

    @property
    def max_vq(self) -> int:
        """The largest host vector length in quadwords; 0 without SVE."""
        return self.vqs.bit_length()

    @property
    def keeps_hcrx(self) -> bool:
        """Whether what KVM chose for HCRX_EL2 may not be in effect for the guest."""
        return self.mode == "protected" and self.kernel < HCRX_IN_PROTECTED_MODE

    @property
    def lacks_sme(self) -> bool:
        """Whether its CPU certainly has no SME, which a kernel may keep from all who ask. VIXL's
        simulator, the one CPU without a kernel, has none."""
        return self.kernel == (0, 0)

    @property
    def described(self) -> str:
        """All of it in one line, for a fingerprint; `from_fingerprint` reads it."""
        return _describe(self).decode()

    @classmethod
    def from_fingerprint(cls, fingerprint: Mapping[str, str]) -> Profile:
        """The machine behind a leg that is known by its fingerprint alone. Raises
        ValueError if that does not say."""
        told = fingerprint.get("profile")
        if told is None:
            return cls.from_probe(fingerprint)
        try:
            known = msgspec.json.decode(told, type=cls)
            known = known if '"fpmr":' in told else replace(known, fpmr=None)
            known = known if '"pauth":' in told else replace(known, pauth=None)
            known = known if '"mte":' in told else replace(known, mte=None)
            known = known if '"gic":' in told else replace(known, gic=None)
            return known if '"rpres":' in told else replace(known, rpres=None)
        except msgspec.MsgspecError:
            raise ValueError("its machine is described in an older form") from None

    @classmethod
    def from_probe(cls, probe: Mapping[str, str]) -> Profile:
        """Read a leg's probe (`corpus.wire`, PROBE)."""
        features = 1 << FEATURE_BITS["power_off"] | 1 << FEATURE_BITS["psci_0_2"]
        for name, cap in _FEATURE_CAPS.items():
            if probe.get(cap, "0") not in ("0", ""):
                features |= 1 << FEATURE_BITS[name]
        kernel = _kernel(probe)
        vqs, svqs = probe.get("vqs", ""), probe.get("svqs", "")
        return cls(
            vqs=parse_vqs(vqs) if vqs else 0,
            features=features,
            kernel=kernel,
            mode=probe.get("mode", "unknown"),
            el0_32bit=_has_el0_32bit(probe),
            host_thread=kernel != (0, 0),
            svqs=parse_vqs(svqs) if svqs else 0,
            strangers=frozenset(filter(None, probe.get("strangers", "").split(","))),
            threads=probe.get("threads") == "1",
            two_vms=probe.get("vms") == "2",
            fpcr_bits=_number(probe, "fpcr_bits"),
            fpsr_bits=_number(probe, "fpsr_bits"),
            unaligned=probe.get("unaligned") == "1",
            stage1=kernel != (0, 0) or probe.get("stage1") == "1",
            reads_on=probe.get("reads_on") == "1",
            fpmr=_has_fpmr(probe),
            rpres=_has_rpres(probe),
            pauth=has_pauth(probe),
            mte=_number(probe, "mte"),
            gic=probe["gic"] == "1" if "gic" in probe else None,
            lacks=lacking(probe),
        )


_describe = msgspec.json.Encoder(order="deterministic").encode

CAP_FIELDS: dict[str, tuple[str, int, int]] = {
    "fp16": ("id_aa64pfr0", 16, 1),
    "sve": ("id_aa64pfr0", 32, 1),
    "sve2": ("id_aa64zfr0", 0, 1),
    "sve2p1": ("id_aa64zfr0", 0, 2),
    "bitperm": ("id_aa64zfr0", 16, 1),
    "bf16": ("id_aa64zfr0", 20, 1),
    "i8mm": ("id_aa64zfr0", 44, 1),
    "f32mm": ("id_aa64zfr0", 52, 1),
    "f64mm": ("id_aa64zfr0", 56, 1),
    "rdm": ("id_aa64isar0", 28, 1),
    "dotprod": ("id_aa64isar0", 44, 1),
    "fhm": ("id_aa64isar0", 48, 1),
    "fcma": ("id_aa64isar1", 16, 1),
    "bf16-fp": ("id_aa64isar1", 44, 1),
    "i8mm-fp": ("id_aa64isar1", 52, 1),
    "jscvt": ("id_aa64isar1", 12, 1),
    "frintts": ("id_aa64isar1", 32, 1),
    "aes": ("id_aa64isar0", 4, 1),
    "pmull": ("id_aa64isar0", 4, 2),
    "sha1": ("id_aa64isar0", 8, 1),
    "sha256": ("id_aa64isar0", 12, 1),
    "sha512": ("id_aa64isar0", 12, 2),
    "sha3": ("id_aa64isar0", 32, 1),
    "sm3": ("id_aa64isar0", 36, 1),
    "sm4": ("id_aa64isar0", 40, 1),
    "mops": ("id_aa64isar2", 16, 1),
    "sve-aes": ("id_aa64zfr0", 4, 1),
    "sve-pmull": ("id_aa64zfr0", 4, 2),
    "sve-sha3": ("id_aa64zfr0", 32, 1),
    "sve-sm4": ("id_aa64zfr0", 40, 1),
}
"""Capability -> ID register, lowest bit of its field, least value (Arm ARM, D19.2)."""


def lacking(probe: Mapping[str, str]) -> frozenset[str]:
    """Capabilities that the ID registers of a probe deny; none where they are not told."""
    missing = set()
    for cap, (register, shift, least) in CAP_FIELDS.items():
        value = probe.get(register)
        if value is not None:
            field = int(value, 16) >> shift & 0xF
            if field < least or (cap == "fp16" and field == 0xF):
                missing.add(cap)
    if has_pauth(probe) is False:
        missing.add("pauth")
    if _number(probe, "mte") == 0:
        missing.add("mte")
    return frozenset(missing)


_PAUTH_FIELDS = (("id_aa64isar1", 0xFF0), ("id_aa64isar2", 0xF000))
"""APA and API, APA3: the algorithms for addresses that a CPU may have."""


def has_pauth(probe: Mapping[str, str]) -> bool | None:
    """Whether a CPU has pointer authentication; None where that is not told. A kernel shows these
    fields to vcpus with that feature alone, and whether it has that says KVM_CHECK_EXTENSION."""
    if probe.get(_FEATURE_CAPS["ptrauth_address"], "0") not in ("0", ""):
        return True
    values = [_number(probe, register) for register, _ in _PAUTH_FIELDS]
    if _kernel(probe) != (0, 0) or None in values:
        return None
    return any(v and v & mask for v, (_, mask) in zip(values, _PAUTH_FIELDS, strict=True))


def _kernel(probe: Mapping[str, str]) -> tuple[int, int]:
    release = re.match(r"(\d+)\.(\d+)", probe.get("release", ""))
    return (int(release[1]), int(release[2])) if release else (0, 0)


def _number(probe: Mapping[str, str], key: str) -> int | None:
    return int(probe[key], 16) if key in probe else None


def _has_fpmr(probe: Mapping[str, str]) -> bool | None:
    pfr2 = _number(probe, "id_aa64pfr2")
    return None if pfr2 is None else pfr2 >> 32 & 0xF >= 1


def _has_rpres(probe: Mapping[str, str]) -> bool | None:
    isar2 = _number(probe, "id_aa64isar2")
    return None if isar2 is None else isar2 >> 4 & 0xF >= 1


def _has_el0_32bit(probe: Mapping[str, str]) -> bool:
    pfr0 = probe.get("id_aa64pfr0")
    return pfr0 is None or int(pfr0, 16) & 0xF == 2
