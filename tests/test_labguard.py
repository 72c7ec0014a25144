"""A test that boots QEMU without saying so fails, whoever boots it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BOOT = "'qemu-system-aarch64', '-nodefaults', '-machine', 'help'"
SELF = f"subprocess.run([{BOOT}], capture_output=True, timeout=60)"
CHILD = f"subprocess.run([sys.executable, '-c', {('import subprocess; ' + SELF)!r}])"
FIXTURE = "@pytest.fixture(scope='module')\ndef booted():\n    {}\n"


@pytest.mark.parametrize(
    ("head", "mark", "fixture", "body", "passes"),
    [
        ("", "", "", SELF, False),
        ("", "@pytest.mark.lab\n", "", SELF, True),
        ("pytestmark = pytest.mark.lab\n", "", "", SELF, True),
        (FIXTURE.format(SELF), "", "booted", "pass", False),
        (FIXTURE.format(SELF), "@pytest.mark.lab\n", "booted", "pass", True),
        ("", "", "", CHILD, False),
        ("", "@pytest.mark.lab\n", "", CHILD, True),
        ("", "", "", "subprocess.run(['qemu-system-aarch64', '--version'], check=True)", True),
    ],
)
def test_only_tests_of_the_lab_boot(
    head: str, mark: str, fixture: str, body: str, passes: bool, tmp_path: Path
) -> None:
    imports = "import subprocess\nimport sys\nimport pytest\n"
    test = f"{imports}{head}{mark}def test_it({fixture}):\n    {body}\n"
    (tmp_path / "test_it.py").write_text(test)
    qemu = tmp_path / "bin" / "qemu-system-aarch64"  # one that starts and ends at once
    qemu.parent.mkdir()
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "labguard", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE), "PATH": f"{qemu.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is passes, done.stdout
    assert ("boot QEMU" in done.stdout) is not passes
