"""The purpose-built kernel: Debian's kernel source with little more than KVM in it.

It reaches its init in a third of a stock kernel's time and runs cases several times
faster, and it has a driver of ours that disturbs vcpus. The source tree exists only while it
is built; what is kept is the Image.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from targets import cache
from targets.cache import cache_dir, locked
from targets.kvm.lab import kconfig, kernels
from targets.kvm.lab.apt import AptRoot
from targets.kvm.lab.kernels import Kernel
from targets.transport import TransportError

HERE = Path(__file__).resolve().parent
DRIVER = (HERE / "driver/vcpufuzz.c",)
"""Kernel-mode NEON in a softirq, for strangers."""
META = "linux-source"
"""Depends, in every suite, on the source package of that suite's kernel."""

CROSS = "" if platform.machine() == "aarch64" else "aarch64-linux-gnu-"

IMAGE = Path("arch/arm64/boot/Image")
"""Where a build leaves the kernel."""

TOOLS = {
    "make": "make",
    "gcc": "gcc",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "perl": "perl",
    "tar": "tar",
    "xz": "xz-utils",
    f"{CROSS}gcc": "gcc-aarch64-linux-gnu" if CROSS else "gcc",
    f"{CROSS}ld": "binutils-aarch64-linux-gnu" if CROSS else "binutils",
}
"""Program -> Debian package."""

LEFT_OUT = ("*/tools/testing/*", "*/Documentation/*/*", "*/drivers/gpu/drm/amd/include/*")
"""Parts of the source that no build reads; a quarter of it."""

NOT_EVERYWHERE = {
    "CONFIG_ARM64_VHE": "gone where every kernel has it, as in 6.12",
    "CONFIG_ARM64_SME": "6.12 marks it broken",
    "CONFIG_ARM_PMUV3": "6.1 has the driver in HW_PERF_EVENTS",
    "CONFIG_PROC_SYSCTL": "7.3 has it in SYSCTL, which is on",
}
"""Options that some sources do not take, and why that is no matter."""

_PR_SET_PDEATHSIG = 1


def check_tools(more: Mapping[str, str] | None = None) -> None:
    """Raises TransportError with the command that installs what is missing. `more`: programs
    that are needed beside those of TOOLS, and their packages."""
    wanted = {**TOOLS, **(more or {})}
    missing = sorted({package for tool, package in wanted.items() if shutil.which(tool) is None})
    if missing:
        raise TransportError(
            f"building a kernel needs more programs: apt install {' '.join(missing)}."
        )


def build(
    source: str,
    checks: Sequence[str] = (),
    *,
    jobs: int = 0,
    again: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Kernel:
    """The small kernel of a release's source; built if it is not kept, or `again`.

    `jobs`: at once, 0 for one per CPU. `say` is told what is under way. Safe in several
    processes at once: later ones wait and take the first one's. Raises TransportError.
    """
    name = kernels.built_name(source, checks)
    wanted = recipe(checks)
    kept = None if again else kernels.built(name, wanted)
    if kept:
        return kept
    check_tools()
    work = cache_dir() / "builds"
    with locked(work, "building a kernel"):
        kept = None if again else kernels.built(name, wanted)
        if kept:
            return kept
        with cache.scratch(work) as scratch:
            return _build(name, source, checks, scratch, jobs or cpus(), say)


def cpus() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _build(
    name: str,
    source: str,
    checks: Sequence[str],
    scratch: Path,
    jobs: int,
    say: Callable[[str], None],
) -> Kernel:
    say(f"fetching the source of kernel {source}")
    tree, version = fetch_source(source, scratch, say)
    with _log(cache_dir() / "builds" / f"{name}.log") as log:
        configure(tree, log, source, checks)
        say(f"compiling kernel {name} ({version}) with {jobs} jobs")
        make(tree, log, [f"-j{jobs}", "Image"])
    return kernels.keep(name, version, tree / IMAGE, recipe(checks))


def configure(tree: Path, log: Path, source: str, checks: Sequence[str]) -> None:
    """Give a source tree the configuration of a small kernel, and the driver. Raises
    TransportError."""
    add_driver(tree)
    wanted = tree.parent / "wanted.config"
    wanted.write_text(fragment(checks))
    make(tree, log, [f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig"])
    refused = list(denied(kconfig.parse(wanted.read_text()), _read_config(tree / ".config")))
    if refused:
        raise TransportError(f"the source of kernel {source} does not take {', '.join(refused)}.")


def recipe(checks: Sequence[str]) -> str:
    """16 hexadecimal digits that change with what is made of a source."""
    parts = [fragment(checks).encode(), *(path.read_bytes() for path in DRIVER)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def add_driver(tree: Path) -> None:
    """Put the driver into a kernel's source."""
    into = tree / "drivers/misc"
    into.mkdir(parents=True, exist_ok=True)
    with (into / "Makefile").open("a", encoding="utf-8") as makefile:
        for path in DRIVER:
            shutil.copyfile(path, into / path.name)
            makefile.write(f"obj-y += {path.stem}.o\n")


def fragment(checks: Sequence[str]) -> str:
    """The options of a small kernel with these self-checks."""
    return "".join((HERE / f"{part}.config").read_text() for part in ("small", *checks))


def _read_config(path: Path) -> dict[str, str]:
    return kconfig.parse(path.read_text(encoding="utf-8", errors="replace"))


def denied(wanted: Mapping[str, str], got: Mapping[str, str]) -> Iterator[str]:
    """Options of `wanted` that a configuration does not have, as CONFIG_X=value."""
    for option, value in wanted.items():
        if got.get(option, "n") != value and option not in NOT_EVERYWHERE:
            yield f"{option}={value}"


def fetch_source(source: str, scratch: Path, say: Callable[[str], None]) -> tuple[Path, str]:
    """The unpacked kernel source of a release, and its package version. Raises
    TransportError."""
    suite = kernels.SUITES[source]
    root = AptRoot(suite)
    root.update()
    package = next((p for p in root.depends(META) if p.startswith(f"{META}-")), None)
    if package is None:
        raise TransportError(f"suite {suite} has no kernel source package {META}.")
    deb = root.download(package, scratch)
    say(f"unpacking {deb.name}")
    kernels.unpack(deb, scratch)
    archive = next(iter(sorted(scratch.glob("usr/src/linux-source-*.tar.xz"))), None)
    if archive is None:
        raise TransportError(f"{deb.name} holds no kernel source.")
    tree = scratch / "tree"
    tree.mkdir()
    argv = ["tar", "-C", str(tree), "--strip-components=1", "-xf", str(archive)]
    done = subprocess.run(
        [*argv, *(f"--exclude={pattern}" for pattern in LEFT_OUT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise TransportError(f"{archive.name} cannot be unpacked: {first_error([done.stderr])}")
    deb.unlink()
    archive.unlink()
    return tree, kernels.version_of(deb)


@contextmanager
def _log(path: Path) -> Iterator[Path]:
    """A log file that is gone again when all went well."""
    path.write_bytes(b"")
    yield path
    path.unlink()


def make(tree: Path, log: Path, arguments: Sequence[str]) -> None:
    """Run make in a source tree, with what it says added to a log. Raises TransportError."""
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        # make passes SIGTERM on to what it started.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    # Settings of the user's own builds must not leak in.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("KBUILD", "KCONFIG", "MAKE"))}
    argv = ["make", "ARCH=arm64", f"CROSS_COMPILE={CROSS}", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            cwd=tree,
            env={**env, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (one system call, no lock taken)
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code != 0:
        with log.open(encoding="utf-8", errors="replace") as lines:
            raise TransportError(
                f"the kernel does not build: {first_error(lines)} (all of it is in {log})."
            )


def first_error(lines: Iterable[str]) -> str:
    """The line that most likely says why a build failed."""
    last = ""
    for line in lines:
        if re.search(r"\berror\b|\*\*\*|not found|No space", line, re.IGNORECASE):
            return line.strip()
        last = line.strip() or last
    return last
