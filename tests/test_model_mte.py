"""Memory tagging: what instructions and registers of it do, and which VMs have it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from model_guest import DATA, guest, run

from corpus.registers import TAGGING_NAMES
from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Verdict
from targets.model.target import ModelTarget
from targets.profile import Profile, lacking
from targets.spec.cpu import Cpu
from targets.spec.errno import EINVAL, ENOENT
from targets.spec.errors import UNDEFINED, GuestException, RunFailed, Unpredictable
from targets.spec.forks import Forks
from targets.spec.model import Model
from targets.spec.sets import exact, unknown
from targets.spec.vcpu import U64

NEWEST = Profile(kernel=(7, 2))
LIFE = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
TAGGED = "enable-cap mte\n" + LIFE


def _errors(text: str, profile: Profile = NEWEST) -> list[int]:
    return [seen.err for seen in ModelTarget(profile).run(parse_case(text)).observations]


def _verdict(text: str, value: int, profile: Profile = NEWEST) -> Verdict:
    """Where the last op, a GET, gives `value`."""
    case = parse_case(text)
    *before, last = ModelTarget(profile).run(case).observations
    return judge(case, Trace((*before, replace(last, data=value.to_bytes(8, "little")))), profile)


def _agrees(text: str, value: int, profile: Profile = NEWEST) -> bool:
    return isinstance(_verdict(text, value, profile), Agree)


def _raises(cpu: Cpu, text: str) -> int:
    with pytest.raises(GuestException) as raised:
        run(cpu, text)
    return raised.value.esr


# -- addresses -------------------------------------------------------------------------

POINTER = 0xAB5_0000_4000_8123


def test_addresses_get_tag_zero() -> None:
    cpu = guest(1)
    cpu.vcpu.x[3] = exact(POINTER)
    run(
        cpu, "irg x4, x3, x5", "addg x5, x3, #32, #7", "subg x6, x3, #48, #1", "addg sp, x3, #0, #1"
    )
    plain = POINTER & ~(0xF << 56)
    assert [cpu.vcpu.x[n] for n in (4, 5, 6)] == [
        *(exact(plain), exact(plain + 32), exact(plain - 48))
    ]
    assert cpu.vcpu.core["sp_el1"] == exact(plain)
    cpu.vcpu.x[3] = unknown(0, 1 << 56 | 1 << 60)
    run(cpu, "irg x4, x3")
    assert cpu.vcpu.x[4] == unknown(0, 1 << 60)


def test_a_mask_gets_the_tag_of_an_address() -> None:
    cpu = guest(1)
    cpu.vcpu.x[3], cpu.vcpu.x[4] = exact(POINTER), exact(0x10)
    run(cpu, "gmi x5, x3, x4")
    assert cpu.vcpu.x[5] == exact(0x10 | 1 << 0xA)
    cpu.vcpu.x[3] = unknown(0x3 << 56, 1 << 58)
    run(cpu, "gmi x5, x3, x4")
    assert cpu.vcpu.x[5] == unknown(0x10, 1 << 3 | 1 << 7)
    cpu.vcpu.x[4] = exact(0x88)
    run(cpu, "gmi x5, x3, x4")
    assert cpu.vcpu.x[5] == exact(0x88)


@pytest.mark.parametrize(
    ("a", "b", "difference", "flags"),
    [
        (0x1200_0000_0000_0005, 0x3400_0000_0000_0005, 0, 0b0110),
        (0x0000_0000_0000_0004, 0xFF00_0000_0000_0005, U64, 0b1000),
        (0x0080_0000_0000_0000, 0x0000_0000_0000_0001, 0xFF7F_FFFF_FFFF_FFFF, 0b1010),
        (0x007F_FFFF_FFFF_FFFF, 0x0080_0000_0000_0000, 0x00FF_FFFF_FFFF_FFFF, 0b0000),
        (0xFFFF_FFFF_FFFF_FFFF, 0x0000_0000_0000_0000, U64, 0b1010),
    ],
)
def test_a_difference_is_that_of_signed_addresses(
    a: int, b: int, difference: int, flags: int
) -> None:
    cpu = guest(1)
    cpu.vcpu.x[3], cpu.vcpu.x[4] = exact(a), exact(b)
    run(cpu, "subp x5, x3, x4")
    assert (cpu.vcpu.x[5], cpu.nzcv()) == (exact(difference), (0, 0))
    run(cpu, "cmpp x3, x4")
    assert cpu.nzcv() == (flags, 0)
    cpu.vcpu.x[4] = unknown(b & ~1, 1)
    run(cpu, "subps x5, x3, x4")
    assert cpu.nzcv() == (0, 0xF)


# -- memory ----------------------------------------------------------------------------


def test_nothing_is_left_of_a_tag_that_is_stored() -> None:
    cpu = guest(1)
    cpu.mem.store(DATA, 64, (1 << 512) - 1)
    cpu.vcpu.x[1], cpu.vcpu.x[3], cpu.vcpu.x[4] = exact(DATA), exact(POINTER), exact(7)
    run(cpu, "stg x3, [x1], #32", "ldg x3, [x1, #-16]")
    assert (cpu.vcpu.x[1], cpu.vcpu.x[3]) == (exact(DATA + 32), exact(POINTER & ~(0xF << 56)))
    assert cpu.mem.load(DATA, 32) == ((1 << 256) - 1, 0)
    run(cpu, "stzg x3, [x1, #-16]!", "stz2g x3, [x1, #16]")
    assert cpu.mem.load(DATA, 64) == ((1 << 128) - 1, 0)
    run(cpu, "stgp x4, xzr, [x1, #-16]", "ldgm x4, [x1]")
    assert (cpu.mem.load(DATA, 16), cpu.vcpu.x[4]) == ((7, 0), exact(0))


def test_a_block_of_zeros_is_as_large_as_the_cpu_likes() -> None:
    cpu = guest(1)
    start = DATA & -2048
    cpu.mem.store(start - 8, 2064, (1 << 2064 * 8) - 1)
    cpu.vcpu.x[1] = exact(start + 40)
    run(cpu, "stzgm x3, [x1]")
    assert cpu.mem.load(start + 32, 16) == (0, 0)
    assert cpu.mem.load(start, 8) == (0, U64)
    assert cpu.mem.load(start - 8, 8) == cpu.mem.load(start + 2048, 8) == (U64, 0)


def test_either_way_of_a_block_is_judged_where_the_cpu_has_no_tags_of_memory() -> None:
    profile = Profile(mte=1)
    case = parse_case(
        "create v0\ninit v0\nfinalize v0\nrun v0 {\n lda x1, ram+0xc000\n ldgm x3, [x1]\n}\n"
    )
    ran = ModelTarget(profile).run(case)
    found = judge(case, ran, profile)
    assert isinstance(found, Agree)
    assert (found.reason, found.judged) == ("", len(case.ops))


def test_an_address_within_a_granule_is_an_alignment_fault_of_a_store() -> None:
    cpu = guest(1)
    cpu.vcpu.x[1] = exact(DATA + 8)
    for text in ("stg x3, [x1]", "stgp x3, x4, [x1]", "st2g x3, [x1], #16"):
        assert _raises(cpu, text) == 0x25 << 26 | 1 << 25 | 0x61
    run(cpu, "ldg x3, [x1]")
    assert cpu.vcpu.x[1] == exact(DATA + 8)


def test_a_tag_of_what_is_no_memory_is_an_abort_without_syndrome() -> None:
    for text in ("stg x3, [x1]", "ldg x3, [x1]", "st2g x3, [x1, #-16]", "stzg x3, [x1]"):
        cpu = guest(1)
        cpu.vcpu.x[1] = exact(0x4001_0000)
        with pytest.raises(RunFailed):
            run(cpu, text)


def test_blocks_are_undefined_at_el0_and_perhaps_without_tags() -> None:
    cpu = guest(1)
    cpu.vcpu.x[1] = exact(DATA)
    cpu.el = 0
    assert _raises(cpu, "ldgm x3, [x1]") == UNDEFINED
    cpu.el, cpu.has_mte = 1, 1
    run(cpu, "stgm x3, [x1]")
    cpu.forks = Forks((1,))
    assert _raises(cpu, "stgm x3, [x1]") == UNDEFINED


def test_a_cpu_that_was_not_asked_is_not_judged() -> None:
    assert "mte" in lacking({"mte": "0"})
    assert "mte" not in lacking({"mte": "1"})
    assert Profile.from_probe({}).mte is None
    cpu = guest(1)
    cpu.has_mte = None
    for text in ("irg x3, x3", "msr tco, #1", "ldg x3, [x1]", "mrs x3, gmid_el1"):
        with pytest.raises(Unpredictable):
            run(cpu, text)


# -- registers -------------------------------------------------------------------------


def test_registers_are_hidden_and_undefined_without_tagging() -> None:
    gets = "".join(f"get v0 {name}\n" for name in TAGGING_NAMES)
    assert _errors(LIFE + gets)[3:] == [ENOENT] * 4
    assert _errors(TAGGED + gets)[4:] == [0] * 4
    for name in (*TAGGING_NAMES, "gmid_el1"):
        code = f"run v0 {{\n    return-vectors\n    mov x3, #5\n    mrs x3, {name}\n}}\nget v0 x3\n"
        assert _agrees(LIFE + code, 5), "an exception, which returned"
        assert not _agrees(LIFE + code, 6)
        assert _agrees(TAGGED + code, 6)


def test_older_kernels_may_let_guests_read_gmid() -> None:
    code = LIFE + "run v0 {\n    return-vectors\n    mrs x3, gmid_el1\n}\nget v0 x3\n"
    old = Profile(kernel=(6, 12))
    assert _agrees(code, 6, old)
    assert _agrees(code, 0, old)
    assert not _agrees(code, 0x16, old)
    assert not _agrees(code, 6, replace(old, mte=0, lacks=frozenset({"mte"})))


def test_registers_are_what_was_written_last() -> None:
    write = "run v0 {\n    mov x3, #513\n    msr gcr_el1, x3\n}\nget v0 gcr_el1\n"
    assert _agrees(TAGGED + write, 513)
    assert not _agrees(TAGGED + write, 512)
    kept = TAGGED + "set v0 tfsr_el1 0xff00000001\nget v0 tfsr_el1\n"
    assert _agrees(kept, 0xFF_0000_0001)
    assert not _agrees(kept, 1)
    loaded = kept.replace("get", "run v0 {\n}\nget")
    assert _agrees(loaded, 1)
    assert not _agrees(loaded, 0)


def test_tco_is_the_guests_own_or_zero() -> None:
    code = LIFE + "run v0 {\n    return-vectors\n    msr tco, #1\n    mrs x3, tco\n}\nget v0 x3\n"
    assert _agrees(code, 1 << 25)
    assert not _agrees(code, 0)
    assert _agrees(code, 0, replace(NEWEST, mte=1))
    assert not _agrees(code, 1, replace(NEWEST, mte=1))
    gone = code.replace("mrs", "msr tco, xzr\n    mrs")
    assert _agrees(gone, 0)
    assert not _agrees(gone, 1 << 25)
    without = replace(NEWEST, mte=0, lacks=frozenset({"mte"}))
    assert not _agrees(code, 1 << 25, without)


# -- VMs -------------------------------------------------------------------------------


def test_a_vm_may_have_it_before_it_has_vcpus_where_the_machine_has_it() -> None:
    assert _errors("enable-cap mte\nenable-cap mte\ncreate v0\nenable-cap mte\n") == [
        *(0, 0, 0, EINVAL)
    ]
    for mte in (0, 1):
        assert _errors("enable-cap mte\n", replace(NEWEST, mte=mte)) == [EINVAL]
    model = Model(replace(NEWEST, mte=None))
    outcomes = model.step(parse_case("enable-cap mte\n").ops[0]).outcomes
    assert {outcome.err for outcome in outcomes} == {0, EINVAL}
    assert _errors("create-vm protected\nenable-cap mte\n", replace(NEWEST, mode="protected")) == [
        *(0, EINVAL)
    ]


def test_aarch32_is_refused_beside_it() -> None:
    assert _errors("enable-cap mte\ncreate v0\ninit v0 features=el1_32bit\n")[2] == EINVAL
    assert _errors("create v0\ninit v0 features=el1_32bit\n")[1] == 0


def test_the_id_register_tells_what_the_vm_was_given() -> None:
    get = "get v0 id_aa64pfr1_el1\n"
    for value, tagged in ((0x21, False), (0x221, True), (0x321, True), (0x121, None)):
        assert _agrees(LIFE + get, value) == (tagged is False)
        assert _agrees(TAGGED + get, value) == (tagged is True)
    assert _errors(LIFE + "set v0 id_aa64pfr1_el1 0x200\n")[3] == EINVAL
    assert _errors(TAGGED + "set v0 id_aa64pfr1_el1 0\n")[4] == EINVAL


def test_a_vcpu_that_takes_over_has_the_registers() -> None:
    moved = TAGGED + "set v0 rgsr_el1 0x305\nmigrate v0 to=v1 features=sve,psci_0_2\n"
    assert _agrees(moved + "get v1 rgsr_el1\n", 0x305)
    assert not _agrees(moved + "get v1 rgsr_el1\n", 0)
