"""Nothing that others wrote reaches a terminal as a command, or XML as what it may not hold."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.text import Text
from test_db_store import KVM, MODEL, RECORD

from corpus.kept import KeptCase
from corpus.text import parse_case
from db.store import Store
from fuzz.cli.console import console
from fuzz.cli.main import main
from fuzz.cli.streams import SafeStream, raise_if_left
from fuzz.printable import printable
from fuzz.report.junit import junit
from fuzz.suites.replay import Outcome, Result

EVIL = "a\x1b[31mred\x1b]0;title\x07\x9b2J\x00\u202eback\udc80\rover\x7f\ufffe"


def unfit(text: str) -> list[str]:
    return [c for c in text if c not in "\n\t" and printable(c) != c]


def test_controls_are_written_out_and_the_rest_stays() -> None:
    shown = printable(EVIL)
    assert unfit(shown) == []
    assert shown.startswith(r"a\x1b[31mred\x1b]0;title\x07\x9b2J\x00\u202eback\udc80\x0dover\x7f")
    plain = "plain: é ü → ∀ 漢字\tand\nmore\u00a0"
    assert printable(plain) == plain
    assert printable("dos\r\nlines\r\n") == "dos\nlines\n"


def test_a_stream_lets_no_command_through() -> None:
    raw = io.StringIO()
    SafeStream(raw).write(EVIL)
    assert unfit(raw.getvalue()) == []


def test_what_rich_draws_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.StringIO()
    monkeypatch.setattr("sys.stdout", SafeStream(raw))
    console().print(Text(EVIL, style="bold"))
    assert unfit(raw.getvalue()) == []
    assert r"\x1b[31mred" in raw.getvalue()


def test_triage_shows_notes_and_logs_as_text(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    evil = EVIL.replace("\udc80", "").replace("\x00", "")
    with Store.open(url) as store:
        campaign = store.begin_campaign(7, [MODEL, KVM], {})
        store.add_finding(campaign, replace(RECORD, explanation=evil, observed=evil))
        store.add_note(1, evil, actor=evil)
    for words in (["list"], ["show", "B1"], ["export", "F1", "-"], ["show", "B1", "--json"]):
        result = CliRunner().invoke(main, ["triage", *words, "--db", url])
        assert result.exit_code == 0, result.output
        assert unfit(result.output) == []


def test_an_error_names_what_was_typed_as_text() -> None:
    for args in (["x\x1b[31m"], ["exec", "no\x1bfile"], ["run", "--legs", "no\x1bleg"]):
        result = CliRunner().invoke(main, args)
        assert result.exit_code == 2
        assert unfit(result.output) == []


def test_junit_is_xml_whatever_is_in_it() -> None:
    kept = KeptCase(Path(f"d{EVIL[:9]}/c{EVIL[:9]}.case"), parse_case("create v0\n"), (), "")
    results = [Result(kept, f"leg{EVIL}", outcome, EVIL, 0.1) for outcome in Outcome]
    suite = ElementTree.fromstring(junit(results).encode())
    assert len(suite.findall(".//testcase")) == len(Outcome)


def test_a_pipe_that_nobody_reads_is_told_before_anything_is_written(tmp_path: Path) -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as pipe:
        for stream in (pipe, SafeStream(pipe), SafeStream(None), io.StringIO()):
            raise_if_left(stream)
        os.close(read)
        for stream in (pipe, SafeStream(pipe)):
            with pytest.raises(BrokenPipeError):
                raise_if_left(stream)
    raise_if_left(pipe)  # closed by ourselves
    with (tmp_path / "file").open("w") as file:
        raise_if_left(file)
