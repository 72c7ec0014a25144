"""One defect hunted as a campaign does, without libFuzzer: the same cases every time, every
divergence followed up, every bucket compared with those before."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from db.records import FindingRecord, SignatureRecord
from db.suspects import Suspicion, suspect
from fuzz.followup.hypotheses import HYPOTHESES
from fuzz.followup.kinship import Kin
from fuzz.generate import el2, random_case
from fuzz.generate.mutate import mutate
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.worker.session import Session
from targets.base import Target
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.mutants.mutant import Make, Mutant
from targets.profile import Profile

INTACT = "(none)"
"""What the absence of a defect is called."""
LARGEST = 4096
"""Bytes of a case."""


class Bucket(msgspec.Struct, frozen=True):
    """A bucket that was made. `same_as`: the title of the one that it probably is the same as."""

    title: str
    suspect: str
    same_as: str = ""
    reason: str = ""


class Counted(msgspec.Struct, frozen=True):
    """What became of a defect. `divergences` counts those of `cases`; `groups`: what is left of
    the buckets when those that probably are the same are one."""

    name: str
    about: str
    cases: int
    divergences: int
    groups: int
    seconds: float
    buckets: list[Bucket]
    failed: str = ""

    @property
    def suspects(self) -> str:
        """Those of all buckets, each once."""
        return ", ".join(dict.fromkeys(bucket.suspect for bucket in self.buckets))


def count_mutant(name: str, cases: int, seed: int) -> Counted:
    """What the buckets of a seeded defect are, in process. That very defect is no hypothesis:
    what it does would follow from it, of course."""
    mutant = MUTANTS[name]
    leg = mutant_leg(name, mutant)
    others = {about: make for about, make in HYPOTHESES.items() if about != mutant.about}
    return count((leg, ModelTarget(leg.profile)), (name, mutant.about), cases, seed, others)


def mutant_leg(name: str, mutant: Mutant) -> ModelTarget:
    """The leg that has a seeded defect."""
    leg = ModelTarget(mutant.machine(Profile()), f"mutant:{name}", make=mutant.make)
    leg.kind = "mutant"
    return leg


def count(
    legs: Sequence[Target],
    defect: tuple[str, str],
    cases: int,
    seed: int,
    hypotheses: Mapping[str, Make] = HYPOTHESES,
    knowledge: Knowledge = NOTHING,
) -> Counted:
    """What the buckets of `cases` cases on `legs` are; `defect`: its name, and what it is.
    Raises TransportError."""
    found: dict[SignatureRecord, FindingRecord] = {}
    kin: list[Kin] = []

    def keep(record: FindingRecord) -> None:
        found.setdefault(record.signature, record)

    def ignore(_: object) -> None:
        """A campaign would store it."""

    session = Session(
        legs,
        None,
        found=keep,
        again=ignore,
        note=ignore,
        knowledge=knowledge,
        akin=kin.append,
        hypotheses=hypotheses,
    )
    began = time.monotonic()
    for data in _inputs(cases, seed, [leg.profile for leg in legs]):
        session.execute(data)
    kinds = {leg.name: leg.kind for leg in legs}
    prints = {leg.name: leg.fingerprint for leg in legs}
    related = {one.one: one for one in kin}
    buckets = [
        Bucket(
            title=signature.title,
            suspect=_suspect(record, kinds, prints),
            same_as=related[signature].other.title if signature in related else "",
            reason=related[signature].reason if signature in related else "",
        )
        for signature, record in found.items()
    ]
    name, about = defect
    tally = session.tally
    return Counted(
        *(name, about, tally.cases, tally.divergences, groups(found, kin)),
        *(round(time.monotonic() - began, 1), buckets),
    )


def _inputs(cases: int, seed: int, machines: Sequence[Profile]) -> Iterable[bytes]:
    rng = random.Random(seed)
    share = el2.share(machines)
    for _ in range(cases):
        fresh = random_case(rng, share)
        yield mutate(fresh.encoded, LARGEST, rng.randrange(1 << 30))


def groups(found: Iterable[SignatureRecord], kin: Iterable[Kin]) -> int:
    """How many buckets are left when each is one with what it probably is the same as. A bucket
    is proposed once at most, and for an earlier one: so each proposal takes one away."""
    signatures = set(found)
    return len(signatures) - sum(one.one in signatures and one.other in signatures for one in kin)


def _suspect(
    record: FindingRecord, kinds: Mapping[str, str], prints: Mapping[str, Mapping[str, str]]
) -> str:
    return record.suspect or suspect(
        Suspicion(
            oracle=record.signature.oracle,
            rule=record.signature.rule,
            deviating=record.deviating,
            agreeing=[name for name in record.traces if name not in record.deviating],
            kinds=kinds,
            prints=prints,
        )
    )
