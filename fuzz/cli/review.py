"""`vcpufuzz review`: what a patch to KVM changed, and what it broke."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click
import msgspec

from db.store import Store
from fuzz import output
from fuzz.campaign.options import CampaignFailed
from fuzz.cli.duration import Duration
from fuzz.cli.errors import Exit, UserError, stopped
from fuzz.cli.options import json_option
from fuzz.cli.plain_options import OUTPUT_FILE, db_option
from fuzz.cli.run import default_workers
from fuzz.cli.screen import open_screen
from fuzz.cli.tree_options import tree_options
from fuzz.review import page
from fuzz.review.book import Review
from fuzz.review.review import Reviewer, Side
from targets.kvm.lab import kernels
from targets.kvm.lab.coverage.names import SOURCES
from targets.kvm.lab.treebuild import Flavour, TreeBuilder
from targets.kvm.legname import MODES


class _Words(click.ParamType[tuple[str, ...]]):
    """Words of a table, with commas between."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name, self._known = name, known

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(",") if word.strip())
        for word in words:
            if word not in self._known:
                self.fail(f"{word!r} is none of {', '.join(self._known)}.", param, ctx)
        if not words:
            self.fail("nothing is named.", param, ctx)
        return tuple(dict.fromkeys(words))


@click.command("review")
@click.option(
    "--base",
    required=True,
    metavar="A",
    help="The kernel to compare with: an Image, or a revision.",
)
@click.option(
    "--kernel",
    "new",
    metavar="B",
    help="The kernel to review; with --tree by default as it stands.",
)
@tree_options
@click.option(
    "--time",
    "seconds",
    type=Duration(),
    default="10m",
    show_default=True,
    help="For all modes together: 90s, 10m, 2h.",
)
@click.option(
    "--modes",
    type=_Words("modes", tuple(MODES)),
    default="vhe,nvhe",
    show_default=True,
    metavar="MODE,...",
    help="KVM modes, one after the other.",
)
@click.option(
    "--areas",
    type=_Words("areas", tuple(SOURCES)),
    default=None,
    metavar="AREA,...",
    help="Parts of KVM whose functions are compared, as `coverage` names them; else all.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Fuzzing processes.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="0: a random one.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Compilers at once; one per CPU if unset."
)
@click.option("--mail", is_flag=True, help="Print it as a mail of less than 72 columns.")
@click.option("--html", type=OUTPUT_FILE, help="Write it as one HTML page, too.")
@json_option
@db_option
def review(
    url: str,
    base: str,
    new: str | None,
    tree: Path | None,
    with_llvm: bool,
    fragments: tuple[Path, ...],
    seconds: float,
    modes: tuple[str, ...],
    areas: tuple[str, ...] | None,
    workers: int | None,
    seed: int,
    jobs: int | None,
    mail: bool,
    html: Path | None,
    as_json: bool,
) -> int:
    """Say what a patch to KVM changed and broke, compared with the kernel without it.

    Tells which functions differ; runs the kept cases on both kernels; searches on both, most
    closely where they differ; and reports what is newly wrong, what is no longer wrong, what is
    permitted but different, which of the functions were reached, and how fast both are.

    A and B are Images, or names of kernels such as 6.12, or, with --tree, revisions, which
    are built. Ends with 77 only for divergences that B has and A has not.

    \b
    Example:
      vcpufuzz review --base HEAD~1 --tree ~/linux --time 5m
      vcpufuzz review --base before/Image --kernel after/Image --mail --html review.html
    """
    if mail and as_json:
        raise click.UsageError("--mail and --json exclude each other.")
    sides = _sides(base, new, tree, Flavour((), with_llvm, fragments), jobs or 0)
    with Store.open(url) as store, redirect_stdout(sys.stderr), open_screen() as screen:
        reviewer = Reviewer(
            *sides,
            store,
            modes,
            seconds,
            areas or (),
            workers or default_workers(),
            seed,
            _say,
            screen.update,
        )
        try:
            done = reviewer.run()
        except CampaignFailed as error:
            raise UserError(f"the campaign stopped: {error}") from None
    if html:
        output.write(html, page.html(done))
    _print(done, mail=mail, as_json=as_json)
    if done.has_news:
        return Exit.DIVERGENCE
    return stopped(reviewer.interrupted) if reviewer.interrupted else Exit.OK


def _print(done: Review, *, mail: bool, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done)).decode())
    else:
        click.echo(page.mail(done) if mail else page.text(done), nl=False)


def _sides(
    base: str, new: str | None, tree: Path | None, flavour: Flavour, jobs: int
) -> tuple[Side, Side]:
    """The two kernels, built if they are revisions. Raises UserError, TransportError."""
    if tree is None:
        if new is None:
            raise UserError("--kernel names the kernel to review, and is missing.", Exit.USAGE)
        if flavour != Flavour() or jobs:
            raise UserError("--with-llvm, --config and --jobs are about a --tree.", Exit.USAGE)
        return _image(base), _image(new)
    builder = TreeBuilder(tree, flavour, jobs=jobs, say=_say)
    revisions = builder.revision(base), builder.revision(new)
    one, other = (
        Side.of(builder.build(revision).kernel.release, revision.subject) for revision in revisions
    )
    return one, other


def _image(name: str) -> Side:
    if kernels.is_known(name):
        return Side.of(name)
    path = Path(name).absolute()
    if not path.exists():
        raise UserError(f"{name} is neither an Image nor a kernel's name.", Exit.USAGE)
    if ":" in str(path) or "," in str(path):
        raise UserError(f"{path}: a kernel's path must not hold ':' or ','.", Exit.USAGE)
    return Side.of(path)


def _say(text: str) -> None:
    click.echo(text, err=True)
