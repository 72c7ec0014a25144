"""What a program has to demand of a machine, for its expectations to hold there. Pure.

Found by asking the specification again for other machines: what changes nothing is not
demanded. Of what can be asked for by name only, such as the features of INIT, each that the
case names is demanded as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from corpus.case import MAX_VQ, Case
from corpus.isa.decode import meant
from corpus.isa.system import ANY
from corpus.isa.unallocated import NEWER
from corpus.ops import FEATURE_SVE, Init, Migrate, Run
from fuzz.reproduce.expect import Expectation, Unsayable, expect
from targets.profile import CAP_FIELDS, MEMORY_TAGS, Profile
from targets.spec import protected
from targets.spec.rules import RULES
from targets.spec.rules.rule import LAST

Release = tuple[int, int]

MODES = ("vhe", "nvhe", "hvhe", "protected", "nested")
SOME = 6
"""Machines on which kernels are tried together with vector lengths."""
EARLIEST: Release = (5, 2)
"""The first kernel with KVM_ARM_VCPU_SVE."""
HAS_EL2_E2H0 = 1 << 8


@dataclass(frozen=True, slots=True)
class Demands:
    """What a machine must be like; what is None or empty does not matter.

    `sve`: whether KVM offers SVE. `least_vq`: its longest vector length is at least this, in units
    of 128 bits. `lengths`: its vector lengths up to a number of such units are just these (bit
    vq - 1 each), and there is none above where `bounded`. `since`, `before`: kernels, (major,
    minor). `protected`: whether KVM is in protected mode. `features`: bits of INIT that are
    offered or not. `capabilities`: instructions that the CPU has or not. `el0_32bit`: whether
    EL0 can be 32-bit. `mte`: whether VMs can have memory tagging. `gic`: whether they can have a
    GICv3 of KVM's own.
    """

    sve: bool | None = None
    least_vq: int = 0
    lengths: tuple[int, int] | None = None
    bounded: bool = False
    since: Release | None = None
    before: Release | None = None
    protected: bool | None = None
    features: tuple[tuple[int, bool], ...] = ()
    capabilities: tuple[tuple[str, bool], ...] = ()
    el0_32bit: bool | None = None
    mte: bool | None = None
    gic: bool | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a case does, with what that demands."""

    case: Case
    expectation: Expectation
    demands: Demands


def say(case: Case, profile: Profile) -> Said:
    """The expectations for the machine `profile`, and for all others that they hold for.

    What a machine does that cannot be asked of it is taken as open: which bits FPCR keeps, and
    whether an access that is not aligned faults. Raises Unsayable.
    """
    profile = replace(
        profile, fpcr_bits=None, fpsr_bits=None, unaligned=False, defects={}, avoid=frozenset()
    )
    expected = expect(case, profile)

    def holds(**changed: object) -> bool:
        try:
            return expect(case, replace(profile, **changed)) == expected  # type: ignore[arg-type]
        except Unsayable:
            return False

    named = _features(case)
    spans = _spans(profile.kernel, lambda kernel: holds(kernel=kernel))
    modes = [holds(mode=mode, kernel=kernel) for mode in MODES for kernel in spans.inside]
    demands = replace(
        _lengths(case, profile.vqs, lambda vqs: holds(vqs=vqs)),
        sve=bool(profile.features & FEATURE_SVE) if named & FEATURE_SVE else None,
        since=spans.since,
        before=spans.before,
        protected=None if all(modes) else profile.mode == "protected",
        features=tuple(
            (bit, bool(profile.features & bit))
            for bit in (1 << n for n in range(9))
            if bit & named & _ASKED
        ),
        capabilities=tuple(
            (cap, cap not in profile.lacks) for cap in sorted(_capabilities(case) & set(CAP_FIELDS))
        ),
        mte=_tagging(profile, holds),
        gic=None if holds(gic=not profile.gic) else bool(profile.gic),
        el0_32bit=None if holds(el0_32bit=not profile.el0_32bit) else profile.el0_32bit,
    )
    able = [vqs for vqs in _samples(profile.vqs) if _meets(vqs, demands)]
    for vqs in able[:: len(able) // SOME + 1]:
        if not all(holds(vqs=vqs, kernel=kernel) for kernel in spans.ends):
            raise Unsayable("cannot be said in C: the kernel decides with the vector lengths")
    return Said(case, expected, demands)


def _tagging(profile: Profile, holds: Callable[..., bool]) -> bool | None:
    """Whether VMs must be able to have memory tagging, or must not. Raises Unsayable where it
    depends on instructions of which no kernel tells."""
    others = profile.lacks - {"mte"}
    without = {1: others, 0: others | {"mte"}}
    alike = [holds(mte=n, lacks=lacks) for n, lacks in without.items() if n != profile.mte]
    if profile.mte == MEMORY_TAGS:
        return None if all(alike) else True
    if not all(alike):
        raise Unsayable("cannot be said in C: no kernel tells of FEAT_MTE alone")
    return None if holds(mte=MEMORY_TAGS, lacks=others) else False


_ASKED = 0x1FF & ~(1 | 1 << 2 | FEATURE_SVE | HAS_EL2_E2H0)
"""Features of INIT that KVM tells with a capability: all but POWER_OFF and PSCI_0_2, which it
always has, SVE, which is demanded for itself, and E2H0, which comes with EL2."""


def _features(case: Case) -> int:
    """All features that the case's INITs name."""
    found = 0
    for op in case.ops:
        if isinstance(op, Init | Migrate):
            found |= op.features
    return found


def _capabilities(case: Case) -> set[str]:
    """The capabilities that decide how the instructions of the case execute."""
    found = set()
    for op in case.ops:
        for insn in op.program if isinstance(op, Run) else ():
            found.add(meant(insn).form.cap)
            if insn.form.name == ANY:
                found.add(NEWER)
    return found


@dataclass(frozen=True, slots=True)
class _Spans:
    """Kernels for which something holds: the first of each span in which no rule changes, and
    of the span behind them (None: there is none)."""

    inside: tuple[Release, ...]
    before: Release | None

    @property
    def since(self) -> Release | None:
        """None: since ever."""
        return None if self.inside[0] == EARLIEST else self.inside[0]

    @property
    def ends(self) -> tuple[Release, ...]:
        return tuple(dict.fromkeys((self.inside[0], self.inside[-1])))


def _spans(kernel: Release, holds: Callable[[Release], bool]) -> _Spans:
    """Those around `kernel`."""
    rules = RULES.values()
    changes = {
        *(rule.since for rule in rules),
        *(first for rule in rules for first, _ in rule.values),
        *((rule.until[0], rule.until[1] + 1) for rule in rules if rule.until != LAST),
        *(protected.FIRST_KERNEL, (protected.LAST_WITHOUT[0], protected.LAST_WITHOUT[1] + 1)),
    }
    spans = [EARLIEST, *sorted(change for change in changes if change > EARLIEST)]
    low = max(at for at, first in enumerate(spans) if first <= max(kernel, EARLIEST))
    high = low + 1
    while low > 0 and holds(spans[low - 1]):
        low -= 1
    while high < len(spans) and holds(spans[high]):
        high += 1
    return _Spans(tuple(spans[low:high]), spans[high] if high < len(spans) else None)


def _lengths(case: Case, vqs: int, holds: Callable[[int], bool]) -> Demands:
    """The weakest demand on the vector lengths, of a few forms, that all machines of a sample
    meet the expectations under. Raises Unsayable."""
    machines = [sample for sample in _samples(vqs) if sample.bit_length() >= case.min_vq]
    fits = cache(holds)
    for demand in _forms(vqs, case.min_vq):
        if all(fits(machine) for machine in machines if _meets(machine, demand)):
            return demand
    raise Unsayable("cannot be said in C: no demand on the vector lengths is enough")


def _forms(vqs: int, least: int) -> Iterator[Demands]:
    most = vqs.bit_length()
    yield Demands(least_vq=least)
    for n in range(max(least, 1), most + 1):
        yield Demands(least_vq=n)
    for n in range(1, most + 1):
        yield Demands(least_vq=max(least, n), lengths=(n, vqs & ((1 << n) - 1)))
    yield Demands(least_vq=least, lengths=(most, vqs), bounded=True)


def _meets(vqs: int, demand: Demands) -> bool:
    if vqs.bit_length() < demand.least_vq:
        return False
    if demand.lengths is None:
        return True
    upto, lengths = demand.lengths
    return vqs & ((1 << upto) - 1) == lengths and not (demand.bounded and vqs >> upto)


def _samples(vqs: int) -> Sequence[int]:
    """Machines to try: all lengths up to one, powers of two, the given ones up to each, and
    with more above."""
    upto = [(1 << n) - 1 for n in range(1, MAX_VQ + 1)]
    given = [vqs & ones for ones in upto]
    above = [low | high << n & 0xFFFF for n, low in enumerate(given, 1) for high in (1, 2)]
    top = [low | 0x8000 for low in given]
    odd = [0xB, 0x8B, 0x808B, 0x15, 0x111, 0x2001]
    return [one for one in dict.fromkeys((vqs, *upto, *given, *above, *top, *odd)) if one & 1]
