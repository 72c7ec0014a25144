"""A finding as a case file that is kept for good. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from corpus.headers import KINDS
from corpus.kept import Effect
from corpus.text import format_case
from db.records import BucketView, FindingView, LegRecord

_WIDTH = 92


class PromoteError(ValueError):
    """A finding that cannot be kept like that; the message is one sentence."""


def regression_text(finding: FindingView, about: str) -> str:
    """A case on which every leg has to agree."""
    return format_case(finding.minimal, _about(finding, about))


def known_text(
    bucket: BucketView, finding: FindingView, legs: Sequence[LegRecord], effect: str, about: str
) -> str:
    """The record of a true defect: on which machines it shows, from which rule, and what it
    can spoil. Raises PromoteError."""
    if effect not in list(Effect):
        raise PromoteError(f"{effect!r} is none of {', '.join(Effect)}")
    if finding.preceding:
        raise PromoteError("it takes other cases before it, which a kept case cannot say")
    deviating = [leg for leg in legs if leg.name in finding.deviating]
    if not deviating:
        raise PromoteError("the traces of its legs were not kept: what they were is not known")
    kinds = {leg.kind for leg in deviating}
    if len(kinds) > 1 or not kinds <= set(KINDS):
        raise PromoteError(f"a record is of one kind of legs, {' or '.join(KINDS)}")
    (kind,) = kinds
    facts = dict(_machine(bucket, [leg.fingerprint for leg in deviating]))
    if not facts:
        raise PromoteError("the legs that deviate have nothing in common that tells them")
    body = format_case(finding.minimal)
    comment = format_case(finding.minimal, _about(finding, about)).removesuffix(body)
    headers = [f"# machine: {key}={value}" for key, value in facts.items()]
    headers.append(f"# diverges: {kind} {finding.culprit or finding.rule} {effect}")
    headers += _examples(kind, facts, deviating, [leg for leg in legs if leg not in deviating])
    return comment + "\n".join(headers) + "\n" + body


def _examples(
    kind: str, facts: Mapping[str, str], those: Sequence[LegRecord], others: Sequence[LegRecord]
) -> Iterator[str]:
    """A leg that the record is about, and those here, of its kind, that it is not about."""
    told = {leg.name: _told(leg, facts) for leg in (*those, *others) if leg.kind == kind}
    mine = told[those[0].name]
    yield f"# matches: {kind} {mine}"
    different = (told[leg.name] for leg in others if leg.kind == kind)
    yield from (f"# differs: {kind} {one}" for one in dict.fromkeys(different) if one != mine)


def _told(leg: LegRecord, facts: Mapping[str, str]) -> str:
    """A leg by some facts; of a value, its first word."""
    return " ".join(f"{key}={(leg.fingerprint.get(key) or '-').split()[0]}" for key in facts)


def _about(finding: FindingView, about: str) -> str:
    text = about.strip() or finding.explanation
    return "\n".join(textwrap.wrap(" ".join(text.split()), _WIDTH))


_FACTS: dict[str, tuple[str, ...]] = {
    "lab CPU": ("lab.qemu",),
    "emulator": ("vixl",),
    "mode": ("release", "mode"),
    "kernel": ("release",),
}
"""Suspect -> the facts about a leg that tell where the defect is."""


def _machine(bucket: BucketView, prints: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """What the legs have in common: a version by its first two parts."""
    told = [key for key in _FACTS.get(bucket.suspect, ()) if any(key in one for one in prints)]
    for key in told or ("release", "mode", "vixl", "lab.qemu"):
        values = {_series(facts.get(key, "")) for facts in prints}
        if len(values) == 1 and (value := values.pop()):
            yield key, value


def _series(value: str) -> str:
    match = re.match(r"(\d+\.\d+)(?=[.\D]|$)", value)
    return f"{match[1]}*" if match and value != match[1] else value
