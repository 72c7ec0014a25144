"""`vcpufuzz lab`: the kernels in QEMU, looked at by hand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import click
from click.core import ParameterSource

from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import json_option
from fuzz.cli.table import Column, print_table
from fuzz.cli.tree_options import tree_options
from targets.catalogue import offers
from targets.kvm import legname
from targets.kvm.lab import build as small_kernel
from targets.kvm.lab import kernels
from targets.kvm.lab.transport import LabTransport
from targets.kvm.lab.treebuild import Flavour, TreeBuilder
from targets.legs import default_kvm
from targets.transport import Transport

_KERNEL_COLUMNS = (
    *(Column("Release"), Column("Suite"), Column("Package")),
    *(Column("MiB", "right"), Column("Image", wrap=True)),
)

_LEG_COLUMNS = (Column("Leg"), Column("State"), Column("Reason", wrap=True))

_leg = click.argument("leg", default=default_kvm)


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
    type=click.Choice(list(kernels.PACKAGES)),
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
    releases = (*kernels.RELEASES, *kernels.of_trees())
    found = {release: kernels.cached(release) for release in releases}
    kept = {r: kernel for r, kernel in found.items() if kernel or r in kernels.PACKAGES}
    if as_json:
        told = [
            {
                "release": release,
                "suite": _suite(release),
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
            _suite(release),
            kernel.package_version if kernel else "fetched when first used",
            f"{kernel.path.stat().st_size / 2**20:.1f}" if kernel else "",
            str(kernel.path) if kernel else "",
        )
        for release, kernel in kept.items()
    ]
    print_table(_KERNEL_COLUMNS, rows)


@lab.command("legs")
@json_option
def legs_(as_json: bool) -> None:
    """List every leg this machine can offer, and what a leg still needs.

    Shell patterns over these names serve in --legs; a leg with `vq=` only matches a
    pattern that has it, too.

    \b
    Example:
      vcpufuzz lab legs
      vcpufuzz run --legs 'model,kvm:6.12:*'
    """
    found = offers()
    if as_json:
        told = [
            {"name": o.name, "kind": o.kind, "state": o.state.value, "reason": o.reason}
            for o in found
        ]
        click.echo(json.dumps(told, indent=2))
        return
    print_table(_LEG_COLUMNS, [(o.name, o.state.value, o.reason) for o in found])


@lab.command()
@click.option(
    "--source",
    type=click.Choice(list(kernels.SUITES)),
    default="6.12",
    show_default=True,
    help="The release whose source to build.",
)
@click.option("--kasan", is_flag=True, help="Let the kernel check its memory accesses.")
@click.option("--lockdep", is_flag=True, help="Let the kernel check its locking.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Compilers at once; one per CPU if unset."
)
@click.option("--again", is_flag=True, help="Build even if one is kept.")
@tree_options
@click.option(
    "--commit",
    metavar="REV",
    help="The revision of --tree to build; by default the directory as it stands.",
)
@click.pass_context
def build(
    ctx: click.Context,
    source: str,
    kasan: bool,
    lockdep: bool,
    jobs: int | None,
    again: bool,
    tree: Path | None,
    commit: str | None,
    with_llvm: bool,
    fragments: tuple[Path, ...],
) -> None:
    """Build a small, fast kernel with little more than KVM, from Debian's source or your own.

    Takes minutes. Of Debian's source its leg is called kvm:small-RELEASE:MODE, and
    kvm:small-6.12:vhe becomes the default KVM leg. Of a tree it is called
    kvm:DIRECTORY@COMMIT:MODE; the tree is only read, and its next revision takes as long as
    what that changes.

    \b
    Example:
      vcpufuzz lab build --source 6.12
      vcpufuzz lab build --source newest --kasan
      vcpufuzz lab build --tree ~/linux
      vcpufuzz lab build --tree ~/linux --commit HEAD~3 --with-llvm
    """
    checks = [name for name, on in (("kasan", kasan), ("lockdep", lockdep)) if on]
    _check_options(ctx, tree)
    started = time.monotonic()
    if tree is None:
        kernel = small_kernel.build(source, checks, jobs=jobs or 0, again=again, say=_progress)
    else:
        flavour = Flavour(tuple(checks), with_llvm, fragments)
        builder = TreeBuilder(tree, flavour, jobs=jobs or 0, say=_progress)
        kernel = builder.build(builder.revision(commit), again=again).kernel
    size = kernel.path.stat().st_size / 2**20
    click.echo(
        f"kvm:{kernel.release}:vhe is ready: {kernel.package_version}, {size:.1f} MiB,"
        f" after {time.monotonic() - started:.0f} s."
    )


@lab.command()
@click.argument("patterns", nargs=-1, required=True, metavar="KERNEL...")
@click.option("--dry-run", is_flag=True, help="Only say which kernels these are.")
def prune(patterns: tuple[str, ...], dry_run: bool) -> None:
    """Remove built kernels from the cache, by name or by shell patterns over their names.

    Building one again takes minutes. Fetched kernels are not removed.

    \b
    Example:
      vcpufuzz lab prune 'linux@*' --dry-run
      vcpufuzz lab prune small-6.12-kasan
    """
    there = [name for name in (*kernels.BUILDS, *kernels.of_trees()) if kernels.cached(name)]
    chosen: list[str] = []
    for pattern in patterns:
        matching = [name for name in there if fnmatchcase(name, pattern)]
        if not matching:
            raise UserError(
                f"no built kernel is called {pattern!r}: see vcpufuzz lab kernels.", Exit.USAGE
            )
        chosen += matching
    for name in dict.fromkeys(chosen):
        if dry_run:
            click.echo(f"{name} would be removed.")
        else:
            click.echo(f"{name} is removed: {kernels.forget(name) / 2**20:.1f} MiB.")


def _check_options(ctx: click.Context, tree: Path | None) -> None:
    """Raises UserError for options that do not go together."""
    given = ctx.get_parameter_source("source") is not ParameterSource.DEFAULT
    if tree is not None and given:
        raise UserError("--source and --tree exclude each other.", Exit.USAGE)
    for name in ("commit", "with_llvm", "fragments"):
        if tree is None and ctx.params[name]:
            option = next(p.opts[0] for p in ctx.command.params if p.name == name)
            raise UserError(f"{option} is about a --tree, and none is named.", Exit.USAGE)


def _progress(text: str) -> None:
    click.echo(text, err=True)


@lab.command()
@_leg
@json_option
def boot(leg: str, as_json: bool) -> None:
    """Boot LEG (the default KVM leg if none is named) and print what it says of itself.

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
    """Boot LEG (the default KVM leg if none is named) and print what its kernel logged meanwhile.

    \b
    Example:
      vcpufuzz lab log kvm:6.12:protected
    """
    with _started(leg) as (transport, _):
        if not isinstance(transport, LabTransport):
            raise UserError(f"{leg} does not boot a kernel, so there is no log", Exit.USAGE)
        click.echo(transport.boot_log.strip() or "The kernel logged nothing of note.")


def _suite(release: str) -> str:
    """The Debian suite that a kernel, or the source it is built of, comes from; "tree" for one
    of the user's own."""
    if kernels.is_tree(release):
        return "tree"
    return kernels.SUITES[kernels.source_of(release)]


@contextmanager
def _started(leg: str) -> Iterator[tuple[Transport, dict[str, str]]]:
    """The leg's transport, started, and the facts its probe told."""
    transport = legname.open_transport(legname.parse(leg))
    try:
        _say(f"booting {leg} ...")
        yield transport, dict(transport.start())
    finally:
        transport.close()


def _say(progress: str) -> None:
    """Tell a watching person why it takes time."""
    if sys.stderr.isatty():
        click.echo(progress, err=True)
