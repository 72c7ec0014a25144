"""What is not installed is named with its package, before anything else is tried."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from targets import cache
from targets.kvm.lab import image, plugins, qemu
from targets.transport import TransportError

CASE = "corpus/regressions/init-refused-leaves-nothing.case"
KVM = ("exec", CASE, "--legs", "kvm:6.12:vhe")
NESTED = ("exec", CASE, "--legs", "kvm:newest:nested")
EMULATOR = ("exec", CASE, "--legs", "emulator:keep")
QEMU, CROSS = qemu.PROGRAM, image.CROSS_COMPILER

FAKES = {
    QEMU: "echo QEMU emulator version 7.2.0",
    CROSS: 'while [ $# -gt 1 ]; do [ "$1" = -o ] && : >"$2"; shift; done',  # makes what it is to
    "dpkg": "echo amd64",
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, and an empty cache."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("PKG_CONFIG_LIBDIR", str(tools))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(qemu.VARIABLE, raising=False)
    return tools


@pytest.mark.parametrize(
    ("installed", "command", "words"),
    [
        ((), KVM, f"{QEMU} is not installed: the lab runs in it (package qemu-system-arm)"),
        ((QEMU,), KVM, f"{CROSS} is not installed: the lab guest is compiled with it (package gcc"),
        ((QEMU, CROSS), KVM, "apt-get is not installed: kernels are fetched with it (package apt)"),
        ((QEMU,), NESTED, "dpkg is not installed: programs of other suites are fetched with it"),
        ((QEMU, "dpkg"), NESTED, "apt-get is not installed"),
        ((), EMULATOR, "The emulator needs g++, which is missing: apt install g++"),
        (
            ("g++",),
            EMULATOR,
            "The emulator needs pkg-config, which is missing: apt install pkgconf",
        ),
        (
            ("g++", "pkg-config"),
            EMULATOR,
            "The emulator needs VIXL, which is missing: apt install libvixl-dev",
        ),
        ((), ("lab", "build"), "building a kernel needs more programs: apt install "),
        ((), ("agent", "--leg", "emulator:keep", "--listen", "127.0.0.1:0"), "apt install g++"),
        ((), ("lab", "boot", "kvm:6.1:nvhe"), "(package qemu-system-arm)"),
    ],
)
def test_a_missing_tool_is_a_sentence(
    installed: tuple[str, ...], command: tuple[str, ...], words: str, path: Path
) -> None:
    for name in installed:
        program = path / name
        if name in FAKES:
            program.write_text(f"#!/bin/sh\n{FAKES[name]}\n")
            program.chmod(0o755)
        else:
            program.symlink_to(shutil.which(name, path="/usr/bin:/bin") or "")
    result = CliRunner().invoke(main, command)
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stdout == ""
    assert result.stderr.startswith("vcpufuzz: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_a_compiler_without_an_assembler_names_the_package(path: Path) -> None:
    (path / "gcc").symlink_to(shutil.which("gcc", path="/usr/bin:/bin") or "")
    with pytest.raises(TransportError) as caught:
        plugins.build(plugins.COVERAGE, "7.2.0")
    assert "cannot execute 'as'" in str(caught.value)
    assert str(caught.value).endswith("(apt install binutils).")


def test_a_leg_runs_without_coverage_and_says_which_package_that_needs(path: Path) -> None:
    with pytest.raises(TransportError, match=r"gcc is not installed: .* \(package gcc\)\.$"):
        plugins.build(plugins.COVERAGE, "7.2.0")
