"""What a user asks of a campaign, and how it says that it cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.worker.feedback import USUAL


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """What a user asked for. `seconds` and `cases`: 0 for no limit; `corpus` None: a
    private directory that starts with the seed cases."""

    legs: tuple[str, ...]
    seconds: float = 120.0
    cases: int = 0
    workers: int = 1
    seed: int = 0
    corpus: Path | None = None
    flags: tuple[str, ...] = ()
    kernel_coverage: bool = True
    reuse_vms: bool = False
    feedback: tuple[str, ...] = USUAL
    engine: str = "libfuzzer"
    focus: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """By leg, what to look at most closely (`fuzz.worker.focus`)."""


class CampaignFailed(RuntimeError):
    """The campaign could not run; the message is one sentence. What was found is stored."""
