"""Names of KVM legs, and the transport each name stands for.

`kvm:<release>:<mode>[:vq=...][:smp=...][:mte][:icount=...][:qemu=...]`: a catalogue release (6.1,
6.12, newest), a kernel that `vcpufuzz lab build` made (small-6.12, small-6.12-kasan, ..., or
linux@0123456789ab of a tree) or the path of an Image; a KVM mode; and the vector lengths of
the machine in quadwords, such as `kvm:6.12:vhe`, `kvm:/src/Image:nvhe:vq=1,2,4`
or `kvm:6.1:vhe:vq=1-4`.
`smp=2`: with two CPUs; `mte`: with tags of memory, which VMs can then have; `icount=4`: with a
clock that goes by instructions, 1 << 4 ns each, so that what depends on time does so again;
`qemu=11`: in QEMU 11, from a Debian suite that has it where the machine has another.
`kvm:native` is the KVM of the machine vcpufuzz runs on, `kvm:tcp=HOST:PORT` the leg that
an agent serves there (`targets.kvm.remote`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from corpus.domain import TextError
from targets.kvm.lab import kernels, newer_qemu
from targets.kvm.lab.transport import LabSpec, LabTransport
from targets.kvm.native import NativeTransport
from targets.kvm.remote import address
from targets.kvm.remote.address import Address
from targets.kvm.remote.client import RemoteTransport
from targets.transport import Transport, TransportError
from targets.vqs import ALL_VQS, named, parse_option

MODES = {
    "vhe": "",
    "nvhe": "kvm-arm.mode=nvhe",
    "protected": "kvm-arm.mode=protected",
    "nested": "kvm-arm.mode=nested",
}
"""KVM mode -> boot options (Documentation/admin-guide/kernel-parameters)."""

NATIVE = "native"
_AGENT = "kvm:tcp="
TAGGED = "mte"


@dataclass(frozen=True, slots=True)
class LegSpec:
    """A KVM leg. `kernel` is a catalogue release, an Image's path, "native", or the address
    of an agent; only in the lab do mode and vector lengths choose anything."""

    kernel: str | Path | Address
    mode: str = "vhe"
    vqs: tuple[int, ...] = ALL_VQS
    smp: int = 1
    mte: bool = False
    """Whether memory has tags."""
    icount: int | None = None
    qemu: int | None = None
    """Major version; None: the machine's own, or another where the mode needs it."""

    @property
    def name(self) -> str:
        """The shortest name that parses to this leg."""
        if self.kernel == NATIVE:
            return f"kvm:{NATIVE}"
        if isinstance(self.kernel, Address):
            return f"{_AGENT}{self.kernel}"
        name = named(f"kvm:{self.kernel}:{self.mode}", self.vqs)
        name += f":smp={self.smp}" if self.smp != 1 else ""
        name += f":{TAGGED}" if self.mte else ""
        name += f":icount={self.icount}" if self.icount is not None else ""
        return name + (f":qemu={self.qemu}" if self.qemu is not None else "")


def is_lab(name: str) -> bool:
    """Whether a KVM leg boots a kernel that could be another one."""
    return not name.startswith(_AGENT) and name != f"kvm:{NATIVE}"


def parse(name: str) -> LegSpec:
    """The leg a name stands for. Raises TextError."""
    if name.startswith(_AGENT):
        try:
            return LegSpec(address.parse(name.removeprefix(_AGENT)))
        except address.AddressError as error:
            raise TextError(str(error)) from None
    kind, *parts = name.split(":")
    if kind != "kvm" or not parts or not parts[0]:
        raise TextError(f"{name!r} is no KVM leg: kvm:<release or Image>:<mode>[:vq=...].")
    if parts == [NATIVE]:
        return LegSpec(NATIVE)
    release, *rest = parts
    kernel: str | Path = Path(release) if "/" in release else release
    if isinstance(kernel, str) and not kernels.is_known(kernel):
        raise TextError(
            f"{name!r} names no known kernel: {', '.join(kernels.PACKAGES)}, small-6.12 and its"
            " like once built, TREE@commit, or the path of an Image."
        )
    options = dict(_options(rest))
    mode, vqs = "vhe", ALL_VQS
    if rest and not rest[0].startswith("vq="):
        mode = rest.pop(0)
        if mode not in MODES:
            raise TextError(f"{name!r} names no KVM mode: {', '.join(MODES)}.")
    if rest:
        vqs = parse_option(":".join(rest))
    return LegSpec(kernel, mode, vqs, mte=bool(options.pop(TAGGED, 0)), **{"smp": 1, **options})


_NUMBERS: dict[str, Sequence[int]] = {
    "qemu": tuple(newer_qemu.SUITES),
    "icount": range(11),
    TAGGED: (),
    "smp": range(1, 5),
}
"""Options of a leg's machine, the last in its name first, and their values, of which a number
says which; the one without values is just there."""


def _options(parts: list[str]) -> Iterator[tuple[str, int]]:
    """The options that a name ends in, the last first; they are taken from `parts`. Raises
    TextError."""
    for option, values in _NUMBERS.items():
        if values and parts and parts[-1].startswith(f"{option}="):
            yield option, _number(parts.pop(), option)
        elif not values and parts and parts[-1] == option:
            parts.pop()
            yield option, 1


def _number(part: str, option: str) -> int:
    text, values = part.removeprefix(f"{option}="), _NUMBERS[option]
    if not re.fullmatch("[0-9]{1,2}", text) or int(text) not in values:
        several = ", ".join(map(str, values))
        which = f"from {values[0]} to {values[-1]}" if isinstance(values, range) else several
        raise TextError(f"{part!r} is not {option}=N with N {which}.")
    return int(text)


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
        LabSpec(
            spec.name,
            fetch,
            spec.mode,
            MODES[spec.mode],
            spec.vqs,
            coverage,
            smp=spec.smp,
            mte=spec.mte,
            icount=spec.icount,
            qemu=spec.qemu,
        ),
        depth,
    )
