"""Which commit of a watched branch broke what a new head was found to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from db.records import FindingView
from fuzz.followup.retest import Again
from fuzz.suites.answers import Answers, Subject
from fuzz.suites.attempt import Attempt, forgetting, modes_of
from fuzz.suites.bisect import BROKEN_BY, CannotBisect, Ends, Questioner, search
from targets.kvm.lab.bisection import bisecting
from targets.kvm.lab.shadow import Revision
from targets.kvm.lab.treebuild import Flavour, TreeBuilder

TIMES = 3


def broken_by(
    finding: FindingView, tree: Path, good: str, bad: str
) -> Sequence[tuple[Revision, str]]:
    """The commit after `good` that brought a finding seen at `bad`, with who wrote it and when;
    several, the oldest first, if they cannot be told apart. Raises TransportError, CannotBisect."""
    legs = modes_of(finding)
    if not legs:
        raise CannotBisect(f"F{finding.id} was not seen on a kernel of the lab.")
    subject = Subject(f"F{finding.id}", finding.minimal, Again(finding), legs, finding.id)
    flavour = Flavour()
    builder = TreeBuilder(tree, flavour)
    ends = Ends(builder.revision(good), builder.revision(bad))
    with bisecting(builder.shadow, ends.good, ends.bad) as found:
        # A slice that is lost with its worker is done again, and this takes hours.
        answers = Answers(builder.shadow.home, subject, flavour.recipe, TIMES)
        attempt = Attempt(builder.build, subject.question, legs, TIMES)
        questioner = Questioner(forgetting(builder, attempt), answers.keep, answers.by_commit)
        deciding = ends.checked(questioner)
        first = search(found, questioner, deciding, BROKEN_BY, lambda *_: None, lambda *_: None)
    return [(one, builder.shadow.author(one)) for one in first]
