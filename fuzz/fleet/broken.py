"""Which commit of a watched branch broke what a new head was found to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from db.records import FindingView
from fuzz.followup.retest import Again
from fuzz.suites.attempt import Attempt
from fuzz.suites.bisect import BROKEN_BY, CannotBisect, Ends, Questioner, search
from targets.kvm import legname
from targets.kvm.lab.bisection import bisecting
from targets.kvm.lab.shadow import Revision
from targets.kvm.lab.treebuild import Flavour, TreeBuilder
from targets.kvm.legname import LegSpec

TIMES = 3


def broken_by(finding: FindingView, tree: Path, good: str, bad: str) -> Sequence[Revision]:
    """The commit after `good` that brought a finding seen at `bad`; several, the oldest first, if
    they cannot be told apart. Kernels that were built are kept, so that beginning anew costs
    little. Raises TransportError, CannotBisect."""
    legs = modes_of(finding)
    if not legs:
        raise CannotBisect(f"F{finding.id} was not seen on a kernel of the lab.")
    builder = TreeBuilder(tree, Flavour())
    ends = Ends(builder.revision(good), builder.revision(bad))
    with bisecting(builder.shadow, ends.good, ends.bad) as found:
        attempt = Attempt(builder.build, Again(finding), legs, TIMES)
        questioner = Questioner(attempt, lambda: None)
        deciding = ends.checked(questioner)
        return search(found, questioner, deciding, BROKEN_BY, lambda *_: None, lambda *_: None)


def modes_of(finding: FindingView) -> tuple[LegSpec, ...]:
    """The machines on which it was seen, whatever their kernel was."""
    seen = (n for n in finding.deviating if n.startswith("kvm:") and legname.is_lab(n))
    return tuple(dict.fromkeys(replace(legname.parse(name), kernel="6.12") for name in seen))


def note(found: Sequence[Revision], good: str, bad: str) -> str:
    """What is written on the bucket."""
    names = "; ".join(f"{one.commit[:12]} {one.subject}" for one in found)
    one_of = "" if len(found) == 1 else "one of "
    return f"Broken between {good} and {bad} by {one_of}{names}"
