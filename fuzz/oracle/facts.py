"""Observations taken apart into what legs can be compared in, as words for people by label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from corpus import registers as regs
from corpus.case import Case
from corpus.ops import (
    Disturb,
    GetEvents,
    GetMp,
    GetReg,
    HostRun,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetReg,
    Threads,
)
from corpus.readgroups import READ_GROUPS
from corpus.trace import Observation, Trace
from corpus.wire import RUN_DATA, RUN_TIMED_OUT, Stranger, WireError, unpack_values
from targets.spec.errno import EBADF, EINTR, ENOEXEC, EPERM, error_name
from targets.spec.hexdump import show

Facts: TypeAlias = dict[str, str]

_EXIT_LABELS = ("exit reason", "kind of exit", "mmio address", "mmio data", "mmio length", "flags")

_BEFORE_THE_GUEST = frozenset({EBADF, ENOEXEC, EPERM})
"""How KVM_RUN fails for what was done to the vcpu, whatever its registers hold."""

_FOLLOWED = ("x", "sp", "pc", "z", "v")
_LOW = 16
"""Bytes of a vector register that no kernel may clear."""


def leaves_to_chance(case: Case) -> bool:
    """Whether what comes of a case is no fact: which of two threads came first, whether an
    exception saved SS of PSTATE for a debugger that steps, which tag the guest is given at random,
    and which numbers it asked for."""
    return any(map(_is_chance, case.ops)) or _asks_for_random_numbers(case)


def _is_chance(op: Op) -> bool:
    if isinstance(op, Run | HostRun):
        return any(insn.form.name == "irg" for insn in op.program)
    return isinstance(op, Threads) or (isinstance(op, Disturb) and op.by == Stranger.STEP)


_RANDOM_NUMBERS = 0x53
"""Low half of TRNG_RND32 and TRNG_RND64 (SMCCC TRNG 1.0, DEN0098)."""
_CONSTANTS = frozenset({"movz", "movk"})


def _asks_for_random_numbers(case: Case) -> bool:
    """Whether some guest calls its hypervisor, and the function's number is anywhere."""
    code = [i for op in case.ops if isinstance(op, Run | HostRun) for i in op.program]
    if not any(insn.form.name == "hvc" for insn in code):
        return False
    named = (insn.args[1] for insn in code if insn.form.name in _CONSTANTS)
    sets = (op.value.expand(2) for op in case.ops if isinstance(op, SetReg) and op.reg == _X0)
    given = (int.from_bytes(value, "little") for value in sets)
    return _RANDOM_NUMBERS in (*named, *given)


_X0 = regs.REGISTERS["x0"].id


def answer(op: object, seen: Observation) -> Facts:
    """How the ioctl ended and how much it returned. Of a run, only whether it came to run."""
    if isinstance(op, Run | HostRun):
        refused = seen.err in _BEFORE_THE_GUEST
        return {"errno": error_name(seen.err) if refused else "a run"}
    found = {"errno": error_name(seen.err)}
    if isinstance(op, RegList):
        found["size"] = f"{len(seen.data)} bytes"
    elif isinstance(op, Migrate):
        found["stage"] = str(seen.aux)
    elif isinstance(op, ReadAll):
        found["registers read"] = _which(seen.data)
    return found


def end(op: object, seen: Observation) -> Facts:
    """How a run ended."""
    if not isinstance(op, Run | HostRun) or len(seen.data) < RUN_DATA.size:
        return {}
    words = map(hex, RUN_DATA.unpack_from(seen.data))
    return {"errno": error_name(seen.err), **dict(zip(_EXIT_LABELS, words, strict=True))}


def contents(op: object, seen: Observation) -> Facts:
    """What the guest left where no choice of a kernel shows."""
    if seen.err:
        return {}
    if isinstance(op, ReadAll):
        values = _values(seen.data)
        return {label: _low(value) for label, err, value in values if _follows(label) and not err}
    if isinstance(op, GetReg) and op.edge is None and _follows(name := regs.name_of(op.reg)):
        return {name: _low(seen.data)}
    if isinstance(op, ReadMem | GetMp | GetEvents):
        return {"data": _shown(seen.data)}
    return {}


def time_ran_out(seen: Observation | None) -> bool:
    """Whether a run was ended from outside, wherever it was then."""
    if seen is None or seen.err != EINTR or len(seen.data) < RUN_DATA.size:
        return False
    return bool(RUN_DATA.unpack_from(seen.data)[-1] & RUN_TIMED_OUT)


def late_at(case: Case, trace: Trace, op_index: int) -> bool:
    """Whether the time of the run that is this op was over, or that of a run in its two lists: what
    a guest without end does, and a machine that is busy to any."""
    op = case.ops[op_index] if op_index < len(case.ops) else None
    behind = op.span if isinstance(op, Threads) else 0
    return any(map(time_ran_out, trace.observations[op_index:][: 1 + behind]))


def _values(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    """ReadAll's registers: name, errno, value."""
    try:
        values = iter(unpack_values(data))
    except WireError:
        return
    for group in READ_GROUPS:
        for place, reg in enumerate(group):
            found = next(values, None)
            if found is None:
                return
            yield regs.name_of(reg), *found
            if found[0] and place == 0:
                break


def reads_fewer(op: object, seen: Observation) -> bool:
    """Whether this is what ReadAll answered when it read fewer registers than today."""
    if not isinstance(op, ReadAll) or seen.err:
        return False
    ends = {regs.name_of(reg) for reg in READ_GROUPS[-1]}
    return not any(name in ends for name, _, _ in _values(seen.data))


def _which(data: bytes) -> str:
    """How many registers ReadAll could read, and which it could not."""
    values = list(_values(data))
    failed = [f"{name}: {error_name(err)}" for name, err, _ in values if err]
    return "; ".join((f"{len(values) - len(failed)} in {len(data)} bytes", *failed))


def _follows(name: str) -> bool:
    return name in _FOLLOWED or (name[:1] in _FOLLOWED and name[1:].isdigit())


def _low(value: bytes) -> str:
    return _shown(value[:_LOW])


def _shown(data: bytes) -> str:
    return show((int.from_bytes(data, "little"), 0), len(data))
