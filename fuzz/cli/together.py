"""Options that belong to one use of a command: what would be ignored is refused instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import click
from click.core import ParameterSource


def use_of(uses: Mapping[str, Collection[str]]) -> str:
    """Which use of the current command is meant: the option that asks for it, or "" for what the
    command does by itself. `uses`: by that option, the names of parameters that it takes; those
    that none names go with all. Raises UsageError for two uses at once, and for what the one does
    not take."""
    given = _given()
    meant = [option for option in given.values() if option in uses]
    if len(meant) > 1:
        raise click.UsageError(f"{meant[0]} and {meant[1]} exclude each other.")
    use = meant[0] if meant else ""
    for name, option in given.items():
        takers = [other for other, taken in uses.items() if name in taken]
        if takers and use not in takers:
            alone = "" in takers
            said = f"is nothing for {use}" if alone else f"goes with {' and '.join(takers)}"
            raise click.UsageError(f"{option} {said}.")
    return use


def only_with(names: Collection[str], *options: str) -> None:
    """Refuse parameters that none of some options, of which each will do, was given for. Raises
    UsageError."""
    given = _given()
    alone = [option for name, option in given.items() if name in names]
    if alone and not set(given.values()) & set(options):
        raise click.UsageError(f"{alone[0]} goes with {' or '.join(options)}.")


def _given() -> dict[str, str]:
    """What stands on the command line, by the name of the parameter."""
    context = click.get_current_context()
    return {
        param.name or "": param.opts[0]
        for param in context.command.params
        if context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    }
