"""What to do next about a bucket: a table. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from db.records import BucketView, Status
from db.suspects import Suspect


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence, and the command that does it, if one does."""

    say: str
    command: str = ""


_BY_SUSPECT = {
    Suspect.KERNEL: Advice(
        "See which kernels and modes have it, then read the function that the rule's source names.",
        "vcpufuzz triage matrix B{bucket}",
    ),
    Suspect.MODE: Advice(
        "See whether every kernel has it in that mode.", "vcpufuzz triage matrix B{bucket}"
    ),
    Suspect.CPU: Advice(
        "Compare with the manual; if QEMU is wrong, record it, so that campaigns look behind it.",
        "vcpufuzz triage promote B{bucket} --as known",
    ),
    Suspect.EMULATOR: Advice(
        "Compare with the manual; if VIXL is wrong, record it, so that campaigns look behind it.",
        "vcpufuzz triage promote B{bucket} --as known",
    ),
    Suspect.MODEL: Advice(
        "Read the rule's source: the specification is probably wrong. Once it is mended, judge"
        " the stored traces again.",
        "vcpufuzz triage rejudge B{bucket}",
    ),
    Suspect.MACHINE: Advice(
        "See what was done to the machine before you blame a case.",
        "vcpufuzz triage incidents",
    ),
    Suspect.MUTANT: Advice("Nothing: it was put in on purpose."),
    Suspect.UNCLEAR: Advice(
        "Run it on every leg that there is, to see the pattern.",
        "vcpufuzz triage matrix B{bucket}",
    ),
}

_BY_STATUS = {
    Status.CONFIRMED: Advice(
        "Report it, and say where it is tracked; then it is known.",
        "vcpufuzz triage export F{finding} -",
    ),
    Status.KNOWN: Advice(
        "Run it again on a later kernel: it may be fixed.", "vcpufuzz triage retest B{bucket}"
    ),
    Status.FLAKY: Advice(
        "Run it more often, to learn how often it shows.",
        "vcpufuzz triage retest B{bucket} --times 20",
    ),
    Status.MODEL_BUG: Advice(
        "Mend the rule, then judge the stored traces again.", "vcpufuzz triage rejudge B{bucket}"
    ),
    Status.FIXED: Advice("Nothing, unless it returns: then it is new again."),
    Status.WONTFIX: Advice("Nothing."),
    Status.DUPLICATE: Advice("Look at the bucket that it is part of."),
}

_UNSURE = Advice(
    "It was not reproduced each time: run it again before anything else.",
    "vcpufuzz repro F{finding}",
)
_SURE = 0.99
"""Share of the tries that have to show it."""


def advice(bucket: BucketView, finding: int) -> Advice:
    """What to do about it now."""
    found = _BY_STATUS.get(bucket.status)
    if found is None:
        rate = bucket.reproduction_rate
        known = {who.value: one for who, one in _BY_SUSPECT.items()}
        found = known.get(bucket.suspect, _BY_SUSPECT[Suspect.UNCLEAR])
        found = _UNSURE if rate is None or rate < _SURE else found
    return Advice(found.say, found.command.format(bucket=bucket.id, finding=finding))
