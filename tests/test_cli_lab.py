"""The lab at the command line; booting itself is tested with the lab."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from targets.kvm import legname
from targets.kvm.lab import kernels
from targets.kvm.lab.kernels import Kernel
from targets.transport import Reply, Transport, TransportError


def _lab(*args: str) -> Result:
    return CliRunner().invoke(main, ["lab", *args])


class Machine(Transport):
    """A leg that starts, or says why not, and notes that it was closed."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble, self.closed = trouble, False

    def start(self) -> Mapping[str, str]:
        if self.trouble:
            raise TransportError(self.trouble)
        return {"release": "6.12", "vqs": "1,2,4"}

    def submit(self, request: bytes) -> int:
        raise NotImplementedError

    def collect(self, ticket: int) -> Reply:
        raise NotImplementedError

    def restart(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    image = tmp_path / "Image"
    image.write_bytes(bytes(3 << 19))
    kernel = Kernel(image, "6.12", "6.12.1-1", "ab" * 32)
    monkeypatch.setattr(kernels, "cached", {"6.12": kernel}.get)
    return kernel


def test_kernels_lists_what_is_here_and_what_is_not(kept: Kernel) -> None:
    heading, *rows = _lab("kernels").output.splitlines()
    assert heading.split() == ["RELEASE", "SUITE", "PACKAGE", "MIB", "IMAGE"]
    assert [row.split()[0] for row in rows] == list(kernels.PACKAGES)
    by_release = {row.split()[0]: row for row in rows}
    assert by_release["6.12"].split()[1:] == ["trixie", "6.12.1-1", "1.5", str(kept.path)]
    assert by_release["6.1"].endswith("fetched when first used")


def test_kernels_for_machines(kept: Kernel) -> None:
    told = {row["release"]: row for row in json.loads(_lab("kernels", "--json").output)}
    assert told["6.12"]["package"] == "6.12.1-1"
    assert told["6.1"]["path"] is None


def test_kernels_are_fetched_again_on_request(
    kept: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(release: str, *, refresh: bool = False) -> Kernel:
        fetched.append((release, refresh))
        return kept

    monkeypatch.setattr(kernels, "fetch", fetch)
    assert _lab("kernels", "--refresh", "6.12").exit_code == 0
    assert fetched == [("6.12", True)]


def test_boot_prints_the_probe_and_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    asked = []
    monkeypatch.setattr(legname, "open_transport", lambda spec: asked.append(spec.name) or machine)
    result = _lab("boot", "kvm:6.12:nvhe:vq=1,2,4")
    assert (result.exit_code, result.stdout) == (0, "release=6.12\nvqs=1,2,4\n")
    assert machine.closed
    assert asked == ["kvm:6.12:nvhe:vq=1,2,4"]
    assert json.loads(_lab("boot", "--json").stdout) == {"release": "6.12", "vqs": "1,2,4"}
    assert asked[1:] == ["kvm:6.12:vhe"]


def test_a_leg_that_does_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("the kernel has no usable /dev/kvm.")
    monkeypatch.setattr(legname, "open_transport", lambda _: machine)
    result = _lab("boot")
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr == "vcpufuzz: the kernel has no usable /dev/kvm\n"
    assert machine.closed


def test_only_a_lab_leg_has_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legname, "open_transport", lambda _: Machine())
    result = _lab("log", "kvm:native")
    assert result.exit_code == Exit.USAGE
    assert "kvm:native does not boot a kernel" in result.stderr


@pytest.mark.parametrize("name", ["kvm:5.4:vhe", "model", "kvm:6.12:fast", "kvm:6.12:vhe:vq=3"])
def test_a_name_that_is_no_lab_leg_is_wrong_usage(name: str) -> None:
    result = _lab("boot", name)
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith("vcpufuzz: ")
    assert result.stderr.count("\n") == 1
