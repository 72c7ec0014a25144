"""Migrate: what is saved of a vcpu and restored on a new one must arrive unchanged.

A metamorphic rule of the interface: KVM_GET_REG_LIST names the state (api.rst 4.84), GET
and SET carry it (4.68, 4.69), and VLS comes before FINALIZE (4.119).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from corpus import registers as regs
from corpus.ops import GENERIC_V8, Migrate
from corpus.wire import Record, Stage, WireError, unpack_migration
from targets.spec.carried import is_timer
from targets.spec.errno import EBADF, EBUSY, EEXIST, error_name
from targets.spec.errors import Decides, Unpredictable
from targets.spec.permitted import Mismatch, Outcome, Part, Permitted, Tail
from targets.spec.sets import exact
from targets.spec.steps.lists import least, refusal
from targets.spec.steps.lives import POWER_OFF, initialise, refuses
from targets.spec.steps.registers import read_parts
from targets.spec.steps.registry import step
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

AARCH32 = 0x10

_LISTED = struct.Struct("<2Q")


@step(Migrate)
def migrate(world: World, op: Migrate) -> Permitted:
    source = world.vm.vcpus.get(op.vcpu)
    if source is None:
        return _stops("vcpu.missing", EBADF, Stage.LIST, (_length(0),))
    unlisted = refusal(source)
    if unlisted:
        rule, err = unlisted
        return _stops(rule, err, Stage.LIST, (_length(0),))
    if source.core["pstate"][0][0] & AARCH32:
        raise Unpredictable("a migration of AArch32 state is not modelled", Decides.KERNEL)
    world.settle(source)
    block = read_parts(world, source)
    saved = (_length(sum(part.size for part in block)), *block)
    if op.to in world.vm.vcpus:
        return _stops("migrate.destination-exists", EEXIST, Stage.CREATE, saved)
    if world.vm.made_gic:
        return _stops("gic.no-more-vcpus", EBUSY, Stage.CREATE, saved)
    world.vm.add(op.to)
    features = op.features & ~POWER_OFF
    destination = world.vm.vcpus[op.to]
    refused = refuses(world, destination, GENERIC_V8, features, 0)
    if refused:
        return _stops("migrate.init-refused", refused.outcomes[0].err, Stage.INIT, saved)
    if features != source.features:  # some registers are there on one side only
        raise Unpredictable("a migration to a vcpu with other features", Decides.KERNEL)
    initialise(world, destination, features, op.features & POWER_OFF)()
    destination.finalised = destination.sve
    world.rules.update(("migrate.identity", "migrate.other-registers"))
    if world.vm.protected:
        world.rules.add("migrate.counters-of-a-protected-vcpu")

    def arrive() -> None:
        copy_state(source, destination)

    tail = Tail(lambda data: _check(data, least(source)), lambda: _LISTED.pack(200, 0))
    outcome = Outcome(0, saved, 0, tail=tail, effect=arrive)
    origins = {
        **source.origins,
        "restored": "migrate.identity",
        "others": "migrate.other-registers",
    }
    return Permitted("migrate.saves", (outcome,), world.context(source), origins=origins)


def copy_state(source: Vcpu, destination: Vcpu) -> None:
    """What a vcpu holds after it took over everything listed of another one."""
    for name in ("z", "p", "ffr", "x"):
        getattr(destination, name)[:] = getattr(source, name)
    destination.core = dict(source.core)
    destination.sys = dict(source.sys)
    destination.max_vq = source.max_vq
    destination.mpidr = source.mpidr
    destination.mapped, destination.tagged = source.mapped, source.tagged
    destination.signed = {
        n: signed._replace(contents=destination.x[n])
        for n in source.signed
        if (signed := source.still_signed(n))
    }
    destination.origins = dict.fromkeys(
        (*regs.REGISTERS, *(f"x{n}" for n in range(31))), "migrate.identity"
    )


def _length(size: int) -> Part:
    return Part("length", 8, exact(size))


def _stops(rule: str, err: int, stage: Stage, parts: tuple[Part, ...]) -> Permitted:
    """The migration fails at `stage`: no register arrived."""
    tail = Tail(_check_nothing, lambda: _LISTED.pack(0, 0))
    return Permitted(rule, (Outcome(err, parts, stage, tail=tail),))


def _check_nothing(data: bytes) -> Mismatch | None:
    try:
        _, records = unpack_migration(data)
    except WireError as error:
        return Mismatch("data", "a migration", str(error))
    return Mismatch("data", "no record", f"{len(records)} records") if records else None


def _check(data: bytes, fewest: int) -> Mismatch | None:
    try:
        listed, records = unpack_migration(data)
    except WireError as error:
        return Mismatch("data", "a migration", str(error))
    if listed < fewest:
        return Mismatch("registers listed", f"{fewest} or more", str(listed))
    lost = not_arrived(records)
    known = [r for r in lost if r.id in regs.BY_ID or _is_vector(r.id)]
    for label, wrong in (("restored", known), ("others", lost)):
        if wrong:
            return _explain(label, wrong[0], len(wrong))
    return None


def not_arrived(records: Sequence[Record]) -> list[Record]:
    """The registers that should have arrived as they were: those of timers go on counting."""
    return [record for record in records if not is_timer(record.id)]


def _is_vector(reg: int) -> bool:
    return reg & 0x0FFF_0000 in (regs.SVE, regs.CORE)


def _explain(label: str, record: Record, count: int) -> Mismatch:
    name = regs.name_of(record.id)
    for what, err in (
        ("GET from the source", record.read),
        ("SET on the destination", record.written),
        ("GET from the destination", record.read_back),
    ):
        if err:
            return Mismatch(label, "success", error_name(err), f"{name}: {what}")
    more = f" and {count - 1} more" if count > 1 else ""
    source, back = record.source[::-1].hex(), record.destination[::-1].hex()
    return Mismatch(label, source, back, f"{name}{more}")
