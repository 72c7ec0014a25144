"""What the specification permits an op to observe.

Several of these are made per op, so they are structs of msgspec, which makes them several
times faster than a frozen dataclass is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from corpus.wire import FILL
from targets.spec.errno import EFAULT
from targets.spec.sets import Set, exact, unknown

Home: TypeAlias = tuple[Any, Any]
"""Where a set lives (a list or dict, and its key), so that observing it can narrow it."""


class Part(msgspec.Struct, frozen=True):
    """`size` bytes of an observation, named `label`, that must match one candidate."""

    label: str
    size: int
    candidates: Set
    home: Home | None = None


Hole: TypeAlias = tuple[int, Part]
"""An offset in the data, and what must be there."""


class Mismatch(msgspec.Struct, frozen=True):
    """An observation that no permitted outcome allows. `wrong`: the bits of a value that are
    so, against the candidate it is most like."""

    label: str
    expected: str
    observed: str
    detail: str = ""
    wrong: int = 0


class Tail(msgspec.Struct, frozen=True):
    """Data behind the parts whose form depends on its contents: `check` says what is wrong
    with it, `make` gives one permitted tail."""

    check: Callable[[bytes], Mismatch | None]
    make: Callable[[], bytes]


class Outcome(msgspec.Struct, frozen=True):
    """One permitted outcome. `aux` None: not checked. `open_ended`: more data may follow
    the parts unchecked; `tail`: more data follows, which this checks. `effect` runs once
    this outcome is known to be the one. `whole`: the data as one string, zeros in the
    `holes`, for a quick comparison; `more` then makes the parts on demand."""

    err: int = 0
    known_parts: tuple[Part, ...] = ()
    aux: int | None = 0
    open_ended: bool = False
    tail: Tail | None = None
    effect: Callable[[], None] | None = None
    whole: bytes | None = None
    holes: tuple[Hole, ...] = ()
    more: Callable[[], tuple[Part, ...]] | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the data, in order."""
        return self.more() if self.more else self.known_parts


class Context(msgspec.Struct, frozen=True):
    """The vector lengths that explain an observation, in bytes: the guest's effective one at
    EL1 (None where it is not known), the vcpu's and the host's; 0 where there is no SVE.
    `zcr`: the registers that the guest's follows from, highest EL last."""

    guest: int | None
    vcpu: int
    host: int
    zcr: tuple[tuple[str, int], ...] = ()

    @property
    def relation(self) -> str:
        """How the lengths relate, whatever they are: `guest<vcpu=host`; `-` if not known."""
        if not self.vcpu or self.guest is None:
            return "-"
        guest = "guest<vcpu" if self.guest < self.vcpu else "guest=vcpu"
        return guest + ("<host" if self.vcpu < self.host else "=host")

    def __str__(self) -> str:
        if not self.vcpu:
            return "no SVE"
        by = ", ".join(f"{name.upper()} {value:#x}" for name, value in self.zcr)
        guest = "not known" if self.guest is None else self.guest
        return f"guest VL {guest} ({by}), vcpu VL {self.vcpu}, host VL {self.host} bytes"


class Permitted(msgspec.Struct, frozen=True):
    """Every outcome that `rule` permits for one op; `context` explains, where VLs matter.

    `anything`: the specification is silent, every outcome is permitted; `if_done` runs if the
    op then succeeds. `origins`: by
    label, the rule that gave a value, where that says more than `rule`.
    """

    rule: str
    outcomes: tuple[Outcome, ...]
    context: Context | None = None
    anything: bool = False
    origins: Mapping[str, str] | None = None
    if_done: Callable[[], None] | None = None


def fails(rule: str, err: int) -> Permitted:
    """The op fails with `err` and observes nothing else."""
    return Permitted(rule, (Outcome(err),))


def with_prefill(permitted: Permitted, size: int, rules: set[str]) -> Permitted:
    """A failing GET, which leaves the user's buffer of `size` bytes alone."""
    rules.add("reg.failed-get-writes-nothing")
    part = Part("buffer", size, exact(int.from_bytes(bytes([FILL]) * size, "little")))
    origins = {"buffer": "reg.failed-get-writes-nothing"}
    return Permitted(
        permitted.rule, (Outcome(permitted.outcomes[0].err, (part,)),), origins=origins
    )


def fault_on_get(rule: str, seen: int) -> Permitted:
    """A GET into a buffer that ends early: what arrived before the fault is not specified."""
    part = Part("buffer", seen, unknown(0, int.from_bytes(b"\xff" * seen, "little")))
    return Permitted(rule, (Outcome(EFAULT, (part,)),))
