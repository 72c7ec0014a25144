"""The command line finds its commands, and every failure is a sentence and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from fuzz import stopping
from fuzz.cli import errors
from fuzz.cli import main as cli
from fuzz.cli.errors import Exit, UserError, explain

ROOT = Path(__file__).parents[1]


def _run_failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr("fuzz.cli.plain_options.failing", failing, raising=False)
    monkeypatch.setitem(cli.COMMANDS, "failing", ("fuzz.cli.plain_options:failing", "Fail."))
    return CliRunner().invoke(cli.main, ["failing"])


def test_help_names_every_command_and_exit_code() -> None:
    result = CliRunner().invoke(cli.main, ["--help"])
    assert result.exit_code == 0
    for name, (_, line) in cli.COMMANDS.items():
        assert name in result.output
        assert line in " ".join(result.output.split())
    for code in errors.Exit:
        assert f"  {int(code)} " in result.output


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from fuzz.cli.main import main; main(['--help'], standalone_mode=False);"
        "print([m for m in ('sqlalchemy', 'numpy', 'atheris', 'corpus.ops') if m in sys.modules])"
    )
    output = subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True)
    assert output.splitlines()[-1] == "[]"


def test_a_mistyped_command_is_guessed() -> None:
    result = CliRunner().invoke(cli.main, ["trage"])
    assert result.exit_code == Exit.USAGE
    assert "There is no command 'trage'. Did you mean triage?" in result.output


@pytest.mark.parametrize("name", list(errors._TABLE))
def test_each_error_the_table_names_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert issubclass(getattr(import_module(module), attribute), BaseException)


def _raised(name: str) -> BaseException:
    module, _, attribute = name.rpartition(".")
    error: BaseException = getattr(import_module(module), attribute)("the\nreason")
    return error


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (_raised("db.records.StoreError"), Exit.UNAVAILABLE, "the reason"),
        (_raised("db.records.NotFound"), Exit.USAGE, "the reason"),
        (_raised("targets.transport.TransportError"), Exit.UNAVAILABLE, "the reason"),
        (_raised("corpus.domain.TextError"), Exit.USAGE, "the reason"),
        (FileNotFoundError(2, "No such file or directory", "a.case"), Exit.USAGE, "a.case: no"),
        (PermissionError(13, "Permission denied", "d"), Exit.UNAVAILABLE, "d: permission denied"),
        (OSError(28, "No space left on device"), Exit.UNAVAILABLE, "no space left on device"),
        (ModuleNotFoundError("x", name="atheris"), Exit.UNAVAILABLE, "package atheris is not"),
        (UserError("no such leg", Exit.USAGE), Exit.USAGE, "no such leg"),
        (
            BaseExceptionGroup("g", [_raised("db.records.StoreError")]),
            Exit.UNAVAILABLE,
            "the reason",
        ),
        (ZeroDivisionError("oops"), Exit.UNAVAILABLE, "ZeroDivisionError: oops"),
    ],
)
def test_errors_become_sentences(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: Exit, sentence: str
) -> None:
    assert explain(error)[0] is code
    result = _run_failing(monkeypatch, error)
    assert result.exit_code == code
    assert sentence in result.stderr
    assert result.stderr.startswith("vcpufuzz: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPUFUZZ_DEBUG", "1")
    result = _run_failing(monkeypatch, ZeroDivisionError("oops"))
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run_failing(monkeypatch, KeyboardInterrupt())
    assert (result.exit_code, result.output) == (
        Exit.INTERRUPTED,
        "vcpufuzz: stopped by Ctrl-C\n",
    )


def test_a_command_may_return_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    command = click.Command("found", callback=lambda: Exit.DIVERGENCE)
    monkeypatch.setattr("fuzz.cli.plain_options.found", command, raising=False)
    monkeypatch.setitem(cli.COMMANDS, "found", ("fuzz.cli.plain_options:found", "Find."))
    assert CliRunner().invoke(cli.main, ["found"]).exit_code == Exit.DIVERGENCE


def _python(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(lines)]


_SPEAKER = (
    "import click, fuzz.cli.main as m, fuzz.cli.plain_options as o",
    "def speak():",
    "    click.echo('ready')",
    "    import time; time.sleep(WAIT)",
    "    for _ in range(100000): click.echo('x' * 100)",
    "o.speak = click.Command('speak', callback=speak)",
    "m.COMMANDS['speak'] = ('fuzz.cli.plain_options:speak', '')",
    "m.main(['speak'])",
)


def test_a_reader_that_leaves_is_no_error() -> None:
    lines = [line.replace("WAIT", "0") for line in _SPEAKER]
    speaker = subprocess.Popen(
        _python(*lines), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert speaker.stdout is not None
    assert speaker.stderr is not None
    assert speaker.stdout.readline() == b"ready\n"
    speaker.stdout.close()
    assert speaker.stderr.read() == b""
    assert speaker.wait(30) == Exit.BROKEN_PIPE
    speaker.stderr.close()


@pytest.mark.parametrize("number", sorted(stopping.ENDING))
def test_a_signal_from_outside_is_one_line(number: signal.Signals) -> None:
    lines = [line.replace("WAIT", "30") for line in _SPEAKER]
    speaker = subprocess.Popen(
        _python(*lines),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A suite that runs in the background was told to ignore it, and its children with it.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert speaker.stdout is not None
    assert speaker.stdout.readline() == b"ready\n"
    speaker.send_signal(number)
    _, complaint = speaker.communicate(timeout=30)
    assert speaker.returncode == 128 + number == errors.stopped(number)
    assert complaint.decode() == f"vcpufuzz: {stopping.WORDS[number]}\n"
