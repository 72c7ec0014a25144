"""A test that boots QEMU without saying so fails, whoever boots it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BOOT = "'qemu-system-aarch64', '-nodefaults', '-machine', 'help'"
SELF = f"subprocess.run([{BOOT}], capture_output=True, timeout=60)"
CHILD = f"subprocess.run([sys.executable, '-c', {('import subprocess; ' + SELF)!r}])"
FIXTURE = "@pytest.fixture(scope='module')\ndef booted():\n    {}\n"


TESTS = (
    ("", "", "", SELF, False),
    ("", "@pytest.mark.lab\n", "", SELF, True),
    ("pytestmark = pytest.mark.lab\n", "", "", SELF, True),
    (FIXTURE.format(SELF), "", "booted", "pass", False),
    (FIXTURE.format(SELF), "@pytest.mark.lab\n", "booted", "pass", True),
    ("", "", "", CHILD, False),
    ("", "@pytest.mark.lab\n", "", CHILD, True),
    ("", "", "", "subprocess.run(['qemu-system-aarch64', '--version'], check=True)", True),
)
"""What stands above a test, its mark, its fixture and its body; and whether it may pass."""


def test_only_tests_of_the_lab_boot(tmp_path: Path) -> None:
    for number, (head, mark, fixture, body, _) in enumerate(TESTS):
        imports = "import subprocess\nimport sys\nimport pytest\n"
        test = f"{imports}{head}{mark}def test_it({fixture}):\n    {body}\n"
        (tmp_path / f"test_{number}.py").write_text(test)
    qemu = tmp_path / "bin" / "qemu-system-aarch64"  # one that starts and ends at once
    qemu.parent.mkdir()
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    path = f"{qemu.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "labguard", "--tb=line", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = {int(n) for n in re.findall(r"^(?:FAILED|ERROR) test_(\d)", done.stdout, re.MULTILINE)}
    assert failed == {n for n, test in enumerate(TESTS) if not test[-1]}, done.stdout
    assert done.stdout.count("boot QEMU") >= len(failed)
