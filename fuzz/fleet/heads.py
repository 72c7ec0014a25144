"""Which kernels there are to be watched, and how a worker comes by one.

A head is what a release or a branch has newest. Its `origin` travels with a slice, so that whatever
worker does that has this very kernel first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.kvm.lab import kernels
from targets.kvm.lab.treebuild import Flavour, TreeBuilder
from targets.transport import TransportError

RELEASES = tuple(kernels.SUITES)
MODE = "vhe"
"""In which a new kernel is tried."""


@dataclass(frozen=True, slots=True)
class Head:
    """`name`: the release, or the branch; `version`: of the package, or the commit; `leg`: on which
    it runs."""

    name: str
    version: str
    leg: str
    origin: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of a kernel tree that workers have at the same place."""

    tree: Path
    name: str


@dataclass(frozen=True, slots=True)
class Listed:
    """What is newest now, and what could not be asked, in a sentence each."""

    heads: tuple[Head, ...]
    trouble: tuple[str, ...] = ()


def newest(releases: Sequence[str], branches: Sequence[Branch]) -> Listed:
    """Ask the archive, and the trees."""
    heads: list[Head] = []
    trouble: list[str] = []
    for ask in _questions(releases, branches):
        try:
            heads.append(ask())
        except TransportError as error:
            trouble.append(" ".join(str(error).split()))
    return Listed(tuple(heads), tuple(trouble))


def _questions(releases: Sequence[str], branches: Sequence[Branch]) -> Iterator[Callable[[], Head]]:
    for release in releases:
        yield lambda release=release: packaged(release)  # type: ignore[misc]
    for branch in branches:
        yield lambda branch=branch: grown(branch)  # type: ignore[misc]


def packaged(release: str) -> Head:
    """The kernel of a release that there is to be had. Raises TransportError."""
    version = kernels.candidate(release)
    return Head(release, version, f"kvm:{release}:{MODE}", {"release": release, "version": version})


def grown(branch: Branch) -> Head:
    """The commit at which a branch stands. Raises TransportError."""
    builder = TreeBuilder(branch.tree, Flavour())
    revision = builder.revision(branch.name)
    origin = {"tree": str(branch.tree), "commit": revision.commit}
    leg = f"kvm:{builder.name(revision)}:{MODE}"
    return Head(f"{branch.tree.name} {branch.name}", revision.short, leg, origin)


def provide(origin: Mapping[str, str]) -> None:
    """Have the kernel that a slice is about, fetched or built where it is not. Raises
    TransportError."""
    if "tree" in origin:
        builder = TreeBuilder(Path(origin["tree"]), Flavour())
        builder.build(builder.revision(origin["commit"]))
        return
    kept = kernels.cached(origin["release"])
    if kept is None or kept.package_version != origin["version"]:
        kernels.fetch(origin["release"], refresh=True)
