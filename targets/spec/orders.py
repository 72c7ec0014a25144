"""In which orders could one thread have done what two did, and have seen the same?

Two lists of ops ran at once, each op one ioctl, and each ioctl takes the vcpu's mutex. So the
observations must be those of *some* order in which each list keeps its own, and in which an op
that was over before another began comes first (linearisability). The specification is stepped
along every such order, and an order is given up as soon as an observation does not fit. Orders
that lead to the same state are followed once: the work is in the states that can be told apart,
of which there are few, and not in the orders, of which there are very many.

A run is one op of these, although its guest stores to RAM all the while: of two that run at once
only those are judged of which neither reaches what the other stores. They do then in any order, and
at once, what each does alone. So do any two on vcpus of two VMs, which share nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from corpus import wire
from corpus.blocks import looks_inside
from corpus.isa.system import ANY
from corpus.ops import Op, Run, Threads
from corpus.trace import Observation
from targets.spec.errors import Decides, Unpredictable
from targets.spec.judge import Choices, observe
from targets.spec.model import Model
from targets.spec.paths import capture, restore, united
from targets.spec.permitted import Mismatch, Permitted
from targets.spec.reach import Reach, watched
from targets.spec.steps import STEPS
from targets.spec.steps.threads import Lead
from targets.spec.vcpu import Vm
from targets.spec.world import each_vm

MOST_STEPS = 400
"""More ops than this, over all orders, are not judged."""


_NOTHING = Decides.NOTHING


class Parted(Unpredictable):
    """There are orders that explain it, and what they leave differs in more than sets can say."""


@dataclass(frozen=True, slots=True)
class Done:
    """An op of a list: what it saw, and when it began and ended, in ns."""

    op: Op
    seen: Observation
    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class Lists:
    """What two threads did. `leads`: the runs that they began with, if they did, by place."""

    first: tuple[Done, ...]
    second: tuple[Done, ...]
    leads: Mapping[int, Lead] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: Model, op: Threads, told: bytes, ops: Sequence[Op], seen: Sequence[Observation]
    ) -> Lists:
        """From the observation of `op`, and those of the ops in its lists; `model` then is where
        both begin. Raises Unpredictable."""
        if wire.THREADS_DATA.unpack_from(told)[1] > 1 and looks_inside(op, ops):
            raise Unpredictable("a run that others could see in parts", _NOTHING)
        times = list(wire.INTERVAL.iter_unpack(told[wire.THREADS_DATA.size :]))
        done = [Done(*each) for each in zip(ops, seen, *zip(*times, strict=True), strict=True)]
        leads: dict[int, Lead] = {}
        for place, base in _leading(op):
            run = ops[place]
            if not isinstance(run, Run):
                continue
            if _may_act_on_others(run, ops):
                raise Unpredictable("a guest that may act on vcpus that others look at", _NOTHING)
            leads[place] = Lead.prepare(model, run, base)
        return cls(tuple(done[: op.first]), tuple(done[op.first :]), leads)


@dataclass(frozen=True, slots=True)
class Reached:
    """A state, and an order of places in the case's block that leads there."""

    model: Model
    order: tuple[int, ...]


def some_order(model: Model, lists: Lists) -> Mismatch | None:
    """Let `model` be what any order leaves that explains all observations, or say how far the one
    that got furthest came. Raises Parted, and Unpredictable, also for too many orders."""
    search = _Search(lists)
    last = search.run(model)
    if not last:
        assert search.furthest
        return search.furthest.told()
    _unite(model, [reached.model for reached in last])
    done = (*lists.first, *lists.second)
    for place, lead in lists.leads.items():
        lead.complete(model, done[place].seen.data)
    return None


@dataclass(frozen=True, slots=True)
class _Stuck:
    """An order, the op that does not fit behind it, and why."""

    order: tuple[int, ...]
    place: int
    op: Op
    mismatch: Mismatch

    def told(self) -> Mismatch:
        """The mismatch with the order that led there; places count from 1, as the lists' ops do
        behind their own op."""
        before = ", ".join(f"+{place + 1}" for place in self.order) or "nothing"
        where = f"{self.mismatch.detail}; " if self.mismatch.detail else ""
        detail = (
            f"{where}no order fits; the furthest is {before},"
            f" then +{self.place + 1} ({self.op.word})"
        )
        return structs.replace(self.mismatch, detail=detail)


class _Search:
    """Cell by cell: how many ops of each list are done, and all states that may be then."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._left = MOST_STEPS
        self._reached: dict[tuple[int, bool], Reach] = {}
        self.furthest: _Stuck | None = None

    def run(self, model: Model) -> list[Reached]:
        """Every state behind all ops."""
        first, second = self._lists.first, self._lists.second
        cells: dict[tuple[int, int], list[Reached]] = {(0, 0): [Reached(model.copy(), ())]}
        for total in range(len(first) + len(second)):
            for i in range(max(0, total - len(second)), min(total, len(first)) + 1):
                j = total - i
                for reached in cells.pop((i, j), ()):
                    if i < len(first) and not _over_before(second[j:], first[i]):
                        self._step(reached, i, first[i], cells.setdefault((i + 1, j), []))
                    if j < len(second) and not _over_before(first[i:], second[j]):
                        place = len(first) + j
                        self._step(reached, place, second[j], cells.setdefault((i, j + 1), []))
        return cells.get((len(first), len(second)), [])

    def _step(self, reached: Reached, place: int, done: Done, cell: list[Reached]) -> None:
        """One op behind an order, into the cell that it leads to."""
        self._left -= 1
        if self._left < 0:
            raise Unpredictable("two threads' ops in more orders than are followed", _NOTHING)
        model = reached.model.copy()
        try:
            permitted = self._permitted(model, place, done.op)
            mismatch = observe(permitted, done.seen, Choices())
        except Unpredictable as stop:
            raise Unpredictable(f"beside others: {stop}", _NOTHING) from None
        if mismatch is None:
            if not any(_same(model, other.model) for other in cell):
                cell.append(Reached(model, (*reached.order, place)))
        elif self.furthest is None or len(reached.order) > len(self.furthest.order):
            self.furthest = _Stuck(reached.order, place, done.op, mismatch)

    def _permitted(self, model: Model, place: int, op: Op) -> Permitted:
        model.turn_to(op)
        lead = self._lists.leads.get(place)
        if lead is None:
            permitted = STEPS[type(op)](model, op)
        else:
            with watched(model) as reach:
                permitted = lead.enter(model)
            self._keep_apart(place, reach, other=model.other)
        model.rules.add(permitted.rule)
        return permitted

    def _keep_apart(self, place: int, reach: Reach, *, other: bool) -> None:
        """Raises Unpredictable where what a guest does depends on when another one, that runs at
        the same time, does it. `other`: it is in the other VM."""
        mine = place, other
        if any(
            reach.meets(theirs)
            for (there, of_other), theirs in self._reached.items()
            if there != place and of_other == other
        ):
            raise Unpredictable("guests that reach what the other one stores", _NOTHING)
        self._reached[mine] = self._reached.get(mine, Reach()) | reach


def _leading(op: Threads) -> list[tuple[int, int]]:
    """The first places of the lists that are not empty, and where code goes that runs there."""
    first = [(0, wire.CODE_BASE)] if op.first else []
    return first + ([(op.first, wire.ASIDE_CODE_BASE)] if op.first < op.span else [])


def _may_act_on_others(run: Run, ops: Sequence[Op]) -> bool:
    """Whether a guest calls its hypervisor, which is about other vcpus of its VM, too, and some of
    these are looked at: of such calls each is done at a time of its own, and not all in one."""
    calls = any(insn.form.name in ("hvc", ANY) for insn in run.program)
    if not calls or run.vcpu == wire.OTHER_SLOT:
        return False
    return any(getattr(op, "vcpu", run.vcpu) not in (run.vcpu, wire.OTHER_SLOT) for op in ops)


def _over_before(others: Sequence[Done], one: Done) -> bool:
    """Whether an op of another list that is still to come was over before this one began. The
    list is in order, so its next one was over first."""
    return bool(others) and others[0].ended < one.began


def _same(a: Model, b: Model) -> bool:
    return all(
        a.vm == b.vm
        and a.beyond == b.beyond
        and a.mem.data == b.mem.data
        and a.mem.unknown == b.mem.unknown
        and a.mem.tags == b.mem.tags
        for _ in each_vm(a, b)
    )


def _unite(model: Model, last: Sequence[Model]) -> None:
    """What may be any of these states. Raises Parted."""
    whole, *others = last
    for other in others:
        for _ in each_vm(whole, other):
            _unite_vm(whole, other)
    model.become(whole)


def _unite_vm(whole: Model, other: Model) -> None:
    """The same of the VM that both are about. Raises Parted."""
    if _without_vcpus(other) != _without_vcpus(whole):
        raise Parted("what a VM is depends on which thread came first", _NOTHING)
    try:
        restore(whole, united(capture(whole), capture(other)))
    except Unpredictable:
        raise Parted("what a vcpu is depends on which thread came first", _NOTHING) from None


def _without_vcpus(model: Model) -> tuple[Vm, bool]:
    return replace(model.vm, vcpus={}), model.beyond
