"""A case as one C file against the kernel's headers alone. Pure.

The file is made of `parts/`: a frame, the parts that the case uses, its calls and what is
permitted of each. It prints KTAP and ends with the codes of kselftest.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from corpus.fields import FEATURE_BITS
from corpus.ops import Init, Migrate, Run
from corpus.readgroups import READ_GROUPS
from corpus.text import format_case, format_op
from fuzz.reproduce.calls import AUX, call, tables
from fuzz.reproduce.checks import Lines, checks
from fuzz.reproduce.demands import Demands, Said
from fuzz.reproduce.expect import Expectation
from fuzz.reproduce.words import comment, quoted, register
from targets.profile import CAP_FIELDS
from targets.spec.errno import EINTR

ORDER = (
    *("base", "ids", "pattern", "check", "each", "same", "aux", "vm", "vcpus", "host"),
    *("scratch", "lengths", "field", "kernel", "mode", "vgic", "offersgic", "el2", "create"),
    *("init", "set", "get"),
    *(
        "list",
        "readall",
        "setmp",
        "getmp",
        "setevents",
        "getevents",
        "attr",
        "filter",
        "enablecap",
        "renew",
        "target",
        "ram",
        "store",
        "readmem",
        "writemem",
    ),
    *("gic", "run", "migrate", "arrived", "warned"),
)
"""The parts, those that others call first."""

WIDTH = 92
"""Characters of a line of comment."""

_USES: Mapping[str, tuple[str, ...]] = {
    "each": ("check",),
    "same": ("check",),
    "check": ("pattern",),
    **dict.fromkeys(
        ("create", "init", "get", "list", "setmp", "getmp", "setevents", "getevents", "attr"),
        ("vcpus",),
    ),
    "renew": ("vcpus",),
    "set": ("pattern", "vcpus"),
    "writemem": ("pattern", "store"),
    "readmem": ("ram",),
    "store": ("ram",),
    "run": ("store", "vcpus"),
    "gic": ("vcpus", "vgic"),
    "migrate": ("create", "init", "readall"),
    "arrived": ("check", "migrate"),
    "scratch": ("host",),
    "lengths": ("host", "scratch"),
    "field": ("scratch",),
}
"""What parts call."""

_ENV = Environment(
    loader=PackageLoader("fuzz.reproduce", "parts"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


def program(said: Said, about: Sequence[str] = (), *, watched: bool = False) -> str:
    """The text of the C file. `about`: paragraphs of comment on top; `watched`: it is also asked
    whether the kernel complained, and no op is left out that the specification is silent on."""
    case, expectation = said.case, said.expectation
    count = len(case.ops) if watched else expectation.judged
    parts = {"base", "ids", "vm"}
    body: list[str] = []
    before: list[str] = []
    for number, op in enumerate(case.ops[:count]):
        made = call(op, number)
        permitted = checks(expectation, number, AUX.get(type(op), ""))
        if isinstance(op, Run) and _may_wait(expectation, number):
            made = Lines(("\tmay_wait = true;", *made.text), made.parts)
        body += _step(format_op(op), made, permitted)
        before += tables(op, number)
        parts |= made.parts | permitted.parts
    demanded = list(_demands(said.demands))
    if watched:
        demanded.append(("\thear();", "warned"))
        body += _step("the kernel says nothing", _COMPLAINED, Lines(("\toutcome(0);",)))
    parts |= {part for _, part in demanded}
    parts = _with_used(parts)
    if {"create", "init", "run"} <= parts and any(
        isinstance(op, Init | Migrate) and op.features >> FEATURE_BITS["has_el2"] & 1
        for op in case.ops
    ):
        parts |= {"el2", "gic", "vgic"}
    return _ENV.get_template("frame.c").render(
        comment=[comment(line) for line in _comment(said, about, count)],
        steps=count + watched,
        ways=(1 << len(expectation.ways)) - 1,
        parts=[part for part in ORDER if part in parts],
        groups=_groups(),
        tables=before,
        demands=[line for line, _ in demanded],
        body=body,
    )


def _may_wait(expectation: Expectation, number: int) -> bool:
    """Whether a run may end only when its time is up."""
    steps = (way.steps[number] for way in expectation.ways if number < len(way.steps))
    return any(permit.err == EINTR for step in steps for permit in step.permits)


_COMPLAINED = Lines(("\tseen->err = complained();",), frozenset({"warned"}))


def _step(text: str, made: Lines, permitted: Lines) -> Iterator[str]:
    first, *_ = text.splitlines()
    yield ""
    yield f"\tstep({quoted(first.removesuffix(' {'))});"
    yield from made.text
    yield from permitted.text
    yield "\tdone();"


def _with_used(parts: set[str]) -> set[str]:
    found = set(parts)
    while more := {used for part in found for used in _USES.get(part, ())} - found:
        found |= more
    return found


def _groups() -> str:
    lines = []
    for group in READ_GROUPS:
        ids = [register(reg) for reg in group]
        for at in range(0, len(ids), 4):
            lines.append("\t" + ", ".join(ids[at : at + 4]) + ",")
        lines.append("\tNO_ID,")
    return "\n".join(lines)


def _comment(said: Said, about: Sequence[str], count: int) -> Iterator[str]:
    for paragraph in about:
        yield from textwrap.wrap(
            paragraph, WIDTH, break_long_words=False, break_on_hyphens=False
        ) or [""]
    if about:
        yield ""
    yield "The case:"
    yield ""
    for line in format_case(said.case).splitlines():
        yield f"    {line}"
    left = len(said.case.ops) - count
    if left > 0:
        yield ""
        yield f"Without its last {left} ops: {said.expectation.ways[0].stopped}."


def _demands(demands: Demands) -> Iterator[tuple[str, str]]:
    """Lines of demand(), each with the part that it uses."""
    if demands.sve is not None:
        yield (
            _skip(_offers("KVM_CAP_ARM_SVE", demands.sve), _has("KVM", demands.sve, "SVE")),
            "host",
        )
    for bit, wanted in demands.features:
        name, *capabilities = _CAPABILITIES[bit]
        test = " || ".join(_offers(cap, wanted) for cap in capabilities)
        yield _skip(test, _has("KVM", wanted, name)), "host"
    if demands.mte is not None:
        test = _offers("KVM_CAP_ARM_MTE", demands.mte)
        yield _skip(test, _has("KVM", demands.mte, "memory tagging")), "host"
    if demands.gic is not None:
        test = f"{'!' if demands.gic else ''}offers_gic()"
        yield _skip(test, _has("KVM", demands.gic, "GICv3")), "offersgic"
    if demands.protected is not None:
        test = "!is_protected()" if demands.protected else "is_protected()"
        yield _skip(test, f"KVM is {'not ' if demands.protected else ''}in protected mode"), "mode"
    if demands.since:
        test = f"!since({demands.since[0]}, {demands.since[1]})"
        yield _skip(test, f"the kernel is older than {_dotted(demands.since)}"), "kernel"
    if demands.before:
        test = f"since({demands.before[0]}, {demands.before[1]})"
        yield _skip(test, f"the kernel is as new as {_dotted(demands.before)}"), "kernel"
    yield from _lengths(demands)
    for cap, wanted in demands.capabilities:
        register_name, shift, least = CAP_FIELDS[cap]
        test = f"field({_ID[register_name]}, {shift}) {'<' if wanted else '>='} {least}"
        yield _skip(test, _has("the CPU", wanted, cap)), "field"
    if demands.el0_32bit is not None:
        test = f"field({_ID['id_aa64pfr0']}, 0) {'!=' if demands.el0_32bit else '=='} 2"
        yield _skip(test, _has("the CPU", demands.el0_32bit, "a 32-bit EL0")), "field"


def _lengths(demands: Demands) -> Iterator[tuple[str, str]]:
    if demands.least_vq > 1:
        test = f"!(lengths() >> {demands.least_vq - 1})"
        bits = 128 * demands.least_vq
        yield _skip(test, f"there is no vector length of {bits} bits or more"), "lengths"
    if demands.lengths is None:
        return
    upto, lengths = demands.lengths
    test = f"(lengths() & {(1 << upto) - 1:#x}) != {lengths:#x}"
    yield _skip(test, f"the vector lengths up to {128 * upto} bits are others"), "lengths"
    if demands.bounded:
        test = f"lengths() >> {upto}"
        yield _skip(test, f"there is a vector length above {128 * upto} bits"), "lengths"


def _skip(test: str, reason: str) -> str:
    return f"\tif ({test})\n\t\tskip({quoted(reason)});"


def _offers(capability: str, wanted: bool) -> str:
    return f"{'!' if wanted else ''}offers({capability})"


def _has(who: str, wanted: bool, what: str) -> str:
    return f"{who} has {'no ' if wanted else ''}{what}"


def _dotted(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]}"


_CAPABILITIES: Mapping[int, tuple[str, ...]] = {
    1 << 1: ("32-bit EL1", "KVM_CAP_ARM_EL1_32BIT"),
    1 << 3: ("PMU", "KVM_CAP_ARM_PMU_V3"),
    1 << 5: ("pointer authentication by address", "KVM_CAP_ARM_PTRAUTH_ADDRESS"),
    1 << 6: ("generic pointer authentication", "KVM_CAP_ARM_PTRAUTH_GENERIC"),
    1 << 7: ("EL2 for guests", "KVM_CAP_ARM_EL2"),
}
"""INIT's features that a capability tells: what it is, and which."""

_ID = {
    "id_aa64pfr0": "ARM64_SYS_REG(3, 0, 0, 4, 0)",
    "id_aa64zfr0": "ARM64_SYS_REG(3, 0, 0, 4, 4)",
    "id_aa64isar0": "ARM64_SYS_REG(3, 0, 0, 6, 0)",
    "id_aa64isar1": "ARM64_SYS_REG(3, 0, 0, 6, 1)",
    "id_aa64isar2": "ARM64_SYS_REG(3, 0, 0, 6, 2)",
}
"""The ID registers of `CAP_FIELDS`."""
