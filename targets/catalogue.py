"""Every leg this machine can offer, by name, and patterns over those names.

Nothing is started here: `ready` means that all a leg needs is on this machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from targets.kvm import legname as kvm_legname
from targets.kvm import native
from targets.kvm.lab import image, kernels, newer_qemu, qemu
from targets.model.target import MODELS
from targets.mutants import MUTANTS
from targets.transport import TransportError
from targets.vqs import ALL_VQS

VQ_SETS = ((1, 2, 4), (1, 2, 3), (1,))
"""Host vector lengths worth a leg of their own, beside all sixteen: powers of two only,
one that is no power of two, and the shortest alone."""

NESTED_SINCE = (6, 16)
"""The first kernel that offers guests an EL2 (KVM_CAP_ARM_EL2)."""


class State(Enum):
    """What stands between a leg and its start."""

    READY = "ready"
    DOWNLOAD = "needs download"
    BUILD = "needs build"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Offer:
    """A leg by name. `reason`: what is missing, and what mends it; empty when ready."""

    name: str
    kind: str
    state: State
    reason: str = ""


def offers(extra: Sequence[str] = ()) -> list[Offer]:
    """Every leg, in a fixed order. `extra`: paths of Images to offer beside the releases."""
    return [
        *(Offer(name, "model", State.READY) for name in MODELS),
        *_emulators(),
        *_lab_legs((*_releases(), *extra)),
        _native(),
        *(Offer(f"mutant:{name}", "mutant", State.READY) for name in sorted(MUTANTS)),
    ]


def is_pattern(name: str) -> bool:
    """Whether a leg's name is a shell pattern; an agent's may hold `[` without being one."""
    return any(mark in name for mark in "*?[") and not name.startswith("kvm:tcp=")


def expand(pattern: str, offered: Sequence[Offer]) -> list[str]:
    """Names of the legs that can be had and match a shell pattern.

    A leg with chosen vector lengths only matches a pattern that says `vq=` itself: put
    beside others it makes every case that needs longer ones unfit.
    """
    return [
        offer.name
        for offer in offered
        if offer.state in (State.READY, State.DOWNLOAD)
        and ("vq=" in pattern or "vq=" not in offer.name)
        and fnmatchcase(offer.name, pattern)
    ]


def is_of_tree(name: str) -> bool:
    """Whether a leg's kernel was built from a tree of the user's."""
    kind, _, rest = name.partition(":")
    return kind == "kvm" and kernels.is_tree(rest.partition(":")[0])


def _emulators() -> Iterator[Offer]:
    from targets.emulator import build, legname  # noqa: PLC0415

    reason = _trouble(build.check_tools)
    state = State.UNAVAILABLE if reason else State.READY
    for tail in legname.TAILS:
        for vqs in (ALL_VQS, *VQ_SETS):
            yield Offer(legname.EmulatorSpec(tail, vqs).name, "emulator", state, reason)


def _releases() -> list[str]:
    """Releases worth showing: of flavours and kernels to build, the kept ones and the usual one."""
    return [*filter(_is_shown, kernels.RELEASES), *kernels.of_trees()]


def _is_shown(release: str) -> bool:
    usual = release in kernels.SUITES or release == kernels.built_name("6.12")
    return usual or kernels.cached(release) is not None


def _lab_legs(releases: Sequence[str]) -> Iterator[Offer]:
    kept = newer_qemu.cached() or newer_qemu.cached(newer_qemu.BEST)
    nested = kept is not None or newer_qemu.own_suffices()
    tools = _trouble(qemu.find) or _trouble(image.find_compiler)
    for release in releases:
        kernel: str | Path = Path(release) if "/" in release else release
        for mode in kvm_legname.MODES:
            state, reason = _lab_state(release, mode, nested)
            if tools:
                state, reason = State.UNAVAILABLE, tools
            for vqs in (ALL_VQS, *VQ_SETS):
                yield Offer(kvm_legname.LegSpec(kernel, mode, vqs).name, "kvm", state, reason)


def _lab_state(release: str, mode: str, nested: bool) -> tuple[State, str]:
    """State and reason of a leg; `nested`: whether there is a QEMU for that mode."""
    if mode == "nested":
        if _number(release) < NESTED_SINCE:
            least = ".".join(map(str, NESTED_SINCE))
            return State.UNAVAILABLE, f"KVM offers guests an EL2 only since kernel {least}."
        if not nested:
            return State.DOWNLOAD, "A newer QEMU is downloaded when first used."
    if "/" in release or kernels.cached(release):
        return State.READY, ""
    if release in kernels.BUILDS:
        return State.BUILD, f"Run {kernels.build_command(release)}."
    return State.DOWNLOAD, "The kernel is downloaded when first used."


def _number(release: str) -> tuple[int, int]:
    """(6, 12) of a release or an Image that is kernel 6.12; of the newest, more than any."""
    if "/" in release:
        return kernels.image_version(Path(release))
    if kernels.is_tree(release):
        kept = kernels.cached(release)
        return kernels.image_version(kept.path) if kept else (0, 0)
    major, dot, minor = kernels.source_of(release).partition(".")
    return (int(major), int(minor)) if dot else (sys.maxsize, 0)


def _native() -> Offer:
    reason = native.unavailable() or ""
    return Offer("kvm:native", "kvm", State.UNAVAILABLE if reason else State.READY, reason)


def _trouble(check: Callable[[], object]) -> str:
    """The sentence that a check fails with, or nothing."""
    try:
        check()
    except TransportError as error:
        return str(error)
    return ""
