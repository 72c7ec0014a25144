"""Options of commands that build kernels from a tree of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_Command = Callable[..., Any]

tree_option = click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A kernel tree of your own; it is only read.",
)


def flavour_options(command: _Command) -> _Command:
    """How a tree is built."""
    fragment = click.option(
        "--config",
        "fragments",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="FRAGMENT",
        help="A file of options, over those of a small kernel; may be given several times.",
    )
    llvm = click.option("--with-llvm", is_flag=True, help="Build with clang and lld.")
    return llvm(fragment(command))


def tree_options(command: _Command) -> _Command:
    """A tree, and how it is built."""
    return tree_option(flavour_options(command))
