"""Where downloads and builds are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "VCPUFUZZ_CACHE"


def cache_dir() -> Path:
    """The cache directory, created if missing: $VCPUFUZZ_CACHE or ~/.cache/vcpufuzz."""
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else Path.home() / ".cache" / "vcpufuzz"
    path.mkdir(parents=True, exist_ok=True)
    return path
