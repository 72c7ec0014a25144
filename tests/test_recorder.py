"""The recorder itself, built for this machine: it follows what a command does, and changes nothing.

What KVM would be asked here fails, as it is asked of /dev/null."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fuzz.record.log import Ioctl, Log, read
from fuzz.record.machines import machines
from targets.kvm.recorder import build

ONE_REG, CHECK, SET_EVENTS = 0x4010AEAC, 0xAE03, 0x4040AEA0


@pytest.fixture(scope="module")
def recorder() -> Path:
    return build.build_with("gcc")


def record(recorder: Path, place: Path, *command: str, seconds: int = 0) -> tuple[int, Log, str]:
    log = place / "log"
    argv = [str(recorder), str(log), str(seconds), *command]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, read(log.read_text()), done.stderr + done.stdout


BEGIN = """
import ctypes, os, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/dev/null", os.O_RDWR)
def ask(request, argument):
    return libc.ioctl(fd, ctypes.c_ulong(request), argument)
"""


def python(text: str) -> tuple[str, ...]:
    return sys.executable, "-S", "-c", BEGIN + text


def ioctls(log: Log) -> list[Ioctl]:
    return [call for call in log.calls if isinstance(call, Ioctl)]


def test_what_a_register_is_set_to_is_logged_with_where_it_failed(
    recorder: Path, tmp_path: Path
) -> None:
    code, log, said = record(
        recorder,
        tmp_path,
        *python(
            f"value = ctypes.create_string_buffer(bytes(range(256)), 256)\n"
            f"one = struct.pack('<QQ', 0x6080000000150000, ctypes.addressof(value))\n"
            f"print(ask({ONE_REG}, one))"
        ),
    )
    (call,) = ioctls(log)
    assert (code, said) == (0, "-1\n")
    assert (call.of, call.request, call.result) == ("/dev/null", ONE_REG, -25)
    assert bytes.fromhex(call.given)[16:] == bytes(range(256))
    assert int.from_bytes(bytes.fromhex(call.given)[:8], "little") == 0x6080000000150000
    assert (log.code, log.argv[0]) == (0, sys.executable)
    assert machines(log).beside == (call,)


def test_events_that_differ_are_told_one_by_one(recorder: Path, tmp_path: Path) -> None:
    text = f"for n in range(2): ask({SET_EVENTS}, bytes([n] + [0] * 63))"
    _, log, _ = record(recorder, tmp_path, *python(text))
    assert [(call.given[:4], call.times) for call in ioctls(log)] == [("0000", 1), ("0100", 1)]


def test_a_value_is_logged_as_far_as_it_is_mapped(recorder: Path, tmp_path: Path) -> None:
    _, log, _ = record(
        recorder,
        tmp_path,
        *python(
            f"import mmap\n"
            f"libc.mmap.restype = ctypes.c_void_p\n"
            f"at = libc.mmap(None, 8192, 3, 0x22, -1, ctypes.c_long(0))\n"
            f"libc.munmap(ctypes.c_void_p(at + 4096), 4096)\n"
            f"ask({ONE_REG}, struct.pack('<QQ', 0x6080000000150000, at + 4096 - 32))\n"
            f"ask({ONE_REG}, ctypes.c_void_p(8))\n"
        ),
    )
    first, second = ioctls(log)
    assert len(bytes.fromhex(first.given)) == 16 + 32
    assert second.given == ""


def test_threads_and_processes_are_followed_and_calls_alike_counted(
    recorder: Path, tmp_path: Path
) -> None:
    code, log, _ = record(
        recorder,
        tmp_path,
        *python(
            f"def some():\n"
            f"    for n in range(5): ask({CHECK}, n)\n"
            f"thread = threading.Thread(target=some)\n"
            f"thread.start(); thread.join()\n"
            f"if os.fork() == 0:\n"
            f"    some(); os._exit(9)\n"
            f"os.wait(); os._exit(5)\n"
        ),
    )
    assert code == log.code == 5
    assert [call.times for call in ioctls(log)] == [5, 5]
    assert len({call.pid for call in ioctls(log)}) == 2


def test_a_command_that_is_killed_amid_its_calls_leaves_a_whole_log(
    recorder: Path, tmp_path: Path
) -> None:
    code, log, _ = record(
        recorder,
        tmp_path,
        *python(
            f"def some():\n"
            f"    while True: ask({CHECK}, 1)\n"
            f"threading.Thread(target=some, daemon=True).start()\n"
            f"import time; time.sleep(0.2); os.kill(os.getpid(), 9)\n"
        ),
    )
    assert code == log.code == 128 + 9
    assert sum(call.times for call in ioctls(log)) > 10
    assert all(call.request == CHECK for call in ioctls(log))


def test_it_ends_as_the_command_does(recorder: Path, tmp_path: Path) -> None:
    assert record(recorder, tmp_path, "false")[0] == 1
    assert record(recorder, tmp_path, "sh", "-c", "kill -SEGV $$")[0] == 128 + 11
    code, log, said = record(recorder, tmp_path, "./nosuch")
    assert (code, log.calls, said) == (127, [], "recorder: ./nosuch: No such file or directory\n")


def test_signals_and_stops_reach_the_command_as_ever(recorder: Path, tmp_path: Path) -> None:
    script = (
        "trap 'echo got' USR1; kill -USR1 $$; (sleep 0.3; kill -CONT $$) & kill -STOP $$; echo on"
    )
    assert record(recorder, tmp_path, "sh", "-c", script)[2] == "got\non\n"


def test_the_time_is_over(recorder: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    assert record(recorder, tmp_path, "sleep", "50", seconds=1)[0] == 128 + 15
    assert time.monotonic() - began < 20


def test_the_time_is_over_for_what_outlives_the_first_process_as_well(
    recorder: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    script = "sleep 51 & sh -c 'exec sleep 52' & exit 3"
    assert record(recorder, tmp_path, "sh", "-c", script, seconds=1)[0] == 3
    script = "sleep 53 & exec sleep 0.1"
    assert record(recorder, tmp_path, "sh", "-c", script, seconds=1)[0] == 0
    assert time.monotonic() - began < 20


def test_one_that_is_no_leader_may_run_another_program(recorder: Path, tmp_path: Path) -> None:
    text = "threading.Thread(target=lambda: os.execv('/bin/sleep', ['sleep', '50'])).start()"
    began = time.monotonic()
    assert record(recorder, tmp_path, *python(text), seconds=1)[0] == 128 + 15
    assert time.monotonic() - began < 20


def test_a_signal_to_the_recorder_reaches_every_process(recorder: Path, tmp_path: Path) -> None:
    script = "trap '' TERM; (trap 'echo told; exit' TERM; echo on; while :; do :; done) & exit 4"
    argv = [str(recorder), str(tmp_path / "log"), "9", "sh", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "on\n"
        running.terminate()
        assert running.wait(timeout=20) == 4
        assert running.stdout.read() == "told\n"


def test_odd_words_are_logged_as_json(recorder: Path, tmp_path: Path) -> None:
    words = ('"\\', "a\nb\x1b", "ü")
    assert record(recorder, tmp_path, "true", *words)[1].argv == ("true", *words)
