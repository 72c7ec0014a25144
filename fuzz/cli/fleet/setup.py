"""`vcpufuzz fleet bundle`: files with which a fleet is set up."""

from __future__ import annotations

from pathlib import Path

import click

from fuzz import output
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.plain_options import OUTPUT_DIRECTORY


@click.command()
@click.argument("into", type=OUTPUT_DIRECTORY)
@click.option("--scheduler", required=True, metavar="HOST", help="Where the scheduler runs.")
@click.option("--port", type=click.IntRange(1, 65535), default=8786, show_default=True)
@click.option(
    "--legs",
    default="model,kvm,emulator:keep",
    show_default=True,
    metavar="LEG,...",
    help="What is searched; checked when the fleet starts.",
)
@click.option(
    "--corpus", required=True, metavar="URL", help="Where cases are kept; all machines reach it."
)
@click.option(
    "--program",
    default="/opt/vcpufuzz/.venv/bin",
    show_default=True,
    metavar="DIR",
    help="Where vcpufuzz lies on all machines.",
)
@click.option("--user", default="vcpufuzz", show_default=True, help="As whom it runs.")
@click.option(
    "--database-file",
    default="/etc/vcpufuzz/database",
    show_default=True,
    metavar="FILE",
    help="A file on the leader's machine with VCPUFUZZ_DB= and the URL.",
)
@click.option(
    "--certificates",
    default="",
    metavar="DIR",
    help="Has ca.pem, cert.pem and key.pem on each machine; else nothing is encrypted.",
)
@click.option("--slots", type=click.IntRange(1, 256), default=2, show_default=True)
@click.option(
    "--memory",
    "memory_mb",
    type=click.IntRange(256, 1 << 24),
    default=4096,
    show_default=True,
    help="MB that a worker may take.",
)
@click.option(
    "--disk",
    "disk_mb",
    type=click.IntRange(256, 1 << 24),
    default=20480,
    show_default=True,
    help="MB that a worker may write: to one file, and in Kubernetes in all.",
)
@click.option(
    "--processes",
    type=click.IntRange(16, 1 << 20),
    default=512,
    show_default=True,
    help="Processes and threads that a worker may have.",
)
@click.option("--workers", type=click.IntRange(1, 10_000), default=4, show_default=True)
@click.option("--image", default="vcpufuzz:latest", show_default=True, help="The container.")
def bundle(into: Path, **answers: str | int) -> None:
    """Write systemd units, a SLURM script and a Kubernetes manifest for a fleet to INTO.

    No secret stands in them: the leader reads the database's URL from a file, or from the
    Kubernetes secret vcpufuzz-database; certificates are the secret vcpufuzz-tls.

    \b
    Example:
      vcpufuzz fleet bundle setup --scheduler fuzz.example --corpus s3://bucket/corpus
    """
    from fuzz.fleet import bundle as made  # noqa: PLC0415

    try:
        files = made.bundle(made.Answers(**answers))  # type: ignore[arg-type]
    except made.AnswerError as error:
        raise UserError(f"{error}.", Exit.USAGE) from None
    for name, text in files.items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        output.write(path, text)
        click.echo(str(path))
