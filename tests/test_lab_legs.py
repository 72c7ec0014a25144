"""Which legs a machine can offer, patterns over them, and what doctor claims of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from images import arm64_image

from corpus.case import Case
from corpus.trace import Trace
from fuzz.cli import doctor
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.main import main
from fuzz.cli.options import resolve_legs
from targets import catalogue
from targets.base import Target
from targets.catalogue import Offer, State
from targets.emulator import build as emulator_build
from targets.kvm.lab import image, kernels, newer_qemu, qemu
from targets.kvm.lab.kernels import Kernel
from targets.legs import check
from targets.transport import TransportError


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with every tool and kernel 6.12, but no other and no newer QEMU."""
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    kept = Kernel(tmp_path / "Image", "6.12", "6.12.1-1", "ab" * 32)
    monkeypatch.setattr(kernels, "cached", {"6.12": kept}.get)
    monkeypatch.setattr(qemu, "find", lambda: "/qemu")
    monkeypatch.setattr(newer_qemu, "own_suffices", lambda: False)
    monkeypatch.setattr(image, "find_compiler", lambda: "/cc")
    monkeypatch.setattr(emulator_build, "check_tools", lambda: None)
    return tmp_path


def _states() -> dict[str, Offer]:
    return {offer.name: offer for offer in catalogue.offers()}


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("model", State.READY, ""),
        ("emulator:zero:vq=1,2,3", State.READY, ""),
        ("mutant:finalize-twice", State.READY, ""),
        ("kvm:6.12:protected", State.READY, ""),
        ("kvm:6.12:vhe:vq=1", State.READY, ""),
        ("kvm:6.1:vhe:vq=1,2,4", State.DOWNLOAD, "kernel is downloaded"),
        ("kvm:6.12:nested", State.UNAVAILABLE, "since kernel 6.16"),
        ("kvm:newest:nested", State.DOWNLOAD, "newer QEMU"),
        ("kvm:small-6.12:vhe", State.BUILD, "Run vcpufuzz lab build --source 6.12."),
    ],
)
def test_states(name: str, state: State, words: str) -> None:
    offer = _states()[name]
    assert offer.state is state
    assert words in offer.reason
    assert bool(words) == bool(offer.reason)


def test_every_offer_is_the_name_of_a_leg() -> None:
    names = list(_states())
    check(names)
    assert len(names) == len(catalogue.offers())


def test_kernels_to_build_are_shown_once_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(name.startswith("kvm:small-6.1:") for name in _states())
    kept = Kernel(Path("/x"), "small-6.1", "1", "ab")
    monkeypatch.setattr(kernels, "cached", {"small-6.1": kept}.get)
    assert _states()["kvm:small-6.1:nvhe"].state is State.READY


@pytest.mark.parametrize(
    ("module", "function", "family"),
    [
        (qemu, "find", "kvm:6.12:vhe"),
        (image, "find_compiler", "kvm:6.12:vhe"),
        (emulator_build, "check_tools", "emulator:keep"),
    ],
)
def test_a_missing_tool_makes_its_legs_unavailable(
    module: object, function: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise TransportError("x is not installed.")

    monkeypatch.setattr(module, function, missing)
    assert _states()[family] == Offer(
        family, family.partition(":")[0], State.UNAVAILABLE, "x is not installed."
    )
    assert _states()["model"].state is State.READY


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("model,kvm:6.12:*", ("model", "kvm:6.12:vhe", "kvm:6.12:nvhe", "kvm:6.12:protected")),
        ("kvm:6.1*:vhe", ("kvm:6.1:vhe", "kvm:6.12:vhe")),
        (
            "kvm:6.12:vhe:vq=*",
            ("kvm:6.12:vhe:vq=1,2,4", "kvm:6.12:vhe:vq=1,2,3", "kvm:6.12:vhe:vq=1"),
        ),
        ("emulator:*,model", ("emulator:keep", "emulator:zero", "model")),
        ("kvm:6.12:nvhe,kvm:6.12:?vhe", ("kvm:6.12:nvhe",)),
    ],
)
def test_patterns(text: str, names: tuple[str, ...]) -> None:
    assert resolve_legs(text, None) == names


@pytest.mark.parametrize("text", ["kvm:5.*:vhe", "kvm:small*:vhe", "kvm:6.12:nested*"])
def test_a_pattern_without_legs_is_wrong_usage(text: str) -> None:
    with pytest.raises(UserError, match="see vcpufuzz lab legs") as caught:
        resolve_legs(text, None)
    assert caught.value.code == Exit.USAGE


def test_patterns_reach_the_users_own_image(machine: Path) -> None:
    own = machine / "Image"
    own.write_bytes(arm64_image(b"...Linux version 6.12.3-own #1..."))
    names = tuple(f"kvm:{own}:{mode}" for mode in ("vhe", "nvhe", "protected"))
    assert resolve_legs("kvm:6.12:*", own) == names
    own.write_bytes(arm64_image(b"...Linux version 6.17.0 #1..."))
    assert kernels.image_version(own) == (6, 17)


def test_lab_legs_for_machines() -> None:
    result = CliRunner().invoke(main, ["lab", "legs", "--json"])
    told = {row["name"]: row for row in json.loads(result.output)}
    assert told["kvm:6.1:vhe"] == {
        "name": "kvm:6.1:vhe",
        "kind": "kvm",
        "state": "needs download",
        "reason": "The kernel is downloaded when first used.",
    }
    text = CliRunner().invoke(main, ["lab", "legs"]).output
    assert len(text.splitlines()) >= len(told) + 1


class Leg(Target):
    """A leg that only starts."""

    def __init__(self, name: str) -> None:
        self.name, self.kind = name, name.partition(":")[0]
        self.fingerprint = {"leg": name}

    def submit(self, case: Case) -> int:
        raise NotImplementedError

    def collect(self, ticket: int) -> Trace:
        raise NotImplementedError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def start(name: str) -> Target:
        names.append(name)
        if name == "kvm:6.12:nvhe":
            raise TransportError("it panics.")
        return Leg(name)

    monkeypatch.setattr(doctor, "open_leg", start)
    return names


DEFAULT = ["model", "kvm:6.12:vhe", "emulator:keep", "emulator:zero"]


def _doctor(*args: str) -> tuple[int, dict[str, dict[str, object]]]:
    result = CliRunner().invoke(main, ["doctor", "--json", *args])
    return result.exit_code, {leg["name"]: leg for leg in json.loads(result.output)["legs"]}


def test_doctor_starts_the_default_legs_and_only_lists_the_others(started: list[str]) -> None:
    code, legs = _doctor()
    assert code == 0
    assert started == DEFAULT
    assert {name for name, leg in legs.items() if leg["checked"]} == set(DEFAULT)
    assert legs["kvm:6.12:vhe"]["fingerprint"] == {"leg": "kvm:6.12:vhe"}
    assert legs["kvm:6.12:nvhe"] == {
        "name": "kvm:6.12:nvhe",
        "kind": "kvm",
        "available": True,
        "fingerprint": {},
        "reason": "Not started: all it needs is here.",
        "checked": False,
    }
    assert legs["kvm:6.1:vhe"]["available"] is False
    assert legs["kvm:6.12:nested"]["available"] is False


def test_doctor_can_start_them_all(started: list[str]) -> None:
    code, legs = _doctor("--all")
    assert code == Exit.UNAVAILABLE
    assert legs["kvm:6.12:nvhe"]["checked"] is True
    assert legs["kvm:6.12:nvhe"]["available"] is False
    assert legs["kvm:6.12:nvhe"]["reason"] == "it panics."
    assert legs["kvm:6.1:vhe"]["available"] is True
    assert legs["kvm:6.12:nested"]["checked"] is False
    assert "kvm:small-6.12:vhe" not in started


def test_doctor_starts_what_it_is_told_to(started: list[str]) -> None:
    code, legs = _doctor("--legs", "kvm:6.12:*")
    assert code == Exit.UNAVAILABLE
    assert list(legs) == started == ["kvm:6.12:vhe", "kvm:6.12:nvhe", "kvm:6.12:protected"]
    assert CliRunner().invoke(main, ["doctor", "--legs", "kvm:9:vhe"]).exit_code == Exit.USAGE
