"""`vcpufuzz lab`: the kernels in QEMU, looked at by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import json_option
from fuzz.cli.table import Column, print_table
from fuzz.legs import DEFAULT_KVM
from targets.kvm import legs
from targets.kvm.lab import kernels
from targets.kvm.lab.transport import LabTransport
from targets.transport import Transport

_KERNEL_COLUMNS = (
    *(Column("Release"), Column("Suite"), Column("Package")),
    *(Column("MiB", "right"), Column("Image", wrap=True)),
)

_leg = click.argument("leg", default=DEFAULT_KVM)


@click.group()
def lab() -> None:
    """Look after the kernels that run in QEMU.

    \b
    Example:
      vcpufuzz lab kernels
      vcpufuzz lab boot kvm:6.12:nvhe:vq=1,2,4
    """


@lab.command("kernels")
@click.option(
    "--refresh",
    type=click.Choice(list(kernels.SUITES)),
    multiple=True,
    help="Fetch this release now, even if one is kept.",
)
@json_option
def kernels_(refresh: tuple[str, ...], as_json: bool) -> None:
    """List the kernels that can be had, and which are already here.

    \b
    Example:
      vcpufuzz lab kernels --refresh newest
    """
    for release in refresh:
        _say(f"fetching kernel {release} ...")
        kernels.fetch(release, refresh=True)
    kept = {release: kernels.cached(release) for release in kernels.SUITES}
    if as_json:
        told = [
            {
                "release": release,
                "suite": kernels.SUITES[release],
                "package": kernel.package_version if kernel else None,
                "sha256": kernel.sha256 if kernel else None,
                "path": str(kernel.path) if kernel else None,
            }
            for release, kernel in kept.items()
        ]
        click.echo(json.dumps(told, indent=2))
        return
    rows = [
        (
            release,
            kernels.SUITES[release],
            kernel.package_version if kernel else "fetched when first used",
            f"{kernel.path.stat().st_size / 2**20:.1f}" if kernel else "",
            str(kernel.path) if kernel else "",
        )
        for release, kernel in kept.items()
    ]
    print_table(_KERNEL_COLUMNS, rows)


@lab.command()
@_leg
@json_option
def boot(leg: str, as_json: bool) -> None:
    """Boot LEG (kvm:6.12:vhe if none is named) and print what it says of itself.

    \b
    Example:
      vcpufuzz lab boot kvm:6.1:nvhe
    """
    with _started(leg) as (_, facts):
        if as_json:
            click.echo(json.dumps(facts, indent=2))
        else:
            click.echo("\n".join(f"{key}={value}" for key, value in facts.items()))


@lab.command()
@_leg
def log(leg: str) -> None:
    """Boot LEG (kvm:6.12:vhe if none is named) and print what its kernel logged meanwhile.

    \b
    Example:
      vcpufuzz lab log kvm:6.12:protected
    """
    with _started(leg) as (transport, _):
        if not isinstance(transport, LabTransport):
            raise UserError(f"{leg} does not boot a kernel, so there is no log", Exit.USAGE)
        click.echo(transport.boot_log.strip() or "The kernel logged nothing of note.")


@contextmanager
def _started(leg: str) -> Iterator[tuple[Transport, dict[str, str]]]:
    """The leg's transport, started, and the facts its probe told."""
    transport = legs.open_transport(legs.parse(leg))
    try:
        _say(f"booting {leg} ...")
        yield transport, dict(transport.start())
    finally:
        transport.close()


def _say(progress: str) -> None:
    """Tell a watching person why it takes time."""
    if sys.stderr.isatty():
        click.echo(progress, err=True)
