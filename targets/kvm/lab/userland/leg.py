"""The `kvm:native` leg inside a lab guest, reached as any lab leg is."""

from __future__ import annotations

from functools import partial

from targets.kvm.lab import kernels
from targets.kvm.lab.transport import LabSpec, LabTransport
from targets.kvm.lab.userland import image

NAME = "kvm:native in the lab"


def open_transport(release: str = "6.12", *, depth: int = 2, smp: int = 1) -> LabTransport:
    """Debian's kernel of a release with a userland, on so many CPUs; not started."""
    fetch = partial(kernels.fetch, release)
    return LabTransport(LabSpec(NAME, fetch, "vhe", smp=smp, initramfs=image.build), depth)
