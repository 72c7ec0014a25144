"""A wheel holds all that the packages do, and works where there is no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("corpus", "db", "fuzz", "targets")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel made of this checkout puts into place."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    wheels = tmp_path_factory.mktemp("wheels")
    quietly = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    command = [sys.executable, "-m", "pip", "wheel", *quietly, "-w", str(wheels), str(source)]
    subprocess.run(command, check=True, cwd=wheels)
    (wheel,) = wheels.glob("*.whl")
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def _files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for name in PACKAGES
        for path in (root / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_wheel_holds_every_file(installed: Path) -> None:
    ours = _files(ROOT)
    assert {Path(name).suffix for name in ours} >= {".c", ".h", ".cc", ".case", ".config"}
    assert _files(installed) == ours
    others = {path.name for path in installed.iterdir()} - set(PACKAGES)
    assert [name for name in others if not name.endswith(".dist-info")] == []


def _vcpufuzz(installed: Path, *args: str, cwd: Path) -> str:
    script = (
        "import sys, fuzz.cli.main as m;"
        f"assert m.__file__.startswith({str(installed)!r}), m.__file__; m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_wheel_works_elsewhere(installed: Path, tmp_path: Path) -> None:
    legs = ("--legs", "model,emulator:keep")
    told = _vcpufuzz(installed, "run", *legs, "--cases", "3", "--json", "-", cwd=tmp_path)
    assert json.loads(told)["cases"] >= 3
    kept = str(installed / "corpus" / "regressions")
    assert " ok" in _vcpufuzz(installed, "replay", kept, "--legs", "model", cwd=tmp_path)
    assert "available" in _vcpufuzz(installed, "doctor", *legs, cwd=tmp_path)
    assert "recorded" in _vcpufuzz(installed, "triage", "list", cwd=tmp_path)
