"""The specification stepped along what a leg did, one op after the other."""

from __future__ import annotations

from corpus.case import Case
from corpus.ops import Op
from corpus.trace import Ending, Observation, Trace
from targets.spec.decided import decided
from targets.spec.errors import Decides, Unpredictable
from targets.spec.judge import Choices, observe
from targets.spec.model import Model
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
        seen = self.seen
        mismatch = MISSING if seen is None else observe(permitted, seen, self.choices)
        if mismatch:
            self._over = True
        else:
            self.judged += 1
        return mismatch
