"""Whether the instruction is to blame that a verdict names, or what is around it.

A value that an instruction wrote is wrong, too, where the vector length was, or where leaving the
guest spoilt it. So something else is tried in the instruction's place: what then goes wrong as well
takes the blame from it. Each probe is a few runs of a leg.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Insn
from corpus.isa.table import insn
from corpus.ops import GetReg, GetVls, HostRun, Op, ReadAll, Run, SetReg, SetVls
from corpus.trace import Trace
from corpus.values import Pattern
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge

_RAW_ID = re.compile(r"0x[0-9a-f]+")
_NUMBERED = re.compile(r"([zpvx])\d+")


@dataclass(frozen=True, slots=True)
class Bench:
    """A leg to try cases on."""

    name: str
    legs: Everywhere

    def run(self, case: Case) -> tuple[Trace, Diverge | None]:
        """What the leg does, and what is wrong with that, unless its machine broke. Raises
        TransportError."""
        trace = self.legs.leg(self.name).run(case)
        verdict = self.legs.judge_one(case, self.name, trace)
        return trace, verdict if isinstance(verdict, Diverge) and not verdict.fault else None


def class_of(label: str) -> str:
    """z3 -> z, id 0x60... -> raw id, mmio address -> mmio address."""
    if _RAW_ID.fullmatch(label):
        return "raw-id"
    numbered = _NUMBERED.fullmatch(label)
    if numbered:
        return numbered[1]
    return "" if label == "errno" else label


def wrote(op: Op, rule: str) -> bool:
    """Whether a run holds the instruction that `rule` is about."""
    return isinstance(op, Run | HostRun) and any(
        rule == f"isa.{one.form.name}" for one in op.program
    )


_SPARE = 28
"""A general register that programs seldom need."""
_READS_LENGTH = insn("rdvl", _SPARE, 1)
_PLACES = 4
"""Places in a program where its vector length is read, at most."""


def of_wrong_length(case: Case, verdict: Diverge, bench: Bench) -> tuple[Case, Diverge] | None:
    """The case with the vector length read where it mattered, if that is wrong: then every
    instruction of SVE is, and none is to blame. Raises TransportError."""
    at = _run_before(case, verdict)
    if at is None or not responsible(case, verdict).startswith("isa."):
        return None
    run = case.ops[at]
    assert isinstance(run, Run | HostRun)
    get = GetReg(run.vcpu, regs.X_IDS[_SPARE])
    for program in _up_to(run.program, responsible(case, verdict)):
        ops = (*case.ops[:at], replace(run, program=(*program, _READS_LENGTH)), get)
        if len(ops) > MAX_OPS:
            return None
        shorter = Case(ops, case.min_vq)
        _, again = bench.run(shorter)
        if again and again.op_index == len(ops) - 1 and again.rule == "isa.rdvl":
            return shorter, again
    return None


def _run_before(case: Case, verdict: Diverge) -> int | None:
    """The run that a verdict is about: its own op, or the one that it looks back at."""
    for at in (verdict.op_index, verdict.op_index - 1):
        if at >= 0 and isinstance(case.ops[at], Run | HostRun):
            return at
    return None


def _up_to(program: Sequence[Insn], rule: str) -> Iterator[Sequence[Insn]]:
    """A program up to places where the length may have mattered, the likeliest first."""
    named = [at for at, one in enumerate(program) if rule == f"isa.{one.form.name}"]
    vectors = [at for at, one in enumerate(program) if one.form.cap != "base"]
    places = dict.fromkeys((*reversed(named), *vectors, len(program)))
    for at in list(places)[:_PLACES]:
        if at < MAX_PROGRAM:
            yield program[:at]


_STEPS = 12
"""Instructions of a program after which it is looked, at most."""


def by_an_earlier_one(case: Case, verdict: Diverge, bench: Bench) -> tuple[Case, Diverge] | None:
    """The case with its run cut short behind the first instruction that already leaves something
    wrong, if that is another than the verdict blames: it only passed on what it read. Raises
    TransportError."""
    at = _run_before(case, verdict)
    if at is None or not responsible(case, verdict).startswith("isa."):
        return None
    run = case.ops[at]
    assert isinstance(run, Run | HostRun)
    for length in range(1, min(len(run.program), _STEPS + 1)):
        cut = replace(run, program=run.program[:length])
        ops = (*case.ops[:at], cut, ReadAll(run.vcpu))
        if len(ops) > MAX_OPS:
            return None
        shorter = Case(ops, case.min_vq)
        _, again = bench.run(shorter)
        if again and again.op_index == len(ops) - 1 and wrote(cut, again.rule):
            return shorter, again
    return None


_BYSTANDERS = {"z": ("z30", "z23", "z17"), "p": ("p14", "p9"), "x": ("x28", "x23")}
"""By class, registers that programs seldom write."""


def beside_the_writer(case: Case, verdict: Diverge, bench: Bench) -> tuple[Case, Diverge] | None:
    """The case with registers of the same class that nothing in it writes, if those go wrong,
    too: then the instruction that the verdict names is not to blame. Raises TransportError."""
    run = _last_run(case, verdict)
    ids = [
        regs.REGISTERS[one].id
        for one in _BYSTANDERS.get(class_of(verdict.label), ())
        if one != verdict.label
    ]
    if run is None or not ids:
        return None
    sets = [SetReg(run.vcpu, one, Pattern("noise", 1 + n)) for n, one in enumerate(ids)]
    ops = (*case.ops[:-2], *sets, run, *(GetReg(run.vcpu, one) for one in ids))
    if len(ops) > MAX_OPS:
        return None
    _, again = bench.run(Case(ops, case.min_vq))
    if again is None or again.op_index < len(ops) - len(ids) or again.rule.startswith("isa."):
        return None
    return Case(ops[: again.op_index + 1], case.min_vq), again


_BYTES, _ALL = 0, 31
_WRITERS = {
    "z": (("z30", insn("index_ii", 30, _BYTES, 1, 1)), ("z23", insn("dup_i", 23, _BYTES, -1, 0))),
    "p": (("p14", insn("ptrue", 14, _BYTES, _ALL)), ("p9", insn("ptrues", 9, _BYTES, _ALL))),
}
"""By class, instructions that have little in common but that they write such a register."""


def by_other_writers(case: Case, verdict: Diverge, bench: Bench) -> tuple[Case, Diverge] | None:
    """The case with another register written last by another instruction, if that goes wrong,
    too, whichever it is: then none is to blame, but the run. Raises TransportError."""
    run = _last_run(case, verdict)
    writers = [
        (register, writer)
        for register, writer in _WRITERS.get(class_of(verdict.label), ())
        if register != verdict.label and verdict.rule != f"isa.{writer.form.name}"
    ]
    if run is None or len(run.program) >= MAX_PROGRAM:
        return None
    shown = None
    for register, writer in writers:
        get = GetReg(run.vcpu, regs.REGISTERS[register].id)
        ops = (*case.ops[:-2], replace(run, program=(*run.program, writer)), get)
        other = Case(ops, case.min_vq)
        _, again = bench.run(other)
        if again is None or again.rule != f"isa.{writer.form.name}":
            return None
        shown = shown or (other, again)
    return shown


def _last_run(case: Case, verdict: Diverge) -> Run | HostRun | None:
    """The run before the look that ends a case, where an instruction of it is blamed."""
    run = case.ops[-2] if len(case.ops) > 1 else None
    blamed = verdict.rule.startswith("isa.") and verdict.op_index == len(case.ops) - 1
    return run if isinstance(run, Run | HostRun) and blamed else None


def word_of(op: Op) -> str:
    """An op as causes name it: a run is a run, whoever's thread it is on, to read all is to GET
    each, and vector lengths are set and read by ops of their own or as a register."""
    if isinstance(op, HostRun):
        return Run.word
    if isinstance(op, ReadAll):
        return GetReg.word
    if isinstance(op, SetReg | GetReg) and op.reg == regs.VLS_ID:
        return SetVls.word if isinstance(op, SetReg) else GetVls.word
    return op.word
