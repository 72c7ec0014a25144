"""`vcpufuzz bisect`: the commit of a kernel tree that broke or fixed something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from corpus.store import load_case
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import db_option, json_option
from fuzz.cli.tree_options import flavour_options
from fuzz.cli.triage.keys import existing, parse_key
from fuzz.followup import origin
from fuzz.followup.retest import Again
from fuzz.suites.answers import Answers, Subject
from fuzz.suites.attempt import AnyOf, Attempt, forgetting, modes_of
from fuzz.suites.bisect import (
    BROKEN_BY,
    FIXED_BY,
    Answer,
    CannotBisect,
    Ends,
    Questioner,
    search,
)
from targets.kvm.lab.bisection import bisecting, is_older
from targets.kvm.lab.shadow import Revision
from targets.kvm.lab.treebuild import Flavour, TreeBuilder
from targets.kvm.legname import MODES, LegSpec


@click.command("bisect")
@click.argument("what", metavar="FINDING|CASE")
@click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A kernel tree of your own, in git; it is only read.",
)
@click.option("--good", required=True, metavar="REV", help="A revision in which it does not show.")
@click.option("--bad", required=True, metavar="REV", help="One in which it does.")
@click.option(
    "--modes",
    metavar="MODE,...",
    help="KVM modes to run it in; by default those in which the finding was seen, or vhe.",
)
@click.option(
    "--times",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Runs of each revision in each mode; one that shows it is enough.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Compilers at once; one per CPU if unset."
)
@click.option("--keep-kernels", is_flag=True, help="Keep in the cache what is built for it.")
@click.option("--restart", is_flag=True, help="Forget what an earlier time has found out.")
@flavour_options
@json_option
@db_option
def bisect(
    url: str,
    what: str,
    tree: Path,
    good: str,
    bad: str,
    modes: str | None,
    times: int,
    jobs: int | None,
    keep_kernels: bool,
    restart: bool,
    with_llvm: bool,
    fragments: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Find the commit between two revisions that broke something, or that fixed it.

    WHAT is a finding such as F12, a bucket such as B3, or the file of a case. Each revision is
    built, booted in each mode, and the case run on it; what does not build or boot is skipped.
    If --good is the older one, the commit that broke it is sought, else the one that fixed it.
    Stopped and started again, the same command goes on where it was. What it finds is noted with
    the bucket of a finding, for `triage report`.

    Ends with 0 if one commit is left, with 3 if several are.

    \b
    Example:
      vcpufuzz bisect F12 --tree ~/linux --good v6.12 --bad v6.13
      vcpufuzz bisect found.case --tree ~/linux --good HEAD~20 --bad HEAD --modes vhe,nvhe
    """
    subject = _subject(what, modes, url)
    flavour = Flavour((), with_llvm, fragments)
    builder = TreeBuilder(tree, flavour, jobs=jobs or 0, say=_say)
    ends = Ends(builder.revision(good), builder.revision(bad))
    if ends.good.commit == ends.bad.commit:
        raise UserError(f"{good} and {bad} are the same commit.", Exit.USAGE)
    breaks = is_older(builder.shadow, ends.good, ends.bad)
    older, newer = (ends.good, ends.bad) if breaks else (ends.bad, ends.good)
    told: list[tuple[Revision, Answer]] = []
    with bisecting(builder.shadow, older, newer) as found:
        answers = Answers(builder.shadow.home, subject, flavour.recipe, times, restart)
        attempt = Attempt(builder.build, subject.question, subject.legs, times)

        def tell(revision: Revision, answer: Answer) -> None:
            told.append((revision, answer))
            _say(f"{revision.short} {revision.subject}: {answer.text}")

        answered = attempt if keep_kernels else forgetting(builder, attempt)
        questioner = Questioner(answered, answers.keep, answers.by_commit)
        with _resumable(answers):
            _say(_task(subject, ends, breaks, answers))
            try:
                deciding = ends.checked(questioner)
            except CannotBisect as error:
                raise UserError(str(error), Exit.USAGE) from None
            for end in (ends.bad, ends.good):
                tell(end, answers.by_commit[end.commit])
            first = search(
                found,
                questioner,
                deciding,
                BROKEN_BY if breaks else FIXED_BY,
                lambda revision, left: _say(_outlook(revision, left, questioner)),
                tell,
            )
    if subject.finding:
        with existing(url) as store:
            said = origin.note(
                subject.finding, breaks, [(one, builder.shadow.author(one)) for one in first]
            )
            store.add_note(store.finding(subject.finding).bucket_id, said)
    if as_json:
        click.echo(json.dumps(_as_json(subject, breaks, first, told), indent=2))
    else:
        word = "Broken by" if breaks else "Fixed by"
        if len(first) > 1:
            click.echo(f"{word} one of these; those that were skipped cannot be told apart:")
        for one in first:
            lead = f"{word} " if len(first) == 1 else "  "
            click.echo(f"{lead}{one.commit[:12]} {one.subject}")
            click.echo(f"{' ' * len(lead)}{builder.shadow.author(one)}")
    return Exit.OK if len(first) == 1 else Exit.UNAVAILABLE


def _subject(what: str, modes: str | None, url: str) -> Subject:
    """Raises UserError, BadParameter, and what reading does."""
    wanted = _modes(modes)
    if re.fullmatch(r"[BbFf]\d+", what) and not Path(what).exists():
        kind, number = parse_key(what, "FB")
        with existing(url) as store:
            number = number if kind == "F" else store.best_finding(number)
            finding = store.finding(number)
        seen = modes_of(finding)
        if not seen and not wanted:
            raise UserError(
                f"F{number} was not seen on a kernel of the lab: name the --modes to run it in.",
                Exit.USAGE,
            )
        legs = [LegSpec("6.12", mode) for mode in wanted] or seen
        again = Again(finding)
        return Subject(f"F{number}", finding.minimal, again, tuple(dict.fromkeys(legs)), number)
    if not Path(what).exists():
        raise UserError(f"{what} is neither a file nor a finding such as F12.", Exit.USAGE)
    case = load_case(Path(what))
    legs = [LegSpec("6.12", mode) for mode in wanted or ("vhe",)]
    return Subject(Path(what).name, case, AnyOf(case), tuple(legs))


def _modes(text: str | None) -> Sequence[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in MODES:
            raise UserError(f"{name!r} is no KVM mode: {', '.join(MODES)}.", Exit.USAGE)
    return names


@contextmanager
def _resumable(answers: Answers) -> Iterator[None]:
    """Whatever ends it early, the user hears that nothing is lost."""
    try:
        yield
    except UserError:
        raise
    except BaseException:
        if answers.by_commit:
            _say(
                f"{len(answers.by_commit)} revisions are answered; the same command goes on there."
            )
        raise


def _task(subject: Subject, ends: Ends, breaks: bool, answers: Answers) -> str:
    many = len(answers.by_commit)
    known = f", of which {many} revisions are answered" if many else ""
    what = "what broke" if breaks else "what fixed"
    first, last = (ends.good, ends.bad) if breaks else (ends.bad, ends.good)
    return f"looking for {what} {subject.name} from {first.short} to {last.short}{known}"


def _outlook(revision: Revision, left: int, questioner: Questioner) -> str:
    seconds = questioner.seconds(left)
    time = f", about {_span(seconds)}" if seconds else ""
    many = "build" if left == 1 else "builds"
    return f"about {left} {many} left{time}; now {revision.short} {revision.subject}"


def _span(seconds: float) -> str:
    """5 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _as_json(
    subject: Subject,
    breaks: bool,
    first: Sequence[Revision],
    told: Sequence[tuple[Revision, Answer]],
) -> dict[str, Any]:
    return {
        "what": subject.name,
        "case": subject.case.id,
        "sought": "broken-by" if breaks else "fixed-by",
        "commits": [{"commit": one.commit, "subject": one.subject} for one in first],
        "tried": [
            {"commit": one.commit, "subject": one.subject, **msgspec.to_builtins(answer)}
            for one, answer in told
        ],
    }


def _say(text: str) -> None:
    click.echo(text, err=True)
