"""What an oracle can say of one leg's trace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from corpus.fault import Fault
from targets.spec.errors import Decides
from targets.spec.judge import Choices
from targets.spec.permitted import Context


@dataclass(frozen=True, slots=True)
class Agree:
    """The trace is permitted. `judged`: ops judged; fewer than the case has when the
    specification stopped predicting, and then `reason` says why, and `decides` what decides
    how that op goes on."""

    judged: int
    rules: frozenset[str]
    choices: Choices
    reason: str = ""
    decides: Decides = Decides.NOTHING

    @property
    def why(self) -> str:
        """The reason without its numbers: what cases that stop alike have in common."""
        return _NUMBER.sub("0x..", self.reason)


_NUMBER = re.compile(r"0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Diverge:
    """No permitted outcome matches. `detail` names lanes or bytes; `fault` is what made the
    case end badly, if it did; `told` is the explanation where it is not of the usual form.
    `wrong`: the bits of a value that are."""

    oracle: str
    op_index: int
    op_word: str
    rule: str
    label: str
    expected: str
    observed: str
    detail: str
    strict: bool
    context: Context | None = None
    rules: frozenset[str] = frozenset()
    fault: Fault | None = None
    told: str = ""
    wrong: int = 0

    @property
    def explanation(self) -> str:
        """One sentence for an engineer: where, by which rule, what was expected and what
        was seen."""
        if self.told:
            return self.told
        where = f" ({self.detail})" if self.detail else ""
        context = f" [{self.context}]" if self.context else ""
        return (
            f"op {self.op_index} ({self.op_word}): rule {self.rule} permits {self.label} "
            f"= {self.expected}, observed {self.observed}{where}{context}"
        )


Verdict: TypeAlias = Agree | Diverge
