"""Cases told so that what one shows comes again more surely where the clock goes by instructions.

There QEMU runs its CPUs in turn, each until a timer is due, and the kernel's own threads come at
their time and no other. So two guests are given time to meet, a thread takes the place of the
kernel's, and what is chance still is done again and again within one case. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from corpus.blocks import first_block, has_block
from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.system import HVC_LOOP, WFI_LOOP
from corpus.isa.table import insn
from corpus.ops import Disturb, Run, Threads
from corpus.wire import Stranger

ROUNDS = 300
"""Calls to its hypervisor that a guest makes before and after all else: they take longer than QEMU
lets one CPU run."""
LATER_NS = 8_000_000
"""From when on the second of them runs then, about: in the middle of the first one's calls."""
SCALES = (1, 0.4, 0.16)
"""By how much sooner a stranger has to come where the same takes less time by that clock, about."""
TIMES = (2, 4, 8, 16)
"""How often in a row what is chance still is done in place of once, at most."""


def given_time(case: Case) -> Iterator[Case]:
    """The case, and where guests run at once those in which they make calls before and after all
    else, and do so in place of waiting, too: QEMU changes CPUs at few moments, and each has to be
    in its run at some of them. A guest that waits is put, and has nothing to lose."""
    told = [case]
    yield case
    for waits in (True, False):
        timed = _with_calls(case, waits)
        if timed not in told:
            told.append(timed)
            yield timed


def _with_calls(case: Case, waits: bool) -> Case:
    """The case with calls around what guests do that run at once, which `waits` or does not."""
    leads = {
        place
        for at, op in enumerate(case.ops)
        if isinstance(op, Threads) and 0 < op.first < op.span
        for place in (at + 1, at + 1 + op.first)
    }
    calls = insn(HVC_LOOP, ROUNDS)
    ops = list(case.ops)
    for at in leads:
        op = ops[at]
        if isinstance(op, Run):
            code = [each for each in op.program if waits or each.form.name != WFI_LOOP]
            ops[at] = replace(op, program=(calls, *code[: MAX_PROGRAM - 2], calls))
    if ops == list(case.ops):
        return case
    for at, op in enumerate(ops):
        if isinstance(op, Threads):
            ops[at] = replace(op, after=max(op.after, LATER_NS))
    return replace(case, ops=tuple(ops))


COMPANY = Stranger.THREAD, Stranger.SOFTIRQ
"""What comes at any time while the clock runs, and where it goes by instructions when asked to."""


def in_company(case: Case) -> Iterator[Case]:
    """The case with a thread on the same CPU around its strangers, or with a softirq if there is
    one: while the clock runs, the kernel's own threads come at any time, in between as well."""
    strangers = [at for at, op in enumerate(case.ops) if isinstance(op, Disturb)]
    there = {op.by for op in case.ops if isinstance(op, Disturb)}
    missing = next((kind for kind in COMPANY if kind not in there), None)
    if not strangers or missing is None or len(case.ops) == MAX_OPS:
        return
    at = strangers[0]
    for scale in SCALES:
        ops = [replace(op, after=int(op.after * scale)) if has_block(op) else op for op in case.ops]
        first = ops[at]
        assert isinstance(first, Disturb)
        company = replace(first, by=missing, span=1 + first.span)
        yield replace(case, ops=(*ops[:at], company, *ops[at:]))


@dataclass(frozen=True, slots=True)
class Told:
    """A case in which all from its first block on is done `times` times in a row."""

    case: Case
    times: int = 1

    @property
    def whole(self) -> Case:
        """What is run: each time begins when what the one before left to do is over. As many as
        fit."""
        ops = self.case.ops
        first = first_block(ops)
        part = ops[first:]
        fit = (MAX_OPS - first) // len(part) if part else 1
        return replace(self.case, ops=(*ops[:first], *part * max(1, min(self.times, fit))))

    @property
    def row(self) -> str:
        """How it is told, behind what is said of it; nothing, where it is done once."""
        return f", done {self.times} times in a row" if self.times > 1 else ""

    def at(self, case: Case) -> Told:
        """Another case, told alike."""
        return replace(self, case=case)

    def as_told(self, case: Case) -> Case:
        """What is run of another case, told alike."""
        return self.at(case).whole


def once(case: Case) -> Told:
    """The case as one that is done as often in a row as it does all from its first block on."""
    ops = case.ops
    first = first_block(ops)
    part = ops[first:]
    for size in range(1, len(part) // 2 + 1):
        times, rest = divmod(len(part), size)
        if not rest and part == part[:size] * times:
            return Told(replace(case, ops=ops[: first + size]), times)
    return Told(case)


def ways(case: Case) -> Iterator[Told]:
    """In which cases what one shows is sought where the clock goes by instructions; then twice in
    a row, where the second time has its memory already and takes as long each time, and last as
    often as may be."""
    told = [Told(each) for each in (*given_time(case), *in_company(case))]
    yield from told
    for times in (TIMES[0], TIMES[-1]):
        for each in told:
            many = replace(each, times=times)
            if many.whole != each.whole:
                yield many
