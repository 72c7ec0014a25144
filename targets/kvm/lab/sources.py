"""APT's source lists, both forms, and the Debian archive among them. Pure but for `configured`.

One-line form: sources.list(5); stanza form: deb822(5).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEBIAN_SUITES = frozenset(
    (
        *("bullseye", "bookworm", "trixie", "forky", "sid"),
        *("oldoldstable", "oldstable", "stable", "testing", "unstable"),
    )
)
"""Suites whose `main` is the Debian archive proper (not updates, security or backports)."""

CARRIED = ("signed-by", "trusted", "check-valid-until", "check-date", "allow-weak")
"""Options that still hold when another suite of the same archive is read."""


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of a source list; option names are in lower case."""

    types: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


def parse_one_line(text: str) -> Iterator[Source]:
    """Entries of a .list file; lines that are no entry are passed over, as APT's own are comments.

    Form: `deb [ option=value ... ] uri suite component ...`.
    """
    for line in text.splitlines():
        body = line.partition("#")[0].strip()
        kind, _, rest = body.partition(" ")
        if kind not in ("deb", "deb-src"):
            continue
        rest = rest.strip()
        options: list[tuple[str, str]] = []
        if rest.startswith("["):
            inside, closed, rest = rest[1:].partition("]")
            if not closed:
                continue
            for word in shlex.split(inside):
                name, equals, value = word.partition("=")
                if equals:
                    options.append((name.rstrip("+-").lower(), value))
        words = rest.split()
        if len(words) >= 2:
            uri, suite, *components = words
            yield Source((kind,), (uri,), (suite,), tuple(components), tuple(options))


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()


def parse_stanzas(text: str) -> Iterator[Source]:
    """Entries of a .sources file; disabled ones are left out."""
    known = {"types", "uris", "suites", "components", "enabled"}
    for fields in _stanzas(text):
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        types, uris, suites, components = (
            tuple(fields.get(name, "").split())
            for name in ("types", "uris", "suites", "components")
        )
        options = tuple((k, v) for k, v in fields.items() if k not in known)
        yield Source(types, uris, suites, components, options)


def configured(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Every entry of the machine's own source lists."""
    parsers = {".list": parse_one_line, ".sources": parse_stanzas}
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    found: list[Source] = []
    for file in files:
        parse = parsers.get(file.suffix)
        if parse and file.is_file():
            found += parse(file.read_text(encoding="utf-8", errors="replace"))
    return found


def debian_archive(sources: Iterable[Source]) -> Source | None:
    """The entry that names the Debian archive, or None on a machine without one."""
    for source in sources:
        if (
            "deb" in source.types
            and "main" in source.components
            and DEBIAN_SUITES.intersection(source.suites)
            and not source.uris[0].startswith("cdrom:")
        ):
            return source
    return None


def stanza(archive: Source, suite: str, types: str = "deb") -> str:
    """A .sources stanza for `suite` of the same archive, component main."""
    lines = [f"Types: {types}", f"URIs: {archive.uris[0]}", f"Suites: {suite}", "Components: main"]
    lines += [f"{name.title()}: {value}" for name, value in archive.options if name in CARRIED]
    return "\n".join(lines) + "\n"
