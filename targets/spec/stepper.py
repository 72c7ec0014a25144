"""The specification stepped along what a leg did, one op after the other."""

from __future__ import annotations

from corpus.case import Case
from corpus.ops import Op, Threads
from corpus.trace import Ending, Observation, Trace
from targets.spec.decided import decided
from targets.spec.errors import Decides, Unpredictable
from targets.spec.judge import Choices, observe
from targets.spec.model import Model
from targets.spec.orders import Lists, Parted, some_order
from targets.spec.permitted import Mismatch, Permitted

MISSING = Mismatch("observation", "one", "none")
"""A leg that ended well owes an observation for every op."""


class Stepper:
    """Holds a trace against `model`. Ask what is `permitted` next, look at it, then let the
    observation `narrow` the model, until nothing is permitted any more:

    - `stopped` says why, where the specification stopped predicting, and `decides` what decides
      how that op goes on;
    - or the leg did something that is not permitted;
    - or the case, or what there is of the trace, is at its end.

    What two threads did is judged in one go, with the op that says so.

    `judged`: ops that were held against the model and permitted.
    """

    def __init__(self, model: Model, case: Case, trace: Trace) -> None:
        self.model = model
        self.choices = Choices()
        self.judged = 0
        self.stopped = ""
        self.decides = Decides.NOTHING
        self._ops, self._seen = case.ops, trace.observations
        self._owed = len(case.ops) if trace.ending is Ending.OK else len(trace.observations)
        self._over = False

    @property
    def op(self) -> Op:
        """The op that is being judged."""
        return self._ops[self.judged]

    @property
    def seen(self) -> Observation | None:
        """What the leg observed of it."""
        return self._seen[self.judged] if self.judged < len(self._seen) else None

    def permitted(self) -> Permitted | None:
        """What the next op may observe; None at the end."""
        if self._over or self.judged >= len(self._ops) or self.judged >= self._owed:
            return None
        try:
            return self.model.step(self.op)
        except Unpredictable as stop:
            self._over = True
            self.stopped = str(stop)
            if self.seen is not None:
                self.decides = decided(self.model, self.op, stop)
            return None

    def narrow(self, permitted: Permitted) -> Mismatch | None:
        """Narrow the model to what was observed, or say what is wrong with that: then nothing
        more is judged, and the op in question stays."""
        seen, op, count = self.seen, self.op, 1
        if seen is None:
            mismatch: Mismatch | None = MISSING
        else:
            mismatch = observe(permitted, seen, self.choices)
            if mismatch is None and isinstance(op, Threads) and seen.err == 0:
                mismatch, count = self._in_some_order(op, seen)
        if mismatch:
            self._over = True
        else:
            self.judged += count
        return mismatch

    def _in_some_order(self, op: Threads, told: Observation) -> tuple[Mismatch | None, int]:
        """What is wrong with what two threads saw, if anything, and how many ops that judges."""
        behind = slice(self.judged + 1, self.judged + 1 + op.span)
        seen = self._seen[behind]
        if len(seen) < op.span:
            self._over = True
            return MISSING if self._owed == len(self._ops) else None, 1
        try:
            lists = Lists.of(self.model, op, told.data, self._ops[behind], seen)
            return some_order(self.model, lists), 1 + op.span
        except Parted as stop:
            self._over = True
            self.stopped = str(stop)
            return None, 1 + op.span
        except Unpredictable as stop:
            self._over = True
            self.stopped = str(stop)
            return None, 1
