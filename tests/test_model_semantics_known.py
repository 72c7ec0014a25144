"""Instructions whose result a reader can check against the architecture's text."""

from __future__ import annotations

import struct

import pytest
from model_guest import DATA, guest, run

from targets.spec.cpu import Cpu
from targets.spec.errors import UNDEFINED, GuestException, RunFailed, Unpredictable
from targets.spec.sets import Set, exact, unknown

N, Z, C, V = 8, 4, 2, 1
ALL = (1 << 256) - 1


def ramp(size: int = 256) -> int:
    """Bytes 0, 1, 2, ..."""
    return int.from_bytes(bytes(range(256))[:size], "little")


def vector(cpu: Cpu, n: int) -> str:
    """The low VL bytes of a Z register in hexadecimal, byte 0 first."""
    value, mask = cpu.z(n)
    assert mask == 0
    return value.to_bytes(cpu.vl, "little").hex()


def pred(cpu: Cpu, n: int) -> int:
    value, mask = cpu.p(n)
    assert mask == 0
    return value


def flags(cpu: Cpu) -> int:
    value, mask = cpu.nzcv()
    assert mask == 0
    return value


@pytest.mark.parametrize(
    ("vq", "texts", "register", "expected"),
    [
        (1, ["rdvl x0, #-2"], 0, (1 << 64) - 32),
        (3, ["cntb x0, all, mul #1"], 0, 48),
        (3, ["cntb x0, pow2, mul #1"], 0, 32),
        (3, ["cntb x0, vl64, mul #1"], 0, 0),
        (3, ["cnth x0, mul3, mul #2"], 0, 48),
        (3, ["cntw x0, mul4, mul #16"], 0, 192),
        (2, ["cntd x0, vl7, mul #3"], 0, 0),
        (2, ["mov x1, #5", "addvl x0, x1, #3"], 0, 5 + 96),
        (4, ["mov x1, #5", "addpl x0, x1, #-2"], 0, (1 << 64) + 5 - 16),
        (1, ["mov x0, #7", "sqdecb x0, w0, all, mul #1"], 0, (1 << 64) - 9),
        (1, ["mov x0, #7", "uqdecb w0, all, mul #1"], 0, 0),
        (1, ["mov x0, #7", "decb x0, all, mul #1"], 0, (1 << 64) - 9),
    ],
)
def test_the_vector_length_in_general_registers(
    vq: int, texts: list[str], register: int, expected: int
) -> None:
    cpu = guest(vq)
    run(cpu, *texts)
    assert cpu.x(register) == (expected, 0)


@pytest.mark.parametrize(
    ("vq", "texts", "expected"),
    [
        (1, ["ptrue p0.h, all"], 0x5555),
        (1, ["ptrue p0.s, vl3"], 0x0111),
        (1, ["ptrue p0.s, vl5"], 0),
        (3, ["ptrue p0.d, pow2"], 0x0101_0101),
        (1, ["ptrue p0.b, #14"], 0),
        (2, ["ptrue p1.b, all", "punpkhi p0.h, p1.b"], 0x5555_5555),
        (1, ["ptrue p1.s, vl1", "punpklo p0.h, p1.b"], 0x0001),
        (1, ["ptrue p1.s, vl1", "rev p0.s, p1.s"], 0x1000),
        (1, ["ptrue p1.b, all", "pfalse p2.b", "zip2 p0.h, p1.h, p2.h"], 0x3333),
        (1, ["ptrue p1.b, vl8", "pfalse p2.b", "uzp1 p0.b, p1.b, p2.b"], 0x000F),
        (1, ["ptrue p1.b, all", "ptrue p2.b, vl4", "brka p0.b, p1/z, p2.b"], 0x0001),
        (1, ["ptrue p1.b, all", "ptrue p2.b, vl4", "brkb p0.b, p1/z, p2.b"], 0),
        (1, ["ptrue p1.b, vl3", "pnext p1.s, p0, p1.s"], 0),
        (1, ["ptrue p1.b, all", "pfalse p0.b", "pnext p0.d, p1, p0.d"], 0x0001),
        (1, ["ptrue p1.h, all", "pfalse p0.b", "pfirst p0.b, p1, p0.b"], 0x0001),
    ],
)
def test_predicates(vq: int, texts: list[str], expected: int) -> None:
    cpu = guest(vq)
    run(cpu, *texts)
    assert pred(cpu, int(texts[-1].split()[1].split(".")[0][1:])) == expected


U63 = (1 << 63) - 1


@pytest.mark.parametrize(
    ("text", "a", "b", "expected"),
    [
        ("whilelt p0.s, x1, x2", 0, 3, 0x0111),
        ("whilelt p0.s, x1, x2", 3, 3, 0),
        ("whilelt p0.s, x1, x2", -1, 9, 0x1111),
        ("whilele p0.d, x1, x2", 0, 0, 0x0001),
        ("whilele p0.d, x1, x2", U63 - 5, U63, 0x0101),
        ("whilels p0.b, x1, x2", 0, -1, 0xFFFF),
        ("whilelo p0.b, x1, x2", -1, 2, 0),
        ("whilelt p0.h, w1, w2", 0x1_0000_0000, 2, 0x0005),
        ("whilege p0.s, x1, x2", 2, 1, 0x1100),
        ("whilegt p0.s, x1, x2", 2, 1, 0x1000),
        ("whilehi p0.s, x1, x2", 9, 0, 0x1111),
        ("whilehs p0.s, x1, x2", 1, 0, 0x1111),
        ("whilewr p0.s, x1, x2", 0x1000, 0x1008, 0x0011),
        ("whilewr p0.s, x1, x2", 0x1008, 0x1000, 0x1111),
        ("whilerw p0.s, x1, x2", 0x1008, 0x1000, 0x0011),
    ],
)
def test_loop_predicates(text: str, a: int, b: int, expected: int) -> None:
    """Flags: N the first element is true, Z none is, C the last one is false."""
    cpu = guest(1)
    cpu.set_x(1, a)
    cpu.set_x(2, b)
    run(cpu, text)
    assert pred(cpu, 0) == expected
    last = 16 - (1 << "bhsd".index(text[11]))
    n, z, c = expected & 1, expected == 0, not expected >> last & 1
    assert flags(cpu) == N * n | Z * z | C * c


def test_termination_compares_keep_z_and_c() -> None:
    cpu = guest(1)
    cpu.set_nzcv(Z | C)
    run(cpu, "ctermeq x1, x2")
    assert flags(cpu) == N | Z | C
    run(cpu, "ctermne x1, x2")
    assert flags(cpu) == Z | C, "not ended: V is the inverse of C"
    cpu.set_nzcv(0)
    run(cpu, "ctermne x1, x2")
    assert flags(cpu) == V


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["index z0.h, #-2, #3"], "feff010004000700" + "0a000d0010001300"),
        (["dup z0.s, #-1, lsl #8"], "00ffffff" * 4),
        (["dup z0.b, #5", "add z0.b, z0.b, #255"], "04" * 16),
        (["dup z0.b, #127", "sqadd z0.b, z0.b, #255"], "7f" * 16),
        (["dup z0.b, #-128", "sqadd z0.b, z0.b, #255"], "7f" * 16),
        (["dup z0.b, #-1", "sqsub z0.b, z0.b, #255"], "80" * 16),
        (["dup z0.h, #-5", "ptrue p0.h, all", "asrd z0.h, p0/m, z0.h, #1"], "feff" * 8),
        (["dup z0.h, #-5", "asr z0.h, z0.h, #1"], "fdff" * 8),
        (["dup z0.b, #3", "insr z0.h, w30"], "0000" + "03" * 14),
        (["index z1.b, #0, #1", "rev z0.h, z1.h"], "0e0f0c0d0a0b08090607040502030001"),
        (["index z0.b, #0, #1", "ext z0.b, z0.b, z0.b, #3"], "030405060708090a0b0c0d0e0f000102"),
        (["index z0.b, #0, #1", "ext z0.b, z0.b, z0.b, #200"], "000102030405060708090a0b0c0d0e0f"),
        (["index z1.s, #1, #1", "dup z0.s, z1.s[2]"], "03000000" * 4),
        (["index z1.s, #1, #1", "dup z0.s, z1.s[4]"], "00" * 16),
        (["index z1.b, #0, #1", "dup z0.q, z1.q[0]"], "000102030405060708090a0b0c0d0e0f"),
        (["dup z1.b, #-3", "sunpklo z0.h, z1.b"], "fdff" * 8),
        (["dup z1.b, #-3", "uunpkhi z0.d, z1.s"], "fdfdfdfd00000000" * 2),
        (["dup z1.b, #16", "index z2.b, #9, #1", "tbl z0.b, (z2.b), z1.b"], "00" * 16),
        (
            ["index z1.s, #1, #1", "ptrue p0.d, all", "compact z0.s, p0, z1.s"],
            "0100000003000000" + "00" * 8,
        ),
        (
            ["index z0.s, #1, #1", "pfalse p0.b", "dup z1.s, #9", "splice z0.s, p0, z0.s, z1.s"],
            "09000000" * 4,
        ),
        (
            ["index z1.b, #1, #1", "dup z2.b, #3", "sdot z0.s, z1.b, z2.b"],
            "1e0000004e0000007e000000ae000000",
        ),
        (["dup z1.h, #2", "dup z2.h, #-1", "smullb z0.s, z1.h, z2.h"], "feffffff" * 4),
        (["dup z1.h, #1, lsl #8", "dup z0.b, #7", "addhnt z0.b, z1.h, z1.h"], "0702" * 8),
        (["dup z1.h, #1, lsl #8", "dup z0.b, #7", "addhnb z0.b, z1.h, z1.h"], "0200" * 8),
        (["dup z1.d, #6", "dup z2.d, #5", "bext z0.d, z2.d, z1.d"], "0200000000000000" * 2),
        (["dup z1.d, #6", "dup z2.d, #3", "bdep z0.d, z2.d, z1.d"], "0600000000000000" * 2),
    ],
)
def test_vectors(texts: list[str], expected: str) -> None:
    cpu = guest(1)
    run(cpu, *texts)
    assert vector(cpu, 0) == expected


@pytest.mark.parametrize(
    ("text", "active", "x"),
    [
        ("lasta w0, p0, z1.b", 0x0000, 0),
        ("lastb w0, p0, z1.b", 0x0000, 15),
        ("lasta w0, p0, z1.b", 0x0104, 9),
        ("lastb w0, p0, z1.b", 0x0104, 8),
        ("lasta w0, p0, z1.b", 0x8000, 0),
        ("clasta w0, p0, w0, z1.b", 0x0000, 0xCD),
        ("clastb w0, p0, w0, z1.b", 0x0010, 4),
    ],
)
def test_last_elements(text: str, active: int, x: int) -> None:
    cpu = guest(1)
    cpu.set_p(0, active)
    cpu.set_x(0, 0xABCD)
    run(cpu, "index z1.b, #0, #1", text)
    assert cpu.x(0) == (x, 0)


@pytest.mark.parametrize(
    ("text", "active", "value"),
    [
        ("smaxv b0, p0, z1.b", 0, 0x80),
        ("sminv h0, p0, z1.h", 0, 0x7FFF),
        ("umaxv s0, p0, z1.s", 0, 0),
        ("uminv d0, p0, z1.d", 0, (1 << 64) - 1),
        ("andv b0, p0, z1.b", 0, 0xFF),
        ("saddv d0, p0, z1.b", 0xFFFF, (1 << 64) - 16),
        ("uaddv d0, p0, z1.b", 0xFFFF, 16 * 255),
        ("faddv s0, p0, z1.s", 0, 0),
        ("fmaxnmv s0, p0, z1.s", 0, 0x7FC00000),
        ("fminv d0, p0, z1.d", 0, 0x7FF << 52),
    ],
)
def test_reductions_and_their_identities(text: str, active: int, value: int) -> None:
    cpu = guest(1)
    cpu.set_p(0, active)
    run(cpu, "dup z1.b, #-1", text)
    assert cpu.z(0) == (value, 0)


def test_wide_compares_sign_extend_for_equality() -> None:
    cpu = guest(1)
    run(cpu, "ptrue p0.b, all", "dup z1.b, #-3", "dup z2.d, #-3")
    run(cpu, "cmpeq p1.b, p0/z, z1.b, z2.d")
    assert pred(cpu, 1) == 0xFFFF
    run(cpu, "cmphs p1.b, p0/z, z1.b, z2.d")
    assert pred(cpu, 1) == 0, "unsigned ones do not"


def test_a_compare_in_place_tests_with_the_old_predicate() -> None:
    cpu = guest(1)
    cpu.set_p(1, 0xFFFF)
    run(cpu, "index z1.b, #0, #1", "cmpgt p1.b, p1/z, z1.b, #3")
    assert pred(cpu, 1) == 0xFFF0
    assert flags(cpu) == 0


def test_rdffrs_sets_flags_by_its_governing_predicate() -> None:
    cpu = guest(1)
    run(cpu, "setffr", "ptrue p1.b, vl4", "rdffrs p0.b, p1/z")
    assert (pred(cpu, 0), flags(cpu)) == (0x000F, N)
    run(cpu, "pfalse p2.b", "wrffr p2.b", "rdffrs p0.b, p1/z")
    assert (pred(cpu, 0), flags(cpu)) == (0, Z | C)


def test_wrffr_of_a_gap_leaves_ffr_unknown() -> None:
    cpu = guest(1)
    cpu.set_p(0, 0b101)
    run(cpu, "wrffr p0.b")
    assert cpu.ffr() == (0, 0xFFFF)


def test_permutes_of_quadwords_need_two_of_them() -> None:
    with pytest.raises(GuestException) as undefined:
        run(guest(1), "zip1 z0.q, z1.q, z2.q")
    assert undefined.value.esr == UNDEFINED
    cpu = guest(3)
    run(cpu, "index z1.b, #1, #0", "index z2.b, #2, #0", "zip1 z0.q, z1.q, z2.q")
    assert vector(cpu, 0) == "01" * 16 + "02" * 16 + "00" * 16


# -- tails -----------------------------------------------------------------------------


def full(cpu: Cpu, n: int) -> Set:
    """All 2048 bits of a Z register."""
    return cpu.vcpu.z[n]


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("add v0.16b, v1.16b, v1.16b", "020406080a0c0e10121416181a1c1e20"),
        ("add v0.8b, v1.8b, v1.8b", "020406080a0c0e10" + "00" * 8),
        ("add d0, d1, d1", None),
        ("fmov d0, x1", "08" + "00" * 15),
        ("fmov v0.d[1], x1", "ff" * 8 + "08" + "00" * 7),
        ("ins v0.h[1], w1", "ffff0800" + "ff" * 12),
        ("dup v0.2d, x1", "0800000000000000" * 2),
        ("ldr b0, [x2, #0]", "00" * 16),
        ("ldr q0, [x2, #0]", "00" * 16),
        ("ld1 (v0.s)[3], [x2]", "ff" * 12 + "00" * 4),
        ("addhn2 v0.16b, v2.8h, v2.8h", "ff" * 8 + "00" * 8),
        ("xtn v0.8b, v2.8h", "00" * 16),
        ("sqxtn2 v0.8h, v2.4s", "ff" * 8 + "00" * 8),
        ("sshll v0.8h, v2.8b, #1", "00" * 16),
        ("fcvtl v0.4s, v2.4h", "00" * 16),
        ("fmul v0.4s, v2.4s, v2.s[1]", "00" * 16),
        ("smaxv b0, p0, z2.b", "80" + "00" * 15),
        ("lasta b0, p0, z2.b", "00" * 16),
    ],
)
def test_writes_of_v_registers_clear_up_to_the_vector_length(text: str, low: str | None) -> None:
    cpu = guest(2)
    cpu.vcpu.z[0] = exact((1 << 2048) - 1)
    cpu.vcpu.z[1] = exact(int.from_bytes(bytes(range(1, 17)), "little"))
    cpu.set_x(1, 8)
    cpu.set_x(2, DATA)
    run(cpu, text)
    above = ((1 << 2048) - 1) >> 256 << 256
    values = {value for value, _ in full(cpu, 0)}
    assert {value >> 256 << 256 for value in values} == {0, above}
    assert all(not value >> 128 & (1 << 128) - 1 for value in values)
    if low:
        assert {(value & (1 << 128) - 1).to_bytes(16, "little").hex() for value in values} == {low}


def test_saturation_of_advsimd_is_remembered_and_of_sve_is_not() -> None:
    cpu = guest(1)
    run(cpu, "dup z1.b, #127", "sqadd z0.b, z1.b, z1.b")
    assert cpu.vcpu.core["fpsr"] == exact(0)
    run(cpu, "sqadd v0.16b, v1.16b, v1.16b")
    assert cpu.vcpu.core["fpsr"] == exact(1 << 27)


def test_inactive_lanes_raise_no_flags() -> None:
    cpu = guest(1)
    run(cpu, "pfalse p0.b", "dup z1.s, #1", "fdiv z1.s, p0/m, z1.s, z0.s")
    assert cpu.vcpu.core["fpsr"] == exact(0)
    run(cpu, "ptrue p0.s, vl1", "fdup z1.s, #1.0", "fdiv z1.s, p0/m, z1.s, z0.s")
    assert cpu.vcpu.core["fpsr"] == exact(2)
    assert vector(cpu, 1) == "0000807f" + "0000803f" * 3


def test_floating_point_compares_set_flags() -> None:
    cpu = guest(1)
    run(cpu, "fmov d1, #1.0", "fcmp d1, #0.0")
    assert flags(cpu) == C
    run(cpu, "fcmp d1, d1")
    assert flags(cpu) == Z | C
    run(cpu, "fdiv d0, d0, d0", "fcmp d0, d1")
    assert flags(cpu) == C | V


@pytest.mark.parametrize(
    ("text", "real", "imaginary"),
    [
        ("fcadd v0.4h, v1.4h, v2.4h, #90", 1 - 4, 2 + 3),
        ("fcadd v0.4h, v1.4h, v2.4h, #270", 1 + 4, 2 - 3),
        ("fcmla v0.4h, v1.4h, v2.4h, #0", 10 + 1 * 3, 20 + 1 * 4),
        ("fcmla v0.4h, v1.4h, v2.4h, #90", 10 - 2 * 4, 20 + 2 * 3),
        ("fcmla v0.4h, v1.4h, v2.h[0], #180", 10 - 1 * 3, 20 - 1 * 4),
        ("fcmla v0.4h, v1.4h, v2.h[1], #270", 10 + 2 * 4, 20 - 2 * 3),
    ],
)
def test_complex_numbers(text: str, real: int, imaginary: int) -> None:
    """1 + 2i and 3 + 4i, turned, on 10 + 20i."""
    cpu = guest(1)
    for n, parts in enumerate(((10.0, 20.0), (1.0, 2.0), (3.0, 4.0))):
        cpu.set_v(n, int.from_bytes(struct.pack("<2e", *parts) * 2, "little"))
    run(cpu, text)
    cells = bytes.fromhex(vector(cpu, 0))
    assert struct.unpack("<4e", cells[:8]) == (real, imaginary) * 2
    assert cells[8:] == bytes(8)


@pytest.mark.parametrize(
    ("text", "sums"),
    [
        ("fmlal v0.2s, v1.2h, v2.2h", (100 + 1 * 5, 100 + 2 * 6)),
        ("fmlal2 v0.2s, v1.2h, v2.2h", (100 + 3 * 7, 100 + 4 * 8)),
        ("fmlsl v0.2s, v1.2h, v2.h[3]", (100 - 1 * 8, 100 - 2 * 8)),
        ("fmlsl2 v0.2s, v1.2h, v2.h[1]", (100 - 3 * 6, 100 - 4 * 6)),
    ],
)
def test_single_precision_sums_of_half_precision_products(text: str, sums: tuple[int, int]) -> None:
    cpu = guest(1)
    for n, layout, numbers in (
        (0, "<2f", (100, 100)),
        (1, "<4e", range(1, 5)),
        (2, "<4e", range(5, 9)),
    ):
        cpu.set_v(n, int.from_bytes(struct.pack(layout, *numbers), "little"))
    run(cpu, text)
    cells = bytes.fromhex(vector(cpu, 0))
    assert struct.unpack("<2f", cells[:8]) == sums
    assert cells[8:] == bytes(8)


def bfloats(*numbers: float) -> int:
    """Small numbers in BF16, which is the upper half of single precision."""
    words = (int.from_bytes(struct.pack("<f", x), "little") >> 16 for x in numbers)
    return sum(word << 16 * i for i, word in enumerate(words))


@pytest.mark.parametrize(
    ("text", "sums"),
    [
        ("bfdot v0.4s, v1.8h, v2.8h", (1 * 0 + 2 * 1, 3 * 2 + 4 * 3, 5 * 4 + 6 * 5, 7 * 6 + 8 * 7)),
        (
            "bfdot v0.4s, v1.8h, v2.2h[1]",
            (1 * 2 + 2 * 3, 3 * 2 + 4 * 3, 5 * 2 + 6 * 3, 7 * 2 + 8 * 3),
        ),
        ("bfmlalb v0.4s, v1.8h, v2.8h", (1 * 0, 3 * 2, 5 * 4, 7 * 6)),
        ("bfmlalt v0.4s, v1.8h, v2.8h", (2 * 1, 4 * 3, 6 * 5, 8 * 7)),
        ("bfmlalt v0.4s, v1.8h, v2.h[5]", (2 * 5, 4 * 5, 6 * 5, 8 * 5)),
        ("bfdot z0.s, z1.h, z2.h[1]", (8, 18, 28, 38)),
        ("bfmlalb z0.s, z1.h, z2.h[5]", (1 * 5, 3 * 5, 5 * 5, 7 * 5)),
        (
            "bfmmla v0.4s, v1.8h, v2.8h",
            (2 + 6 + 12, 4 + 10 + 18 + 28, 6 + 14 + 24, 20 + 30 + 42 + 56),
        ),
        ("bfmmla z0.s, z1.h, z2.h", (20, 60, 44, 148)),
    ],
)
def test_sums_of_bf16_products(text: str, sums: tuple[int, ...]) -> None:
    """Of 1 to 8 and 0 to 7."""
    cpu = guest(1)
    cpu.set_v(1, bfloats(*range(1, 9)))
    cpu.set_v(2, bfloats(*range(8)))
    run(cpu, text)
    assert struct.unpack("<4f", bytes.fromhex(vector(cpu, 0))) == sums


def test_narrowing_to_bf16_writes_one_half() -> None:
    cpu = guest(1)
    cpu.set_v(1, int.from_bytes(struct.pack("<4f", 1, -2, 3, 1 + 2**-8 + 2**-20), "little"))
    run(cpu, "bfcvtn v0.4h, v1.4s")
    narrow = bfloats(1, -2, 3, 1 + 2**-7)
    assert cpu.v(0) == (narrow, 0)
    run(cpu, "bfcvtn2 v0.8h, v1.4s")
    assert cpu.v(0) == (narrow << 64 | narrow, 0)


# -- memory ----------------------------------------------------------------------------


def at_data(vq: int) -> Cpu:
    cpu = guest(vq)
    offset = DATA - 0x4000_0000
    cpu.mem.data[offset - 256 : offset] = b"\xee" * 256
    cpu.mem.data[offset : offset + 256] = bytes(range(256))
    cpu.set_x(1, DATA)
    return cpu


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["ldr z0, [x1, #1, mul vl]"], "101112131415161718191a1b1c1d1e1f"),
        (["ldr z0, [x1, #-1, mul vl]"], "ee" * 16),
        (
            ["ptrue p0.s, all", "ld1b (z0.s), p0/z, [x1, #1, mul vl]"],
            "04000000050000000600000007000000",
        ),
        (["ptrue p0.s, all", "ld1sb (z0.s), p0/z, [x1, #-1, mul vl]"], "eeffffff" * 4),
        (["ptrue p0.s, vl1", "ld1w (z0.s), p0/z, [x1, #0, mul vl]"], "00010203" + "00" * 12),
        (
            ["mov x2, #3", "ptrue p0.h, all", "ld1h (z0.h), p0/z, [x1, x2, lsl #1]"],
            bytes(range(6, 22)).hex(),
        ),
        (
            ["ptrue p0.b, all", "ld2b (z0.b, z1.b), p0/z, [x1, #0, mul vl]"],
            bytes(range(0, 32, 2)).hex(),
        ),
        (
            ["ptrue p0.b, all", "ld3b (z30.b, z31.b, z0.b), p0/z, [x1, #0, mul vl]"],
            bytes(range(2, 50, 3)).hex(),
        ),
        (["ptrue p0.d, all", "ld1rw (z0.d), p0/z, [x1, #4]"], "0405060700000000" * 2),
        (["ptrue p0.h, vl2", "ld1rqh (z0.h), p0/z, [x1, #16]"], "10111213" + "00" * 12),
        (
            ["ptrue p0.d, all", "index z2.d, #8, #-8", "ld1b (z0.d), p0/z, [x1, z2.d]"],
            "0800000000000000" + "00" * 8,
        ),
        (
            ["ptrue p0.s, all", "index z2.s, #-1, #1", "ld1h (z0.s), p0/z, [x1, z2.s, sxtw #1]"],
            "eeee0000000100000203000004050000",
        ),
    ],
)
def test_loads(texts: list[str], expected: str) -> None:
    cpu = at_data(1)
    run(cpu, *texts)
    assert vector(cpu, 0) == expected


def test_stores_touch_active_elements_only() -> None:
    cpu = at_data(1)
    run(cpu, "ptrue p0.d, vl1", "dup z0.b, #-1", "st1h (z0.d), p0, [x1, #1, mul vl]")
    offset = DATA - 0x4000_0000
    assert cpu.mem.data[offset : offset + 8] == bytes((0, 1, 2, 3, 0xFF, 0xFF, 6, 7))


def test_predicates_in_memory_take_an_eighth_of_a_vector() -> None:
    cpu = at_data(3)
    run(cpu, "ptrue p0.b, all", "str p0, [x1, #1, mul vl]", "ldr p1, [x1, #-1, mul vl]")
    offset = DATA - 0x4000_0000
    assert cpu.mem.data[offset + 4 : offset + 14] == bytes((4, 5)) + b"\xff" * 6 + bytes((12, 13))
    assert pred(cpu, 1) == 0xEEEE_EEEE_EEEE


def test_first_fault_loads_promise_only_their_first_element() -> None:
    cpu = at_data(1)
    run(cpu, "setffr", "ptrue p0.b, all", "mov x2, #0", "ldff1b (z0.b), p0/z, [x1, x2]")
    value, mask = cpu.z(0)
    assert (value & 0xFF, mask & 0xFF) == (0, 0)
    assert mask >> 8 == ramp(16) >> 8, "element n is n, or the zero that was there"
    assert cpu.ffr() == (1, 0xFFFE)


def test_first_fault_loads_stop_at_the_end_of_memory() -> None:
    cpu = guest(1)
    cpu.set_x(1, 0x4000_FFFC)
    run(cpu, "setffr", "ptrue p0.s, all", "mov x2, #0", "ldff1w (z0.s), p0/z, [x1, x2, lsl #2]")
    assert cpu.ffr() == (0x000F, 0)


def test_a_load_outside_memory_fails_the_run_and_spoils_its_destination() -> None:
    cpu = guest(1)
    cpu.set_x(1, 0x5000_0000)
    with pytest.raises(RunFailed):
        run(cpu, "ldr z0, [x1, #0, mul vl]")
    assert cpu.z(0) == (0, (1 << 128) - 1)


def test_an_unknown_address_ends_the_prediction() -> None:
    cpu = guest(1)
    cpu.vcpu.x[1] = unknown(DATA, 16)
    with pytest.raises(Unpredictable):
        run(cpu, "ldr z0, [x1, #0, mul vl]")
