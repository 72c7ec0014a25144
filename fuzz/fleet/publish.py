"""Where a report goes: files of a directory, and a web hook."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fuzz import output
from fuzz.fleet.morning import FORMS, Report, as_json

HOOK_S = 20.0


class HookError(RuntimeError):
    """There is no such web hook; the message is one sentence."""


def hook(path: Path) -> str:
    """The URL that a file holds: who knows it may write there, so it is no argument. Raises
    HookError, OSError."""
    url = path.read_text(encoding="utf-8", errors="replace").strip()
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise HookError(f"{path} holds no URL of a web hook such as https://host/path")
    if path.stat().st_mode & 0o077:
        raise HookError(f"{path} can be read by others than its owner: chmod 600 {path}")
    return url


class Publisher:
    """Writes a report to `directory` and posts it to `url`, as JSON, where there is one; a failure
    is said, and the fleet goes on."""

    def __init__(self, directory: Path, url: str, say: Callable[..., Any]) -> None:
        self._directory, self._url, self._say = directory, url, say

    def __call__(self, report: Report) -> None:
        """Publish it."""
        stem = f"report-{report.until:%Y-%m-%dT%H%M%S}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for form, render in FORMS.items():
                output.write(self._directory / f"{stem}.{form}", render(report))
        except (OSError, output.OutputError) as error:
            self._say("report not written", why=str(error))
        else:
            self._say("report", file=str(self._directory / f"{stem}.txt"))
        if self._url:
            self._post(as_json(report).encode())

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(
            self._url, body, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=HOOK_S):
                pass
        except OSError as error:
            self._say("web hook failed", why=str(getattr(error, "reason", error)))
