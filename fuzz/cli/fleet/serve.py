"""`vcpufuzz fleet worker`: this machine does slices of a fleet elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from fuzz.cli.errors import Exit, UserError, stopped
from fuzz.cli.fleet.options import (
    cluster_argument,
    json_log_option,
    place_of,
    tls_options,
    wants_json,
)
from fuzz.cli.plain_options import LARGEST


@click.command()
@cluster_argument
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    default=None,
    help="Slices that it does at once, each in a process of its own.  [default: one per CPU]",
)
@click.option(
    "--memory",
    "memory",
    type=click.IntRange(256, LARGEST),
    default=None,
    metavar="MB",
    help="What slices may take together.  [default: all of this machine]",
)
@click.option("--name", default="", help="What it is called.  [default: by the host]")
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    default="",
    help="Serve metrics for Prometheus there; further processes take the next ports.",
)
@click.option(
    "--contact",
    metavar="HOST:PORT",
    default="",
    help="Where the scheduler reaches this machine, as behind a NAT that leads that port here;"
    " further processes take the next ports.  [default: an address of this machine, any port]",
)
@tls_options
@json_log_option
def worker(
    cluster: str,
    slots: int | None,
    memory: int | None,
    name: str,
    metrics: str,
    contact: str,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    log_form: str,
) -> int:
    """Do slices for the scheduler at ADDRESS: tcp://HOST:PORT or tls://HOST:PORT.

    A scheduler that is lost is looked for until it is back. Ctrl-C or SIGTERM ends it; what it was
    at is done elsewhere.

    \b
    Example:
      dask scheduler --port 8786
      vcpufuzz fleet worker tcp://192.0.2.7:8786
      vcpufuzz fleet worker tcp://192.0.2.7:8786 --slots 2 --contact 198.51.100.4:9000
      vcpufuzz fleet worker tls://192.0.2.7:8786 --tls-ca ca.pem --tls-cert w.pem --tls-key w.key
    """
    from fuzz.fleet.logs import logger  # noqa: PLC0415
    from fuzz.fleet.metrics import MetricsError, endpoint  # noqa: PLC0415
    from fuzz.fleet.place import ClusterError  # noqa: PLC0415
    from fuzz.fleet.worker import Post, serve  # noqa: PLC0415

    where = place_of(cluster, tls_ca, tls_cert, tls_key)
    if where.local:
        raise UserError("local:N has its workers already: name a scheduler.", Exit.USAGE)
    try:
        at = endpoint(metrics) if metrics else None
        reached = endpoint(contact) if contact else None
        post = Post(name, slots or 0, memory or 0, at, reached)
        number = serve(where, post, logger(wants_json(log_form)).info)
    except MetricsError as error:
        raise UserError(str(error), Exit.USAGE) from None
    except ClusterError as error:
        raise UserError(str(error)) from None
    return stopped(number)
