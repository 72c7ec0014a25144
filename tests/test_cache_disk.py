"""A cache on a disk that is full, read-only, or none: one sentence that names it, and exit 3."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.cli.errors import Exit
from targets import cache
from targets.emulator import build
from targets.kvm.remote import secret

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CASE = ROOT / "corpus/regressions/init-refused-leaves-nothing.case"
UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
"""To mount what only the command sees; without privileges, in a user namespace."""

MOUNT = {
    "full": 'mount -t tmpfs -o size=64k none "$0"',
    "no inode": 'mount -t tmpfs -o nr_inodes=2 none "$0"',
    "read-only": 'mount -t tmpfs -o ro none "$0"',
}
FULL, READ_ONLY = "no space left on device", "read-only file system"

EMULATOR = ("exec", str(CASE), "--legs", "emulator:keep")


CLI = "from fuzz.cli.main import main; main()"


def on(
    mount: str, where: Path, *command: str, program: str = CLI
) -> subprocess.CompletedProcess[str]:
    """Run a command of vcpufuzz with its cache at `where`, after `mount` made a disk there."""
    where.mkdir(exist_ok=True)
    script = f'{mount} && exec "$@"'
    python = [sys.executable, "-c", program]
    return subprocess.run(
        [*UNSHARE, "sh", "-c", script, str(where), *python, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            cache.VARIABLE: str(where),
            secret.VARIABLE: "correct horse battery",
            "VCPUFUZZ_DB": f"{where}.db",
        },
        timeout=300,
    )


@pytest.mark.parametrize(
    ("disk", "command", "why"),
    [
        ("full", EMULATOR, FULL),
        ("no inode", EMULATOR, FULL),
        ("read-only", EMULATOR, READ_ONLY),
        ("full", ("lab", "boot", "kvm:6.12:vhe"), FULL),
        ("read-only", ("lab", "boot", "kvm:6.12:vhe"), READ_ONLY),
        ("full", ("agent", "--leg", "emulator:zero", "--listen", "127.0.0.1:0"), FULL),
        ("read-only", ("agent", "--leg", "emulator:zero", "--listen", "127.0.0.1:0"), READ_ONLY),
        ("full", ("run", "--legs", "model,emulator:keep", "--cases", "5"), FULL),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_disk_of_no_use_is_a_sentence(
    disk: str, command: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    done = on(MOUNT[disk], tmp_path / "cache", *command)
    assert done.returncode == Exit.UNAVAILABLE, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith("vcpufuzz: ")
    assert said.endswith(
        f"the cache directory {tmp_path}/cache cannot be used: {why}"
        " (VCPUFUZZ_CACHE names another one)"
    )


@pytest.mark.parametrize(
    ("module", "size"),
    [
        ("targets.kvm.lab.image", "400k"),  # the initramfs has about 850
        ("targets.kvm.lab.image", "1200k"),  # the program fits, the archive of it does not
    ],
)
def test_a_disk_that_fills_as_a_compiler_writes_is_a_sentence(
    module: str, size: str, tmp_path: Path
) -> None:
    program = f"""if True:
        from {module} import build
        from targets.cache import CacheError
        try:
            print(build())
        except CacheError as error:
            print(error)
    """
    mount = f'mount -t tmpfs -o size={size} none "$0"'
    done = on(mount, tmp_path / "cache", program=program)
    assert done.stderr == ""
    assert done.stdout == (
        f"the cache directory {tmp_path}/cache cannot be used: {FULL}"
        " (VCPUFUZZ_CACHE names another one).\n"
    )


@pytest.mark.parametrize("command", [EMULATOR, ("lab", "legs")])
def test_a_file_in_place_of_the_directory_is_a_sentence(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = on('rmdir "$0" && : >"$0"', tmp_path / "cache", *command)
    assert done.returncode == Exit.UNAVAILABLE, done.stderr
    assert done.stderr == (
        f"vcpufuzz: the cache directory {tmp_path}/cache cannot be used: not a directory"
        " (VCPUFUZZ_CACHE names another one)\n"
    )


def test_a_cache_that_is_whole_serves_from_a_read_only_disk(tmp_path: Path) -> None:
    build.worker_binary()
    own = cache.cache_dir()
    bind = f'mount --bind "{own}" "$0" && mount -o remount,ro,bind "$0"'
    done = on(bind, tmp_path / "cache", *EMULATOR)
    assert done.returncode == Exit.OK, done.stderr
    assert done.stderr == ""
    assert "emulator:keep: agree" in done.stdout


def test_what_is_missing_on_a_read_only_disk_is_a_sentence(tmp_path: Path) -> None:
    build.worker_binary()
    own = cache.cache_dir()
    empty = f'mkdir "$0.empty" && mount --bind "$0.empty" "{own}/emulator"'
    bind = f'{empty} && mount --rbind "{own}" "$0" && mount -o remount,ro,bind "$0/emulator"'
    done = on(bind, tmp_path / "cache", *EMULATOR)
    assert done.returncode == Exit.UNAVAILABLE, done.stderr
    assert f"the cache directory {tmp_path}/cache cannot be used: {READ_ONLY}" in done.stderr
