"""About a thousand tries to break the command line: each ends with a sentence and the right code.

They are made from the tree of commands itself, so that a new option is tried, too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from test_db_store import KVM, MODEL, RECORD

from db.store import Store
from fuzz.cli.duration import Duration
from fuzz.cli.main import COMMANDS, main
from fuzz.cli.plain_options import OutputPath, Word
from fuzz.printable import printable

pytestmark = pytest.mark.long

LONG = "x" * 5000
ODD = "\x1b[31m\u202e\x9bü漢"

NO_NUMBER: tuple[str, ...] = (
    "",
    " ",
    "x",
    "1.5",
    "0x10",
    "1e3",
    "--",
    "1 2",
    "NaN",
    ODD,
    LONG,
    "²",
)
NO_NUMBER += (str(1 << 31), str(1 << 63), "9" * 5000)
NO_DURATION: tuple[str, ...] = (
    "",
    " ",
    "soon",
    "-5s",
    "1y",
    "nan",
    "inf",
    "1e9",
    "5 s",
    "s",
    "0",
    "0s",
    "0.0h",
)
NO_DURATION += ("9" * 400, "9" * 400 + "d", "٣s", "1,5s", "1s1s", ODD, LONG)
NO_FILE = ("", "nofile", "/proc/nowhere/x", "junk.case/x", "loop", LONG, ODD, "\udcff")
NO_OUTPUT: tuple[str, ...] = (
    "",
    ".",
    "/",
    "/nodir/x",
    "/proc/nowhere/x",
    "junk.case/x",
    "loop",
    LONG,
    "socket",
)
NO_OUTPUT += ("vcpufuzz.db",)
NO_DIRECTORY = ("", "junk.case", "junk.case/x", "/proc/nowhere", "loop", LONG)
NO_LEGS: tuple[str, ...] = (
    "",
    " ",
    ",",
    ",,,",
    "kvn",
    "Model",
    "model:",
    "model:odd",
    "model x",
    "mutant:",
)
NO_LEGS += ("mutant:nope", "emulator:maybe", "emulator:keep:vq=0", "emulator:keep:vq=17")
NO_LEGS += ("emulator:keep:vq=", "kvm:9.99:vhe", "kvm:6.12:odd", "kvm:6.12:vhe:vq=0", "kvm:tcp=")
NO_LEGS += ("kvm:tcp=host", "kvm:tcp=host:99999", "kvm:tcp=:1:2:3", "kvm:6.12:vhe:vq=x", "x*y?z")
NO_LEGS += ("kvm:junk.case:odd", "model,kvn", "[", ODD, LONG, "\udcff", "model,model:keep:x")
NO_MOMENT: tuple[str, ...] = (
    "",
    "x",
    "2026-13-01",
    "2026-02-30",
    "5y",
    "9999999h",
    "999999w",
    "-1d",
    ODD,
    LONG,
)
NO_MOMENT += ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
NO_BUCKET: tuple[str, ...] = (
    "",
    "B",
    "x",
    "B-1",
    "-1",
    "B1.5",
    "BF1",
    "B" + "9" * 30,
    "B1e3",
    "٣",
    ODD,
)
NO_BUCKET += ("²", "F²", "9" * 5000, "F" + "9" * 5000, f"F{1 << 63}")
NO_WORD = ("x" * 256, "\udcff", "\ud800x")
NO_DATABASE: tuple[str, ...] = (
    "",
    " ",
    "://",
    "x://",
    "nosuch://h/x",
    "sqlite:///.",
    "junk.db",
    "other.db",
)
NO_DATABASE += ("cut.db", "newer.db", ".", "/proc/version", "postgresql://u:geheim@h:x/y", LONG)
NO_DATABASE += ("postgresql+nosuch://u:geheim@h/y", "mysql://u:geheim@h/x")
NOT_THERE: tuple[str, ...] = (
    "sqlite:////proc/nowhere/x.db",
    "nodir/x.db",
    "loop",
    "\udcff/x.db",
    "junk.case/x.db",
)
NOT_THERE += ("sqlite+nosuch:///x",)
"""Databases that are not there, and that cannot be made either."""

NO_CLUSTER: tuple[str, ...] = (
    "",
    "local",
    "local:0",
    "local:x",
    "local:-1",
    "host:1",
    "tcp://",
    "x://h:1",
)
NO_CLUSTER += (
    "tcp://h",
    "tcp://h:x",
    "tcp://127.0.0.1:1",
    "tls://127.0.0.1:1",
    "tcp://h:1/x",
    ODD,
    LONG,
)
_NO_PATH = ("relative", "/a b", "/a\nb", "/a'b", ODD)
NO_ANSWER: dict[str, tuple[str, ...]] = {
    "scheduler": ("", " ", "a b", "-x", "a;b", "$(x)", ODD, LONG),
    "user": ("", "a b", "0x", "a;b", ODD, LONG),
    "legs": ("", "a b", "a'b", "a;b", ODD),
    "corpus": ("", "a b", "a'b", "/srv/corpus", ODD),
    "image": ("", "a b", ODD),
    **dict.fromkeys(("program", "database_file", "certificates"), _NO_PATH),
}
NO_BRANCH = ("", ":", "nodir:x", ":main", "good.case:x", ".:", ".:main", ODD, LONG, f"{LONG}:x")
NO_METRICS = ("x", "host", "host:x", "host:99999", ":1:2", ODD, LONG)
NO_CORPUS = ("", " ", "nosuch://x", "junk.case", "junk.case/x", "/proc/nowhere", ODD + "://x")

BASE: dict[str, tuple[str, ...]] = {
    "doctor": ("--legs", "model"),
    "run": ("--legs", "model", "--cases", "1"),
    "exec": ("good.case", "--legs", "model"),
    "diff": ("good.case", "--legs", "model"),
    "repro": ("F1", "--legs", "model"),
    "replay": ("good.case", "--legs", "model"),
    "migrate": ("good.case", "--legs", "model"),
    "corpus stats": ("good.case",),
    "corpus merge": ("into", "good.case"),
    "corpus minimize": ("into", "good.case"),
    "corpus import": ("into", "good.case"),
    "corpus export": ("--kselftest", "kselftest", "good.case"),
    "explain": ("good.case",),
    "record": ("--read", "vmm.log", "--out", "recorded.case"),
    "review": ("--base", "good.case", "--kernel", "good.case"),
    "bisect": ("good.case", "--tree", ".", "--good", "a", "--bad", "b"),
    "coverage": (),
    "lab kernels": (),
    "lab legs": (),
    "lab build": (),
    "lab prune": ("linux@*",),
    "lab boot": ("model",),
    "lab log": ("model",),
    "agent": ("--leg", "model"),
    "fleet start": ("local:1", "--legs", "model", "--corpus", "kept"),
    "fleet worker": ("tcp://127.0.0.1:1",),
    "fleet status": (),
    "fleet stop": (),
    "fleet drain": (),
    "fleet simulate": ("--legs", "model"),
    "fleet bundle": ("setup", "--scheduler", "fuzz.example", "--corpus", "s3://b/c"),
    "rules": (),
    "isa": ("--check", "--only", "ret", "--legs", "model"),
    "bench": ("--legs", "model"),
    "window": ("beside.case", "--leg", "model"),
    "web": ("--listen", "127.0.0.1:0"),
    "triage health": (),
    "triage list": (),
    "triage incidents": (),
    "triage show": ("B1",),
    "triage status": ("B1", "known"),
    "triage note": ("B1", "text"),
    "triage export": ("F1", "-"),
    "triage history": ("B1",),
    "triage owner": ("B1", "somebody"),
    "triage link": ("B1", "https://example.org/1"),
    "triage merge": ("B1", "B2"),
    "triage split": ("B1", "F2"),
    "triage same": ("B1", "B2"),
    "triage mute": ("--rule", "finalize.twice", "--reason", "noise"),
    "triage undo": ("1",),
    "triage report": ("F1", "--no-run"),
    "triage retest": ("B1", "--legs", "model"),
    "triage matrix": ("B1", "--legs", "model"),
    "triage rejudge": ("B1",),
    "triage import": ("junk.case",),
    "triage promote": ("B1", "--folder", "kept"),
}
"""What makes each command run and be done at once, were it not for what a try puts in."""


@dataclass(frozen=True, slots=True)
class Try:
    """A command line that must be refused."""

    command: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.command}: {ascii(self.args)[:80]}"


def _commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            for child in command.commands.values():
                yield f"{name} {child.name}", child
        else:
            yield name, command


def _bad_values(name: str, param: click.Parameter) -> tuple[str, ...]:
    """Values that the parameter must refuse; none if it takes any text."""
    kind = param.type
    if name == "fleet bundle" and param.name in NO_ANSWER:
        return NO_ANSWER[param.name]
    if param.name == "legs" or (name, param.name) == ("window", "name"):
        return NO_LEGS
    if param.name in ("bucket", "finding", "key", "target", "other", "what"):
        return NO_BUCKET
    if param.name in ("buckets", "findings", "others"):
        return tuple(value for value in NO_BUCKET if value)
    if name == "triage promote" and param.name == "name":
        return ("../x", "a/b", "..", ".", "/x", LONG)
    if kind.name == "when":
        return NO_MOMENT
    if param.name == "url":
        # Where nothing was found yet there is nothing to list, which is no error.
        return NO_DATABASE if name == "triage list" else NO_DATABASE + NOT_THERE
    if param.name == "cluster":
        return NO_CLUSTER if name == "fleet start" else (*NO_CLUSTER, "local:1")
    if param.name == "branches":
        return NO_BRANCH
    if param.name == "metrics":
        return NO_METRICS
    if (name, param.name) == ("fleet start", "corpus"):
        return NO_CORPUS
    if isinstance(kind, Word):
        return NO_WORD
    if isinstance(kind, Duration):
        return NO_DURATION
    if isinstance(kind, OutputPath):
        return NO_DIRECTORY if kind.name == "directory" else NO_OUTPUT
    if isinstance(kind, click.IntRange):
        beyond = [str(n) for n in (kind.min, kind.max) if n is not None]
        outside = [str(int(n) + (1 if i else -1)) for i, n in enumerate(beyond)]
        return (*NO_NUMBER, *(outside if kind.max is not None else outside[:1]))
    if isinstance(kind, click.Choice):
        return ("", "nosuch", f"{next(iter(kind.choices))} ", ODD, LONG)
    if isinstance(kind, click.Path) and kind.exists:
        return NO_FILE
    return NO_NUMBER if kind is click.INT else ()


def _tries() -> Iterator[Try]:
    for name, command in _commands():
        base = BASE.get(name, ())
        yield Try(name, (*base, "--nosuch"))
        yield Try(name, (*base, "--nosuch=1"))
        if name != "run":
            yield Try(name, (*base, "one", "more", "than", "wanted"))
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        for param in command.params:
            if isinstance(param, click.Option):
                flag = param.opts[0]
                if param.is_flag:
                    yield Try(name, (*base, f"{flag}=1"))
                    continue
                yield Try(name, (*base, flag))
                for value in _bad_values(name, param):
                    yield Try(name, (*base, f"{flag}={value}"))
            elif param.nargs == -1:
                for value in _bad_values(name, param):
                    yield Try(name, (*base[: len(arguments) - 1], "--", value))
            elif param.nargs == 1:
                for value in _bad_values(name, param):
                    at = [one.name for one in arguments].index(param.name)
                    yield Try(name, (*base[:at], "--", value, *base[at + 1 : len(arguments)]))
    yield from CONTRADICTIONS
    for name, command in _commands():
        files = [p.opts[0] for p in command.params if p.type.name == "file" and p.opts[0][0] == "-"]
        for one, other in pairwise(option for option in files if _writes(command, option)):
            yield Try(name, (*BASE[name], f"{one}=twice.svg", f"{other}=twice.svg"))
            yield Try(name, (*BASE[name], f"{one}=-", f"{other}=-"))
    for name in ("exec", "diff", "replay"):
        for file in ("junk.case", "nul.case", "odd.case", "cut.case", "."):
            if (name, file) != ("replay", "."):
                yield Try(name, (file, "--legs", "model"))
    for flag in FLAGS:
        yield Try("run", ("--legs", "model", "--", flag))
    yield Try("", ("--nosuch",))
    yield Try("", ("nosuch",))
    yield Try("", (ODD,))
    yield Try("", ("",))
    yield Try("triage", ("nosuch",))
    yield Try("lab", (ODD,))


def _writes(command: click.Command, option: str) -> bool:
    kind = next(p.type for p in command.params if option in p.opts)
    return isinstance(kind, OutputPath)


CONTRADICTIONS = tuple(
    Try(command, tuple(line.split()))
    for command, lines in {
        "bench": (
            *("--corners --ablation", "--corners --profile", "--buckets --corners --keep k"),
            *("--profile --plot x.svg", "--ablation --plot x.svg", "--plot x.svg --legs model"),
            *("--corners --legs model", "--corners --rounds 3", "--corners --cases 5"),
            *("--profile --count 3", "--legs model --budget 3", "--legs model --searches 3"),
            *("--buckets --legs model", "--corners --no-kernel-coverage", "--ablation --rounds 2"),
        ),
        "coverage": (
            *("--pairs --unjudged", "--pairs --html h", "--pairs --area x", "--pairs --leg model"),
            *("--unjudged --html h", "--unjudged --area x", "--html h --area x"),
            *("--unjudged --campaign 99", "--pairs --campaign 99"),
        ),
        "isa": (
            *("--vq 3", "--draws 3", "--strict", "--together 2", "--seed 2", "--legs model"),
            "--check --db vcpufuzz.db --legs model --only ret",
        ),
        "record": (
            *("--read vmm.log --seconds 3", "--read vmm.log --out vmm.log"),
            *("--read vmm.log --log x --out x", "--read junk.case", "--read nul.case"),
        ),
        "review": (
            "--base good.case --kernel good.case --mail --json",
            "--base good.case --kernel good.case --jobs 2",
        ),
        "triage mute": (
            *("--end 1 --reason y", "--end 1 --until 4w", "--end 1 --rule x"),
            *(f"--rule x --reason y --from {low} --to 6.1" for low in ("6.12", "6.2.1", "7")),
        ),
        "triage export": (
            *("F1 vcpufuzz.db --force", "F1 x --strace x", "F1 --c x --strace x"),
            *("F1 x --as me", "F1 x --no-run", "F1 x --legs model"),
        ),
        "triage promote": ("B1 --effect tail --folder kept",),
        "explain": ("good.case --leg model,emulator:keep", "good.case --leg m*"),
        "window": ("beside.case --leg model,emulator:keep",),
        "fleet simulate": ("--legs model --scratch-db vcpufuzz.db", "--scratch-db junk.db"),
        "fleet start": tuple(
            f"local:1 --legs model --corpus kept {alone}"
            for alone in ("--webhook-file good.case", "--morning 5", "--watch-time 5m")
        ),
        "web": tuple(f"--listen 127.0.0.1:0 --host {name}" for name in ("http://x/", "x:1", "a/b")),
        "triage list": tuple(f"--db sqlite:///vcpufuzz.db?{what}" for what in ("mode=ro", "x=1")),
        "triage report": ("F1 --no-run --output vcpufuzz.db",),
        "run": ("--legs model --cases 1 --json vcpufuzz.db",),
        **dict.fromkeys(
            ("exec", "diff", "replay", "corpus stats"),
            ("good.case --legs model,emulator:keep --kernel good.case",),
        ),
        "repro": ("F1 --legs model --kernel good.case",),
        "corpus export": (
            *("--kselftest new emptydir", "--kselftest new junk.case"),
            "--kselftest new good.case --lengths none",
        ),
        "corpus import": ("into junk.case", "into odd.case nul.case"),
        "corpus merge": ("into junk.case",),
        "corpus minimize": ("into junk.case",),
    }.items()
    for line in lines
)
"""What would be ignored, lost or for nothing."""

FLAGS = (
    *("-seed=abc", "-seed=1", "-runs=5", "-fork=1", "-merge=1", "-help=1", "-jobs=2", "-workers=2"),
    *("-artifact_prefix=/nodir/", "-nosuch=1", "-max_len=1", "-max_len=x", "-max_len=", "-max_len"),
    *("-timeout=1", "-rss_limit_mb=1", "-max_total_time=1", "-minimize_crash=1", "-use_cmp=2"),
    *("-verbosity=0", "-close_fd_mask=3", "-handle_term=1", "-dict=nofile", "corpus", "good.case"),
    *(
        "",
        "-",
        "--",
        "=",
        "-=1",
        "--seed=1",
        "-use_cmp=1=1",
        "-use_cmp= 1",
        f"-{ODD}=1",
        f"-{LONG}=1",
    ),
)


def _prepare(folder: Path) -> None:
    (folder / "good.case").write_text("create v0\n")
    (folder / "beside.case").write_text("create v0\ndisturb signal {\n    init v0\n}\n")
    (folder / "junk.case").write_bytes(bytes(range(128, 256)) * 4)
    (folder / "nul.case").write_bytes(b"create v0\n\0\0\0")
    (folder / "odd.case").write_text(f"create v0\n{ODD}\n")
    (folder / "cut.case").write_text("create v0\nrun v0 {\n  mov x0, #1\n")
    (folder / "vmm.log").write_text('{"kind":"command","argv":["vmm"]}\n')
    (folder / "loop").symlink_to("loop")
    (folder / "emptydir").mkdir()
    with Store.open(str(folder / "vcpufuzz.db")) as store:
        campaign = store.begin_campaign(7, [MODEL, KVM], {})
        store.add_finding(campaign, RECORD)
        store.add_note(1, ODD, actor=ODD)
    good = (folder / "vcpufuzz.db").read_bytes()
    (folder / "junk.db").write_bytes(os.urandom(64) * 100)
    (folder / "cut.db").write_bytes(good[: len(good) // 2 + 100])
    with closing(sqlite3.connect(folder / "other.db")) as other, other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    shutil.copy(folder / "vcpufuzz.db", folder / "newer.db")
    with closing(sqlite3.connect(folder / "newer.db")) as newer, newer:
        newer.execute("UPDATE vcpufuzz_version SET version_num = 'zzzz'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where tries are made: a directory with a database and files of all kinds."""
    made = tmp_path_factory.mktemp("hostile")
    before = Path.cwd()
    _prepare(made)
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(made)
        listening.bind("socket")
        try:
            yield made
        finally:
            os.chdir(before)


@pytest.fixture(autouse=True)
def _no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a try would set going, were it not refused, fails the test at once."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("the try was taken for good")

    for where in (
        *("fuzz.campaign.campaign.Campaign.run", "fuzz.cli.bench._measured"),
        *("targets.kvm.lab.build.build", "targets.kvm.lab.kernels.fetch"),
        *("targets.kvm.remote.agent.Agent.run", "fuzz.web.server._Server.run"),
        *("fuzz.fleet.cluster.LocalCluster", "fuzz.fleet.worker._nannies"),
        "fuzz.fleet.measure.sample",
    ):
        monkeypatch.setattr(where, work)
    monkeypatch.delenv("VCPUFUZZ_DB", raising=False)


def _state(folder: Path) -> dict[str, str]:
    """Every file and what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def _complaint(result: Result) -> str:
    """Why the result is not what a bad command line is to give; empty if it is."""
    said = result.output
    lines = result.stderr.strip().splitlines()
    if result.exit_code not in (2, 3):
        return f"ended with {result.exit_code}"
    if "internal error" in said or "Traceback" in said:
        return "an internal error"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "an exception"
    if not lines or not lines[-1].startswith(("Error: ", "vcpufuzz: ")):
        return "no sentence"
    if printable(said) != said:
        return "a control character"
    if "geheim" in said:
        return "a password"
    return ""


def test_every_command_can_be_tried() -> None:
    assert {name for name, _ in _commands()} <= set(BASE)


def test_the_tries_are_many_and_the_commands_work_without(folder: Path) -> None:
    assert len(list(_tries())) >= 900
    for name in (
        "exec",
        "diff",
        "replay",
        "rules",
        "isa",
        "lab legs",
        "triage list",
        "triage show",
    ):
        result = CliRunner().invoke(main, [*name.split(), *BASE[name]])
        assert result.exit_code == 0, (name, result.output)


@pytest.mark.parametrize("command", [name for name, _ in _commands()] + ["", "triage", "lab"])
def test_bad_command_lines_end_with_a_sentence(folder: Path, command: str) -> None:
    before = _state(folder)
    failed = []
    for attempt in _tries():
        if attempt.command == command:
            result = CliRunner().invoke(main, [*command.split(), *attempt.args])
            complaint = _complaint(result)
            if complaint:
                failed.append(f"{attempt}: {complaint}: {result.output[-300:]!a}")
    assert "\n".join(failed) == ""
    after = _state(folder)
    assert after == before


PRINTING = (
    *(("triage", "list"), ("triage", "show", "B1"), ("triage", "export", "F1", "-")),
    *(("rules",), ("isa", "--only", "ret"), ("lab", "legs"), ("--help",), ("run", "--help")),
    *(("exec", "good.case", "--legs", "model"), ("diff", "good.case", "--legs", "model")),
    ("replay", "good.case", "--legs", "model"),
)
SIZES = ("0", "1", "-1", "x", "", "60", "9" * 30)
CHARSETS = ("ascii", "latin-1", "utf-8", "koi8-r")


@pytest.mark.parametrize("charset", CHARSETS)
def test_whatever_the_size_and_encoding_all_is_said(folder: Path, charset: str) -> None:
    for words in PRINTING:
        wide = CliRunner(charset=charset).invoke(main, words, env={"COLUMNS": "500"})
        assert wide.exit_code == 0, (words, wide.output)
        for size in SIZES:
            env = {"COLUMNS": size, "LINES": size, "TERM": "dumb"}
            result = CliRunner(charset=charset).invoke(main, words, env=env)
            assert result.exit_code == 0, (words, size, result.output)
            assert printable(result.output) == result.output
            if "--help" not in words:
                assert result.output == wide.output


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_are_no_error(folder: Path, closed: str) -> None:
    vcpufuzz = Path(sys.executable).with_name("vcpufuzz")
    lines = ("triage list", 0), ("triage show B9", 2), ("nosuch", 2)
    for words, code in lines if closed.count("&") == 3 else lines[:1]:
        command = f"exec {vcpufuzz} {words} {closed}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (command, done)
        assert "rror:" not in done.stderr or "Error: There is no" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_does_not_fit_is_never_cut_without_a_word(
    folder: Path, unbuffered: str
) -> None:
    vcpufuzz = Path(sys.executable).with_name("vcpufuzz")
    for words in (("--help",), ("exec", "good.case", "--legs", "model", "--json")):
        with (folder / "cut").open("w") as cut:
            done = subprocess.run(
                ["prlimit", "--fsize=10", vcpufuzz, *words],
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
                stdout=cut,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (done.returncode, "too large" in done.stderr) == (3, True), done
    (folder / "cut").unlink()


def test_a_file_among_others_that_is_no_case_is_no_success(folder: Path) -> None:
    words = ["corpus", "import", "kept", "good.case", "junk.case"]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "passed over junk.case" in done.stderr) == (2, True)
    assert "1 of 1 cases written" in done.stdout
    shutil.rmtree(folder / "kept")


@pytest.mark.parametrize("name", ["/proc/self/mem", "junk.case"])
def test_what_cannot_be_read_is_named(folder: Path, name: str) -> None:
    for words in (
        *(("exec", name, "--legs", "model"), ("record", "--read", name, "--out", "x")),
        *(("triage", "import", name), ("corpus", "export", "--kselftest", "x", name)),
    ):
        done = CliRunner().invoke(main, words)
        assert name in done.stderr, words


def test_a_terminal_of_sixty_columns_cuts_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.cli.table.on_terminal", lambda: True)
    for words in (("triage", "list"), ("triage", "incidents"), ("rules",), ("lab", "legs")):
        for columns in ("20", "60", "80", "120"):
            env = {"COLUMNS": columns, "TERM": "xterm"}
            narrow = CliRunner().invoke(main, words, env=env)
            assert narrow.exit_code == 0
            assert "…" not in narrow.output


def test_a_try_that_works_is_noticed() -> None:
    result = CliRunner().invoke(main, ["rules"])
    assert _complaint(result) == "ended with 0"
    assert _complaint(replace_exit(result, 3)) == "no sentence"


def replace_exit(result: Result, code: int) -> Result:
    """The same output with another exit code."""
    result.exit_code = code
    return result
