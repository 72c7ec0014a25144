"""Names of KVM legs, and the transport each name stands for.

`kvm:<release>:<mode>[:vq=...]`: a catalogue release (6.1, 6.12, newest), a kernel that
`vcpufuzz lab build` made (small-6.12, small-6.12-kasan, ...) or the path of an Image; a
KVM mode; and the vector lengths of the machine in quadwords, such as `kvm:6.12:vhe`,
`kvm:/src/linux/arch/arm64/boot/Image:nvhe:vq=1,2,4` or `kvm:6.1:vhe:vq=1-4`.
`kvm:native` is the KVM of the machine vcpufuzz runs on, `kvm:tcp=HOST:PORT` the leg that
an agent serves there (`targets.kvm.remote`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from targets.kvm.lab import kernels, qemu
from targets.kvm.lab.transport import LabSpec, LabTransport
from targets.kvm.native import NativeTransport
from targets.kvm.remote import address
from targets.kvm.remote.address import Address
from targets.kvm.remote.client import RemoteTransport
from targets.transport import Transport, TransportError

MODES = {
    "vhe": "",
    "nvhe": "kvm-arm.mode=nvhe",
    "protected": "kvm-arm.mode=protected",
    "nested": "kvm-arm.mode=nested",
}
"""KVM mode -> boot options (Documentation/admin-guide/kernel-parameters)."""

NATIVE = "native"
_AGENT = "kvm:tcp="


class LegNameError(ValueError):
    """A leg name that stands for nothing; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class LegSpec:
    """A KVM leg. `kernel` is a catalogue release, an Image's path, "native", or the address
    of an agent; only in the lab do mode and vector lengths choose anything."""

    kernel: str | Path | Address
    mode: str = "vhe"
    vqs: tuple[int, ...] = qemu.ALL_VQS

    @property
    def name(self) -> str:
        """The shortest name that parses to this leg."""
        if self.kernel == NATIVE:
            return f"kvm:{NATIVE}"
        if isinstance(self.kernel, Address):
            return f"{_AGENT}{self.kernel}"
        name = f"kvm:{self.kernel}:{self.mode}"
        return name if self.vqs == qemu.ALL_VQS else f"{name}:vq={','.join(map(str, self.vqs))}"


def is_lab(name: str) -> bool:
    """Whether a KVM leg boots a kernel that could be another one."""
    return not name.startswith(_AGENT) and name != f"kvm:{NATIVE}"


def _parse_vqs(text: str) -> tuple[int, ...]:
    chosen: set[int] = set()
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            chosen.update(range(int(first), int(last if dash else first) + 1))
    except ValueError as error:
        raise LegNameError(f"vq={text} is no list of numbers such as 1,2,4 or 1-8.") from error
    if not qemu.possible(tuple(chosen)):
        raise LegNameError(
            f"vq={text} is no set an emulated CPU can have: numbers from 1 to 16"
            " with every power of two below the largest."
        )
    return tuple(sorted(chosen))


def parse(name: str) -> LegSpec:
    """The leg a name stands for. Raises LegNameError."""
    if name.startswith(_AGENT):
        try:
            return LegSpec(address.parse(name.removeprefix(_AGENT)))
        except address.AddressError as error:
            raise LegNameError(str(error)) from None
    kind, *parts = name.split(":")
    if kind != "kvm" or not parts or not parts[0]:
        raise LegNameError(f"{name!r} is no KVM leg: kvm:<release or Image>:<mode>[:vq=...].")
    if parts == [NATIVE]:
        return LegSpec(NATIVE)
    release, *rest = parts
    kernel: str | Path = Path(release) if "/" in release else release
    if isinstance(kernel, str) and kernel not in kernels.RELEASES:
        raise LegNameError(
            f"{name!r} names no known kernel: {', '.join(kernels.SUITES)}, small-6.12 and its like"
            " once built, or the path of an Image."
        )
    mode, vqs = "vhe", qemu.ALL_VQS
    if rest and not rest[0].startswith("vq="):
        mode = rest.pop(0)
        if mode not in MODES:
            raise LegNameError(f"{name!r} names no KVM mode: {', '.join(MODES)}.")
    if rest:
        option, equals, value = rest.pop(0).partition("=")
        if rest or option != "vq" or not equals:
            raise LegNameError(f"{name!r} ends in something that is not vq=...")
        vqs = _parse_vqs(value)
    return LegSpec(kernel, mode, vqs)


def open_transport(spec: LegSpec, *, depth: int = 6, coverage: bool = False) -> Transport:
    """The transport of a leg, not started. `coverage`: record which of the lab kernel's
    blocks each request executes, if that can be done here.

    Raises TransportError for a leg this machine cannot have.
    """
    if spec.kernel == NATIVE:
        return NativeTransport(coverage=coverage)
    if isinstance(spec.kernel, Address):
        return RemoteTransport(spec.kernel, coverage=coverage)
    if spec.mode not in MODES:
        raise TransportError(f"{spec.name}: no KVM mode {spec.mode!r}.")
    fetch = (
        partial(kernels.own, spec.kernel)
        if isinstance(spec.kernel, Path)
        else partial(kernels.fetch, spec.kernel)
    )
    return LabTransport(
        LabSpec(spec.name, fetch, spec.mode, MODES[spec.mode], spec.vqs, coverage), depth
    )
