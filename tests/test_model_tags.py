"""Guests that have tags of memory checked: what faults, what is left, and what is not checked."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from model_guest import guest, run

from corpus.isa.form import Insn
from corpus.isa.table import FORMS, parse_insn
from corpus.isa.tagged import REGIMES, sctlr_of, tcr_of
from corpus.kept import SYNDROME_RULE, Effect
from corpus.ops import MTE
from corpus.stream import Source
from corpus.text import parse_case
from fuzz.generate.programs import memory_access, random_program
from fuzz.generate.tagging import to_tags
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.cpu import Cpu
from targets.spec.defects import spoiled, worst
from targets.spec.errors import Decides, GuestException, MmioExit, RunFailed, Unpredictable
from targets.spec.run import check_runnable
from targets.spec.semantics import SEMANTICS
from targets.spec.semantics.tagging import is_checked
from targets.spec.sets import exact, unknown
from targets.spec.vcpu import PSTATE_TCO, U64

AT = 0x4000_8100
TAG = 7 << 56
LOAD, STORE = 0x9600_0011, 0x9600_0051
OF_EL0 = 1 << 26
"""What the syndrome of EL1 has more than that of EL0."""


def tagged(regime: str = "sync", vq: int = 2) -> Cpu:
    """A guest at EL1 behind `tag-checks`, with tag 7 for the 32 bytes at AT, and X7 and X1 that
    point there with and without it."""
    cpu = guest(vq)
    cpu.vcpu.mte = True
    cpu.vm.caps |= {MTE}
    cpu.vcpu.sys["sctlr_el1"] = exact(0xC5_0078)
    run(cpu, "stage-1-on", f"tag-checks {regime}")
    cpu.vcpu.x[7], cpu.vcpu.x[1] = exact(AT | TAG), exact(AT)
    run(cpu, "st2g x7, [x7]", "ptrue p0.b", "setffr")
    return cpu


def step(cpu: Cpu, *texts: str) -> None:
    """Instructions, with what decides whether they are checked."""
    for text in texts:
        insn = parse_insn(text)
        cpu.checks = is_checked(insn)
        cpu.rule = f"isa.{insn.form.name}"
        SEMANTICS[insn.form.name](cpu, *insn.args)


def fault(cpu: Cpu, text: str) -> tuple[int, int | None]:
    """ESR and FAR of the tag check fault that an instruction takes."""
    with pytest.raises(GuestException) as raised:
        step(cpu, text)
    assert (raised.value.esr_rule, raised.value.far_rule) == (SYNDROME_RULE, "mte.first-byte")
    assert raised.value.far_unknown == 0xF << 60
    return raised.value.esr, raised.value.far


def test_what_has_the_tag_of_its_memory_does_not_fault() -> None:
    cpu = tagged()
    cpu.vcpu.x[7] = exact(AT | TAG | 0xA << 60)
    step(cpu, "ldr x2, [x7, #0]", "ld1b {z1.b}, p0/z, [x7]", "st1d {z1.d}, p0, [x7]")
    cpu.vcpu.x[1] = exact(AT + 32)
    step(cpu, "ldr x2, [x1, #0]", "str z1, [x1]")


@pytest.mark.parametrize(
    ("text", "at", "esr"),
    [
        ("ldr x2, [x1, #8]", AT + 8, LOAD),
        ("str x2, [x1, #16]", AT + 16, STORE),
        ("str x2, [x7, #32]", AT + 32 | TAG, STORE),
        ("ld1b {z1.b}, p0/z, [x1]", AT, LOAD),
        ("ld1b {z1.b}, p0/z, [x7, #1, mul vl]", AT + 32 | TAG, LOAD),
        ("ld2d {z1.d, z2.d}, p0/z, [x7]", AT + 32 | TAG, LOAD),
        ("ld1rw {z1.s}, p0/z, [x1, #4]", AT + 4, LOAD),
        ("ld1rqb {z1.b}, p0/z, [x1]", AT, LOAD),
        ("ldff1b {z1.b}, p0/z, [x1, xzr]", AT, LOAD),
        ("ldr z1, [x1]", AT, LOAD),
        ("str p0, [x1]", AT, STORE),
        ("stnt1b {z1.b}, p0, [x1]", AT, STORE),
        ("ldp q1, q2, [x7, #16]", AT + 32 | TAG, LOAD),
        ("ld1 {v1.16b}, [x1]", AT, LOAD),
    ],
)
def test_what_has_another_tag_faults_at_its_first_such_byte(text: str, at: int, esr: int) -> None:
    assert fault(tagged(), text) == (esr, at)


def test_elements_that_are_not_accessed_are_not_checked() -> None:
    cpu = tagged()
    cpu.vcpu.p[1] = exact(0xFFFF)
    cpu.vcpu.x[8] = exact(AT + 16 | TAG)
    step(cpu, "ld1b {z1.b}, p1/z, [x8]", "st1b {z1.b}, p1, [x8]")
    cpu.vcpu.p[1] = exact(0x10000)
    assert fault(cpu, "ld1b {z1.b}, p1/z, [x8]") == (LOAD, AT + 32 | TAG)


def test_a_first_fault_load_clears_ffr_from_the_element_on_whose_tag_is_another() -> None:
    cpu = tagged()
    cpu.vcpu.x[8] = exact(AT + 16 | TAG)
    step(cpu, "ldff1b {z1.b}, p0/z, [x8, xzr]")
    assert cpu.ffr() == (0xFFFF, 0)
    assert cpu.vcpu.z[1][0][1] >> 128 & U64 == U64, "what was loaded there is UNKNOWN"
    step(cpu, "setffr", "ldnf1b {z2.b}, p0/z, [x1]")
    assert cpu.ffr() == (0, 0)
    step(cpu, "setffr", "ldnf1b {z3.b}, p0/z, [x7]")
    assert cpu.ffr() == ((1 << 32) - 1, 0)


def test_each_address_of_a_gather_has_a_tag_of_its_own() -> None:
    cpu = tagged()
    addresses = (AT | TAG, AT + 8 | TAG, AT + 32, AT + 64)
    cpu.vcpu.z[5] = exact(sum(at << 64 * n for n, at in enumerate(addresses)))
    step(cpu, "ld1d {z6.d}, p0/z, [z5.d]")
    cpu.vcpu.z[5] = exact(sum(at << 64 * n for n, at in enumerate((*addresses[:2], AT, AT))))
    assert fault(cpu, "ld1d {z6.d}, p0/z, [z5.d]") == (LOAD, AT)
    step(cpu, "setffr", "ldff1d {z6.d}, p0/z, [z5.d]")
    assert cpu.ffr() == (0xFFFF, 0)


def test_what_is_by_an_immediate_from_sp_is_not_checked() -> None:
    for text, checked in (
        ("ldr z1, [sp]", False),
        ("ld1b {z1.b}, p0/z, [sp, #1, mul vl]", False),
        ("ld4w {z1.s, z2.s, z3.s, z4.s}, p0/z, [sp]", False),
        ("ld1rqb {z1.b}, p0/z, [sp]", False),
        ("ldnf1b {z1.b}, p0/z, [sp]", False),
        ("ldr x2, [sp, #8]", False),
        ("ld1 {v1.b}[3], [sp]", False),
        ("ldp q1, q2, [sp, #32]", False),
        ("ldp q1, q2, [sp], #32", True),
        ("str q1, [sp, #16]!", True),
        ("ld1 {v1.16b}, [sp], #16", True),
        ("ld1b {z1.b}, p0/z, [sp, x2]", True),
        ("ldff1b {z1.b}, p0/z, [sp, xzr]", True),
        ("ld1d {z1.d}, p0/z, [sp, z2.d]", True),
        ("ld1d {z1.d}, p0/z, [z2.d]", True),
        ("ldr z1, [x1]", True),
        ("stg x1, [x1]", False),
        ("stgp x3, x2, [x1], #16", False),
    ):
        assert is_checked(parse_insn(text)) == checked, text


def test_regimes_and_tco_switch_checks_off() -> None:
    assert fault(tagged("but-zero"), "ldr x2, [x7, #32]") == (LOAD, AT + 32 | TAG)
    step(tagged("but-zero"), "ldr x2, [x1, #0]")
    step(tagged("off"), "ldr x2, [x1, #0]", "ldr x2, [x7, #32]")
    cpu = tagged()
    step(cpu, "msr tco, #1", "ldr x2, [x1, #0]", "msr tco, #0")
    assert fault(cpu, "ldr x2, [x1, #0]") == (LOAD, AT)
    cpu.vcpu.core["pstate"] = unknown(0x3C5, PSTATE_TCO)
    step(cpu, "ldr x2, [x7, #0]")
    with pytest.raises(Unpredictable, match="TCO"):
        step(cpu, "ldr x2, [x1, #0]")


def test_el0_has_its_own_class_of_exception() -> None:
    cpu = tagged()
    step(cpu, "eret-to el0t")
    assert fault(cpu, "ldr x2, [x1, #0]") == (LOAD - OF_EL0, AT)


def test_tags_are_stored_and_loaded_of_ram_that_is_normal_memory() -> None:
    cpu = tagged()
    step(cpu, "ldg x2, [x1, #16]", "ldg x3, [x7, #32]", "stg x1, [x1]", "ldg x4, [x7]")
    assert [cpu.vcpu.x[n] for n in (2, 3, 4)] == [exact(TAG), exact(0), exact(0)]
    cpu.vcpu.x[8] = exact(0x4000_D000 | TAG)
    step(cpu, "stg x8, [x8]", "ldg x5, [x8]", "ldr x6, [x8, #0]")
    assert cpu.vcpu.x[5] == exact(0), "Device memory has no tags, and is not checked"
    cpu.vcpu.x[8] = exact(0x4000_4800 | TAG)
    with pytest.raises(Unpredictable, match="not its data"):
        step(cpu, "stg x8, [x8]")
    cpu.vcpu.x[8] = exact(0x4000_9000 | TAG)
    with pytest.raises(GuestException) as raised:
        step(cpu, "stg x8, [x8]")
    assert (raised.value.esr, raised.value.far) == (0x9600_0047, 0x4000_9000 | TAG)


def test_of_two_granules_of_which_one_faults_the_other_may_have_its_tag() -> None:
    cpu = tagged()
    cpu.vcpu.x[8] = exact(0x4000_8FF0 | TAG)
    with pytest.raises(GuestException):
        step(cpu, "st2g x8, [x8]")
    assert cpu.mem.tag(0x4000_8FF0) == (0, 7)
    with pytest.raises(Unpredictable, match="tag of memory is not known"):
        step(cpu, "ldr x2, [x8, #0]")


def test_blocks_have_tags_of_which_nothing_is_known() -> None:
    cpu = tagged()
    step(cpu, "stgm x2, [x7]")
    assert cpu.mem.tag(AT) == (0, 0xF)
    step(cpu, "ldgm x2, [x7]", "ldg x3, [x7]")
    assert (cpu.vcpu.x[2], cpu.vcpu.x[3]) == (unknown(0, U64), unknown(0, 0xF << 56))


@pytest.mark.parametrize(
    ("exclude", "offset", "tag"),
    [(0, 0, 7), (0, 2, 9), (0x80, 0, 8), (0x80, 1, 8), (0x300, 2, 11), (0xFFFF, 3, 0), (0, 9, 0)],
)
def test_a_tag_is_chosen_of_those_that_are_not_excluded(
    exclude: int, offset: int, tag: int
) -> None:
    cpu = tagged()
    cpu.vcpu.sys["gcr_el1"] = exact(exclude)
    step(cpu, f"addg x2, x7, #16, #{offset}", f"subg x3, x7, #16, #{offset}")
    assert cpu.vcpu.x[2] == exact(AT + 16 | tag << 56)
    assert cpu.vcpu.x[3] == exact(AT - 16 | tag << 56)
    cpu.vcpu.sys["gcr_el1"] = unknown(0, U64)
    step(cpu, "addg x2, x7, #16, #1")
    assert cpu.vcpu.x[2] == unknown(AT + 16, 0xF << 56)


def test_a_tag_by_chance_is_none_that_is_excluded() -> None:
    cpu = tagged()
    cpu.vcpu.x[8], cpu.vcpu.sys["gcr_el1"] = exact(0xFF), exact(0xCF00)
    step(cpu, "irg x2, x7, x8")
    assert cpu.vcpu.x[2] == unknown(AT | 0xC << 56, 1 << 56)
    assert cpu.vcpu.sys["rgsr_el1"][0][1]
    cpu.vcpu.x[8] = exact(0xFFFF)
    step(cpu, "irg x2, x7, x8")
    assert cpu.vcpu.x[2] == exact(AT)
    cpu.vcpu.sys["gcr_el1"] = unknown(0, U64)
    cpu.vcpu.x[8] = exact(0xFFFE)
    step(cpu, "irg x2, x7, x8")
    assert cpu.vcpu.x[2] == exact(AT), "at most one is left, and zero stands for none"


def test_memories_that_differ_in_a_tag_unite_to_what_either_has() -> None:
    one, other = tagged().mem, tagged().mem
    other.set_tag(AT, 3)
    other.set_tag(AT + 64, 1)
    one.unite(other.copy())
    assert [one.tag(AT + n) for n in (0, 16, 64)] == [(3, 4), (7, 0), (0, 1)]


def test_what_is_not_followed_with_tags_is_not_judged() -> None:
    for text in ("pacia x7, x1", "cpyf-pme [x7]!, [x1]!, x2!", "xpaci x7"):
        with pytest.raises(Unpredictable):
            step(tagged(), text)
    cpu = guest(1)
    with pytest.raises(Unpredictable, match="without memory tagging"):
        run(cpu, "stage-1-on", "tag-checks sync")
    cpu = tagged()
    check_runnable(cpu.vcpu, cpu.mem)
    for sctlr in (0xC5_0078, 0xC5_0079):
        cpu.vcpu.sys["sctlr_el1"] = exact(sctlr)
        with pytest.raises(Unpredictable):
            check_runnable(cpu.vcpu, cpu.mem)


def test_registers_of_a_regime_are_what_the_manual_says() -> None:
    sync, off, but_zero = (REGIMES[name] for name in ("sync", "off", "but-zero"))
    assert sctlr_of(sync) == sctlr_of(but_zero) == 1 << 43 | 1 << 42 | 1 << 40 | 1 << 38 | 1 << 2
    assert sctlr_of(off) == 1 << 43 | 1 << 42 | 1 << 2
    assert (tcr_of(sync), tcr_of(but_zero)) == (1 << 37, 1 << 37 | 1 << 57)


def test_a_leg_that_checks_the_first_tag_only_is_judged_where_that_is_enough() -> None:
    def with_defect(cpu: Cpu, text: str) -> None:
        insn = parse_insn(text)
        cpu.checks = is_checked(insn)
        effects = frozenset({Effect.TAGS})
        assert worst(cpu, effects, insn) is Effect.TAGS
        spoiled(cpu, Effect.TAGS, SEMANTICS[insn.form.name], insn)

    with_defect(tagged(), "ld1b {z1.b}, p0/z, [x7]")
    with pytest.raises(GuestException):
        with_defect(tagged(), "ld1b {z1.b}, p0/z, [x1]")
    for text in ("ld1b {z1.b}, p0/z, [x8]", "ld2b {z1.b, z2.b}, p0/z, [x7]"):
        cpu = tagged()
        cpu.vcpu.x[8] = exact(AT + 16 | TAG)
        with pytest.raises(Unpredictable, match="known defect"):
            with_defect(cpu, text)
    cpu = tagged()
    cpu.vcpu.p[0] = exact(0xFFFE)
    with pytest.raises(Unpredictable, match="known defect"):
        with_defect(cpu, "st2b {z1.b, z2.b}, p0, [x1]")
    plain = guest(2)
    assert worst(plain, frozenset({Effect.TAGS, Effect.SP_TAG}), parse_insn("ldr z1, [sp]")) is None
    cpu = tagged()
    load = parse_insn("ld1b {z1.b}, p0/z, [sp]")
    cpu.checks = is_checked(load)
    assert worst(cpu, frozenset({Effect.SP_TAG}), load) is Effect.STOP
    checked = parse_insn("ld1b {z1.b}, p0/z, [x7]")
    cpu.checks = is_checked(checked)
    assert worst(cpu, frozenset({Effect.SP_TAG}), checked) is None


def test_a_known_defect_of_syndromes_leaves_the_rest_judged() -> None:
    text = (
        "enable-cap mte\ncreate v0\ninit v0\nfinalize v0\nset v0 x7 0x500000040008100\nrun v0 {\n"
        "    stage-1-on\n    tag-checks sync\n    ldr x2, [x7, #0]\n}\nget v0 esr_el1\n"
    )
    case, defects = parse_case(text), {SYNDROME_RULE: frozenset({Effect.RESULT})}
    trace = ModelTarget(Profile()).run(case)
    *before, last = trace.observations
    for value, plain, known in (
        (LOAD, True, True),
        (LOAD | 1 << 40, False, True),
        (LOAD ^ 2, 0, 0),
    ):
        seen = replace(
            trace, observations=(*before, replace(last, data=value.to_bytes(8, "little")))
        )
        assert isinstance(judge(case, seen, Profile()), Agree) == plain
        assert isinstance(judge(case, seen, Profile(defects=defects)), Agree) == known


def test_generated_programs_come_to_checks_that_fail_and_pass() -> None:
    rng, rules = random.Random(5), set()
    judged = 0
    for _ in range(40):
        cpu = tagged()
        program = to_tags(rng, random_program(rng, 1))
        assert any(insn.form.name.startswith("st") for insn in program)
        try:
            for insn in program:
                step(cpu, insn.format())
        except (GuestException, MmioExit, RunFailed):
            pass
        except Unpredictable:
            continue
        judged += 1
        rules |= cpu.rules
    assert judged > 20
    assert {"mte.check", "mte.tags"} <= rules


def test_every_form_of_memory_access_can_be_asked_whether_it_is_checked() -> None:
    rng = random.Random(6)
    for form in FORMS.values():
        is_checked(Insn(form, form.draw(Source(rng.randbytes(64)))))


def test_what_stgp_stores_is_not_the_base_that_it_writes_back() -> None:
    rng, form = random.Random(7), FORMS["stgp_post"]
    for _ in range(300):
        *_, access = memory_access(rng, form)
        assert form.valid is not None
        assert form.valid(access.args)


@pytest.mark.parametrize(
    ("esr", "far", "asked", "differs", "stays"),
    [
        *((LOAD, AT, AT, AT, True), (LOAD - OF_EL0, AT, AT, AT, True)),
        (LOAD, AT | TAG, AT, AT, True),
        *((LOAD, AT, AT, None, False), (LOAD, AT, AT, AT + 16, False)),
        *((LOAD, AT + 16, AT, AT, False), (LOAD - OF_EL0, AT, AT, None, False)),
        *((LOAD, None, AT, AT, False), (LOAD, AT, AT + 16, AT, False)),
        *((0x5400_0000, None, AT, AT + 16, True), (0x8600_0007, AT, AT, None, True)),
        (0x9A00_0000, AT, None, AT, True),
        *(
            (None, None, AT, AT, False),
            (None, None, AT, None, True),
            (None, None, None, None, True),
        ),
    ],
)
def test_an_abort_stays_where_the_first_tag_of_an_access_is_what_differs(
    esr: int | None, far: int | None, asked: int | None, differs: int | None, stays: bool
) -> None:
    def semantic(cpu: Cpu, *args: object) -> None:
        assert (cpu.asked, cpu.differs) == (None, None)
        cpu.asked, cpu.differs = asked, differs
        if esr is not None:
            raise GuestException(esr, far)

    cpu = tagged()
    cpu.asked = cpu.differs = AT + 64  # of an instruction before
    insn = parse_insn("ldr x2, [x1]")
    if stays and esr is None:
        spoiled(cpu, Effect.TAGS, semantic, insn)
        return
    with pytest.raises(GuestException if stays else Unpredictable) as caught:
        spoiled(cpu, Effect.TAGS, semantic, insn)
    if isinstance(caught.value, GuestException):
        assert caught.value.esr == esr
    else:
        assert isinstance(caught.value, Unpredictable)
        assert caught.value.decides is Decides.NOTHING
