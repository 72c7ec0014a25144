"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path

import click

from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import db_option, json_option
from targets.catalogue import expand, is_pattern, offers
from targets.kvm.legname import is_lab
from targets.legs import DEFAULT_LEGS, UnknownLeg, check

__all__ = ["db_option", "json_option", "kernel_option", "legs_option", "resolve_legs"]

legs_option = click.option(
    "--legs",
    metavar="LEG,...",
    default=",".join(DEFAULT_LEGS),
    show_default=True,
    help="What to run cases on: model, kvm, kvm:RELEASE:MODE, kvm:native,"
    " kvm:tcp=HOST:PORT, emulator:keep, mutant:NAME, ...,"
    " or shell patterns such as 'kvm:6.12:*'.",
)

kernel_option = click.option(
    "--kernel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An arm64 Image of your own; it takes the place of the kvm leg's kernel.",
)


def resolve_legs(text: str, kernel: Path | None) -> tuple[str, ...]:
    """Leg names from `--legs`, with `--kernel` put in. Raises UserError."""
    names = [name for name in _split(text) if name]
    image = str(kernel.absolute()) if kernel else ""
    if image:
        if ":" in image or "," in image:
            raise UserError(f"{image}: a kernel's path must not hold ':' or ','.", Exit.USAGE)
        names = [_with_kernel(name, image) for name in names]
    names = [leg for name in names for leg in _expand(name, kernel)]
    if image and not any(f":{image}" in name for name in names):
        raise UserError(
            f"--kernel takes the place of a kvm leg's kernel, and {text!r} has none of the lab.",
            Exit.USAGE,
        )
    if not names:
        raise UserError("no leg is named: give --legs at least one.", Exit.USAGE)
    try:
        check(names)
    except UnknownLeg as error:
        raise UserError(str(error), Exit.USAGE) from None
    return tuple(dict.fromkeys(names))


def resolve_leg(text: str, why: str) -> str:
    """The one leg that is named; `why` there is only one, as the end of a sentence. Raises
    UserError."""
    names = resolve_legs(text, None)
    if len(names) > 1:
        raise UserError(f"{', '.join(names)}: {why}.", Exit.USAGE)
    return names[0]


def _expand(name: str, kernel: Path | None) -> list[str]:
    """The legs that a pattern stands for; a name stands for itself. Raises UserError."""
    if not is_pattern(name):
        return [name]
    matching = expand(name, offers([str(kernel.absolute())] if kernel else []))
    if not matching:
        raise UserError(
            f"no leg that this machine can have matches {name!r}: see vcpufuzz lab legs.",
            Exit.USAGE,
        )
    return matching


def _split(text: str) -> list[str]:
    """Commas separate legs, but not the numbers of `vq=1,2,4`."""
    return [part.strip() for part in re.split(r",(?!\d)", text)]


def _with_kernel(name: str, image: str) -> str:
    family, _, rest = name.partition(":")
    if family != "kvm" or not is_lab(name):
        return name
    _, _, options = rest.partition(":")
    return f"kvm:{image}:{options}" if options else f"kvm:{image}"
