"""`vcpufuzz fleet`: campaigns that never end, on as many machines as there are."""

from __future__ import annotations

import click

from fuzz.cli.fleet.lead import start
from fuzz.cli.fleet.look import drain, status, stop
from fuzz.cli.fleet.serve import worker
from fuzz.cli.fleet.setup import bundle
from fuzz.cli.fleet.size import simulate


@click.group()
def fleet() -> None:
    """Campaigns that never end, on as many machines as there are.

    A fleet process plans slices of work, workers do them, a store keeps what they find. Each of
    the three may be lost and come back.

    \b
    Example:
      vcpufuzz fleet start local:2 --legs model,emulator:keep --time 1h
      vcpufuzz fleet status
    """


for _command in (start, worker, status, drain, stop, bundle, simulate):
    fleet.add_command(_command)
