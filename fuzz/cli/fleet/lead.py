"""`vcpufuzz fleet start`: plans slices, and keeps what they bring."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuzz.cli.duration import Duration
from fuzz.cli.errors import Exit, UserError, stopped
from fuzz.cli.fleet.options import (
    cluster_argument,
    json_log_option,
    place_of,
    slice_option,
    tls_options,
    wants_json,
)
from fuzz.cli.fleet.watch_options import watch_options
from fuzz.cli.options import db_option, legs_option, resolve_legs
from fuzz.cli.together import only_with

if TYPE_CHECKING:
    from fuzz.fleet.heads import Branch
    from fuzz.fleet.place import Place


@click.command()
@cluster_argument
@legs_option
@db_option
@click.option("--time", "seconds", type=Duration(), default=None, help="End after that: 8h, 7d.")
@slice_option
@click.option(
    "--floor",
    type=click.IntRange(0, 100),
    default=50,
    show_default=True,
    help="Percent of the time that all legs share evenly; the rest goes by what they bring.",
)
@click.option("--seed", type=click.IntRange(1, 2**31 - 1), default=1, show_default=True)
@click.option(
    "--corpus",
    metavar="URL",
    default="fleet-corpus",
    show_default=True,
    help="Where cases are kept: a directory, for local:N, or any URL that fsspec knows.",
)
@click.option(
    "--metrics", metavar="HOST:PORT", default="", help="Serve metrics for Prometheus there."
)
@watch_options
@tls_options
@json_log_option
def start(
    cluster: str,
    legs: str,
    url: str,
    seconds: float | None,
    slice_seconds: float,
    floor: int,
    seed: int,
    corpus: str,
    metrics: str,
    watched: tuple[str, ...],
    branches: tuple[Branch, ...],
    watch_seconds: float,
    morning: int,
    reports: Path,
    hook_file: Path | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    log_form: str,
) -> int:
    """Lead a fleet on the cluster at ADDRESS: local:N, tcp://HOST:PORT or tls://HOST:PORT.

    The legs that are not references are searched in slices of their own, each with the references,
    as long as nothing else is wished. One that was killed goes on when it is started again. Ctrl-C
    ends it at once, `fleet drain` when what runs is done.

    \b
    Example:
      vcpufuzz fleet start local:2 --legs model,emulator:keep,kvm --time 8h
      vcpufuzz fleet start tcp://192.0.2.7:8786 --db URL --corpus s3://bucket/corpus
      vcpufuzz fleet start local:1 --watch kernels --branch ~/linux:next --reports reports
      vcpufuzz fleet start local:1 --slice 10m --floor 20
    """
    from db.store import Store  # noqa: PLC0415
    from fuzz.fleet.corpus import CorpusError, CorpusStore  # noqa: PLC0415
    from fuzz.fleet.dispatch import Asked  # noqa: PLC0415
    from fuzz.fleet.fleet import Fleet  # noqa: PLC0415
    from fuzz.fleet.logs import logger  # noqa: PLC0415
    from fuzz.fleet.metrics import Metrics, MetricsError, endpoint  # noqa: PLC0415
    from fuzz.fleet.place import ClusterError  # noqa: PLC0415
    from fuzz.fleet.publish import HookError, Publisher, hook  # noqa: PLC0415
    from fuzz.fleet.watch import Rhythm, watching  # noqa: PLC0415

    only_with(("watch_seconds", "morning", "reports", "hook_file"), "--watch", "--branch")
    where = place_of(cluster, tls_ca, tls_cert, tls_key)
    asked = Asked(resolve_legs(legs, None), slice_seconds, floor / 100, seed)
    numbers = Metrics()
    try:
        if metrics:
            numbers.serve(endpoint(metrics))
        cases = CorpusStore(_reached(corpus, where))
        cases.check()
        with Store.open(url) as store, ThreadPoolExecutor(1, "watch") as beside:
            say = logger(wants_json(log_form)).info
            watch = None
            if watched or branches:
                rhythm = Rhythm(campaign_s=watch_seconds, morning=morning)
                url_of_hook = hook(hook_file) if hook_file else ""
                publish = Publisher(reports, url_of_hook, say, beside)
                watch = watching(store, bool(watched), branches, rhythm, beside, publish, say)
            most = seconds or float("inf")
            fleet = Fleet(store, where, asked, cases, say, most, numbers, watch)
            fleet.run()
    except (ClusterError, CorpusError, HookError, MetricsError) as error:
        raise UserError(str(error)) from None
    done = ", ".join(f"{count} {kind}" for kind, count in sorted(fleet.done.items())) or "none"
    click.echo(f"slices done: {done}; new buckets: {fleet.new_buckets}")
    if fleet.new_buckets:
        return Exit.DIVERGENCE
    return stopped(fleet.stopped_by) if fleet.stopped_by else Exit.OK


def _reached(corpus: str, where: Place) -> str:
    """The corpus as workers find it, who have other working directories. Raises UserError."""
    from fuzz.fleet.corpus import SHARED, is_url  # noqa: PLC0415

    if not corpus.strip():
        raise UserError("the corpus has no name: give --corpus a directory or a URL.", Exit.USAGE)
    if is_url(corpus):
        return corpus
    if not where.local:
        raise UserError(
            f"the corpus {corpus} is a directory of each machine: {SHARED}.", Exit.USAGE
        )
    return str(Path(corpus).absolute())
