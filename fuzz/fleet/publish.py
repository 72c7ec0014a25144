"""Where a report goes: files of a directory, and a web hook."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from concurrent.futures import Executor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fuzz import output
from fuzz.fleet.morning import FORMS, Report, as_json

HOOK_S = 20.0

_WRITTEN = re.compile(r"[!-~]+")
"""What a request can hold as it is."""


class HookError(RuntimeError):
    """There is no such web hook; the message is one sentence."""


def hook(path: Path) -> str:
    """The URL that a file holds: who knows it may write there, so it is no argument. Raises
    HookError, OSError."""
    url = path.read_text(encoding="utf-8", errors="replace").strip()
    if not _is_web(url):
        raise HookError(f"{path} holds no URL of a web hook such as https://host/path")
    if path.stat().st_mode & 0o077:
        raise HookError(f"{path} can be read by others than its owner: chmod 600 {path}")
    return url


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme in ("http", "https") and parts.hostname and _WRITTEN.fullmatch(url))


class Publisher:
    """Writes a report to `directory` and posts it to `url`, as JSON, where there is one; a failure
    is said, and the fleet goes on. It is posted in `executor`: who is asked may take long."""

    def __init__(
        self, directory: Path, url: str, say: Callable[..., Any], executor: Executor
    ) -> None:
        self._directory, self._url, self._say = directory, url, say
        self._executor = executor

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
            self._executor.submit(self._post, as_json(report).encode())

    def _post(self, body: bytes) -> None:
        header = {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self._url, body, header, method="POST")
            with urllib.request.urlopen(request, timeout=HOOK_S):
                pass
        except (OSError, HTTPException, ValueError) as error:
            self._say("web hook failed", why=str(getattr(error, "reason", error)))
