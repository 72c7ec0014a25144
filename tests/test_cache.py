"""Entries of the cache: damaged, half-made, made by several at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from targets import cache, compiler, entry
from targets.cache import CacheError
from targets.entry import SUFFIX, Entry
from targets.transport import TransportError

ROOT = Path(__file__).parents[1]
TICK_S = 0.02
"""File systems tell no times apart that are closer than some milliseconds."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(entry, "_SETTLED_NS", 0)  # else all would be read again for a second
    return tmp_path / "cache"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(cache, "_listeners", [lines.append])
    return lines


def make_file(staged: Path) -> None:
    staged.write_bytes(b"content" * 100)


def make_tree(staged: Path) -> None:
    (staged / "usr/lib").mkdir(parents=True)
    (staged / "usr/lib/libx.so.1").write_bytes(b"library")
    (staged / "usr/lib/libx.so").symlink_to("libx.so.1")
    (staged / "usr/lib/all").symlink_to("../lib")
    (staged / "run").write_text("#!/bin/sh\n")
    (staged / "run").chmod(0o755)


def a_file() -> Entry:
    return Entry(cache.cache_dir() / "plugins/one.so", "the plugin")


def a_tree() -> Entry:
    return Entry(cache.cache_dir() / "qemu/new", "a newer QEMU", how="is fetched anew")


def keep_times(path: Path, change: Callable[[Path], object]) -> None:
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def another_kind(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


FILE_DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda p: os.truncate(p, 300),
    "empty": lambda p: os.truncate(p, 0),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"x"),
    "one byte": lambda p: p.write_bytes(b"C" + p.read_bytes()[1:]),
    "one byte, same times": lambda p: keep_times(p, lambda q: q.write_bytes(b"c" * 700)),
    "a directory": lambda p: another_kind(p, lambda q: q.mkdir()),
    "a pipe": lambda p: another_kind(p, os.mkfifo),
    "digest empty": lambda p: p.with_name(p.name + SUFFIX).write_bytes(b""),
    "digest cut": lambda p: os.truncate(p.with_name(p.name + SUFFIX), 20),
    "digest no object": lambda p: p.with_name(p.name + SUFFIX).write_bytes(b"[]"),
    "digest of something else": lambda p: p.with_name(p.name + SUFFIX).write_bytes(
        b'{"sha256": "00", "stamp": ""}'
    ),
    "digest no text": lambda p: p.with_name(p.name + SUFFIX).write_bytes(b"\xff\x00"),
}

TREE_DAMAGE: dict[str, Callable[[Path], object]] = {
    "file gone": lambda p: (p / "usr/lib/libx.so.1").unlink(),
    "file truncated": lambda p: os.truncate(p / "usr/lib/libx.so.1", 3),
    "file changed": lambda p: (p / "usr/lib/libx.so.1").write_bytes(b"Library"),
    "file more": lambda p: (p / "usr/lib/zz").write_bytes(b""),
    "link elsewhere": lambda p: another_kind(p / "usr/lib/libx.so", lambda q: q.symlink_to("x")),
    "link to a file": lambda p: another_kind(p / "usr/lib/libx.so", Path.touch),
    "not executable": lambda p: (p / "run").chmod(0o644),
    "a pipe in it": lambda p: os.mkfifo(p / "pipe"),
    "all gone": lambda p: [shutil.rmtree(p / "usr"), (p / "run").unlink()],
    "a file": lambda p: [shutil.rmtree(p), p.touch()],
}

DAMAGE = [
    *((a_file, make_file, name, damage) for name, damage in FILE_DAMAGE.items()),
    *((a_tree, make_tree, name, damage) for name, damage in TREE_DAMAGE.items()),
]


def what_is_there(path: Path) -> list[tuple[str, str]]:
    if path.is_file():
        return [("", path.read_bytes().hex())]
    return sorted(
        (str(p.relative_to(path)), os.readlink(p) if p.is_symlink() else p.read_bytes().hex())
        for p in path.rglob("*")
        if p.is_symlink() or p.is_file()
    )


@pytest.mark.parametrize(
    ("make_entry", "make", "damage"),
    [(e, m, d) for e, m, _, d in DAMAGE],
    ids=[f"{e.__name__}: {name}" for e, _, name, _ in DAMAGE],
)
def test_damage_is_told_and_mended(
    make_entry: Callable[[], Entry],
    make: Callable[[Path], object],
    damage: Callable[[Path], object],
    told: list[str],
) -> None:
    kept = make_entry()
    before = what_is_there(kept.get(make))
    assert kept.kept()
    assert told == []
    time.sleep(TICK_S)
    damage(kept.path)
    assert what_is_there(kept.get(make)) == before
    assert told == [f"{kept.path} was damaged: {kept.what} {kept.how}."]
    assert kept.kept()

    # Who only asks whether it is there is told the same, and need not ask twice.
    time.sleep(TICK_S)
    damage(kept.path)
    assert not kept.kept()
    assert not kept.kept()
    assert told == [f"{kept.path} was damaged: {kept.what} {kept.how}."] * 2
    assert not kept.path.exists()


@pytest.mark.parametrize(("make_entry", "make"), [(a_file, make_file), (a_tree, make_tree)])
def test_an_unchanged_entry_is_not_read_again(
    make_entry: Callable[[], Entry],
    make: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    told: list[str],
) -> None:
    kept = make_entry()
    kept.get(make)
    monkeypatch.setattr(entry, "_digest", None)
    assert kept.kept()
    kept.get(lambda staged: pytest.fail("made again"))
    assert told == []


def test_what_just_changed_is_read_again_until_its_times_can_be_relied_on(
    monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    monkeypatch.setattr(entry, "_SETTLED_NS", 3600 * 10**9)
    kept = a_file()
    kept.get(make_file)
    read = []
    digest = entry._digest
    monkeypatch.setattr(entry, "_digest", lambda path: (read.append(path), digest(path))[1])
    assert kept.kept()
    assert kept.kept()
    assert read == [kept.path] * 2
    monkeypatch.setattr(entry, "_SETTLED_NS", 0)
    assert kept.kept()
    assert kept.kept()
    assert read == [kept.path] * 3


def test_a_moved_cache_is_read_once_and_believed(
    here: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    a_file().get(make_file)
    a_tree().get(make_tree)
    shutil.copytree(here, here.with_name("copy"), symlinks=True)
    monkeypatch.setenv(cache.VARIABLE, str(here.with_name("copy")))
    for kept in (a_file(), a_tree()):
        assert kept.kept()
    monkeypatch.setattr(entry, "_digest", None)
    for kept in (a_file(), a_tree()):
        assert kept.kept()
    assert told == []


def test_what_has_no_digest_was_never_finished(told: list[str]) -> None:
    kept = a_file()
    kept.path.parent.mkdir(parents=True)
    kept.path.write_bytes(b"half")
    assert not kept.kept()
    assert kept.get(make_file).read_bytes() == b"content" * 100
    assert told == []


def test_a_digest_known_beforehand_needs_no_other(told: list[str]) -> None:
    kept = a_file()
    kept.get(make_file)
    digest = entry._digest(kept.path)
    kept.path.with_name(kept.path.name + SUFFIX).unlink()
    sure = Entry(kept.path, "kernel 6.12", digest)
    assert sure.kept()
    with pytest.raises(TransportError, match="another digest"):
        sure.put(lambda staged: staged.write_bytes(b"something else"))
    assert kept.path.read_bytes() == b"content" * 100
    kept.path.write_bytes(b"damaged")
    assert not sure.kept()
    assert len(told) == 1


@pytest.mark.parametrize("step", ["make", "rename", "note"])
def test_a_maker_that_fails_leaves_nothing_that_counts(
    step: str, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    class Killed(BaseException):
        pass

    def fail(*_: object) -> None:
        raise Killed

    kept = a_tree()
    with monkeypatch.context() as patch:
        if step != "make":
            name = {"rename": "rename", "note": "_note"}[step]
            patch.setattr(Path if step == "rename" else Entry, name, fail)
        with pytest.raises(Killed):
            kept.get(lambda p: (make_tree(p), step == "make" and fail()))
    assert not kept.kept()
    assert kept.get(make_tree) == kept.path
    assert kept.kept()
    assert told == []
    names = {path.name for path in kept.path.parent.iterdir()}
    assert names == {".lock", kept.path.name, kept.path.name + SUFFIX}


def test_replacing_takes_the_place_of_what_was_there() -> None:
    kept = a_tree()
    kept.get(make_tree)
    kept.put(lambda staged: (staged.mkdir(), (staged / "only").touch()))
    assert [p.name for p in kept.path.iterdir()] == ["only"]
    assert kept.kept()


MAKER = """
    import os, sys, time
    from pathlib import Path
    from targets.cache import cache_dir
    from targets.entry import Entry

    def make(staged):
        with open(sys.argv[1], "a") as file:
            file.write("made\\n")
        staged.write_bytes(b"a" * 1000)
        time.sleep(float(sys.argv[2]))
        staged.write_bytes(b"b" * 1000)

    path = Entry(cache_dir() / "some" / "thing", "the thing").get(make)
    print(set(path.read_bytes()))
"""


def maker(log: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(MAKER), str(log), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_several_at_once_make_it_once_and_say_that_they_wait(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ended = [process.communicate(timeout=60) for process in [maker(log, 1.5) for _ in range(4)]]
    assert {out for out, _ in ended} == {f"{{{ord('b')}}}\n"}
    assert log.read_text() == "made\n"
    waiting = "vcpufuzz: waiting for another process, which is at the thing.\n"
    assert sorted(err for _, err in ended) == ["", *[waiting] * 3]


def test_a_killed_maker_is_as_if_it_never_was(tmp_path: Path, here: Path) -> None:
    log = tmp_path / "log"
    killed = maker(log, 60)
    while not list((here / "some").glob(".make-*/new")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    assert maker(log, 0).communicate(timeout=60) == (f"{{{ord('b')}}}\n", "")
    assert log.read_text() == "made\n" * 2
    assert {p.name for p in (here / "some").iterdir()} == {".lock", "thing", "thing.digest"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "not a directory"),
        ("file/below", "not a directory"),
        ("/dev/null", "not a directory"),
        ("/proc/nowhere", "no such file or directory"),
        ("x" * 300, "file name too long"),
    ],
)
def test_a_directory_that_is_none_is_a_sentence(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / name))
    with pytest.raises(CacheError) as caught:
        cache.cache_dir()
    assert str(caught.value) == (
        f"the cache directory {tmp_path / name} cannot be used: {why}"
        " (VCPUFUZZ_CACHE names another one)."
    )


def test_a_relative_name_means_the_same_to_a_process_that_starts_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.VARIABLE, "kept")
    assert cache.cache_dir() == tmp_path / "kept"
    monkeypatch.chdir("/")
    assert cache.cache_dir() == tmp_path / "kept"


def test_without_a_variable_it_is_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv(cache.VARIABLE)
        else:
            monkeypatch.setenv(cache.VARIABLE, value)
        assert cache.cache_dir() == tmp_path / ".cache/vcpufuzz"


@pytest.mark.parametrize(
    ("says", "package"),
    [
        ("gcc: fatal error: cannot execute 'as': execvp: No such file or directory", "binutils"),
        ("collect2: fatal error: cannot find 'ld'", "binutils"),
        ("gcc: fatal error: cannot execute 'cc1': execvp: No such file", "gcc"),
        ("g++: fatal error: cannot execute 'cc1plus': execvp: No such file", "g++"),
        ("a.c:1:10: fatal error: stdio.h: No such file or directory", "libc6-dev"),
        ("a.c:1:10: fatal error: linux/kvm.h: No such file or directory", "libc6-dev"),
        ("ld: cannot find crt1.o: No such file or directory", "libc6-dev"),
        ("ld: cannot find -lc: No such file or directory", "libc6-dev"),
        ("a.c:2:1: fatal error: Python.h: No such file or directory", "python3-dev"),
        ("a.cc:1:1: fatal error: aarch64/simulator-aarch64.h: No such file", "libvixl-dev"),
        ("a.c:9:1: error: expected ';' before 'int'", ""),
        ("a.c:1:1: fatal error: executor.h: No such file or directory", ""),
        ("", ""),
    ],
)
@pytest.mark.parametrize("name", ["gcc", "aarch64-linux-gnu-gcc"])
def test_a_compiler_that_lacks_something_names_the_package(
    says: str, package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    fake = tmp_path / name
    fake.write_text(f"#!/bin/sh\nprintf '%s\\n' 'included from a.c:' \"{says}\" >&2\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(TransportError) as caught:
        compiler.compile_([str(fake), "a.c"], "the thing", tmp_path)
    if name != "gcc":
        cross = {
            "gcc": "gcc-aarch64-linux-gnu",
            "binutils": "binutils-aarch64-linux-gnu",
            "libc6-dev": "libc6-dev-arm64-cross",
        }
        package = cross.get(package, package)
    install = f" (apt install {package})" if package else ""
    words = says or "included from a.c:"
    assert str(caught.value) == f"the thing does not compile: {words}{install}."
