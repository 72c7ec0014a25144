"""Debian's kernel of a release with modules of its own: what a guest with a network boots."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir
from targets.entry import Entry
from targets.kvm.lab import kernels
from targets.kvm.lab.apt import AptRoot
from targets.transport import TransportError

NETWORK = ("failover", "net_failover", "virtio_net")
"""What virtio's network card takes beyond the Image, each after what it depends on."""

_IMAGE = "Image"


@dataclass(frozen=True, slots=True)
class Modular:
    """A kernel's Image, and its modules in the order to load them in. They are of one package: a
    module takes the very build that it was made with."""

    image: Path
    modules: tuple[Path, ...]


def fetch(release: str = "6.12") -> Modular:
    """The kernel; downloaded if not kept. Raises TransportError."""
    entry = Entry(
        cache_dir() / "userland" / f"kernel-{release}",
        f"kernel {release} with its network",
        how="is fetched anew",
    )
    kept = entry.get(lambda staged: _download(release, staged))
    return Modular(kept / _IMAGE, tuple(kept / f"{name}.ko" for name in NETWORK))


def _download(release: str, staged: Path) -> None:
    root = AptRoot(kernels.SUITES[release])
    root.update()
    tree = staged.parent / "tree"
    for package in root.depends(kernels.META):
        kernels.unpack(root.download(package, staged.parent), tree)
    staged.mkdir()
    _one(tree, "boot/vmlinuz-*").rename(staged / _IMAGE)
    for name in NETWORK:
        packed = _one(tree, f"usr/lib/modules/*/kernel/**/{name}.ko.xz")
        (staged / f"{name}.ko").write_bytes(lzma.decompress(packed.read_bytes()))


def _one(tree: Path, pattern: str) -> Path:
    found = next(tree.glob(pattern), None)
    if found is None:
        raise TransportError(f"the packages under {kernels.META} hold no {pattern}.")
    return found
