"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("vcpufuzz", deadline=None)
settings.load_profile("vcpufuzz")
