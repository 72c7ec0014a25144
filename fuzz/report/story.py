"""A finding for people who have never heard of this tool: plain text for a mailing list, and
Markdown. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from corpus.fields import format_vqs, parse_vqs
from corpus.text import format_case
from corpus.trace import Ending
from db.records import CellView, FindingView, LegRecord, TraceView
from fuzz.followup.nearest import Hint
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from fuzz.printable import printable
from fuzz.report.findings import log_excerpt, op_text
from fuzz.reproduce.strace import strace
from fuzz.reproduce.tried import Outcome, Tried
from targets.profile import Profile
from targets.spec.rules import RULES

MAIL = 72
"""Columns of a mail."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, paragraphs, a list, and a text that stands as it is."""

    title: str
    said: Sequence[str] = ()
    items: Sequence[str] = ()
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of a finding. `title`: its bucket's; `program`: the C file, or why there
    is none; `lines`: file and line by function; `silent`: why there is no hint; `origin`: which
    commit it came with or went with, in sentences."""

    finding: FindingView
    title: str
    suspect: str
    views: Sequence[TraceView]
    cells: Sequence[CellView]
    tried: Sequence[Tried] = ()
    program: str = ""
    unsaid: str = ""
    hint: Hint | None = None
    silent: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    origin: Sequence[str] = ()


def subject(story: Story) -> str:
    """The first line of a mail."""
    fault = _fault(story)
    if fault:
        return textwrap.shorten(f"KVM: arm64: {fault}", MAIL - len("Subject: "), placeholder=" ...")
    place = op_text(story.finding).partition("\n")[0].removesuffix("{").strip()
    text = f"KVM: arm64: {_rule(story.finding)}: {place or story.title}"
    return textwrap.shorten(text, MAIL - len("Subject: "), placeholder=" ...")


def sections(story: Story) -> Iterator[Section]:
    """The report in the order in which a reader wants it."""
    yield _done(story)
    yield _expected(story)
    yield _observed(story)
    yield _affected(story)
    yield from _log(story)
    yield from _place(story)
    yield from _program(story)


def _done(story: Story) -> Section:
    view = _deviating(story)
    number, ops = story.finding.op_index + 1, story.finding.minimal.ops
    said = f"Step {number} of {len(ops)} is where it shows."
    if view is not None and view.trace.ending is not Ending.OK and view.trace.at is None:
        said = "In one of these steps the machine broke; in which is not known."
    if story.finding.preceding:
        said += f" It takes {len(story.finding.preceding)} other cases before."
    return Section(
        "What was done", [said], quoted=strace(story.finding.minimal, view.trace if view else None)
    )


def _deviating(story: Story) -> TraceView | None:
    """What a leg that deviates did."""
    found = (view for view in story.views if view.leg.name in story.finding.deviating)
    return next(found, None)


def _rule(finding: FindingView) -> str:
    """The rule that is broken; of a bad ending, that cases end well."""
    for name in (finding.rule, finding.culprit):
        if name in RULES or name.startswith("isa."):
            return name
    return "ending.ok" if finding.rule.startswith("ending.") else finding.rule


def _text_of(rule: str) -> str:
    if rule.startswith("isa."):
        return f"what the architecture says of {rule.removeprefix('isa.')}"
    return RULES[rule].text if rule in RULES else rule


def _fault(story: Story) -> str:
    """How the machine broke, in a few words; empty where it did not."""
    view = _deviating(story)
    if view is None or view.trace.ending is Ending.OK:
        return ""
    return str(view.trace.fault) if view.trace.fault else view.trace.ending.value


def _expected(story: Story) -> Section:
    if _fault(story):
        well = "The kernel neither crashes nor hangs nor complains, whatever user space asks for."
        return Section("What was expected", [well])
    name = _rule(story.finding)
    rule = RULES.get(name)
    said = [f"{_capital(_text_of(name))}."]
    if rule is not None:
        source = f" (source: {rule.source})" if rule.source != "-" else ""
        said[0] = f"{_capital(rule.text)}{source}. {_CLASSES[rule.cls]}"
    elif name.startswith("isa."):
        said[0] += " Source: the Arm Architecture Reference Manual, A64 instructions."
    verdict = _verdict(story)
    if verdict is not None:
        where = f" ({_named(verdict.detail)} differ)" if verdict.detail else ""
        said.append(f"Permitted at step {verdict.op_index + 1} for {verdict.label}{where}:")
    return Section("What was expected", said, quoted=_legend(story.finding.expected))


_SYSREG = re.compile(r"0x603000000013([0-9a-f]{4})")


def _named(text: str) -> str:
    """A text with ids of system registers that have no name here in the architecture's form."""
    return _SYSREG.sub(lambda found: sysreg_name(int(found[1], 16)), text)


def sysreg_name(index: int) -> str:
    """`S3_0_C9_C14_1` for the index of a system register in its id."""
    op0, op1, op2 = index >> 14 & 3, index >> 11 & 7, index & 7
    return f"S{op0}_{op1}_C{index >> 7 & 15}_C{index >> 3 & 15}_{op2}"


_CLASSES = {
    "ARCH": "It is architecture.",
    "ABI": "It is the documented interface.",
    "IMPL": "It is what kernels do; nothing promises it.",
}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _legend(value: str) -> str:
    """A value as `targets.spec.hexdump` shows it, one possibility a line."""
    return value.replace(" or ", "\nor ")


def _verdict(story: Story) -> Diverge | None:
    """What is wrong with the trace of a leg that deviates, judged by today's specification."""
    view = _deviating(story)
    if view is None:
        return None
    try:
        profile = Profile.from_fingerprint(view.leg.fingerprint)
    except ValueError:
        return None
    verdict = judge(story.finding.minimal, view.trace, profile)
    return verdict if isinstance(verdict, Diverge) else None


def _observed(story: Story) -> Section:
    finding, verdict = story.finding, _verdict(story)
    said = []
    if verdict is not None and verdict.context is not None:
        said.append(f"Vector lengths: {verdict.context}.")
    if not finding.observed:
        said.append(finding.explanation)
    seen, tried = finding.reproduced
    if tried:
        said.append(f"In fresh VMs it showed {seen} of {tried} times.")
    told = _fault(story) or _legend(finding.observed)
    return Section("What was observed", said, quoted=told)


def _kernel(facts: Mapping[str, str]) -> str:
    """A kernel's version: its package's where there is one, since Debian's releases leave out
    the stable version."""
    release, package = facts.get("release", "?"), facts.get("lab.kernel_package", "")
    return f"{release} ({package})" if package else release


def machine(leg: LegRecord) -> str:
    """What a leg is, in words that mean something elsewhere."""
    facts = leg.fingerprint
    words = [f"Linux {_kernel(facts)}, KVM mode {facts.get('mode', '?')}"]
    if "lab.qemu" in facts:
        words.append(f"on a CPU that QEMU {facts['lab.qemu']} emulates")
    if facts.get("vqs"):
        lengths = format_vqs(parse_vqs(facts["vqs"]))
        words.append(f"vector lengths {lengths} x 128 bits")
    return ", ".join(words)


def _affected(story: Story) -> Section:
    seen = [view.leg for view in story.views if view.leg.kind == "kvm"]
    shows = [leg for leg in seen if leg.name in story.finding.deviating]
    agree = [leg for leg in seen if leg.name not in story.finding.deviating]
    known = {leg.name for leg in (*shows, *agree)}
    for cell in story.cells:
        leg = LegRecord(cell.leg, "kvm", cell.fingerprint)
        if (
            cell.leg in known
            or not cell.leg.startswith("kvm:")
            or cell.outcome not in ("shows", "passes")
        ):
            continue
        (shows if cell.outcome == "shows" else agree).append(leg)
    items = [f"affected: {machine(leg)}" for leg in shows]
    items += [f"not affected: {machine(leg)}" for leg in agree]
    said = [f"Suspect: {story.suspect}."] if story.suspect else []
    passes = [one.release for one in story.tried if one.outcome is Outcome.PASSES]
    said += [*first_bad(shows, agree, passes), *story.origin]
    return Section("Where it shows", said, items)


_VERSION = re.compile(r"\d+(?:\.\d+)*")


def _release(leg: LegRecord) -> tuple[int, ...]:
    facts = leg.fingerprint
    return _numbers(facts.get("lab.kernel_package") or facts.get("release", ""))


def _numbers(release: str) -> tuple[int, ...]:
    found = _VERSION.match(release)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def first_bad(
    shows: Sequence[LegRecord], agree: Sequence[LegRecord], passes: Sequence[str] = ()
) -> Iterator[str]:
    """Between which of the releases that were tried it came, and where it went, in the modes of
    those that show it and on the same emulated CPU. `passes`: releases on which the program
    does."""

    def key(leg: LegRecord) -> tuple[str, str]:
        return leg.fingerprint.get("mode", ""), leg.fingerprint.get("lab.qemu", "")

    keys = {key(leg) for leg in shows}
    bad = sorted({_release(leg) for leg in shows} - {()})
    good = sorted({_release(leg) for leg in agree if key(leg) in keys} - {()} - set(bad))
    if not bad:
        return
    before = [one for one in good if one < bad[0]]
    behind = [one for one in good if one > bad[-1]]
    first = f"The first release that was tried and shows it is {_dotted(bad[0])}"
    programs = [name for name in passes if () < _numbers(name) < bad[0]]
    if before:
        yield f"{first}; {_dotted(before[-1])} does not."
    elif programs:
        yield f"{first}; the program below passes on {max(programs, key=_numbers)}."
    else:
        yield f"{first}; none before it was tried."
    if behind:
        yield f"It is gone in {_dotted(behind[0])}."


def _dotted(release: Sequence[int]) -> str:
    return ".".join(map(str, release))


def _log(story: Story) -> Iterator[Section]:
    view = _deviating(story)
    excerpt = log_excerpt(view.trace) if view else []
    if excerpt:
        lines = [_with_place(line, story.lines) for line in excerpt]
        yield Section("What the kernel said", quoted="\n".join(lines))


def _with_place(line: str, lines: Mapping[str, str]) -> str:
    """A line of a backtrace with file and line, where they are known."""
    found = _FRAME.search(line)
    return f"{line}  {lines[found[1]]}" if found and found[1] in lines else line


_FRAME = re.compile(r"\b([A-Za-z_][\w.]*)\+0x")


def _place(story: Story) -> Iterator[Section]:
    title = "A hint at the place"
    if story.hint is None:
        if story.silent:
            yield Section(title, [f"There is none: {story.silent}."])
        return
    hint = story.hint
    said = [
        "Functions of the kernel that the steps above execute, and that the case below, their"
        " nearest neighbour that behaves, does not:"
    ]
    items = [f"{f.name} ({story.lines.get(f.name) or f.area})" for f in hint.functions] or [
        "none: the two execute the same functions"
    ]
    if hint.blocks:
        told = ", ".join(f"{name} ({count})" for name, count in hint.blocks)
        items.append(f"in functions that both execute, blocks that only the former does: {told}")
    yield Section(title, said, items, format_case(hint.neighbour))


def _program(story: Story) -> Iterator[Section]:
    title = "A program that shows it"
    if story.unsaid:
        yield Section(title, [f"{_capital(story.unsaid)}."])
        return
    said = [
        "One C file against the kernel's headers. It prints KTAP, fails where it shows and is"
        " skipped where something that it needs is missing."
    ]
    items = [
        f"{one.outcome.value} on {one.release or one.leg}" + (f": {one.said}" if one.said else "")
        for one in story.tried
    ]
    yield Section(title, said, items or ["it was not run"], story.program)


def plain(story: Story) -> str:
    """A mail: its subject, and text of so many columns; what is quoted stays as it is."""
    lines = [f"Subject: {subject(story)}"]
    for section in sections(story):
        lines += ["", section.title, "=" * len(section.title)]
        for paragraph in section.said:
            lines += ["", *_wrapped(paragraph)]
        if section.items:
            lines.append("")
        for item in section.items:
            lines += _wrapped(item, "- ", "  ")
        if section.quoted:
            lines += ["", *(f"    {line}".rstrip() for line in section.quoted.splitlines())]
    return printable("\n".join(lines) + "\n")


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        MAIL,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )


def markdown(story: Story) -> str:
    """The same as Markdown."""
    lines = [f"# {_escaped(subject(story))}"]
    for section in sections(story):
        lines += ["", f"## {section.title}"]
        for paragraph in section.said:
            lines += ["", _escaped(paragraph)]
        if section.items:
            lines.append("")
        lines += [f"- {_escaped(item)}" for item in section.items]
        if section.quoted:
            fence = "`" * max(
                3, 1 + max((len(run) for run in _TICKS.findall(section.quoted)), default=0)
            )
            language = "c" if section.quoted.startswith("// SPDX") else ""
            lines += ["", f"{fence}{language}", section.quoted.rstrip(), fence]
    return printable("\n".join(lines) + "\n")


_TICKS = re.compile("`+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
