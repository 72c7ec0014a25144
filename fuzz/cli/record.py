"""`vcpufuzz record`: what a VMM asks of KVM, as a case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpus.domain import TextError
from fuzz import stopping
from fuzz.cli.errors import Exit, UserError, stopped
from fuzz.cli.inputs import read_within
from fuzz.cli.plain_options import COUNT, LARGEST, OUTPUT_FILE
from fuzz.cli.together import use_of
from fuzz.output import STDOUT, write

MOST = 1 << 30
"""Bytes of a log that is read."""

if TYPE_CHECKING:
    from targets.kvm.recorder.recorded import Recorded


@click.command("record")
@click.argument("command", nargs=-1)
@click.option(
    "--out",
    type=OUTPUT_FILE,
    default="recorded.case",
    show_default=True,
    help="Where the case goes; - is standard output.",
)
@click.option("--lab", "leg", metavar="KERNEL:MODE", help="Run COMMAND in the lab instead of here.")
@click.option(
    "--package",
    "packages",
    metavar="NAME",
    multiple=True,
    help="With --lab: a package of Debian's that COMMAND needs, e.g. qemu-system-arm.",
)
@click.option(
    "--bring",
    "brought",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="With --lab: a file that COMMAND finds in its directory.",
)
@click.option(
    "--seconds",
    type=click.IntRange(0, 86400),
    default=0,
    help="Tell COMMAND to end after so many; 0: never, but in the lab after 60.",
)
@click.option("--vm", type=COUNT, help="Which VM, from 1 on.  [default: the first run]")
@click.option(
    "--vcpu", type=click.IntRange(0, LARGEST), help="Which vcpu, by id.  [default: the first]"
)
@click.option("--log", type=OUTPUT_FILE, help="Keep the recorder's log in this file.")
@click.option(
    "--read",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take a log that was kept instead of running COMMAND.",
)
def record(
    command: tuple[str, ...],
    out: Path,
    leg: str | None,
    packages: tuple[str, ...],
    brought: tuple[Path, ...],
    seconds: int,
    vm: int | None,
    vcpu: int | None,
    log: Path | None,
    kept: Path | None,
) -> int:
    """Run COMMAND, a VMM, and write what it asks of KVM for one vcpu as a case, which `explain`
    walks through and `exec` runs. It needs arm64 with /dev/kvm, or --lab.

    \b
    Example:
      vcpufuzz record -- ./vmm --cpus 2
      vcpufuzz record --lab 6.12:vhe --package qemu-system-arm -- \\
          qemu-system-aarch64 -M virt -accel kvm -cpu host -display none
      vcpufuzz explain recorded.case
    """
    from fuzz.record.log import read, with_leg  # noqa: PLC0415
    from fuzz.record.written import NotRecorded, written  # noqa: PLC0415

    _check(command, leg, packages, brought, kept)
    if kept is not None and out.exists() and out.samefile(kept):
        raise UserError(f"{out}: it is the log that is read, which would be lost.", Exit.USAGE)
    use_of({"": ("seconds",), "--lab": ("seconds",), "--read": ()})
    number = 0
    if kept is not None:
        text = read_within(kept, MOST).decode("utf-8", "replace")
    else:
        done, number = _recorded(command, leg, seconds, packages, brought)
        text = with_leg(done.log, done.leg)
    if log is not None:
        write(log, text)
    try:
        told = read(text)
        case = written(told, vm, vcpu)
    except TextError as error:
        raise TextError(f"{kept}: {error}" if kept else str(error)) from None
    except NotRecorded as error:
        raise UserError(f"{kept}: {error}" if kept else str(error)) from None
    write(out, case.text)
    to_people = out == STDOUT
    remarks = sum(case.remarks.values())
    if told.code is None:
        ended = "; the log ends before the command did."
    else:
        ended = f"; the command ended with {told.code}." if told.code else "."
    click.echo(
        f"{case.ops} ops, and {remarks} calls in remarks, are in {out}{ended}", err=to_people
    )
    for name, count in sorted(case.failed.items()):
        click.echo(f"{count} of them failed with {name}.", err=to_people)
    if kept is None and told.code is None:
        raise UserError(f"the recorder broke off, so {out} is of what it had logged.")
    return stopped(number) if number else Exit.OK


def _check(
    command: tuple[str, ...],
    leg: str | None,
    packages: tuple[str, ...],
    brought: tuple[Path, ...],
    kept: Path | None,
) -> None:
    """Raises UserError for options that do not go together."""
    if kept is not None and (command or leg is not None):
        raise UserError("--read takes a log instead of running COMMAND.", Exit.USAGE)
    if kept is None and not command:
        raise UserError("name a COMMAND to record, after --.", Exit.USAGE)
    if leg is None and (packages or brought):
        raise UserError("--package and --bring are for --lab.", Exit.USAGE)


def _recorded(
    command: tuple[str, ...],
    leg: str | None,
    seconds: int,
    packages: tuple[str, ...],
    brought: tuple[Path, ...],
) -> tuple[Recorded, int]:
    """What was recorded, and the signal that asked for an end meanwhile, or 0. Raises UserError,
    TransportError."""
    from fuzz.cli.options import resolve_leg  # noqa: PLC0415
    from targets.kvm.recorder import lab, recorded  # noqa: PLC0415

    number = 0
    if leg is None:
        with stopping.patiently() as asked:
            done = recorded.run(command, seconds, lambda: asked.number)
        number = asked.number
    else:
        name = leg if leg.startswith("kvm:") else f"kvm:{leg}"
        name = resolve_leg(name, "COMMAND is run on one leg")
        done = lab.run(name, command, seconds or lab.LIMIT_S, packages, brought)
        click.echo(done.output, nl=False, err=True)
    done.check(command[0])
    return done, number
