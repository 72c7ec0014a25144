"""User space's own accesses to guest RAM."""

from __future__ import annotations

from corpus import wire
from corpus.ops import ReadMem, WriteMem
from targets.spec.errno import EFAULT
from targets.spec.permitted import Outcome, Part, Permitted, fails
from targets.spec.sets import unknown
from targets.spec.steps.registry import step
from targets.spec.world import World


@step(ReadMem)
def read_mem(world: World, op: ReadMem) -> Permitted:
    if world.vm.given:
        return fails("protected.memory", EFAULT)
    length = min(op.length, wire.RAM_SIZE - op.offset)
    value, mask = world.mem.load(wire.RAM_BASE + op.offset, length)
    part = Part("ram", length, unknown(value, mask))
    writer = next((v.origins for v in world.vm.vcpus.values() if "ram" in v.origins), None)
    rule = "ram.read" if world.mem.touched else "ram.starts-zero"
    return Permitted(rule, (Outcome(known_parts=(part,)),), origins=writer)


@step(WriteMem)
def write_mem(world: World, op: WriteMem) -> Permitted:
    if world.vm.given:
        return fails("protected.memory", EFAULT)
    length = min(op.length, wire.RAM_SIZE - op.offset)
    value = int.from_bytes(op.value.expand(op.length)[:length], "little")
    world.mem.store(wire.RAM_BASE + op.offset, length, value)
    return Permitted("ram.write", (Outcome(),))
