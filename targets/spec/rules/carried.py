"""Rules about a vcpu that is saved on one leg and restored on another."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "carry.same": (
            "ABI",
            "api.rst 4.68, 4.69, 4.84",
            "what the same kernel on the same machine lists can be restored, and arrives",
        ),
        "carry.others": (
            "IMPL",
            "api.rst 4.68, 4.69",
            "other registers that both legs list arrive as they were saved",
        ),
        "carry.timers": ("ABI", "api.rst 4.68", "counters go on, and a timer may have rung"),
        "carry.unknown-register": (
            "ABI",
            "api.rst 4.68, 4.84",
            "a register that the destination does not list gives ENOENT or EINVAL",
        ),
        "carry.id-register": (
            "ABI",
            "api.rst 4.68, sys_regs.c",
            "what the CPU or the kernel cannot offer is refused in an ID register",
        ),
        "carry.id-dropped": (
            "IMPL",
            "sys_regs.c, set_id_aa64mmfr2_el1, set_pmcr and their like",
            "read-only fields that kernels once showed by mistake are taken and dropped",
        ),
        "carry.firmware": (
            "ABI",
            "fw-pseudo-registers.rst",
            "a level of firmware that the destination does not have is refused",
        ),
    }
)
