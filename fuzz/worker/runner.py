"""Running cases on legs, some of them before libFuzzer asks for them.

A leg whose executor takes several requests at once would sleep while a case is judged and
the next one made. So what the custom mutators make is begun at once on such legs, and what
they hand to libFuzzer is what they made a little earlier. A case is judged and reported as
libFuzzer runs it, from its own traces and its own coverage: nothing is attributed late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from corpus.case import Case, decode
from corpus.inputs import case_of
from corpus.trace import Trace
from fuzz.generate import arriving, copies, el2, newer, served, staying, strangers
from fuzz.generate.mutate import crossed, mutated
from fuzz.worker.steering import Steering
from targets.base import Target
from targets.kind import KINDS
from targets.model.target import is_avoided
from targets.profile import Profile
from targets.transport import TransportError

AHEAD = 4
"""Cases begun and not yet handed out, at most: what they cost is lost when a campaign ends."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a leg did with a case; `blocks` of its kernel, where that is recorded, and those after
    which it was `interrupted`."""

    trace: Trace
    blocks: Sequence[int] = ()
    interrupted: Sequence[int] = ()


@dataclass(slots=True)
class _Begun:
    data: bytes
    case: Case
    fits: bool
    tickets: dict[str, int] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)


class Runner:
    """Runs cases on `legs`, which are given slowest first: they are started in this order and
    collected in reverse, so that all overlap. `share_vms`: see `Target.submit_shared`;
    `machines`: those behind the legs, by name, where it is known of what they die."""

    def __init__(
        self,
        legs: Sequence[Target],
        share_vms: bool = False,
        machines: Mapping[str, Profile] | None = None,
    ) -> None:
        self._legs = legs
        known = machines or {}
        self._machines = [known.get(leg.name, leg.profile) for leg in legs]
        self._share_vms = share_vms
        self._early = [leg for leg in legs if leg.depth > 1]
        self.ahead = min([AHEAD, *(leg.depth - 1 for leg in self._early)]) if self._early else 0
        self._begun: deque[_Begun] = deque()
        self._expected: tuple[bytes, Case] = b"", Case(())

    @property
    def machines(self) -> list[Profile]:
        """The machines behind the legs that are tested, not the model's."""
        return [leg.profile for leg in self._legs if not KINDS[leg.kind].reference]

    def _look_at(self, data: bytes, case: Case) -> _Begun:
        """A case that fits if there is something to run, and every leg has what it needs and
        is not known to die of it."""
        fits = bool(case.ops) and all(_bears(machine, case) for machine in self._machines)
        return _Begun(data, case, fits)

    def begin(self, data: bytes, case: Case) -> None:
        """Start the case of `data` where it can be started early. Raises TransportError."""
        begun = self._look_at(data, case)
        self._begun.append(begun)
        if begun.fits:
            for leg in self._early:
                begun.tickets[leg.name] = self._submit(leg, begun.case)

    def take(self, data: bytes) -> _Begun:
        """The case of `data`, begun or not. Those begun before it were not wanted after all."""
        if any(begun.data == data for begun in self._begun):
            while True:
                begun = self._begun.popleft()
                if begun.data == data:
                    return begun
                self._settle(begun)
        if len(self._begun) > self.ahead:
            self._settle(self._begun.popleft())
        case = self._expected[1] if self._expected[0] == data else case_of(data)
        return self._look_at(data, case)

    def expect(self, data: bytes, case: Case) -> None:
        """The case of `data` is likely to be taken next: it need not be decoded."""
        self._expected = data, case

    def run(self, begun: _Begun) -> Iterator[tuple[Target, Result]]:
        """What each leg does with a case, as they finish. Raises TransportError."""
        for leg in self._legs:
            if leg.name not in begun.tickets and leg.name not in begun.results:
                begun.tickets[leg.name] = self._submit(leg, begun.case)
        for leg in reversed(self._legs):
            yield leg, self._result(leg, begun)

    def settle(self) -> None:
        """Wait for all that was begun, so that the legs have nothing to do. Raises
        TransportError."""
        for begun in self._begun:
            self._settle(begun)

    def _settle(self, begun: _Begun) -> None:
        for leg in self._early:
            if leg.name in begun.tickets:
                self._result(leg, begun)

    def _submit(self, leg: Target, case: Case) -> int:
        return leg.submit_shared(case) if self._share_vms else leg.submit(case)

    def _result(self, leg: Target, begun: _Begun) -> Result:
        ticket = begun.tickets.pop(leg.name, None)
        if ticket is not None:
            begun.results[leg.name] = Result(leg.collect(ticket), leg.blocks, leg.interrupted)
        return begun.results[leg.name]


def _bears(profile: Profile, case: Case) -> bool:
    if case.min_vq > profile.max_vq:
        return False
    return not is_avoided(case, profile)


class Mutators:
    """The custom mutators of libFuzzer, which run ahead of it with `runner`.

    With `steering`, parents and all that is random are its own: what is made depends on its
    seed and on what the legs did, and not on libFuzzer. Without, what they return is a child
    of what they were given up to AHEAD calls before, so libFuzzer may credit a find to a
    neighbour of its true parent. `swap` replaces a child before it is begun, for measuring
    with chosen cases.
    """

    def __init__(
        self,
        runner: Runner,
        swap: Callable[[Case], Case] = lambda child: child,
        steering: Steering | None = None,
    ) -> None:
        self._runner, self._swap, self._steering = runner, swap, steering
        self._queue: deque[bytes] = deque()
        self._el2_share = el2.share(runner.machines)
        self._beside = strangers.Beside.of(runner.machines)
        self._newer = newer.share(runner.machines)
        self._served = served.can_be(runner.machines)
        self._few_copies = copies.are_doubtful(runner.machines)
        self._takes_others = arriving.takes_others(runner.machines)

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """libFuzzer's custom mutator."""
        steering = self._steering
        if steering:
            return self._next(lambda _: steering.child(self._el2_share, self._beside), max_size)
        return self._next(
            lambda turn: mutated(data, seed + turn, self._el2_share, beside=self._beside), max_size
        )

    def crossover(self, first: bytes, second: bytes, max_size: int, seed: int) -> bytes:
        """libFuzzer's custom crossover."""
        if self._steering:
            return self.mutate(first, max_size, seed)
        return self._next(lambda turn: crossed(first, second, seed + turn), max_size)

    def _fitting(self, child: Case) -> Case:
        """`child` with more of what the machines have, and less of what is not judged on them."""
        child = served.woken(staying.in_time(child))
        child = arriving.to_its_own(child) if self._takes_others else child
        child = copies.with_few(child) if self._few_copies else child
        child = newer.with_newer(child, self._newer) if self._newer else child
        return served.with_served(child) if self._served else child

    def _next(self, make: Callable[[int], Case], max_size: int) -> bytes:
        """Begin children until enough are ahead; hand out the oldest."""
        for turn in range(1 + self._runner.ahead - len(self._queue)):
            child = self._swap(self._fitting(make(turn)))
            data = child.encoded[:max_size]
            self._queue.append(data)
            child = child if data == child.encoded else decode(data)
            if self._runner.ahead:
                try:
                    self._runner.begin(data, child)
                except TransportError:
                    break  # the leg is gone; the run of this very case says how
            else:
                self._runner.expect(data, child)
        return self._queue.popleft()[:max_size]
