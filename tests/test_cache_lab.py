"""A leg of the lab whose cached parts were damaged: each is made anew, and all is as before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from targets import cache
from targets.entry import SUFFIX
from targets.kvm.lab import kernels, symbols
from targets.legs import open_leg

RELEASE = "small-6.12" if kernels.cached("small-6.12") else "6.12"

pytestmark = pytest.mark.lab


def test_a_leg_whose_parts_were_damaged_is_the_same_leg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    shared = kernels.fetch(RELEASE)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, "_listeners", [told.append])
    kept = kernels.keep(RELEASE, shared.package_version, shared.path)

    def start() -> tuple[dict[str, str], object]:
        with open_leg(f"kvm:{RELEASE}:vhe", coverage=True) as leg:
            assert leg.no_coverage == ""
            return dict(leg.fingerprint), leg.code

    before = start()
    assert told == []
    parts = [
        path
        for folder in ("images", "plugins", "symbols", "maps")
        for path in (tmp_path / folder).iterdir()
        if path.name != ".lock" and path.suffix != SUFFIX
    ]
    assert len(parts) == 4
    for part in parts:
        os.truncate(part, part.stat().st_size // 2)
    assert start() == before
    # Symbols come with a new map: the old ones are not looked at.
    looked_at = [str(part) for part in parts if part.parent.name != "symbols"]
    assert sorted(line.partition(" was damaged: ")[0] for line in told) == sorted(looked_at)
    told.clear()
    assert start() == before
    assert symbols.load(kept.sha256) is not None
    assert told == []
    assert kernels.fetch(RELEASE) == kept
