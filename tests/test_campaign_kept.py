"""What is counted as kept is there, and a flag that breaks a campaign is refused with a reason."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.campaign.kept import KeptCases
from fuzz.worker.flags import _INSTEAD, _NUMBERS, FlagError, check


def _addressed(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def test_only_whole_cases_count(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three"):
        (tmp_path / _addressed(content)).write_bytes(content)
    (tmp_path / "by-hand.case").write_bytes(b"create v0\n")
    (tmp_path / _addressed(b"whole")).write_bytes(b"who")
    (tmp_path / _addressed(b"lost")).touch()
    (tmp_path / "folder").mkdir()
    cases = KeptCases(tmp_path)
    cases.look()
    assert (cases.count, cases.broken) == (4, 2)
    # One that was seen while it was written is whole a moment later; another is removed.
    (tmp_path / _addressed(b"whole")).write_bytes(b"whole")
    (tmp_path / _addressed(b"one")).unlink()
    cases.look()
    assert (cases.count, cases.broken) == (4, 1)


def test_a_directory_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    cases = KeptCases(tmp_path / "gone")
    cases.look()
    assert (cases.count, cases.trouble) == (0, "no such file or directory")


def test_a_directory_without_room_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = KeptCases(tmp_path)
    cases.probe()
    assert cases.trouble == ""

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", full)
        cases.probe()
        assert cases.trouble == "no space left on device"
    cases.probe()
    assert cases.trouble == ""


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-use_value_profile=1",),
        ("-max_len=512", "-len_control=100", "-timeout=1200", "-rss_limit_mb=8192"),
        ("-purge_allocator_interval=-1", "-entropic=0"),
    ],
)
def test_flags_that_do_no_harm_are_passed_on(flags: tuple[str, ...]) -> None:
    check(flags)


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("-seed=abc", "-seed cannot be given to a campaign: use --seed"),
        ("-runs=5", "use --cases"),
        ("-max_total_time=9", "use --time"),
        ("-fork=1", "use --workers"),
        ("-merge=1", "it would not fuzz"),
        ("-artifact_prefix=/nodir/", "the campaign sets it itself"),
        ("-use_valu_profile=1", "did you mean -use_value_profile?"),
        ("-max_len=3", "-max_len takes a number from 64 to 1048576, not '3'"),
        ("-max_len=٣٣٣", "takes a number"),
        ("corpus", "'corpus' is not a flag of libFuzzer"),
        ("--seed=1", "is not a flag"),
    ],
)
def test_flags_that_break_a_campaign_are_refused(flag: str, sentence: str) -> None:
    with pytest.raises(FlagError, match=sentence.replace("?", r"\?")):
        check(("-use_cmp=1", flag))


def test_every_flag_of_libfuzzer_is_decided() -> None:
    script = "import atheris; atheris.Setup(['x', '-help=1'], lambda data: None); atheris.Fuzz()"
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    flags = {line.split()[0] for line in told.splitlines() if line.startswith(" ")}
    assert len(flags) > 70
    assert set(_INSTEAD) | set(_NUMBERS) <= flags
    assert not set(_INSTEAD) & set(_NUMBERS)
