"""What a machine must have for a rule to be reached on it at all."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TypeAlias

from corpus.fields import FEATURE_BITS
from corpus.isa.table import FORMS
from corpus.isa.unallocated import NEWER
from corpus.wire import Stranger
from targets.profile import MEMORY_TAGS, Profile
from targets.spec.protected import can_be
from targets.spec.rules.el2 import ZCR_MASKED
from targets.spec.rules.pauth import PAUTH_EAGER
from targets.spec.rules.rule import FIRST

Need: TypeAlias = Callable[[Profile], bool]

_PTRAUTH = 1 << FEATURE_BITS["ptrauth_address"] | 1 << FEATURE_BITS["ptrauth_generic"]
_CAPS = frozenset(form.cap for form in FORMS.values())


def _feature(*names: str) -> Need:
    wanted = sum(1 << FEATURE_BITS[name] for name in names)
    return lambda profile: profile.features & wanted == wanted


def _has_pauth(profile: Profile) -> bool:
    return profile.pauth is not False


def _has_memory_tags(profile: Profile) -> bool:
    return profile.mte == MEMORY_TAGS


def _a_gap_in_its_lengths(profile: Profile) -> bool:
    return profile.vqs & (profile.vqs + 1) != 0


NEEDS: dict[str, Need] = {
    "el2.*": _feature("has_el2"),
    **dict.fromkeys(
        ("el2.trap-pauth", "el2.trap-keys", "el2.eretax", "exception.pauth-trap"),
        _feature("has_el2", "ptrauth_address"),
    ),
    "el2.zcr-masked": lambda profile: profile.kernel >= ZCR_MASKED,
    "el2.zcr-uncapped": lambda profile: profile.kernel >= ZCR_MASKED,
    "init.e2h0-alone": _feature("has_el2"),
    "init.half-ptrauth": lambda profile: bool(profile.features & _PTRAUTH),
    "init.aarch32-el2": _feature("el1_32bit", "has_el2"),
    "init.aarch32-sve": _feature("el1_32bit", "sve"),
    "core.pstate-aarch64-refused": _feature("el1_32bit"),
    "core.cut-to-32-bits": lambda profile: profile.el0_32bit,
    "init.unsupported-feature": lambda profile: profile.features & 0x7F != 0x7F,
    "run.pmu-not-created": _feature("pmu_v3"),
    "run.late-*-in-protected-mode": lambda profile: profile.mode == "protected",
    "vm.type-protected": lambda profile: True in can_be(profile),
    "vm.type-not-protected": lambda profile: False in can_be(profile),
    "protected.*": lambda profile: True in can_be(profile),
    "run.unallocated": lambda profile: NEWER in profile.lacks,
    "run.undefined-feature": lambda profile: bool(profile.lacks & _CAPS),
    "vl.rounded-down": _a_gap_in_its_lengths,
    "host.no-thread": lambda profile: not profile.host_thread,
    "host.no-sme": lambda profile: profile.host_thread and not profile.svqs,
    "host.sme-*": lambda profile: profile.svqs != 0,
    "host.[!n]*": lambda profile: profile.host_thread,
    "stage1.*": lambda profile: profile.stage1,
    "stage1.reads-on": lambda profile: profile.reads_on,
    "disturb.strikes": lambda profile: bool(profile.strangers),
    "disturb.no-stranger": lambda profile: len(profile.strangers) < len(Stranger),
    "attr.none": lambda profile: profile.kernel == FIRST,
    "attr.timer-chosen": _feature("has_el2"),
    **dict.fromkeys(("attr.pmu-init", "attr.pmu-twice", "attr.pmu-other"), _feature("pmu_v3")),
    **dict.fromkeys(
        ("init.strict-alone", "attr.pmu-strict"),
        lambda profile: profile.kernel >= (7, 3) and _feature("pmu_v3")(profile),
    ),
    "gic.none": lambda profile: not profile.gic,
    **dict.fromkeys(
        ("gic.[!n]*", "gic.no-more-vcpus", "id.gic-comes"),
        lambda profile: profile.gic is not False,
    ),
    "filter.none": lambda profile: FIRST < profile.kernel < (6, 4),
    "disturb.step*": lambda profile: "step" in profile.strangers,
    "vcpu.one-vm": lambda profile: not profile.two_vms,
    "threads.none": lambda profile: not profile.threads,
    "threads.some-order": lambda profile: profile.threads,
    "carry.*": lambda _: False,  # a case has one leg, a journey has two
    **dict.fromkeys(
        ("enable.mte", "init.aarch32-mte", "mte.registers", "mte.registers-set"), _has_memory_tags
    ),
    **dict.fromkeys(
        ("mte.tags", "mte.check", "mte.syndrome", "mte.first-byte", "mte.tco-of-exceptions"),
        _has_memory_tags,
    ),
    "enable.no-mte": lambda profile: not _has_memory_tags(profile),
    "mte.blocks-without-tags": lambda profile: profile.mte == 1,
    **dict.fromkeys(
        ("mte.no-tags", "mte.alignment", "mte.tco", "mte.blocks-at-el0"),
        lambda profile: bool(profile.mte),
    ),
    **dict.fromkeys(("mops.*", "protected.no-mops"), lambda profile: "mops" not in profile.lacks),
    "mops.below-el2": _feature("has_el2"),
    "mops.in-protected-mode": lambda profile: profile.keeps_hcrx,
    "pauth.in-protected-mode": lambda profile: profile.mode == "protected",
    "pauth.key": _feature("ptrauth_address"),
    "pauth.key-set": _feature("ptrauth_address"),
    "pauth.hints": lambda profile: profile.pauth is False,
    **dict.fromkeys(("pauth.trapped", "pauth.disabled", "pauth.strips"), _has_pauth),
    **dict.fromkeys(
        ("pauth.signs", "pauth.gives-back", "pauth.fails", "pauth.generic", "exception.pauth"),
        _feature("ptrauth_address"),
    ),
    "pauth.eager": lambda profile: (
        (profile.kernel == FIRST or profile.kernel >= PAUTH_EAGER)
        and _feature("ptrauth_address")(profile)
    ),
    "legs.agree": lambda profile: profile.kernel != FIRST,
}
"""Pattern of rule ids -> what the machine needs; every other rule can be reached anywhere."""


def reachable(rule: str, profile: Profile) -> bool:
    """Whether cases can come to `rule` on the machine `profile`. Most rules about a change
    say what held before it, too, and can be reached on every kernel."""
    return all(need(profile) for pattern, need in NEEDS.items() if fnmatchcase(rule, pattern))
