"""Files of cases: whether they are text or bytes is in what they hold, not in their names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cases, raw_bytes

from corpus.case import Case, decode
from corpus.domain import TextError
from corpus.inputs import case_of, is_text, read_document
from corpus.kept import load_kept
from corpus.lines import MAX_SIZE
from corpus.store import ROOT, adopt_texts, load_case
from corpus.text import format_case, parse_case

TEXT = "# Why.\ncreate v0\ninit v0\n"
CASE = parse_case(TEXT)
NAMES = ("a.case", "a.txt", "a", "a.bin", "crash-0123", ".case", "ä b")


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_text_whatever_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for data in (TEXT.encode(), b"\xef\xbb\xbf" + TEXT.encode(), b"\r\n\t" + TEXT.encode()):
        path.write_bytes(data)
        assert load_case(path) == CASE
        assert load_kept(path).case == CASE
        assert load_kept(path).about in ("Why.", "")
    if not name.endswith(".case") or name == ".case":
        path.write_bytes(CASE.encoded)
        assert load_case(path) == CASE
        assert load_kept(path).case == CASE


UNREADABLE = {
    b"": "it is empty",
    b"\xef\xbb\xbf": "there is no op in it",
    b"# nothing\n": "there is no op in it",
    b"\0": "there is no op in it",
    b"create v0\nread-al v0": "line 2: 'read-al' is no op; nearest: read-all",
    b"create v0\n# \xe9t\xe9\n": "line 2: the byte 0xe9 is not UTF-8, and no case in bytes begins",
    b"create v0\n\x1b": "line 2: the control character '\\x1b'",
    b"\x89PNG\r\n\x1a\n": "line 1: the byte 0x89 is not UTF-8, and no case in bytes begins",
    "create v0\n".encode("utf-16"): "text in UTF-16: save it as UTF-8",
    b"#" * (MAX_SIZE + 1): "more than 1 MiB: no case is as long",
    b"#" * 10_000_000: "more than 1 MiB: no case is as long",
}


@pytest.mark.parametrize("data", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_holds_no_case_gets_a_sentence_with_its_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(data)
    for load in (load_case, load_kept):
        with pytest.raises(TextError) as error:
            load(path)
        said = str(error.value)
        assert said.startswith(f"{path}: ")
        assert UNREADABLE[data] in said
        assert "\n" not in said


def test_a_file_named_case_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.case"
    path.write_bytes(CASE.encoded)
    with pytest.raises(TextError, match="line 1: "):
        load_case(path)


def test_endless_files_end(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="no case is as long"):
        load_case(Path("/dev/zero"))
    with pytest.raises(IsADirectoryError):
        load_case(tmp_path)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """`replay <(generator)`: what was read cannot be read again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'w').write({TEXT!r})"]):
        kept = load_kept(pipe)
    assert kept.case == CASE
    assert kept.about == "Why."


@settings(max_examples=40)
@given(cases.filter(lambda case: bool(case.ops)))
def test_text_and_bytes_are_never_taken_for_each_other(case: Case) -> None:
    text = format_case(case).encode()
    assert is_text(text)
    assert not is_text(case.encoded)
    assert case_of(text) == case_of(case.encoded) == read_document(text).case == case
    assert case_of(case.encoded[:40]) == decode(case.encoded[:40])


@given(raw_bytes)
def test_every_input_of_a_fuzzer_is_a_case(data: bytes) -> None:
    assert isinstance(case_of(data), Case)


@given(st.text(max_size=60))
def test_every_text_is_a_case_too_though_perhaps_an_empty_one(text: str) -> None:
    assert isinstance(case_of(text.encode("utf-8", "replace")), Case)


def test_texts_in_a_corpus_get_their_bytes_beside_them(tmp_path: Path) -> None:
    other = parse_case("create v1\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "mine").write_text(TEXT)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "kept").write_bytes(other.encoded)
    (tmp_path / "seed").write_bytes(b"\xff\xfe\xfd any bytes \x80")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    adopt_texts(tmp_path)
    adopt_texts(tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before | {tmp_path / CASE.id: CASE.encoded}


def test_a_text_in_a_corpus_that_is_no_case_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("create v0\nremember the milk\n")
    with pytest.raises(TextError, match=r"notes: line 2: 'remember' is no op"):
        adopt_texts(tmp_path)


def campaign(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("vcpufuzz")), "run", "--corpus", "kept"]
    options = ["--cases", "9", "--legs", "model,model:zero", "--workers", "1", "--seed", "3"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.long
def test_a_campaign_begins_with_the_texts_of_its_corpus(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    text = (ROOT / "seeds" / "tail-may-vanish.case").read_text()
    (kept / "by-hand").write_text(text)
    done = campaign(tmp_path)
    assert done.returncode == 0, done.stderr
    case = parse_case(text)
    assert (kept / case.id).read_bytes() == case.encoded
    assert (kept / "by-hand").read_text() == text
    (kept / "typo.txt").write_text("create v0\nfinalise v0\n")
    refused = campaign(tmp_path)
    assert refused.returncode == 2
    said = re.escape(str(kept / "typo.txt")) + ": line 2: 'finalise' is no op; nearest: finalize"
    assert re.search(said, refused.stderr), refused.stderr
    assert "Traceback" not in refused.stderr
