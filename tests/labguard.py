"""Only tests that say so may boot QEMU: the rest are what `make test-fast` runs.

A test that boots without the mark `lab` fails, on itself or, where a program that it started
booted, at its end. So the mark cannot be forgotten.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.kvm.lab.qemu import VARIABLE

MARK = "lab"
_BOOTS = "-nodefaults"
"""Of a QEMU's arguments: it is to boot, not to say its version."""

_SHIM = f"""\
#!/bin/sh
for word; do
    if [ "$word" = {_BOOTS} ]; then
        echo "$*" >> "$VCPUFUZZ_TEST_BOOTED"
        echo "this test has no mark {MARK!r}, so it may not boot QEMU" >&2
        exit 1
    fi
done
exec "$VCPUFUZZ_TEST_QEMU" "$@"
"""


class _Guard:
    """Watches the test that runs now."""

    def __init__(self) -> None:
        self.forbidden = False
        self._folder = Path(tempfile.mkdtemp(prefix="vcpufuzz-tests-"))
        self._booted = self._folder / "booted"
        self._path = os.environ["PATH"]
        self._shim = shim = self._folder / "qemu-system-aarch64"
        shim.write_text(_SHIM)
        shim.chmod(0o755)
        os.environ["VCPUFUZZ_TEST_BOOTED"] = str(self._booted)
        os.environ["VCPUFUZZ_TEST_QEMU"] = shutil.which(shim.name) or "false"
        sys.addaudithook(self._hear)

    def watch(self, forbidden: bool) -> None:
        """From here on boots are forbidden, or not."""
        self.forbidden = forbidden
        os.environ["PATH"] = f"{self._folder}:{self._path}" if forbidden else self._path
        # A kept QEMU would come before the one on the path.
        if forbidden:
            os.environ.setdefault(VARIABLE, str(self._shim))
        elif os.environ.get(VARIABLE) == str(self._shim):
            del os.environ[VARIABLE]

    def boots_of_children(self) -> str:
        """What programs that the test started tried to boot, forgotten then."""
        if not self._booted.exists():
            return ""
        said = self._booted.read_text()
        self._booted.unlink()
        return said

    def close(self) -> None:
        """Leave nothing behind."""
        self.watch(forbidden=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and self.forbidden and _is_boot(args[1]):
            pytest.fail(f"this test has no mark {MARK!r}, so it may not boot QEMU", pytrace=True)


def _is_boot(argv: object) -> bool:
    return (
        isinstance(argv, list | tuple)
        and _BOOTS in argv
        # The shim itself says no, wherever its name came from.
        and not str(argv[0]).startswith(tempfile.gettempdir() + "/vcpufuzz-tests-")
    )


_guard = pytest.StashKey[_Guard]()


def pytest_configure(config: pytest.Config) -> None:
    """Start to listen."""
    config.stash[_guard] = _Guard()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop."""
    config.stash[_guard].close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around a test with all its fixtures, of whatever scope."""
    item.config.stash[_guard].watch(forbidden=item.get_closest_marker(MARK) is None)
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A program that the test started may have tried, too."""
    said = item.config.stash[_guard].boots_of_children()
    if said:
        pytest.fail(f"a program that this test started would boot QEMU: {said}", pytrace=False)
