"""Cases as C programs: what they expect, what they demand, and that no word of it is wrong."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import registers as regs
from corpus.case import Case
from corpus.isa.table import FORMS
from corpus.kept import load_kept
from corpus.ops import OPS, CreateVm, Disturb, HostRun, Run, Threads
from corpus.readgroups import READ_GROUPS
from corpus.store import kept_files
from corpus.text import parse_case
from fuzz.generate.strategies import cases
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.reproduce import calls
from fuzz.reproduce import strace as module
from fuzz.reproduce.demands import say
from fuzz.reproduce.expect import Unsayable, expect
from fuzz.reproduce.held import first_refused
from fuzz.reproduce.kselftest import reference, selftests
from fuzz.reproduce.program import program
from fuzz.reproduce.strace import strace
from fuzz.reproduce.tried import FLAGS, Outcome, Tried, reproduces
from fuzz.reproduce.words import comment, pattern, quoted, register
from targets.kvm.lab.image import find_compiler
from targets.model.target import ModelTarget, clear, keep
from targets.spec.sets import Set

pytestmark = pytest.mark.long

MACHINE = reference(0xFFFF)
FILES = [path for folder in ("regressions", "seeds", "known") for path in kept_files(folder)]


def case(*lines: str) -> Case:
    return parse_case("\n".join(lines) + "\n")


UNSAYABLE = (Disturb, HostRun, Threads)


def sayable(made: Case) -> bool:
    kinds = {type(op) for op in made.ops}
    return not kinds & set(UNSAYABLE) and not {CreateVm, Run} <= kinds


PARTS = sorted((Path(module.__file__).parent / "parts").glob("*.c"))

VCPU = ("create v0", "init v0", "finalize v0")
READS_TAIL = case(
    *VCPU,
    "set v0 z3 0xab*",
    "set v0 cpacr_el1 0x330000",
    "run v0 {",
    "    rdvl x1, #1",
    "    add z4.b, z4.b, z4.b",
    "}",
    "get v0 z3",
    "get v0 z3",
)
"""Bits of Z3 above the VL of 128 bits are kept or cleared, once and for all."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_conforming_leg_does_is_expected(path: Path) -> None:
    made = load_kept(path).case
    try:
        expectation = expect(made, MACHINE)
    except Unsayable:
        assert not sayable(made)
        return
    for choose in (keep, clear):
        trace = ModelTarget(MACHINE, "model", choose=choose).run(made)
        assert first_refused(made, expectation, trace) is None


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([(6, 1), (6, 12), MACHINE.kernel]), st.sampled_from([keep, clear]))
def test_no_case_that_the_model_permits_is_refused(
    made: Case, kernel: tuple[int, int], choose: Callable[[Set], int]
) -> None:
    machine = replace(MACHINE, kernel=kernel, unaligned=True)
    try:
        expectation = expect(made, machine)
    except Unsayable:
        return
    trace = ModelTarget(machine, "model", choose=choose).run(made)
    assert isinstance(judge(made, trace, machine), Agree)
    assert first_refused(made, expectation, trace) is None


def test_two_looks_at_a_register_have_to_agree() -> None:
    expectation = expect(READS_TAIL, MACHINE)
    kept = ModelTarget(MACHINE, "model", choose=keep).run(READS_TAIL)
    cleared = ModelTarget(MACHINE, "model", choose=clear).run(READS_TAIL)
    mixed = replace(kept, observations=(*kept.observations[:-1], cleared.observations[-1]))
    assert kept.observations[-1] != cleared.observations[-1]
    assert first_refused(READS_TAIL, expectation, mixed) == len(READS_TAIL.ops) - 1
    assert 'same("z3", 0, 256, 7, 0);' in program(say(READS_TAIL, MACHINE))


def test_a_wrong_errno_and_a_wrong_byte_are_refused() -> None:
    made = case(*VCPU, "finalize v0", "set v0 z0 1", "get v0 z0")
    expectation = expect(made, MACHINE)
    right = ModelTarget(MACHINE, "model").run(made)
    errno = [*right.observations]
    errno[3] = replace(errno[3], err=0)
    assert first_refused(made, expectation, replace(right, observations=tuple(errno))) == 3
    byte = [*right.observations]
    byte[5] = replace(byte[5], data=byte[5].data[:-1] + b"\1")
    assert first_refused(made, expectation, replace(right, observations=tuple(byte))) == 5
    short = [*right.observations]
    short[5] = replace(short[5], data=b"")
    assert first_refused(made, expectation, replace(right, observations=tuple(short))) == 5


def test_a_refused_init_that_may_succeed_is_two_ways() -> None:
    made = case("create v0", "init v0 features=el1_32bit,sve", "get-mp v0")
    ways = expect(made, MACHINE).ways
    assert {way.steps[1].permits[0].err for way in ways} == {0, 22}
    text = program(say(made, MACHINE))
    assert "#define WAYS 0x3u" in text
    assert "outcome_on(0x1, 0);" in text
    assert "outcome_on(0x2, EINVAL);" in text


def test_where_the_specification_stops_the_program_does() -> None:
    made = case(*VCPU, "set v0 0x603000000013c708 1", "run v0 { nop }", "read-all v0")
    said = say(made, MACHINE)
    assert said.expectation.judged == 4
    text = program(said)
    assert "Without its last 2 ops: a register outside the model was written" in text
    assert "read_all" not in text
    assert "read_all" in program(said, watched=True)


def test_what_a_vl_decides_is_demanded_and_no_more() -> None:
    plain = say(case(*VCPU, "finalize v0"), MACHINE).demands
    assert (plain.least_vq, plain.lengths) == (0, None)
    longest = say(case(*VCPU, "set v0 z0 0xab*", "get v0 z0"), MACHINE).demands
    assert longest.least_vq == 16
    some = say(case("create v0", "init v0", "set-vls v0 1,2"), MACHINE).demands
    assert (some.lengths, some.bounded) == ((2, 3), False)
    every = say(case("create v0", "init v0", "get-vls v0"), MACHINE).demands
    assert every.lengths == (16, 0xFFFF)
    few = say(case("create v0", "init v0", "get-vls v0"), replace(MACHINE, vqs=0xB)).demands
    assert (few.lengths, few.bounded) == ((4, 0xB), True)


def test_what_a_kernel_decides_is_demanded() -> None:
    made = case("create v0", "create v1", "init v1", "init v0 features=none")
    assert say(made, MACHINE).demands.since == (6, 5)
    init = case("create v0", "init v0 features=bit7,sve")
    old = say(init, replace(MACHINE, kernel=(6, 12))).demands
    new = say(init, MACHINE).demands
    assert (old.since, old.before, new.since) == (None, (6, 16), (6, 16))
    assert new.features == ((1 << 7, True),)


def test_protected_mode_is_demanded_where_it_matters() -> None:
    made = load_kept(next(p for p in FILES if p.stem == "kvm-protected-late-vcpu")).case
    assert say(made, MACHINE).demands.protected is False
    assert say(made, replace(MACHINE, mode="protected")).demands.protected is True
    assert say(case(*VCPU), MACHINE).demands.protected is None


def test_what_instructions_need_is_demanded() -> None:
    made = case(*VCPU, "run v0 { eor3 z0.d, z0.d, z1.d, z2.d }")
    cap = FORMS["eor3_z"].cap if "eor3_z" in FORMS else "sve2"
    assert (cap, True) in say(made, MACHINE).demands.capabilities
    lacking = replace(MACHINE, lacks=frozenset({cap}))
    assert (cap, False) in say(made, lacking).demands.capabilities


@pytest.mark.parametrize(
    ("mode", "kernel", "since", "before", "is_protected"),
    [
        ("protected", (7, 2), (7, 2), None, True),
        ("protected", (6, 12), None, (6, 13), None),
        ("nvhe", (7, 2), None, None, False),
    ],
)
def test_a_protected_vm_that_runs_nothing_demands_kernels_that_have_them(
    mode: str,
    kernel: tuple[int, int],
    since: tuple[int, int] | None,
    before: tuple[int, int] | None,
    is_protected: bool | None,
) -> None:
    made = case("create-vm protected", *VCPU, "migrate v0 to=v1")
    said = say(made, replace(MACHINE, mode=mode, kernel=kernel))
    assert (said.demands.since, said.demands.before) == (since, before)
    assert said.demands.protected is is_protected
    assert "renew_vm(0x80000000ul)" in program(said)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (case("create v0", "disturb softirq {", "init v0", "}"), "a stranger"),
        (case(*VCPU, "host-run v0 { nop }"), "host-run"),
        (case(*VCPU, "get-mp v3"), "another VM"),
        (case("create-vm protected", *VCPU, "run v0 { nop }"), "protected VM"),
    ],
)
def test_what_c_cannot_say_is_one_sentence(made: Case, says: str) -> None:
    with pytest.raises(Unsayable, match=says) as refusal:
        say(made, MACHINE)
    assert str(refusal.value).startswith("cannot be said in C: ")


def test_every_other_op_can_be_said() -> None:
    assert set(OPS.values()) - set(calls._CALLS) == set(UNSAYABLE)


@cache
def texts() -> dict[str, str]:
    found = {}
    for path in FILES[::3]:
        kept = load_kept(path)
        if sayable(kept.case):
            said = say(kept.case, MACHINE)
            found[path.stem] = program(said, [kept.about])
            found[f"{path.stem}, watched"] = program(said, watched=True)
    return found


def test_the_case_stands_on_top_and_comments_end_where_they_should() -> None:
    for text in texts().values():
        head, _, rest = text.partition("\n */\n")
        assert head.count("*/") == 0
        assert " The case:\n" in f"{head}\n"
        assert rest.startswith("#include <asm/kvm.h>")
        assert max(map(len, text.splitlines())) < 130


@cache
def more_texts() -> tuple[str, ...]:
    """Cases that use a part of the program without what most use with it."""
    made = (
        ("create v0", "migrate v0"),
        ("set v0 z0 1",),
        ("reg-list v0 room=0",),
        ("read-mem 0x8000",),
        ("get-mp v0",),
        ("run v0 { nop }",),
        ("init v0 features=has_el2",),
        ("preferred-target",),
        ("create-gic",),
        ("create-gic", "init v0 features=has_el2", "run v0 { nop }"),
    )
    return tuple(program(say(case(*lines), MACHINE)) for lines in made)


def test_such_programs_compile_without_a_warning(tmp_path: Path) -> None:
    for text in more_texts():
        (tmp_path / "p.c").write_text(text)
        argv = [find_compiler(), *FLAGS, "-fsyntax-only", str(tmp_path / "p.c")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), text[:400]


def _defined(text: str) -> set[str]:
    return set(re.findall(r"^static [\w ]*?\**(\w+)\(", text, re.MULTILINE))


def test_a_program_has_only_the_parts_that_it_calls() -> None:
    for text in (*texts().values(), *more_texts()):
        for name in _defined(text):
            assert len(re.findall(rf"\b{name}\b", text)) > 1, name


def test_it_steps_once_per_op_and_says_so() -> None:
    kept = load_kept(next(path for path in FILES if path.stem == "reinit-survivors"))
    text = program(say(kept.case, MACHINE))
    steps = re.search(r"#define STEPS (\d+)", text)
    assert steps
    assert text.count("\tstep(") == text.count("\tdone();") == int(steps[1]) == 13


def test_the_same_case_makes_the_same_text() -> None:
    kept = load_kept(kept_files("regressions")[0])
    one, two = (program(say(kept.case, MACHINE)) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("candidates", "size", "text"),
    [
        (((0x3C5, 0),), 8, "0x3c5"),
        (((0x3C0, 0xF),), 8, "0x3c0/0xf"),
        (((0, 0xFFFF),), 2, "..*2"),
        (((0, 0),), 16, "00*16"),
        ((((1 << 128) - 1, 0), (0xFF, 0)), 16, "ff*16 | ff 00*15"),
        (((0x0201, 0xF0 << 120),), 16, "0102 00*13 00/f0"),
        (
            ((int.from_bytes(bytes(range(12)), "little"), 0xFF << 88),),
            12,
            "000102030405060708090a..",
        ),
    ],
)
def test_patterns(candidates: tuple[tuple[int, int], ...], size: int, text: str) -> None:
    assert pattern(candidates, size) == text


def test_no_text_can_leave_a_string_or_a_comment() -> None:
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c; d"'
    assert "*/" not in comment("x */ y")
    assert quoted("\x1b[0m") == '"?[0m"'


@pytest.mark.parametrize(
    ("svcr", "says"),
    [
        ("sm", "/* KVM_RUN is made in streaming mode */"),
        ("za", "/* KVM_RUN is made with ZA on */"),
        ("sm+za", "/* KVM_RUN is made in streaming mode and with ZA on */"),
    ],
)
def test_strace_tells_what_the_thread_has_of_sme(svcr: str, says: str) -> None:
    plain = strace(case(*VCPU, "host-run v0 { nop }")).splitlines()
    told = strace(case(*VCPU, f"host-run v0 svcr={svcr} {{ nop }}")).splitlines()
    assert [line for line in told if line not in plain] == [says]
    assert len(told) == len(plain) + 1


def test_strace_tells_of_another_vm() -> None:
    plain, told = (strace(case(*VCPU, look)).splitlines() for look in ("get-mp v0", "create v3"))
    assert [line for line in told if "VCPU" not in line and line not in plain] == [
        "ioctl(3, KVM_CREATE_VM, 36) = 9",
        plain[2].replace("ioctl(4", "ioctl(9").replace("=ram", "=other_ram"),
    ]
    assert told[-1] == "ioctl(9, KVM_CREATE_VCPU, 3)"


def test_strace_tells_of_a_migration_and_what_came_of_it() -> None:
    made = case(*VCPU, "migrate v0 to=v1")
    assert strace(made).splitlines()[-1] == " */"
    told = strace(made, ModelTarget(MACHINE, "model").run(made))
    assert told.splitlines()[-1] == " * = 0 */"


def test_strace_tells_what_a_leg_did() -> None:
    made = case(*VCPU, "finalize v0", "set v0 fpcr 3", "get v0 fpcr", "run v0 { nop }")
    told = strace(made, ModelTarget(MACHINE, "model").run(made)).splitlines()
    assert told[3] == "ioctl(4, KVM_CREATE_VCPU, 0) = 5"
    init = "{target=KVM_ARM_TARGET_GENERIC_V8, features=[1<<KVM_ARM_VCPU_SVE]}"
    assert told[4] == f"ioctl(5, KVM_ARM_VCPU_INIT, {init}) = 0"
    finalize = "ioctl(5, KVM_ARM_VCPU_FINALIZE, [KVM_ARM_VCPU_SVE])"
    assert told[5:7] == [f"{finalize} = 0", f"{finalize} = -1 EPERM (Operation not permitted)"]
    assert told[8].endswith("addr=[0x3]}) = 0")
    assert told[-1] == "ioctl(5, KVM_RUN, 0) = 0 /* exit_reason=6, address 0x50000000 */"
    assert strace(made).count(" = ") == 3


@pytest.mark.parametrize("word", OPS)
def test_strace_knows_every_op(word: str) -> None:
    assert OPS[word] in module._CALLS


def test_every_register_of_read_all_has_a_name_in_c() -> None:
    names = [register(reg) for group in READ_GROUPS for reg in group]
    assert len(set(names)) == len(names)
    assert not any(name.endswith("ull") for name in names)
    assert register(0x6030_0000_0013_C708) == "0x603000000013c708ull"
    assert {register(row.id) for row in regs.REGISTERS.values()} >= set(names)


def test_every_function_that_a_program_calls_is_in_it() -> None:
    known = {name for part in PARTS for name in _defined(part.read_text())}
    for text in (*texts().values(), *more_texts()):
        called = {name for name in known if re.search(rf"\b{name}\(", text)}
        assert called <= _defined(text), called - _defined(text)


def told(*outcomes: tuple[str, Outcome]) -> list[Tried]:
    return [Tried("x", leg, outcome, "", "") for leg, outcome in outcomes]


@pytest.mark.parametrize(
    ("outcomes", "shows"),
    [
        ((("a", Outcome.FAILS), ("b", Outcome.PASSES)), True),
        ((("a", Outcome.BREAKS), ("b", Outcome.PASSES)), True),
        ((("a", Outcome.FAILS), ("b", Outcome.FAILS), ("c", Outcome.PASSES)), True),
        ((("a", Outcome.FAILS), ("b", Outcome.SKIPS)), False),
        ((("a", Outcome.FAILS),), False),
        ((("a", Outcome.PASSES), ("b", Outcome.PASSES)), False),
        ((("a", Outcome.SKIPS), ("b", Outcome.PASSES)), False),
        ((("a", Outcome.ODD), ("b", Outcome.PASSES)), False),
        ((("b", Outcome.PASSES),), False),
    ],
)
def test_it_reproduces_only_if_it_fails_here_and_passes_there(
    outcomes: tuple[tuple[str, Outcome], ...], shows: bool
) -> None:
    assert reproduces(told(*outcomes), ["a"]) is shows


def test_both_deviating_legs_have_to_fail() -> None:
    some = told(("a", Outcome.FAILS), ("b", Outcome.PASSES), ("c", Outcome.PASSES))
    assert not reproduces(some, ["a", "b"])


def test_a_directory_of_selftests_builds(tmp_path: Path) -> None:
    """With the rules that lib.mk of the kernel's selftests has for such programs."""
    home = tmp_path / "selftests" / "kvm_sve"
    home.mkdir(parents=True)
    kept = [load_kept(path) for path in kept_files("regressions")[:2]]
    disturbed = load_kept(next(path for path in FILES if path.stem == "left-in-the-middle"))
    made = selftests([*kept, disturbed], "kvm_sve", MACHINE)
    assert len(made.refused) == 1
    assert "left-in-the-middle.case: cannot be said in C: a stranger" in made.refused[0]
    for name, text in made.files.items():
        (home / name).write_text(text)
    (home.parent / "lib.mk").write_text(
        "CC := $(CROSS_COMPILE)gcc\n"
        "TEST_GEN_PROGS := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_PROGS))\n"
        "all: $(TEST_GEN_PROGS)\n"
        "$(OUTPUT)/%: %.c\n\t$(LINK.c) $^ -o $@\n"
    )
    prefix = find_compiler().removesuffix("gcc")
    words = [f"OUTPUT={home}", f"CROSS_COMPILE={prefix}", "ARCH=arm64", "LDFLAGS=-Werror"]
    done = subprocess.run(
        ["make", "-s", "-C", str(home), *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    programs = {name.removesuffix(".c") for name in made.files if name.endswith(".c")}
    assert len(programs) == 2
    assert all((home / name).read_bytes()[:4] == b"\x7fELF" for name in programs)
    assert {line[1:] for line in made.files[".gitignore"].split()} == programs
