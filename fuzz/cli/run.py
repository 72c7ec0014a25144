"""`vcpufuzz run`: a campaign."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import click

from db.store import Store
from fuzz.campaign.campaign import Campaign
from fuzz.campaign.options import CampaignFailed, CampaignOptions
from fuzz.campaign.status import CampaignStatus
from fuzz.cli.duration import Duration
from fuzz.cli.errors import Exit, UserError, stopped
from fuzz.cli.feedback_option import feedback_option
from fuzz.cli.options import db_option, kernel_option, legs_option, resolve_legs
from fuzz.cli.plain_options import COUNT, OUTPUT_DIRECTORY, OUTPUT_FILE, STDOUT
from fuzz.cli.screen import Screen, open_screen, print_summary, write_json
from fuzz.output import OutputError
from fuzz.stopping import Stopped
from fuzz.worker.engines import ENGINES
from fuzz.worker.flags import FlagError
from fuzz.worker.flags import check as check_flags


class FailOn(StrEnum):
    """What a campaign has to find to end with another exit code than 0."""

    NEW_STRICT = "new-strict"
    NEW = "new"
    ANY = "any"
    NEVER = "never"


@click.command()
@click.option("--time", "seconds", type=Duration(), default=None, help="How long: 90s, 10m, 2h.")
@click.option("--cases", type=COUNT, default=None, help="How many cases at most.")
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
    type=OUTPUT_DIRECTORY,
    help="Keep interesting cases here; else a private directory is used and removed.",
)
@click.option("--json", "json_file", type=OUTPUT_FILE, help="Write totals; - prints them.")
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
@feedback_option
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=ENGINES[0],
    show_default=True,
    help="What makes cases: libFuzzer, or Hypothesis, which also runs where there is no atheris.",
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
    feedback: tuple[str, ...],
    engine: str,
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
    try:
        check_flags(flags)
    except FlagError as error:
        raise UserError(str(error), Exit.USAGE) from None
    _check_engine(engine, flags)
    names = resolve_legs(legs, kernel)
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
        feedback=feedback,
        engine=engine,
    )
    stdout = sys.stdout
    # Totals on standard output are for a program: what is for people goes beside.
    with redirect_stdout(sys.stderr if json_file == STDOUT else stdout):
        campaign, failure = _watched(
            options, url, lambda done: _write_totals(json_file, stdout, done)
        )
    if failure is not None:
        raise failure
    return exit_code(campaign, FailOn(fail_on))


def _check_engine(engine: str, flags: tuple[str, ...]) -> None:
    if engine == "hypothesis" and flags:
        raise UserError(f"{flags[0]}: Hypothesis has no flags of libFuzzer.", Exit.USAGE)
    if engine == "libfuzzer" and find_spec("atheris") is None:
        raise UserError(
            "atheris is not installed, without which there is no libFuzzer: try --engine"
            " hypothesis.",
            Exit.UNAVAILABLE,
        )


def _watched(
    options: CampaignOptions, url: str, write_totals: Callable[[Campaign], None]
) -> tuple[Campaign, BaseException | None]:
    """A campaign from its start to its last word, and what ended it if it was not its budget.
    However it ends, what it found is told and written first."""
    failure: BaseException | None = None
    with Store.open(url) as store:
        with open_screen() as screen:
            view = _View(screen)
            campaign = Campaign(options, store, view.update)
            view.campaign = campaign
            try:
                campaign.run()
            except CampaignFailed as error:
                failure = UserError(f"the campaign stopped: {error}")
            except BaseException as error:
                failure = error
        failure = failure or view.failure
        for last_word in (write_totals, _print_end):
            try:
                last_word(campaign)
            except (OSError, OutputError) as error:
                failure = failure or _meaning(error)
    return campaign, failure


class _View:
    """The screen, which may be gone before the campaign is: that ends it, in order."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.campaign: Campaign | None = None
        self.failure: BaseException | None = None

    def update(self, status: CampaignStatus) -> None:
        """Show this, if there is still somebody to show it to."""
        if self.failure is not None:
            return
        try:
            self._screen.update(status)
        except OSError as error:
            self.failure = _meaning(error)
            if self.campaign is not None:
                self.campaign.end("nobody reads the output any more")


def _meaning(error: Exception) -> BaseException:
    """A terminal that fails is one that was closed."""
    gone = isinstance(error, OSError) and error.errno == errno.EIO
    return Stopped(signal.SIGHUP) if gone else error


def _print_end(campaign: Campaign) -> None:
    if campaign.began or campaign.stopped_by:
        print_summary(campaign.status())


def _write_totals(path: Path | None, stdout: TextIO, campaign: Campaign) -> None:
    if path is not None:
        with redirect_stdout(stdout):
            write_json(path, campaign.summary())


def default_workers() -> int:
    """One per two CPUs that this process may use: a worker and its guest keep both busy."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def exit_code(campaign: Campaign, fail_on: FailOn) -> int:
    """70 when a target hung, 77 for divergences of the kind asked for: what was found counts
    more than how the campaign ended. Then 128 and the signal that ended it; 3 if no case was
    judged."""
    if campaign.hangs and fail_on is not FailOn.NEVER:
        return Exit.HANG
    counted = {
        FailOn.NEW_STRICT: campaign.new_strict,
        FailOn.NEW: campaign.new_buckets,
        FailOn.ANY: campaign.buckets,
        FailOn.NEVER: 0,
    }
    if counted[fail_on]:
        return Exit.DIVERGENCE
    if campaign.stopped_by:
        return stopped(campaign.stopped_by)
    if not campaign.status().cases:
        raise UserError("nothing was checked: no case ran on all legs")
    return Exit.OK
