"""The `vcpufuzz` command: finds the sub-command, and turns what goes wrong into a sentence."""

from __future__ import annotations

import difflib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import click

from fuzz import stopping
from fuzz.cli.errors import Exit, debugging, explain, stopped
from fuzz.cli.streams import safe_streams
from fuzz.stopping import Stopped

COMMANDS: dict[str, tuple[str, str]] = {
    "doctor": (
        "fuzz.cli.doctor:doctor",
        "Say which legs this machine offers, and what is missing.",
    ),
    "run": ("fuzz.cli.run:run", "Fuzz: run cases on every leg, keep what diverges."),
    "exec": ("fuzz.cli.execute:execute", "Run one case and judge each leg."),
    "diff": ("fuzz.cli.execute:diff", "Run one case and set the legs side by side."),
    "explain": ("fuzz.cli.explain:explain", "Walk through a case with the specification."),
    "record": ("fuzz.cli.record:record", "Write what a VMM asks of KVM as a case."),
    "repro": ("fuzz.cli.execute:repro", "Run a stored finding again."),
    "window": (
        "fuzz.cli.window:command",
        "Say when what goes on beside a case has to strike.",
    ),
    "migrate": (
        "fuzz.cli.migrate:command",
        "Save a vcpu on one leg, restore it on another, and say what differs.",
    ),
    "replay": ("fuzz.cli.replay:replay", "Run kept cases and compare with what is recorded."),
    "review": (
        "fuzz.cli.review:review",
        "Say what a patch to KVM changed, and what it broke.",
    ),
    "bisect": (
        "fuzz.cli.bisect:bisect",
        "Find the commit of a kernel tree that broke or fixed something.",
    ),
    "corpus": ("fuzz.cli.corpus:corpus", "Look after directories of cases."),
    "fleet": (
        "fuzz.cli.fleet:fleet",
        "Lead campaigns that never end, on many machines.",
    ),
    "coverage": (
        "fuzz.cli.coverage:coverage",
        "Show what campaigns reached in the lab's kernels.",
    ),
    "lab": ("fuzz.cli.lab:lab", "Look after the kernels that run in QEMU."),
    "agent": ("fuzz.cli.agent:agent", "Serve a leg of this machine to campaigns elsewhere."),
    "rules": ("fuzz.cli.tables:rules", "Print the rules of the specification."),
    "isa": ("fuzz.cli.tables:isa", "Print the instruction table, or check every form on legs."),
    "bench": ("fuzz.cli.bench:bench", "Measure how fast legs and the whole pipeline are."),
    "triage": ("fuzz.cli.triage:triage", "Look through what was found, and decide about it."),
    "web": ("fuzz.cli.web:web", "Show what was found in a browser."),
}
"""name -> (module:attribute, help line), in the order `--help` shows them.

A row is all a new command needs; its module is imported only when it is called.
"""

EXIT_CODES = "\b\nExit codes:\n" + "".join(
    f"  {code:<4} {code.text.replace('`', '')}\n" for code in Exit
)


class Commands(click.Group):
    """The group of all commands, loaded lazily, where every error ends."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(_imported(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {close[0]}?" if close else " See vcpufuzz --help."
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(self, *args: Any, **settings: Any) -> Any:
        with safe_streams(), stopping.watched():
            return super().main(*args, **settings)

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        with _ending_in_words():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _ending_in_words():
            result = super().invoke(ctx)
            # Output that nobody takes must fail here, not when the interpreter ends.
            sys.stdout.flush()
        # A command may return its exit code.
        ctx.exit(result if isinstance(result, int) else Exit.OK)


def _imported(name: str) -> ModuleType:
    """A module. All that it makes stays, so it is not looked through for waste: neither while it is
    imported nor when the process ends, which took as long as the import."""
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _ending_in_words() -> Iterator[None]:
    """Turn whatever ends a command into one sentence and an exit code."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except (KeyboardInterrupt, click.Abort) as error:
        told = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
        _complain(str(told))
        raise click.exceptions.Exit(stopped(told.number)) from None
    except BrokenPipeError:
        _forget_stdout()
        raise click.exceptions.Exit(Exit.BROKEN_PIPE) from None
    except Exception as error:
        if debugging():
            raise
        code, sentence = explain(error)
        _complain(sentence)
        raise click.exceptions.Exit(code) from None


@click.command(
    "vcpufuzz", cls=Commands, epilog=EXIT_CODES, context_settings={"max_content_width": 100}
)
@click.version_option(package_name="vcpufuzz")
def main() -> None:
    """Differential fuzzer for the KVM/arm64 SVE vcpu interface.

    \b
    Example:
      vcpufuzz triage list
    """


def _complain(sentence: str) -> None:
    """Say on standard error why a command ends, if there is anybody to hear it."""
    try:
        sys.stdout.flush()
    except OSError:
        _forget_stdout()
    click.echo(f"vcpufuzz: {sentence}", err=True)


def _forget_stdout() -> None:
    """Send the rest of the output nowhere, or Python complains about it on the way out."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
