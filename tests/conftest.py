"""Settings for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

pytest_plugins = ["labguard"]

# Under nohup, programs that tests start and send a SIGHUP would be deaf to it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("vcpufuzz", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)
settings.load_profile("vcpufuzz")
