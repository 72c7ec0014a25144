"""A recording as the text of a case: what one vcpu was asked for, and all else as remarks. Pure."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from corpus.case import MOST_OPS
from corpus.ops import Op, Run
from corpus.text import format_op
from fuzz.printable import printable
from fuzz.record.devices import vm_type
from fuzz.record.exits import told
from fuzz.record.log import Ioctl, Log, Nr, Unfinished
from fuzz.record.machines import ENTERED, VCPU, VM, Call, Machines, machines
from fuzz.record.ops import op_of
from fuzz.record.unsaid import Unsaid, name
from fuzz.report.remarks import ON, ON_VCPU, RAN
from targets.spec.errno import error_name

WIDTH = 100
ELSEWHERE, NO_MORE_OPS, NOT_DONE, UNSEEN, OTHERS = (
    "calls on other vcpus",
    f"calls behind the {MOST_OPS}th op",
    "calls that never returned",
    "calls on a VM or vcpu that was not seen being made",
    "calls on other descriptors",
)


@dataclass(frozen=True, slots=True)
class Written:
    """A case's text. `ops`: how many it has; `remarks`: how many calls are none of them, by why;
    `failed`: how many of its ops did, by errno."""

    text: str
    ops: int
    remarks: dict[str, int]
    failed: dict[str, int]


class NotRecorded(Exception):
    """The log has no such VM or vcpu; the message is a sentence."""


def written(log: Log, vm: int | None = None, vcpu: int | None = None) -> Written:
    """The case of a vcpu by its id, of a VM by its number from 1 on; by default the first vcpu of
    the first VM that ran. Raises NotRecorded."""
    found = machines(log)
    if not found.vms:
        raise NotRecorded("the command made no VM: there is nothing to record.")
    if vm is not None and not 1 <= vm <= len(found.vms):
        raise NotRecorded(f"there is no VM {vm}: the command made {len(found.vms)}.")
    number = found.usual() if vm is None else vm - 1
    ids = found.vms[number].vcpus
    if not ids:
        raise NotRecorded(f"VM {number + 1} had no vcpu{_others(found)}.")
    chosen = ids[0] if vcpu is None else vcpu
    if chosen not in ids:
        has = ", ".join(map(str, ids))
        raise NotRecorded(f"VM {number + 1} had no vcpu {chosen}, but {has}.")
    body = _Body()
    body.make(found.vms[number].made)
    for call in found.vms[number].calls:
        body.add(call, chosen)
    body.settle()
    for beside in found.beside:
        body.remarks[_beside(beside)] += getattr(beside, "times", 1)
    head = _head(log, found, number, chosen, body)
    text = "\n".join([*head, *body.lines]) + "\n"
    return Written(text, body.ops, dict(body.remarks), dict(body.failed))


def _beside(call: Ioctl | Unfinished) -> str:
    """Why a call is of none of the VMs."""
    if isinstance(call, Unfinished):
        return NOT_DONE
    return UNSEEN if call.of.startswith((VM, VCPU)) else OTHERS


def _others(found: Machines) -> str:
    having = [str(n) for n, machine in enumerate(found.vms, 1) if machine.vcpus]
    return f", but VM {', '.join(having)} had" if having else ""


def _head(log: Log, found: Machines, number: int, chosen: int, body: _Body) -> Iterator[str]:
    yield from _comment(f"Recorded of `{printable(shlex.join(log.argv))}`.")
    yield f"#: {ON}{log.leg or 'a machine without a name'}"
    for n, machine in enumerate(found.vms):
        here = f"; this is its vcpu {chosen}, as v0" if n == number else ""
        vcpus = ", ".join(map(str, machine.vcpus)) or "none"
        said = f"VM {n + 1}: vcpus {vcpus}; {len(machine.calls)} calls; ran {machine.runs} times"
        yield f"#: {said}{here}"
    for why, count in sorted(body.remarks.items()):
        yield f"#: remarks: {count} {why}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH - 2, break_long_words=True, break_on_hyphens=False):
        yield f"# {line}"


@dataclass(slots=True)
class _Body:
    """The lines of a case, as calls are added in the order of time."""

    lines: list[str] = field(default_factory=list)
    ops: int = 0
    remarks: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    _last: Op | None = None
    _unsaid: list[tuple[Unsaid, int, int]] = field(default_factory=list)
    """What was not said since the last line: with errno, and how often."""

    def make(self, call: Ioctl) -> None:
        """The call that made the VM, where it is not as that of any case."""
        op = vm_type(call)
        if op is not None:
            self._say(op, replace(call, result=0))

    def add(self, one: Call, chosen: int) -> None:
        call = one.call
        if not isinstance(call, Ioctl):
            self._leave_unsaid(Unsaid(name(call.request, one.vcpu is None), "", NOT_DONE), 0, 1)
        elif one.vcpu not in (None, chosen):
            unsaid = Unsaid(f"{ON_VCPU}{one.vcpu}", name(call.request), ELSEWHERE)
            self._leave_unsaid(unsaid, call.err, call.times)
        else:
            op = op_of(call, on_vm=one.vcpu is None)
            if isinstance(op, Unsaid):
                self._leave_unsaid(op, call.err, call.times)
            elif call.number == Nr.RUN and call.err in ENTERED:
                self._ran(op, call)
            else:
                self._say(op, call)

    def _leave_unsaid(self, unsaid: Unsaid, err: int, times: int) -> None:
        if self._unsaid and self._unsaid[-1][0].words != unsaid.words:
            self.settle()
        self._unsaid.append((unsaid, err, times))
        self.remarks[unsaid.why] += times

    def _say(self, op: Op, call: Ioctl) -> bool:
        """Whether there was room for an op."""
        self.settle()
        if self.ops == MOST_OPS:
            self._last = None
            self._leave_unsaid(Unsaid(format_op(op), "", NO_MORE_OPS), call.err, call.times)
            return False
        self.lines.append(format_op(op))
        self.ops += 1
        self._last = None if call.err else op  # a run that failed is none of those that ran
        if call.err:
            self.failed[error_name(call.err)] += call.times
            self._remark(error_name(call.err))
        return True

    def _ran(self, op: Op, call: Ioctl) -> None:
        """A run; those with nothing said in between are one."""
        if not isinstance(self._last, Run) and not self._say(op, replace(call, result=0)):
            return
        self.settle()
        self._remark(f"{RAN}{told(call)}" + _times(call.times))

    def settle(self) -> None:
        """Write down what was left unsaid."""
        by_errno: dict[int, list[tuple[Unsaid, int]]] = {}
        for unsaid, err, times in self._unsaid:
            by_errno.setdefault(err, []).append((unsaid, times))
        self._unsaid.clear()
        for err, some in by_errno.items():
            details: Counter[str] = Counter()
            for unsaid, times in some:
                details[unsaid.detail] += times
            said = some[0][0].words + _times(details.total())
            said += f", {error_name(err)}" if err else ""
            listed = [f"{detail}{_in_all(count)}" for detail, count in details.items() if detail]
            self._remark(f"{said}: {' '.join(listed)}" if listed else said)

    def _remark(self, text: str) -> None:
        room = WIDTH - len("#:     ")
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        self.lines += [f"#: {'    ' * (number > 0)}{line}" for number, line in enumerate(lines)]


def _in_all(count: int) -> str:
    return f"({count})" if count > 1 else ""


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""
