"""The reference model: a VM stepped op by op, each step saying what may be observed.

The model's state after a step assumes the op's only outcome, or waits for the
observation where several are permitted. `Model` is told what was observed through
`targets.spec.judge`, which narrows the sets named in the step's parts. What each op
does is in `targets.spec.steps`.
"""

from __future__ import annotations

from corpus.ops import Op
from targets.spec.errors import KnownDefect
from targets.spec.permitted import Permitted
from targets.spec.steps import STEPS
from targets.spec.world import World


class Model(World):
    """The specification of a VM, or two, on the machine described by `profile`."""

    def step(self, op: Op) -> Permitted:
        """What `op` may observe now. Raises Unpredictable."""
        self.turn_to(op)
        permitted = STEPS[type(op)](self, op)
        self.rules.add(permitted.rule)
        if met := self.rules & self.profile.avoid:
            # Which way a guest took is only known by now: such cases are not kept from the leg.
            raise KnownDefect(min(met))
        return permitted
