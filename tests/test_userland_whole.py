"""What goes into a guest in which all of vcpufuzz runs."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from targets.kvm.lab import unpacked
from targets.kvm.lab.userland import distributions, whole
from targets.transport import TransportError

ROOT = Path(__file__).parents[1]


def test_both_ends_of_a_connection_have_the_same_dask() -> None:
    taken = distributions.taken()
    for name in ("dask", "distributed", "cloudpickle", "tornado"):
        assert taken[name].version == importlib.metadata.version(name)
    assert not set(taken) & {*distributions.DEBIAN, *distributions.UNUSED}
    inside = {str(path) for one in taken.values() for _, path in distributions.files(one)}
    assert {"distributed/nanny.py", "distributed/distributed.yaml"} <= inside
    assert not any(path.endswith(".so") for path in inside)


@pytest.mark.slow
def test_what_goes_in_is_all_that_a_worker_imports(tmp_path: Path) -> None:
    """Asked of an interpreter that sees of this environment just that, and in place of Debian's
    packages those of the same name."""
    for one in distributions.taken("{}.{}".format(*sys.version_info)).values():
        for here, path in distributions.files(one):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(here, tmp_path / path)
    told, version = distributions.told()
    (tmp_path / told).parent.mkdir()
    (tmp_path / told).write_bytes(version)
    for name in distributions.DEBIAN:
        one = importlib.metadata.distribution(name)
        for top in {Path(file).parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            (tmp_path / top).symlink_to(Path(str(one.locate_file(top))))
    code = """
import fuzz.cli.fleet.serve, fuzz.fleet.worker
from importlib.metadata import version
assert version("vcpufuzz") == sys.argv[1]
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys{code}", importlib.metadata.version("vcpufuzz")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_of_debians_packages_goes_in() -> None:
    kept = ("usr/bin/busybox", "usr/bin/python3.13", "usr/lib/python3.13/asyncio/__init__.py")
    left_out = ("usr/share/doc/x", "usr/lib/python3/dist-packages/numpy/tests/test_x.py")
    assert all(whole.is_kept(path) for path in kept)
    assert not any(whole.is_kept(path) for path in left_out)


def test_packages_without_the_program_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"hold no usr/bin/python3 that could be run"):
        unpacked.command(tmp_path, "usr/bin/python3")
