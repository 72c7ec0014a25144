"""Running a C or C++ compiler, and what to install when it lacks something."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from targets.transport import TransportError

_LACKS = (
    (r"(Python|pyconfig)\.h: No such file", "python3-dev"),
    (r"aarch64/\S+\.h: No such file", "libvixl-dev"),
    (r"(std|sys/|linux/|asm/|bits/|errno|string|unistd)\S*\.h: No such file", "{libc}"),
    (r"cannot find (\S*crt1\.o|-lc|-lm)\b", "{libc}"),
    (r"(execute|find|exec) '(as|ld|collect2)'", "{binutils}"),
    (r"(execute|find|exec) 'cc1plus'", "g++"),
    (r"(execute|find|exec) 'cc1'", "{gcc}"),
)
"""What a compiler says -> the Debian package whose lack that shows; the earliest row counts."""

_PREFIX = "aarch64-linux-gnu-"
_NATIVE = {"libc": "libc6-dev", "gcc": "gcc", "binutils": "binutils"}
_CROSS = {
    "libc": "libc6-dev-arm64-cross",
    "gcc": "gcc-aarch64-linux-gnu",
    "binutils": "binutils-aarch64-linux-gnu",
}


def compile_(argv: Sequence[str], what: str, scratch: Path) -> None:
    """Run a compiler that is installed; its temporary files go to `scratch`. `what` it makes,
    as one may say it. Raises TransportError with its first error, and the package to install."""
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(scratch)}
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise TransportError(f"{argv[0]} cannot be executed: {error.strerror}.") from error
    if done.returncode != 0:
        crosses = Path(argv[0]).name.startswith(_PREFIX) and platform.machine() != "aarch64"
        packages = _CROSS if crosses else _NATIVE
        why = _why(done.stderr, packages) or f"{argv[0]} ended with status {done.returncode}"
        raise TransportError(f"{what} does not compile: {why}.")


def _why(stderr: str, packages: Mapping[str, str]) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b|cannot find|No space left", line)]
    first = next(iter(errors or lines), "").rstrip(".")
    for pattern, package in _LACKS:
        if re.search(pattern, stderr):
            return f"{first} (apt install {package.format(**packages)})"
    return first
