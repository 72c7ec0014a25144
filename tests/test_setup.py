"""The set-up script asks apt for exactly what is missing, and says so when it may not ask."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REAL_TOOLS = (*("bash", "cat", "cut", "dirname", "env", "flock", "grep", "rm", "seq", "sha256sum"),)
ALL = (
    *("qemu-system-arm", "g++", "libvixl-dev", "pkgconf", "cpio", "postgresql"),
    "chromium",
    *("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "binutils-aarch64-linux-gnu"),
)


@dataclass
class Machine:
    """A copy of the script on a machine made of fake tools; `calls` is what they were told."""

    root: Path
    uid: int = 0
    arch: str = "x86_64"
    installed: tuple[str, ...] = ALL
    tools: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bin = self.root / "bin"
        self.checkout = self.root / "checkout"
        self.calls_file = self.root / "calls"
        (self.checkout / ".ci").mkdir(parents=True)
        script = (ROOT / ".ci" / "setup.sh").read_text()
        # What this machine happens to have must not be found.
        self.script = self.checkout / ".ci" / "setup.sh"
        self.script.write_text(script.replace("/usr/bin/python3", f"{self.bin}/debians-python3"))
        self.script.chmod(0o755)
        (self.checkout / "pyproject.toml").write_text("[project]\n")
        self.bin.mkdir()
        for name in REAL_TOOLS:
            real = shutil.which(name)
            assert real is not None
            (self.bin / name).symlink_to(real)
        lines = "".join(f"{name} installed\n" for name in self.installed)
        self.tool("dpkg-query", f"printf '%s' '{lines}'; exit 1")
        self.tool("id", f"echo {self.uid}")
        self.tool("uname", f"echo {self.arch}")
        self.tool("apt-get", self.log("apt-get"))
        self.tool("llvm-mc-20", "")
        self.tool("python3.12", self.log("python") + self.make_venv_script())
        for name, script in self.tools.items():
            self.tool(name, script)

    def tool(self, name: str, script: str) -> None:
        """Put a fake tool on the path; without one, none of that name is found."""
        path = self.bin / name
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)

    def log(self, name: str) -> str:
        return f'echo {name} "$@" >>{self.calls_file}\n'

    def make_venv_script(self) -> str:
        made = f"printf '#!/bin/bash\\n%s\\n' '{self.log('venv-python')}' >.venv/bin/python"
        return f'if [ "$2" = venv ]; then mkdir -p .venv/bin; {made}; chmod +x .venv/bin/python; fi'

    def setup(self) -> tuple[int, str]:
        done = subprocess.run(
            [self.script],
            env={"PATH": str(self.bin), "HOME": str(self.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    @property
    def calls(self) -> list[str]:
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        # Asking a Python what it is changes nothing.
        return [line for line in text.splitlines() if " -c " not in line]


Maker = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path) -> Maker:
    # The fake Python makes directories with the real tool.
    os.makedirs(tmp_path / "m")

    def make(**options: object) -> Machine:
        made = Machine(tmp_path / "m", **options)  # type: ignore[arg-type]
        for name in ("mkdir", "chmod"):
            (made.bin / name).symlink_to(str(shutil.which(name)))
        return made

    return make


def test_root_gets_what_is_missing_and_nothing_else(machine: Maker) -> None:
    here = machine(installed=tuple(name for name in ALL if name not in {"g++", "libvixl-dev"}))
    assert here.setup()[0] == 0
    apt = [call for call in here.calls if call.startswith("apt-get")]
    assert apt == [
        "apt-get update -qq",
        "apt-get install -qq -y --no-install-recommends g++ libvixl-dev",
    ]


def test_a_complete_machine_needs_no_apt_and_the_second_start_nothing(machine: Maker) -> None:
    here = machine()
    assert here.setup()[0] == 0
    assert here.calls == [
        "python -m venv .venv",
        "venv-python -m pip install --quiet --disable-pip-version-check -e .[dev]",
    ]
    assert here.setup() == (0, "")
    assert len(here.calls) == 2
    with (here.checkout / "pyproject.toml").open("a") as out:
        out.write("# one more dependency\n")
    assert here.setup()[0] == 0
    assert len(here.calls) == 3


def test_others_are_told_the_command(machine: Maker) -> None:
    code, output = machine(uid=1000, installed=ALL[1:]).setup()
    assert code == 3
    assert output == (
        "setup: some packages are missing; as root, run: "
        "apt-get install --no-install-recommends qemu-system-arm\n"
    )


def test_sudo_that_asks_for_nothing_is_used(machine: Maker) -> None:
    here = machine(uid=1000, installed=ALL[1:], tools={"sudo": 'shift; "$@"', "true": ""})
    assert here.setup()[0] == 0
    assert here.calls[1].endswith("--no-install-recommends qemu-system-arm")


def test_an_installation_that_fails_says_what_to_do(machine: Maker) -> None:
    here = machine(installed=ALL[1:], tools={"apt-get": "echo 'E: no such package' >&2; exit 100"})
    code, output = here.setup()
    assert code == 3
    assert output.splitlines()[-1].startswith("setup: the packages could not be installed; as root")


def test_an_old_assembler_is_no_assembler(machine: Maker) -> None:
    here = machine()
    (here.bin / "llvm-mc-20").rename(here.bin / "llvm-mc-14")
    assert here.setup()[0] == 0
    assert here.calls[1].endswith("--no-install-recommends llvm-19")


def test_a_python_that_is_too_new_or_old_is_replaced_by_debians(machine: Maker) -> None:
    here = machine(tools={"python3.12": "exit 1"})
    assert here.setup()[0] == 3
    assert here.calls[1].endswith("--no-install-recommends python3 python3-venv")


def test_an_arm64_machine_needs_no_cross_compiler(machine: Maker) -> None:
    here = machine(arch="aarch64", installed=ALL[:7])
    assert here.setup()[0] == 0
    assert here.calls[1].endswith("install-recommends gcc libc6-dev binutils python3-dev")


def test_a_system_without_apt_is_told_the_names(machine: Maker) -> None:
    here = machine(installed=ALL[:-1])
    (here.bin / "apt-get").unlink()
    code, output = here.setup()
    assert code == 3
    assert output == (
        "setup: this is no Debian system; install what provides these packages: "
        "binutils-aarch64-linux-gnu\n"
    )


def test_pips_failure_is_not_taken_for_success(machine: Maker) -> None:
    here = machine()
    assert here.setup()[0] == 0
    (here.checkout / ".venv" / ".ready").unlink()
    python = here.checkout / ".venv" / "bin" / "python"
    python.write_text('#!/bin/bash\n[ "$1" = -c ] || exit 1\n')
    code, output = here.setup()
    assert code == 3
    assert "the Python packages could not be installed" in output
    assert not (here.checkout / ".venv" / ".ready").exists()
