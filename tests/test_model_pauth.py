"""Pointer authentication: what is certain of pointers that are signed, and who may sign."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from model_guest import DATA, guest, run

from corpus.isa.pauth import ALL_ENABLES, LOADS
from corpus.isa.table import parse_insn
from corpus.kept import Effect
from corpus.registers import KEY_NAMES
from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.generate.signing import followed
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Verdict
from targets.model.target import ModelTarget
from targets.profile import Profile, has_pauth
from targets.spec.defects import worst
from targets.spec.errors import UNDEFINED, GuestException, Unpredictable
from targets.spec.forks import Forks
from targets.spec.pauth import code_bits
from targets.spec.semantics import SEMANTICS
from targets.spec.sets import exact, unknown
from targets.spec.vcpu import SCTLR_RESET, U64

POINTER, HIGH = 0x4000_8123, 0xFFFF_FF80_0000_1230
CODE = code_bits(48)
BOTH = "features=sve,psci_0_2,ptrauth_address,ptrauth_generic"
NONE = Profile(
    features=0x1F, kernel=(0, 0), host_thread=False, pauth=False, lacks=frozenset({"pauth"})
)


def _judged(
    code: str, register: str, value: int | None = None, profile: Profile | None = None
) -> tuple[int, Verdict]:
    """What the model leaves in a register, and the verdict where a leg leaves `value`."""
    code = "\n".join(f"    {line}" for line in code.split("; "))
    features = BOTH if profile is None else "features=sve,psci_0_2"
    text = f"create v0\ninit v0 {features}\nfinalize v0\nset v0 x3 {POINTER}\nset v0 x4 {HIGH}\n"
    case = parse_case(f"{text}run v0 {{\n{code}\n}}\nget v0 {register}\n")
    profile = profile or Profile()
    *before, last = ModelTarget(profile).run(case).observations
    left = int.from_bytes(last.data, "little")
    if value is not None:
        last = replace(last, data=value.to_bytes(8, "little"))
    return left, judge(case, Trace((*before, last)), profile)


def _agrees(code: str, register: str, value: int) -> bool:
    return isinstance(_judged(code, register, value)[1], Agree)


def test_a_signed_pointer_keeps_its_address_and_says_in_which_half_it_is() -> None:
    cpu = guest(1)
    for pointer, bit_55 in ((POINTER, 0), (HIGH, 1 << 55), (HIGH & ~(1 << 63), 0)):
        cpu.vcpu.x[3] = exact(pointer)
        run(cpu, "pacia x3, x5")
        assert cpu.vcpu.x[3] == unknown(pointer & (1 << 48) - 1 | bit_55, CODE)
    for bit in (60, 50, 48):
        assert _agrees("enable-keys ia; pacia x3, x5", "x3", POINTER | 1 << bit)
    for bit in (55, 47, 3):
        assert not _agrees("enable-keys ia; pacia x3, x5", "x3", POINTER ^ 1 << bit)


@pytest.mark.parametrize(
    "code",
    [
        "pacia x3, x5; autia x3, x5",
        "pacdzb x3; spin-loop #2; autdzb x3",
        "pacdb x3, sp; isb; autdb x3, sp",
        "mov x9, #7; msr apibkeylo_el1, x9; isb; pacib x3, x6; autib x3, x6",
    ],
)
def test_the_same_key_and_modifier_give_the_pointer_back(code: str) -> None:
    code = f"return-vectors; enable-keys ia+ib+da+db; {code}"
    assert _agrees(code, "x3", POINTER)
    assert not _agrees(code, "x3", POINTER | 1 << 61)


@pytest.mark.parametrize(
    "code",
    [
        "pacia x3, x5; autib x3, x5",
        "pacia x3, x5; autia x3, x4",
        "pacia x3, x5; mov x9, #7; msr apiakeyhi_el1, x9; isb; autia x3, x5",
        "mov x9, #7; msr apiakeylo_el1, x9; pacia x3, x5; isb; autia x3, x5",
        "pacia x3, x5; add x3, x3, #0; autia x3, x5",
        "autia x3, x5",
    ],
)
def test_else_the_upper_bits_or_an_exception_tell(code: str) -> None:
    code = f"enable-keys ia+ib; {code}"
    assert _agrees(code, "x3", POINTER)
    assert _agrees(code, "x3", POINTER | 1 << 61)
    assert not _agrees(code, "x3", POINTER ^ 4)
    cpu = guest(1)
    cpu.forks = Forks((1,))
    with pytest.raises(GuestException) as raised:
        run(cpu, "autdzb x3")
    assert (raised.value.esr, raised.value.rule) == (0x1C << 26 | 1 << 25 | 3, "exception.pauth")


def test_a_pointer_whose_upper_bits_differ_does_not_come_back_for_certain() -> None:
    cpu = guest(1)
    cpu.vcpu.x[3] = exact(1 << 62 | POINTER)
    run(cpu, "pacia x3, x5", "autia x3, x5")
    assert cpu.vcpu.x[3] == unknown(POINTER, CODE)


def test_the_link_register_is_signed_by_the_stack_pointer() -> None:
    cpu = guest(1)
    cpu.vcpu.x[30] = exact(POINTER)
    run(cpu, "paciasp", "add x3, x30, #0", "autiasp")
    assert cpu.vcpu.x[30] == exact(POINTER)
    run(cpu, "pacibz")
    cpu.vcpu.x[17], cpu.vcpu.x[16] = exact(POINTER), exact(9)
    run(cpu, "pacib1716", "autib1716")
    assert cpu.vcpu.x[17] == exact(POINTER)
    assert cpu.vcpu.x[30] == unknown(POINTER, CODE)


def test_which_half_a_pointer_is_of_is_not_certain_where_bits_55_and_63_differ() -> None:
    cpu = guest(1)
    cpu.vcpu.mapped = True
    for pointer, codes in ((1 << 63 | POINTER, 32), (1 << 55 | POINTER, 32), (HIGH, 48)):
        cpu.vcpu.x[3] = exact(pointer)
        run(cpu, "pacia x3, x5")
        assert cpu.vcpu.x[3][0][1] == code_bits(codes)


def test_stripping_is_certain_where_the_size_of_addresses_is() -> None:
    cpu = guest(1)
    for pointer in (POINTER, HIGH):
        cpu.vcpu.x[3] = exact(pointer)
        run(cpu, "xpaci x3")
        assert cpu.vcpu.x[3] == exact(pointer)
    cpu.vcpu.x[3] = exact(1 << 62 | POINTER)
    run(cpu, "xpacd x3")
    assert cpu.vcpu.x[3] == unknown(POINTER, 1 << 62)
    on = "stage-1-on; enable-keys ia; pacia x3, x5; xpaci x3"
    assert _agrees(on, "x3", POINTER)
    assert not _agrees(on, "x3", POINTER | 1 << 40)
    assert _agrees("stage-1-on; enable-keys ia; pacia x3, x5", "x3", POINTER | 1 << 40)


def test_a_generic_code_is_an_upper_half() -> None:
    assert _agrees("pacga x8, x3, x4", "x8", 0x1234_5678 << 32)
    assert not _agrees("pacga x8, x3, x4", "x8", 1)


def test_what_is_not_enabled_leaves_its_register() -> None:
    left, _ = _judged("enable-keys ib+da; pacia x3, x5; autdzb x3; paciasp", "x3")
    assert left == POINTER
    assert not _agrees("enable-keys ib; pacia x3, x5", "x3", POINTER | 1 << 60)


@pytest.mark.parametrize("code", ["pacib x3, x5", "paciasp", "pacga x3, x4, x5"])
def test_a_vcpu_without_it_has_what_is_enabled_undefined(code: str) -> None:
    cpu = guest(1)
    cpu.vcpu.pauth = False
    with pytest.raises(GuestException) as raised:
        run(cpu, code)
    assert raised.value.esr == UNDEFINED
    assert "pauth.trapped" in cpu.rules


def test_hints_do_nothing_on_a_cpu_without_it() -> None:
    _, verdict = _judged("enable-keys ia; paciasp; mov x7, #5", "x7", 5, NONE)
    assert isinstance(verdict, Agree)
    cpu = guest(1)
    cpu.vcpu.pauth, cpu.has_pauth = False, False
    cpu.vcpu.x[30] = exact(HIGH)
    run(cpu, "paciasp", "xpaclri")
    assert cpu.vcpu.x[30] == exact(HIGH)


def test_keys_are_the_vcpus_own() -> None:
    read = "mov x9, #9; msr apgakeyhi_el1, x9; mrs x8, apgakeyhi_el1"
    assert _agrees(read, "x8", 9)
    assert not _agrees(read, "x8", 8)
    assert _agrees(read, "apgakeyhi_el1", 9)
    assert not _agrees(read, "apgakeyhi_el1", 0)
    text = "create v0\ninit v0\nfinalize v0\n" + "".join(f"get v0 {name}\n" for name in KEY_NAMES)
    case = parse_case(text)
    assert {seen.err for seen in ModelTarget(Profile()).run(case).observations[3:]} == {2}


def test_what_was_signed_comes_back_on_the_vcpu_that_took_over() -> None:
    sign = f"create v0\ninit v0 {BOTH}\nfinalize v0\nset v0 apiakeylo_el1 3\nset v0 x3 {POINTER}\n"
    sign += "run v0 {\n    enable-keys ia\n    pacia x3, x5\n}\nread-all v0\n"
    for between, known in (
        (f"migrate v0 to=v1 {BOTH}\n", True),
        (f"migrate v0 to=v1 {BOTH}\nset v1 apiakeyhi_el1 3\n", False),
        (f"migrate v0 to=v1 {BOTH}\nset v1 x3 {POINTER}\n", False),
    ):
        case = parse_case(sign + between + "run v1 {\n    autia x3, x5\n}\nget v1 x3\n")
        *before, last = ModelTarget(Profile()).run(case).observations
        data = (POINTER | 1 << 61).to_bytes(8, "little")
        verdict = judge(case, Trace((*before, replace(last, data=data))), Profile())
        assert isinstance(verdict, Agree) != known, between


def test_whether_a_cpu_has_it_is_read_off_its_registers() -> None:
    told = {"id_aa64isar1": "0x100211001", "id_aa64isar2": "0x0"}
    assert has_pauth(told) is False
    assert has_pauth({**told, "id_aa64isar1": "0x500"}) is True
    assert has_pauth({**told, "id_aa64isar2": "0x1000"}) is True
    assert has_pauth({**told, "release": "6.12.1"}) is None, "a vcpu without it is not shown it"
    assert has_pauth({**told, "release": "6.12.1", "cap.ptrauth_address": "1"}) is True
    assert has_pauth({}) is None
    assert "pauth" in Profile.from_probe(told).lacks


def test_unknown_bits_of_a_pointer_stay_unknown() -> None:
    cpu = guest(1)
    cpu.vcpu.x[3] = unknown(0, U64)
    run(cpu, "pacia x3, x5")
    assert cpu.vcpu.x[3] == unknown(0, U64)
    run(cpu, "xpaci x3")
    assert cpu.vcpu.x[3] == unknown(0, U64)


@pytest.mark.parametrize(
    ("value", "named"),
    [(0xC5_0078 | 1 << 43, "SCTLR_EL1.ATA o"), (0xC5_0078 ^ 3 << 3, "SCTLR_EL1.SA, SCTLR_EL1.SA0")],
)
def test_a_bit_that_stops_judging_is_named(value: int, named: str) -> None:
    case = parse_case(
        f"create v0\ninit v0 {BOTH}\nfinalize v0\nset v0 sctlr_el1 {value}\nrun v0 {{ }}\n"
    )
    verdict = judge(case, ModelTarget(Profile()).run(case), Profile())
    assert isinstance(verdict, Agree)
    assert named in verdict.reason


# -- branches, returns and loads that authenticate -----------------------------------------------


@pytest.mark.parametrize(
    ("code", "register", "kept"),
    [
        ("braa-next x3, x4", 3, CODE),
        ("brabz-next x5", 5, CODE),
        ("blraa-next x6, sp", 6, CODE),
        ("blrab-next x7, x3", 30, 0),
        ("blrabz-next x30", 30, 0),
        ("retab-next", 30, CODE),
    ],
)
def test_a_branch_to_what_was_signed_goes_there(code: str, register: int, kept: int) -> None:
    cpu = guest(1)
    start = cpu.pc
    run(cpu, code)
    assert cpu.pc == start, "which the step over all its words comes behind"
    assert cpu.vcpu.x[register] == unknown(start + 12, kept)
    assert "pauth.gives-back" in cpu.rules


@pytest.mark.parametrize("letter", "ab")
def test_an_exception_return_to_what_was_signed_goes_there(letter: str) -> None:
    cpu = guest(1)
    cpu.set_nzcv(15)
    run(cpu, f"ereta{letter}-next")
    assert cpu.vcpu.core["elr_el1"] == unknown(cpu.pc + 24, CODE)
    assert cpu.vcpu.core["spsr_el1"] == cpu.vcpu.core["pstate"] == exact(0x3C5)
    assert cpu.x(30) == (0x3C5, 0)
    cpu.vcpu.sys["sctlr_el1"] = exact(SCTLR_RESET)
    run(cpu, f"ereta{letter}-next")
    assert cpu.vcpu.core["elr_el1"] == exact(cpu.pc + 24), "without the key"
    cpu.el = 0
    start = cpu.pc
    with pytest.raises(GuestException) as stop:
        run(cpu, f"ereta{letter}-next")
    assert (stop.value.esr, cpu.pc) == (UNDEFINED, start + 8)


def test_a_branch_without_its_key_goes_to_the_plain_pointer() -> None:
    cpu = guest(1)
    cpu.vcpu.sys["sctlr_el1"] = exact(SCTLR_RESET)
    run(cpu, "blraa-next x6, x7", "retaa-next")
    assert cpu.x(6) == cpu.x(30) == (cpu.pc + 12, 0)


def test_a_branch_with_a_key_that_is_not_synchronised_may_go_anywhere() -> None:
    cpu = guest(1)
    run(cpu, "msr apiakeylo_el1, x9")
    with pytest.raises(Unpredictable, match="may not be authentic"):
        run(cpu, "braaz-next x3")
    run(cpu, "isb", "braaz-next x3")


@pytest.mark.parametrize(
    ("code", "at"), [("braa-next x3, x4", 4), ("retaa-next", 8), ("eretab-next", 20)]
)
def test_on_a_cpu_without_the_feature_a_part_of_it_is_undefined(code: str, at: int) -> None:
    cpu = guest(1)
    cpu.has_pauth, cpu.lacks = False, frozenset({"pauth"})
    cpu.vcpu.pauth = False
    start = cpu.pc
    with pytest.raises(GuestException) as stop:
        run(cpu, code)
    assert (stop.value.esr, cpu.pc) == (UNDEFINED, start + at)


@pytest.mark.parametrize("key", "ab")
def test_a_load_by_a_signed_pointer(key: str) -> None:
    cpu = guest(1)
    numbers = [n * 0x1234_5678_9ABC for n in range(8)]
    for n, number in enumerate(numbers):
        cpu.mem.store(DATA + 8 * n, 8, number)
    cpu.vcpu.x[1] = exact(DATA + 16)
    run(cpu, f"pacdz{key} x1", f"ldra{key} x2, [x1, #-8]", f"ldra{key} x3, [x1, #24]!")
    assert (cpu.x(2), cpu.x(3)) == ((numbers[1], 0), (numbers[5], 0))
    assert cpu.x(1) == (DATA + 40, 0), "the pointer comes back without a code"
    with pytest.raises(Unpredictable, match="may not be authentic"):
        run(cpu, f"ldra{key} x2, [x1]")
    cpu.vcpu.sys["sctlr_el1"], cpu.vcpu.core["sp_el1"] = exact(SCTLR_RESET), exact(DATA)
    run(cpu, f"ldra{key} xzr, [x1]", f"ldra{key} x2, [sp]")
    assert cpu.x(2) == (numbers[0], 0)


def test_a_load_by_another_key_is_not_certain() -> None:
    cpu = guest(1)
    cpu.vcpu.x[1] = exact(DATA)
    run(cpu, "pacdza x1")
    with pytest.raises(Unpredictable, match="may not be authentic"):
        run(cpu, "ldrab x2, [x1]")
    run(cpu, "ldraa x1, [x1]")


def test_generated_ones_are_mostly_signed_before() -> None:
    rng = random.Random(4)
    cpu, done = guest(1), 0
    for _ in range(60):
        for form in LOADS:
            code = followed(rng, form)
            assert code[-1].form is form
            try:
                for each in code:
                    SEMANTICS[each.form.name](cpu, *each.args)
            except Unpredictable:
                continue
            done += 1
    assert 180 < done < 240


def test_a_leg_that_strips_with_a_key_alone_spoils_the_pointer_without_one() -> None:
    strip = parse_insn("xpacd x3")
    defect = frozenset({Effect.UNKEYED})
    cpu = guest(1)
    cpu.vcpu.sys["sctlr_el1"] = exact(SCTLR_RESET)
    assert worst(cpu, defect, strip) is Effect.RESULT
    run(cpu, "enable-keys db")
    assert worst(cpu, defect, strip) is None
    cpu.vcpu.sys["sctlr_el1"] = unknown(0, ALL_ENABLES)
    assert worst(cpu, defect, strip) is Effect.RESULT
