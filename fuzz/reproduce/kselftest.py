"""Kept cases as a directory of selftests for a kernel tree. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

from corpus.kept import KeptCase
from fuzz.reproduce.demands import say
from fuzz.reproduce.expect import Unsayable
from fuzz.reproduce.program import program
from targets.profile import Profile
from targets.spec.rules import RULES

EVERYTHING = 0x1FF
"""All features of INIT."""

MAKEFILE = """\
# SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
# For tools/testing/selftests/: make -C tools/testing/selftests TARGETS={target} run_tests
ifneq (,$(filter arm64 aarch64,$(or $(ARCH),$(shell uname -m))))
TEST_GEN_PROGS := \\
{programs}

endif

CFLAGS += -std=gnu11 -O2 -Wall -Wextra $(KHDR_INCLUDES)

include ../lib.mk
"""
CONFIG = """\
CONFIG_ARM64_SVE=y
CONFIG_KVM=y
CONFIG_VIRTUALIZATION=y
"""


@dataclass(frozen=True, slots=True)
class Selftests:
    """Files by name, and a sentence for each case that is in none."""

    files: Mapping[str, str]
    refused: tuple[str, ...]


def reference(vqs: int) -> Profile:
    """A machine of the newest kernel that is known, which has everything, with these vector
    lengths (bit vq - 1 each)."""
    newest = max(
        (
            *(rule.since for rule in RULES.values()),
            *(v[0] for r in RULES.values() for v in r.values),
        )
    )
    return Profile(vqs=vqs, features=EVERYTHING, kernel=newest)


def selftests(kept: Sequence[KeptCase], target: str, profile: Profile) -> Selftests:
    """The directory `target` of the kernel's selftests."""
    files: dict[str, str] = {}
    refused: list[str] = []
    for item in kept:
        try:
            files[f"{_name(item, files)}.c"] = program(say(item.case, profile), [item.about])
        except Unsayable as why:
            refused.append(f"{item.path}: {why}")
    names = sorted(name.removesuffix(".c") for name in files)
    programs = " \\\n".join(f"\t{name}" for name in names)
    return Selftests(
        {
            **files,
            "Makefile": MAKEFILE.format(target=target, programs=programs),
            "config": CONFIG,
            "settings": "timeout=60\n",
            ".gitignore": "".join(f"/{name}\n" for name in names),
        },
        tuple(refused),
    )


def _name(item: KeptCase, taken: Container[str]) -> str:
    """What a program is called: as its case, where no other one is and make can take it."""
    plain = re.sub(r"\W+", "-", item.path.stem, flags=re.ASCII).strip("-") or "case"
    numbered = (f"{plain}-{number}" for number in count(2))
    return next(name for name in chain([plain], numbered) if f"{name}.c" not in taken)
