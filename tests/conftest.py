"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["labguard"]

settings.register_profile("vcpufuzz", deadline=None)
settings.load_profile("vcpufuzz")
