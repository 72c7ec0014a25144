"""Options of a fleet that watches kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuzz.cli.duration import Duration
from fuzz.cli.plain_options import OUTPUT_DIRECTORY

if TYPE_CHECKING:
    from fuzz.fleet.heads import Branch


class BranchOf(click.ParamType["Branch"]):
    """`TREE:BRANCH`: a directory with a kernel's git repository, and a branch of it."""

    name = "branch"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Branch:
        from fuzz.fleet.heads import Branch  # noqa: PLC0415

        tree, colon, name = str(value).rpartition(":")
        if not colon or not tree or not name or not name.isprintable():
            self.fail(f"{value!r} is no branch of a tree such as ~/linux:next.", param, ctx)
        path = Path(tree).expanduser()
        try:
            there = (path / ".git").exists() or (path / "HEAD").exists()
        except (OSError, ValueError):
            there = False
        if not there:
            self.fail(f"{tree} is no git repository.", param, ctx)
        return Branch(path.absolute(), name)


def watch_options(command: Callable[..., Any]) -> Any:
    """What is watched, and where reports go."""
    for option in (
        click.option(
            "--webhook-file",
            "hook_file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Holds a URL to which reports are posted as JSON; only its owner may read it.",
        ),
        click.option(
            "--reports",
            type=OUTPUT_DIRECTORY,
            default="fleet-reports",
            show_default=True,
            help="Where reports are written, as text, HTML and JSON.",
        ),
        click.option(
            "--morning",
            type=click.IntRange(0, 23),
            default=6,
            show_default=True,
            help="The hour, in UTC, of the daily report.",
        ),
        click.option(
            "--watch-time",
            "watch_seconds",
            type=Duration(),
            default="10m",
            show_default=True,
            help="How long a new kernel is searched at once.",
        ),
        click.option(
            "--branch",
            "branches",
            multiple=True,
            type=BranchOf(),
            metavar="TREE:BRANCH",
            help="Watch a branch of a kernel tree, too; may be given several times.",
        ),
        click.option(
            "--watch",
            "watched",
            multiple=True,
            type=click.Choice(["kernels"]),
            help="Run kept cases and a short campaign on each packaged kernel that appears.",
        ),
    ):
        command = option(command)
    return command
