"""Legs by name: `model`, `emulator:keep`, `kvm:6.12:vhe`, `mutant:finalize-twice`, ..."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from targets.base import Target, WireTarget
from targets.kind import KINDS
from targets.kvm import legname as kvm_legname
from targets.kvm import reuse
from targets.kvm.lab import kernels
from targets.model.target import MODELS, ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile
from targets.transport import Transport, TransportError

DEFAULT_LEGS = ("model", "kvm", "emulator:keep", "emulator:zero")
STOCK_KVM = "kvm:6.12:vhe"
SMALL_KVM = "kvm:small-6.12:vhe"


_Start = Callable[[Profile, bool], Target]
"""From the machine to imitate, and whether to record kernel coverage, to the leg."""


class UnknownLeg(ValueError):
    """A leg name that means nothing; the message is one sentence."""


def default_kvm() -> str:
    """What `kvm` stands for: the small kernel once it is built, Debian's own before."""
    return SMALL_KVM if kernels.cached("small-6.12") else STOCK_KVM


def check(names: Sequence[str]) -> None:
    """Raises UnknownLeg for the first name that means nothing, without starting anything."""
    for name in names:
        _opener(name)


def open_leg(name: str, profile: Profile | None = None, *, coverage: bool = False) -> Target:
    """Start one leg. `profile` is the machine that `model` and `mutant` legs imitate;
    `coverage`: record kernel coverage where that can be. Raises UnknownLeg, TransportError."""
    return _opener(name)(profile or Profile(), coverage)


def open_legs(
    names: Sequence[str], *, coverage: bool = False, missing: dict[str, str] | None = None
) -> list[Target]:
    """Start legs, KVM first, so that model and mutants can imitate its machine, and mutants
    before the model, since some need a machine of their own. `missing`: takes, by name, why
    a leg cannot be had, and the others are opened all the same.
    Raises UnknownLeg, TransportError; then nothing stays open."""
    check(names)
    opened: dict[str, Target] = {}
    try:
        for name in sorted(names, key=_borrows):
            lender = next((t for t in opened.values() if KINDS[t.kind].lends), None)
            profile = lender.profile if lender else None
            try:
                opened[name] = open_leg(name, profile, coverage=coverage)
            except TransportError as error:
                if missing is None:
                    raise
                missing[name] = str(error)
    except BaseException:
        for target in opened.values():
            target.close()
        raise
    return [opened[name] for name in names if name in opened]


def _borrows(name: str) -> tuple[bool, int]:
    kind = KINDS[kind_of(name)]
    return not kind.lends, kind.turn


def kind_of(name: str) -> str:
    """The kind of leg that a name means."""
    return name.partition(":")[0]


def _opener(name: str) -> _Start:
    family, _, rest = name.partition(":")
    opener = _FAMILIES.get(family)
    if opener is None or name.endswith(":"):
        raise UnknownLeg(f"no leg is called {name!r}; families are {', '.join(_FAMILIES)}")
    try:
        return opener(name, rest)
    except ValueError as error:
        raise UnknownLeg(str(error)) from None


def _model(name: str, rest: str) -> _Start:
    choose = MODELS.get(name)
    if choose is None:
        raise UnknownLeg(f"no leg is called {name!r}: write {', '.join(MODELS)}")
    return lambda profile, _: ModelTarget(profile, name, choose=choose)


def _mutant(name: str, rest: str) -> _Start:
    if rest not in MUTANTS:
        raise UnknownLeg(f"no mutant is called {rest!r}; `vcpufuzz lab legs` lists them.")
    mutant = MUTANTS[rest]

    def start(profile: Profile, _: bool) -> Target:
        target = ModelTarget(mutant.machine(profile), name, make=mutant.make)
        target.kind = "mutant"
        return target

    return start


def transport(name: str) -> tuple[str, Callable[[bool], Transport]]:
    """The full name of a leg that an executor stands behind, and what opens its transport,
    with kernel coverage or without. Raises UnknownLeg."""
    family, _, rest = name.partition(":")
    try:
        if family == "kvm":
            spec = kvm_legname.parse(name if rest else default_kvm())
            return spec.name, lambda wanted: kvm_legname.open_transport(spec, coverage=wanted)
        if family == "emulator":
            from targets.emulator import legname as emulator_legname  # noqa: PLC0415

            emulator = emulator_legname.parse(name)
            return name, lambda _: emulator_legname.open_transport(emulator)
    except ValueError as error:
        raise UnknownLeg(str(error)) from None
    check([name])
    raise UnknownLeg(f"{name} has no executor that could serve others: it is computed here.")


def _behind_transport(name: str, rest: str) -> _Start:
    full, opener = transport(name)
    kind = KINDS[kind_of(name)]
    can_share = reuse.is_sound if kind.kernel else _never
    return lambda _, coverage: WireTarget(full, kind.name, opener(coverage), can_share=can_share)


def _never(_: Transport) -> bool:
    return False


_FAMILIES: dict[str, Callable[[str, str], _Start]] = {
    "model": _model,
    "kvm": _behind_transport,
    "emulator": _behind_transport,
    "mutant": _mutant,
}

__all__ = ["DEFAULT_LEGS", "TransportError", "UnknownLeg", "open_leg", "open_legs", "transport"]
