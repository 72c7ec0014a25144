"""The registers that are read together, and in which order their values come."""

from __future__ import annotations

from corpus import registers as regs
from corpus.wire import pack_groups

READ_GROUPS: tuple[tuple[int, ...], ...] = (
    (*regs.Z_IDS, *regs.P_IDS, regs.REGISTERS["ffr"].id),
    regs.V_IDS,
    (
        *regs.X_IDS,
        *(regs.REGISTERS[name].id for name in ("sp", "pc", "pstate", "fpsr", "fpcr")),
        *(regs.REGISTERS[name].id for name in ("elr_el1", "spsr_el1", "sp_el1")),
    ),
    tuple(regs.REGISTERS[name].id for name in ("cpacr_el1", "tpidr_el0", "esr_el1", "far_el1")),
    (regs.REGISTERS["zcr_el1"].id,),
    (
        *(regs.REGISTERS[f"spsr_{mode}"].id for mode in ("abt", "und", "irq", "fiq")),
        *(regs.REGISTERS[name].id for name in ("tpidr_el1", "tpidrro_el0", "vbar_el1")),
    ),
    tuple(regs.REGISTERS[name].id for name in regs.KEY_NAMES),
    tuple(regs.REGISTERS[name].id for name in regs.TAGGING_NAMES),
)
"""What ReadAll reads; an error on a group's first id leaves the rest of the group out. A new
register goes to the end: traces that are stored have the values in this order."""

READ_PAYLOAD = pack_groups(READ_GROUPS)
"""The same as executors take it."""
