"""Files that commands write: kept as they were, replaced in one step, or written through."""

from __future__ import annotations

import io
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fuzz.output import OutputError, OutputRefused, check, check_directory, write


def test_a_new_file_is_what_any_new_file_is(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "x", "text\n")
    finally:
        os.umask(before)
    assert (tmp_path / "x").read_text() == "text\n"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "x"
    path.write_text("much longer than what comes\n")
    path.chmod(mode)
    write(path, "short\n")
    assert path.read_text() == "short\n"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    real, soft, hard = tmp_path / "d" / "real", tmp_path / "soft", tmp_path / "hard"
    real.write_text("old")
    soft.symlink_to(Path("d") / "real")
    os.link(real, hard)
    write(soft, "newer text")
    assert soft.is_symlink()
    assert real.read_text() == hard.read_text() == "newer text"
    assert real.samefile(hard)
    write(hard, "x")
    assert real.read_text() == "x"


def test_a_link_to_nothing_makes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "soft").symlink_to("later")
    check(tmp_path / "soft")
    write(tmp_path / "soft", "text")
    assert (tmp_path / "soft").is_symlink()
    assert (tmp_path / "later").read_text() == "text"


def test_a_fifo_and_a_device_are_written_through(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    check(fifo)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(fifo.read_text()))
    reader.start()
    write(fifo, "x" * 200_000)
    reader.join(30)
    assert [len(text) for text in heard] == [200_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    write(Path("/dev/null"), "gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_device_is_named() -> None:
    with pytest.raises(OutputError, match=r"^/dev/full: no space left on device, so it was not"):
        write(Path("/dev/full"), "text")


_FULL_DISK = """
import resource, sys
from pathlib import Path
from fuzz.output import OutputError, write
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(Path(sys.argv[1]), "y" * 5000)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_known_before_the_work(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OutputRefused, match="file too large, so it cannot be written"):
            check(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("linked", [False, True])
def test_a_file_that_cannot_grow_keeps_what_it_held(tmp_path: Path, linked: bool) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    if linked:
        os.link(path, tmp_path / "other")
    command = [sys.executable, "-c", _FULL_DISK, str(path)]
    said = subprocess.check_output(command, text=True, cwd=Path(__file__).parents[1])
    assert said == f"{path}: file too large, so it was not written\n"
    assert path.read_text() == "old"
    assert len(os.listdir(tmp_path)) == 1 + linked


def test_where_nothing_may_be_beside_it_a_file_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_text("old and long")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    write(path, "new")
    assert path.read_text() == "new"
    with pytest.raises(OutputError, match="permission denied"):
        write(tmp_path / "y", "new")


def test_standard_output_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stdout", heard)
    check(Path("-"))
    write(Path("-"), "text")
    assert heard.getvalue() == "text"


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "log", "/dev/fd/1"])
def test_what_standard_output_goes_to_already_is_not_replaced(tmp_path: Path, name: str) -> None:
    script = (
        "import sys; from pathlib import Path; from fuzz.output import check, write;"
        f"print('before'); check(Path({name!r})); write(Path({name!r}), 'text\\n'); print('after')"
    )
    root = str(Path(__file__).parents[1])
    with (tmp_path / "log").open("w") as log:
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            cwd=tmp_path,
            stdout=log,
            env={**os.environ, "PYTHONPATH": root},
        )
    assert (tmp_path / "log").read_text() == "before\ntext\nafter\n"


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, why in (
        (".", "it is a directory"),
        ("none/x", "no such file or directory"),
        ("file/x", "not a directory"),
        ("x" * 300, "file name too long"),
        ("\0", "embedded null byte"),
    ):
        path = tmp_path / name
        with pytest.raises(OutputRefused, match=f": {why}, so it cannot be written"):
            check(path)
    with pytest.raises(OutputRefused, match="/proc/nowhere/x: no such file"):
        check(Path("/proc/nowhere/x"))
    with pytest.raises(OutputRefused, match="bad file descriptor"):
        check(Path("/dev/fd/987"))
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_may_be_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_directory(tmp_path)
    check_directory(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(OutputRefused, match=r"file is a file|not a directory"):
        check_directory(tmp_path / "file" / "b")
    with pytest.raises(OutputRefused, match="/proc/nowhere: no such file or directory, so nothing"):
        check_directory(Path("/proc/nowhere"))
