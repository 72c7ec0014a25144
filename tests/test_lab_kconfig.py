"""A user's kernel that cannot serve in the lab is refused with the option it lacks."""

from __future__ import annotations

import gzip
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from images import BANNER, arm64_image

from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from targets.kvm import legname
from targets.kvm.lab import boot, image, kconfig, kernels, qemu
from targets.transport import TransportError

GOOD = "".join(f"{option}=y\n" for option in kconfig.NEEDS)


def _image(path: Path, config: str | None = None) -> Path:
    inside = b"" if config is None else b"IKCFG_ST" + gzip.compress(config.encode()) + b"IKCFG_ED"
    path.write_bytes(arm64_image(BANNER + inside))
    return path


def test_a_configuration_is_read_as_the_kernel_writes_it() -> None:
    text = '# KVM\nCONFIG_KVM=y\n# CONFIG_ARM64_SVE is not set\nCONFIG_A="x=y"\nCONFIG_M=m\n'
    assert kconfig.parse(text) == {
        "CONFIG_KVM": "y",
        "CONFIG_ARM64_SVE": "n",
        "CONFIG_A": '"x=y"',
        "CONFIG_M": "m",
    }


@pytest.mark.parametrize("option", kconfig.NEEDS)
@pytest.mark.parametrize("instead", ["", "# {} is not set\n", "{}=m\n"])
def test_each_needed_option_is_missed(option: str, instead: str, tmp_path: Path) -> None:
    config = GOOD.replace(f"{option}=y\n", instead.format(option))
    with pytest.raises(TransportError, match=rf"without {option}=y: the lab needs that\.$"):
        kernels.own(_image(tmp_path / "Image", config))


def test_a_complete_or_unknown_configuration_is_taken(tmp_path: Path) -> None:
    for config in (GOOD, None):
        path = _image(tmp_path / "Image", config)
        assert kernels.own(path).path == path
    broken = tmp_path / "Image"
    broken.write_bytes(arm64_image(BANNER + b"IKCFG_STnot gzip"))
    assert kconfig.embedded(broken.read_bytes()) is None


def test_the_command_line_refuses_it_too(tmp_path: Path) -> None:
    path = _image(tmp_path / "Image", GOOD.replace("CONFIG_KVM=y\n", ""))
    result = CliRunner().invoke(main, ["lab", "boot", f"kvm:{path}:vhe"])
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr.count("\n") == 1
    assert "without CONFIG_KVM=y" in result.stderr


FAKE_QEMU = """\
    #!{python}
    import os, re, sys
    if "--version" in sys.argv:
        print("QEMU emulator version 7.2.0")
    else:
        line = int(re.search(r"id=line,fd=(\\d+)", " ".join(sys.argv))[1])
        os.write(line, {said!r}.encode())
        sys.exit({code})
"""
PANIC = "[    1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n"


@pytest.mark.lab
@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        ("vcpufuzz: /dev: No such device\r\n" + PANIC, 0, "lacks CONFIG_DEVTMPFS=y: "),
        ("vcpufuzz: /sys: No such device\r\n" + PANIC, 0, "lacks CONFIG_SYSFS=y: "),
        ("vcpufuzz: no PCI devices: x\r\n" + PANIC, 0, "lacks CONFIG_PCI_HOST_GENERIC=y: "),
        (
            "[    1.0] Failed to execute /init (error -8)\r\n"
            "[    1.1] Kernel panic - not syncing: VFS: Unable to mount root fs on x\r\n",
            0,
            "lacks CONFIG_BINFMT_ELF=y: Kernel panic - not syncing: VFS",
        ),
        (
            "[    1.1] Kernel panic - not syncing: VFS: Unable to mount root fs on x\r\n",
            0,
            "lacks CONFIG_BLK_DEV_INITRD=y: ",
        ),
        ("", 0, "lacks CONFIG_SERIAL_AMBA_PL011_CONSOLE=y: it ended without a word"),
        ("", 1, "QEMU ended before the kernel said a word: ended with status 1"),
        (PANIC, 0, "ended before its init served: Kernel panic"),
    ],
)
def test_a_failed_boot_names_the_option(
    said: str, code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu"
    program.write_text(
        textwrap.dedent(FAKE_QEMU).format(python=sys.executable, said=said, code=code)
    )
    program.chmod(0o755)
    monkeypatch.setenv(qemu.VARIABLE, str(program))
    initramfs = image.Image(tmp_path / "initramfs", "0")
    monkeypatch.setattr(image, "build", lambda: initramfs)
    leg = legname.open_transport(legname.parse(f"kvm:{_image(tmp_path / 'Image')}:vhe"))
    with pytest.raises(TransportError) as caught:
        leg.start()
    leg.close()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"mode": "vhe", "cap.sve": "1"}, ""),
        ({"mode": "vhe", "cap.sve": "0"}, "CONFIG_ARM64_SVE=y"),
        ({"mode": "nvhe", "cap.sve": "1"}, "mode nvhe, not vhe (CONFIG_ARM64_VHE=y)"),
        ({"mode": "unknown", "cap.sve": "1"}, "CONFIG_PRINTK=y"),
        ({"mode": "protected", "cap.sve": "1"}, "mode protected, not vhe."),
    ],
)
def test_a_machine_that_is_not_the_leg_is_refused(facts: dict[str, str], words: str) -> None:
    told = boot.unfit({"release": "6.12.0", **facts}, "vhe")
    assert words in told
    assert bool(told) == bool(words)
