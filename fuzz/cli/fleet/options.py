"""Options that several commands of a fleet share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuzz.cli.duration import Duration
from fuzz.cli.errors import Exit, UserError

if TYPE_CHECKING:
    from fuzz.fleet.place import Place

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)

cluster_argument = click.argument("cluster", metavar="ADDRESS")

slice_option = click.option(
    "--slice",
    "slice_seconds",
    type=Duration(),
    default="5m",
    show_default=True,
    help="How long a campaign in a slice takes.",
)

json_log_option = click.option(
    "--log",
    "log_form",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="What is said on standard error: lines for people, or JSON; auto is JSON in a pipe.",
)


def tls_options(command: Callable[..., Any]) -> Any:
    """Files of TLS."""
    for option in (
        click.option("--tls-key", type=_FILE, help="The key of that certificate."),
        click.option("--tls-cert", type=_FILE, help="This process's certificate."),
        click.option(
            "--tls-ca", type=_FILE, help="The authority that all certificates must come from."
        ),
    ):
        command = option(command)
    return command


def place_of(
    cluster: str, tls_ca: Path | None, tls_cert: Path | None, tls_key: Path | None
) -> Place:
    """Where a cluster is, with what it takes to get in. Raises UserError."""
    from fuzz.fleet.place import Certificates, ClusterError, place  # noqa: PLC0415

    certificates = None
    if tls_ca and tls_cert and tls_key:
        certificates = Certificates(tls_ca, tls_cert, tls_key)
    elif tls_ca or tls_cert or tls_key:
        raise UserError("--tls-ca, --tls-cert and --tls-key go together.", Exit.USAGE)
    try:
        if certificates is not None:
            certificates.check()
        return place(cluster, certificates)
    except ClusterError as error:
        raise UserError(str(error), Exit.USAGE) from None


def wants_json(log_form: str) -> bool:
    """Whether the log is for machines."""
    if log_form == "auto":
        return not sys.stderr.isatty()
    return log_form == "json"
