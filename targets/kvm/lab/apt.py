"""A private APT root: packages of any suite and architecture, without the system's APT state.

The machine's own Debian mirror is used; its settings for fetching (proxies, retries,
date checks) are carried over, its hooks, pins and lists are not. Needs no privileges.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from targets import cache
from targets.cache import cache_dir, locked, using
from targets.kvm.lab import sources
from targets.transport import TransportError

TIMEOUT_S = 900
"""For one APT command: an index of sid is about 10 MB, a kernel about 60 MB."""


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise TransportError(f"{name} is not installed: kernels are fetched with it (package apt).")
    return path


def _run(argv: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> str:
    name = " ".join([Path(argv[0]).name, *argv[1:2]])
    try:
        done = subprocess.run(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise TransportError(f"{name} did not finish within {TIMEOUT_S} s.") from late
    if done.returncode != 0:
        raise TransportError(f"{name} failed: {_why(done.stderr) or done.returncode}")
    return done.stdout


def _why(stderr: str) -> str:
    """The first error of APT's output, else its first warning, else the first line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for mark in ("E:", "W:", ""):
        for line in lines:
            if line.startswith(mark):
                return line.removeprefix(mark).strip()
    return ""


def _environment(config: Path) -> dict[str, str]:
    return {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}


def fetch_settings(dump: str) -> list[str]:
    """The lines of `apt-config dump` that say how to fetch, and nothing else."""
    return [
        line
        for line in dump.splitlines()
        if line.startswith("Acquire::") and not line.startswith("Acquire::IndexTargets")
    ]


@dataclass(frozen=True, slots=True)
class AptRoot:
    """One suite of the machine's Debian mirror, as seen by one architecture."""

    suite: str
    architecture: str = "arm64"

    @property
    def path(self) -> Path:
        return cache_dir() / "apt" / f"{self.suite}-{self.architecture}"

    def update(self) -> None:
        """Fetch the suite's package lists. Raises TransportError."""
        archive = sources.debian_archive(sources.configured())
        if archive is None:
            raise TransportError(
                "no Debian archive is configured under /etc/apt, which the lab's kernels come from:"
                " name a kernel Image of your own instead."
            )
        apt = _tool("apt-get")
        dump = _run([_tool("apt-config"), "dump"], {**os.environ, "LC_ALL": "C.UTF-8"})
        with locked(self.path, f"the packages of {self.suite}"), using(self.path):
            (self.path / "debian.sources").write_text(sources.stanza(archive, self.suite))
            self._config().write_text(self._settings(fetch_settings(dump)))
            try:
                self._fetch_lists(apt)
            except TransportError as error:
                if str(self.path) not in str(error):  # APT names a file that it cannot read
                    raise
                for part in ("lists", "cache"):
                    cache.remove(self.path / part)
                self._fetch_lists(apt)
                cache.tell(f"{self.path} was damaged: the lists of packages were fetched anew.")

    def _fetch_lists(self, apt: str) -> None:
        for part in ("lists/partial", "cache/archives/partial"):
            (self.path / part).mkdir(parents=True, exist_ok=True)
        (self.path / "status").write_bytes(b"")  # nothing is ever installed
        _run([apt, "update", "--error-on=any"], _environment(self._config()))

    def depends(self, package: str) -> list[str]:
        """Names of the packages `package` depends on, in its own order. Raises TransportError."""
        clauses = self._told(package, "Depends").split(",")
        return [clause.split()[0].split(":")[0] for clause in clauses if clause.strip()]

    def version(self, package: str) -> str:
        """Which version of `package` there is. Raises TransportError."""
        return self._told(package, "Version")

    def _told(self, package: str, field: str) -> str:
        """What a field of a package says; nothing if it has none."""
        text = _run(
            [_tool("apt-cache"), "show", "--no-all-versions", package],
            _environment(self._config()),
        )
        lines = (line for line in text.splitlines() if line.startswith(f"{field}:"))
        return next(lines, "").removeprefix(f"{field}:").strip()

    def download(self, package: str, into: Path) -> Path:
        """Fetch one package file, verified by APT, into directory `into`. Raises TransportError."""
        with locked(self.path, f"the packages of {self.suite}"), using(into):
            _run([_tool("apt-get"), "download", package], _environment(self._config()), into)
        found = sorted(into.glob(f"{package}_*.deb"))
        if not found:
            raise TransportError(f"apt-get download of {package} left no package file.")
        return found[-1]

    def download_with_dependencies(self, package: str) -> list[Path]:
        """Fetch a package and all it depends on, verified by APT, as for an empty system.

        Raises TransportError.
        """
        archives = self.path / "cache" / "archives"
        with locked(self.path, f"the packages of {self.suite}"), using(self.path):
            for left in (*archives.glob("*.deb"), *archives.glob("partial/*.deb")):
                left.unlink()
            argv = [_tool("apt-get"), "install", "--yes", "--download-only"]
            _run([*argv, "--no-install-recommends", package], _environment(self._config()))
            return sorted(archives.glob("*.deb"))

    def _config(self) -> Path:
        return self.path / "apt.conf"

    def _settings(self, fetch: Sequence[str]) -> str:
        here = self.path
        # The cut-off Dir::Etc parts keep the machine's hooks and pins out.
        return "\n".join(
            [
                *fetch,
                f'APT::Architecture "{self.architecture}";',
                f'APT::Architectures {{ "{self.architecture}"; }};',
                f'APT::Sandbox::User "{_user()}";',
                'Acquire::Languages "none";',
                f'Dir::State "{here}";',
                f'Dir::State::status "{here}/status";',
                f'Dir::State::lists "{here}/lists";',
                f'Dir::Cache "{here}/cache";',
                f'Dir::Etc::sourcelist "{here}/debian.sources";',
                'Dir::Etc::sourceparts "-";',
                'Dir::Etc::main "-";',
                'Dir::Etc::parts "-";',
                'Dir::Etc::preferences "-";',
                'Dir::Etc::preferencesparts "-";',
                "",
            ]
        )


def _user() -> str:
    """APT run by root drops to an own user who cannot write to our cache: keep it as we are."""
    return "root" if os.geteuid() == 0 else ""
