"""`vcpufuzz run`: a campaign."""

from __future__ import annotations

import os
import re
import tempfile
from enum import StrEnum
from pathlib import Path

import click

from db.store import Store
from fuzz.campaign.campaign import Campaign, CampaignFailed, CampaignOptions
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import db_option, kernel_option, legs_option, resolve_legs
from fuzz.cli.screen import open_screen, print_summary, write_json


class FailOn(StrEnum):
    """What a campaign has to find to end with another exit code than 0."""

    NEW_STRICT = "new-strict"
    NEW = "new"
    ANY = "any"
    NEVER = "never"


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`90`, `90s`, `10m`, `2h`, `1d`: seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if not match:
            self.fail(f"{value!r} is no duration such as 90s, 10m or 2h.", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@click.option("--time", "seconds", type=Duration(), default=None, help="How long: 90s, 10m, 2h.")
@click.option("--cases", type=click.IntRange(1), default=None, help="How many cases at most.")
@legs_option
@kernel_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=None,
    help="Fuzzing processes, each with guests of its own.  [default: one per two CPUs]",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="0: a random one.")
@db_option
@click.option(
    "--corpus",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep interesting cases here; else a private directory is used and removed.",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write totals."
)
@click.option(
    "--kernel-coverage/--no-kernel-coverage",
    default=True,
    help="Steer by what cases reach in the lab's kernels, and keep it (on by default).",
)
@click.option(
    "--reuse-vms",
    is_flag=True,
    help="Run cases in VMs that served others, which is faster; divergences still have to show"
    " in a fresh one.",
)
@click.option(
    "--fail-on",
    type=click.Choice([what.value for what in FailOn]),
    default=FailOn.NEW.value,
    show_default=True,
    help="Which divergences end in exit code 77: those of strict rules that no campaign before"
    " saw, all that none saw, any, or none. Anything but `never` ends a hang in 70.",
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def run(
    seconds: float | None,
    cases: int | None,
    legs: str,
    kernel: Path | None,
    workers: int | None,
    seed: int,
    url: str,
    corpus: Path | None,
    json_file: Path | None,
    kernel_coverage: bool,
    reuse_vms: bool,
    fail_on: str,
    flags: tuple[str, ...],
) -> int:
    """Fuzz: generate cases, run each on every leg, keep what diverges.

    Without --time and --cases it runs until Ctrl-C. FLAGS after `--` go to libFuzzer.

    \b
    Example:
      vcpufuzz run --time 10m
      vcpufuzz run --reuse-vms --workers 2
      vcpufuzz run --time 5m --fail-on new-strict
      vcpufuzz run --legs model,mutant:finalize-twice --cases 5000 --seed 7
      vcpufuzz run --time 1h --kernel arch/arm64/boot/Image -- -use_value_profile=1
    """
    names = resolve_legs(legs, kernel)
    _check_writable(json_file)
    options = CampaignOptions(
        legs=names,
        seconds=seconds or 0.0,
        cases=cases or 0,
        workers=workers or default_workers(),
        seed=seed,
        corpus=corpus,
        flags=flags,
        kernel_coverage=kernel_coverage,
        reuse_vms=reuse_vms,
    )
    with Store.open(url) as store:
        with open_screen() as screen:
            campaign = Campaign(options, store, screen.update)
            try:
                status = campaign.run()
            except CampaignFailed as failure:
                raise UserError(f"the campaign stopped: {failure}") from None
            finally:
                if json_file:
                    write_json(json_file, campaign.summary())
        print_summary(status)
    return exit_code(campaign, FailOn(fail_on))


def default_workers() -> int:
    """One per two CPUs that this process may use: a worker and its guest keep both busy."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def exit_code(campaign: Campaign, fail_on: FailOn) -> int:
    """77 for divergences of the kind asked for, 70 when a target hung, 0 otherwise."""
    if fail_on is FailOn.NEVER:
        return Exit.OK
    if campaign.hangs:
        return Exit.HANG
    counted = {
        FailOn.NEW_STRICT: campaign.new_strict,
        FailOn.NEW: campaign.new_buckets,
        FailOn.ANY: campaign.buckets,
    }
    return Exit.DIVERGENCE if counted[fail_on] else Exit.OK


def _check_writable(path: Path | None) -> None:
    """Find out now, not after hours, that the totals cannot be written."""
    if path is None:
        return
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"{path} cannot be written: {why.lower()}", Exit.USAGE) from None
