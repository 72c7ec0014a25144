"""Gathers, scatters, and the first-fault and no-fault loads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import Unpredictable
from targets.spec.semantics.access import (
    extend,
    known_predicate,
    load_elements,
    offsets,
    spoil,
    store_elements,
    truncate,
)
from targets.spec.semantics.lanes import BITS, SINT, UINT, active, every, ones, put_z, split
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.semantics.sve_mem import MSIZE, index_register


def faulting_load(
    cpu: Cpu,
    zt: int,
    t: int,
    chosen: int,
    addresses: Sequence[int | None],
    msize: int,
    *,
    negative: bool,
    first_faults: bool,
) -> None:
    """A first-fault (or no-fault) load (Arm ARM, LDFF1 and LDNF1).

    The first active element of a first-fault load faults as usual. Any other access that
    would fault is suppressed, and from its element on FFR is cleared. The architecture lets
    any of them be suppressed without a fault, too, and KVM gives a cause: it populates
    stage 2 on demand. Where none is known (`Bus.surely_reads`) a CPU that reads on must do so.
    Where FFR is clear an element is the loaded value, zero or what it was.
    """
    size, width = 1 << msize, BITS[t]
    lane_bits = ones(1 << t)
    ffr, ffr_mask = cpu.ffr()
    (old_value, old_mask), value, mask = cpu.z(zt), 0, 0
    faulted = maybe = loose = exact = False
    first = first_faults
    begin = next((address for address in addresses if address is not None), 0)
    for index, address in enumerate(addresses):
        data = data_mask = 0
        if address is not None:
            inside = cpu.reaches(address, size)
            if first:
                if not inside:
                    spoil(cpu, (zt,))
                data, data_mask = cpu.load(address, size)
                first = False
            elif not inside:
                faulted = True
                if cpu.vcpu.tagged:  # MemNF may have loaded it, and found the tag to be another
                    data_mask = ones(8 * size)
            else:
                data, data_mask = cpu.load(address, size)
                reads = cpu.reads_on and cpu.surely_reads(address, size, begin)
                maybe, exact = maybe or not reads, exact or reads
        at = index << t
        if faulted:
            ffr &= ~(lane_bits << at)
            ffr_mask &= ~(lane_bits << at)
        elif maybe:
            ffr_mask |= ffr & lane_bits << at
            ffr &= ~(lane_bits << at)
        loose = loose or not ffr >> at & 1
        lane = extend(data, 1, msize, t, negative=negative)
        lane_mask = extend(data_mask, 1, msize, t, negative=negative)
        if loose:
            old = old_value >> width * index & ones(width)
            lane_mask |= lane | old | old_mask >> width * index & ones(width)
        value |= lane << width * index
        mask |= lane_mask << width * index
    if faulted or maybe:
        cpu.rules.add("vl.ffr-truncated")
        cpu.set_ffr(ffr & ~ffr_mask, ffr_mask)
    put_z(cpu, zt, value, mask)
    if exact and not maybe:
        cpu.rules.add(_READS_ON)
        cpu.vcpu.origins["ffr"] = _READS_ON


_READS_ON = "stage1.reads-on"


def _contiguous(form: Form) -> None:
    """ldff1* with a register offset, ldnf1* with an immediate one."""
    memory = form.mnemonic[5:]
    msize, negative = MSIZE[memory[-1]], len(memory) == 2
    first_faults = form.group == "ff-load"

    def load(cpu: Cpu, zt: int, t: int, pg: int, base: int) -> None:
        chosen = known_predicate(cpu, pg, every(cpu.vl, t))
        addresses = offsets(base, cpu.vl >> t, 1 << msize, chosen, t)
        faulting_load(
            cpu, zt, t, chosen, addresses, msize, negative=negative, first_faults=first_faults
        )

    def by_immediate(cpu: Cpu, zt: int, t: int, pg: int, xn: int, imm: int) -> None:
        load(cpu, zt, t, pg, cpu.address(xn, imm * (cpu.vl >> t) << msize))

    def by_register(cpu: Cpu, zt: int, t: int, pg: int, xn: int, xm: int) -> None:
        load(cpu, zt, t, pg, cpu.address(xn, index_register(cpu, xm) << msize))

    SEMANTICS[form.name] = by_register if first_faults else by_immediate


def _active_addresses(
    cpu: Cpu, chosen: int, t: int, zm: int, scale: int, base: int, extension: int | None
) -> list[int | None]:
    """base + offset << scale per active lane. `extension`: None for whole lanes, 0 for the
    unsigned and 1 for the signed low 32 bits. Raises Unpredictable."""
    value, mask = cpu.z(zm)
    if mask & active(chosen, cpu.vl, t):
        raise Unpredictable("an address is not known")
    lanes = split(value, cpu.vl, t)
    if extension is not None:
        low = lanes.astype(UINT[2])
        lanes = low.view(SINT[2]).astype(np.int64) if extension else low
    numbers = lanes.tolist()
    return [
        base + (number << scale) & U64 if chosen >> (index << t) & 1 else None
        for index, number in enumerate(numbers)
    ]


def _gather_or_scatter(form: Form) -> None:
    mnemonic = form.mnemonic
    first_fault, load = "ff" in mnemonic, mnemonic.startswith("ld")
    memory = mnemonic[5:] if first_fault or "nt" in mnemonic else mnemonic[3:]
    msize, negative = MSIZE[memory[-1]], len(memory) == 2
    mode = form.name[len(mnemonic) + 2 :]
    t = 2 if mode.startswith("s") else 3
    scale = msize if mode.endswith("s") and len(mode) > 1 else 0

    def access(cpu: Cpu, zt: int, chosen: int, addresses: list[int | None]) -> None:
        if first_fault:
            faulting_load(
                cpu, zt, t, chosen, addresses, msize, negative=negative, first_faults=True
            )
        elif load:
            count = cpu.vl >> t
            value, mask = (
                extend(x, count, msize, t, negative=negative)
                for x in load_elements(cpu, addresses, 1 << msize, (zt,))
            )
            put_z(cpu, zt, value, mask)
        else:
            value, mask = (truncate(x, cpu.vl >> t, msize, t) for x in cpu.z(zt))
            store_elements(cpu, addresses, 1 << msize, value, mask)

    def by_vector(cpu: Cpu, zt: int, pg: int, zn: int, imm: int) -> None:
        chosen = known_predicate(cpu, pg, every(cpu.vl, t))
        access(cpu, zt, chosen, _active_addresses(cpu, chosen, t, zn, 0, imm, None))

    def by_vector_and_register(cpu: Cpu, zt: int, pg: int, zn: int, xm: int) -> None:
        chosen = known_predicate(cpu, pg, every(cpu.vl, t))
        by = index_register(cpu, xm) if chosen else 0
        access(cpu, zt, chosen, _active_addresses(cpu, chosen, t, zn, 0, by, None))

    def by_offsets(
        cpu: Cpu, zt: int, pg: int, xn: int, zm: int, extension: int | None = None
    ) -> None:
        chosen = known_predicate(cpu, pg, every(cpu.vl, t))
        if not chosen:
            access(cpu, zt, 0, [None] * (cpu.vl >> t))
            return
        base = cpu.address(xn)
        access(cpu, zt, chosen, _active_addresses(cpu, chosen, t, zm, scale, base, extension))

    runs: dict[str, Semantic] = {"imm": by_vector, "nt": by_vector_and_register}
    SEMANTICS[form.name] = runs.get(mode.partition("_")[2], by_offsets)


for _form in FORMS.values():
    if _form.group in ("ff-load", "nf-load"):
        _contiguous(_form)
    elif _form.group in ("sve-gather", "ff-gather", "sve-scatter"):
        _gather_or_scatter(_form)
