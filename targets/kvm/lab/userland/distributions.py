"""Which Python packages all of vcpufuzz needs in a guest, and who has them.

Those of this environment go in as they are, so that both ends of a connection have the same
versions; what cannot do without an extension in C comes from Debian.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

OURS = "vcpufuzz"

DEBIAN = {
    "capstone": "python3-capstone",
    "cffi": "python3-cffi",
    "hypothesis": "python3-hypothesis",
    "msgpack": "python3-msgpack",
    "msgspec": "python3-msgspec",
    "numpy": "python3-numpy",
    "psutil": "python3-psutil",
    "pyyaml": "python3-yaml",
}
"""Distribution -> Debian's package of it for arm64."""

UNUSED = ("atheris", "django-htmx", "junitparser", "matplotlib", "starlette", "uvicorn")
"""What no worker imports: reports, the web, and the engine that arm64 has not."""

PYTHON = "3.13"
"""Of the guest."""


def taken(python: str = PYTHON) -> dict[str, Distribution]:
    """By name, what goes in out of this environment for that Python, but for vcpufuzz itself."""
    guest = {"extra": "", "platform_machine": "aarch64", "python_version": python}
    found: dict[str, Distribution] = {}
    wanted = [distribution(OURS)]
    while wanted:
        for text in wanted.pop().requires or ():
            requirement = Requirement(text)
            name = _normal(requirement.name)
            needed = requirement.marker is None or requirement.marker.evaluate(guest)
            if needed and name not in {*found, *DEBIAN, *UNUSED}:
                found[name] = distribution(name)
                wanted.append(found[name])
    return found


def told() -> tuple[str, bytes]:
    """The file below a directory of packages that says which vcpufuzz this is, and what is in it.
    An installation that leads to a checkout has none that could be copied."""
    one = distribution(OURS)
    text = f"Metadata-Version: 2.1\nName: {OURS}\nVersion: {one.version}\n"
    return f"{OURS}-{one.version}.dist-info/METADATA", text.encode()


def files(one: Distribution) -> Iterator[tuple[Path, PurePosixPath]]:
    """Its files: where each lies here, and where below a directory of packages."""
    for file in one.files or ():
        path = PurePosixPath(file)
        inside = ".." not in path.parts and "__pycache__" not in path.parts
        if inside and path.suffix not in (".so", ".pth", ".pyc") and "tests" not in path.parts:
            here = Path(str(one.locate_file(file)))
            if here.is_file():
                yield here, path


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
