"""SVE2.1 instructions against another formulation: element by element, of whole numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
from model_guest import DATA, guest, run

from corpus.isa.form import Form, Insn
from corpus.isa.sve21 import CAP, may_be_of_sme
from corpus.isa.table import FORMS, parse_insn
from targets.profile import Profile
from targets.spec.cpu import Cpu, access_check
from targets.spec.errors import UNDEFINED, GuestException, Unpredictable
from targets.spec.semantics.counter import decoded, encoded
from targets.spec.sets import exact, join

VQS = (1, 2, 3, 4, 16)
SIZES = "bhsd"


def made(vq: int, seed: int) -> tuple[Cpu, random.Random]:
    """A CPU whose registers hold noise, and numbers near the ends."""
    rng = random.Random(f"{vq} {seed}")
    cpu = guest(vq)
    for n in range(32):
        ends = rng.choice((bytes([0x7F, 0x80, 0xFF, 0]), rng.randbytes(7)))
        noisy = rng.random() < 0.6
        data = rng.randbytes(256) if noisy else bytes(rng.choice(ends) for _ in range(256))
        cpu.vcpu.z[n] = exact(int.from_bytes(data, "little"))
    for n in range(16):
        cpu.vcpu.p[n] = exact(rng.getrandbits(256) | rng.getrandbits(256))
    return cpu, rng


def elements(value: int, vl: int, bits: int) -> list[int]:
    return [value >> at & (1 << bits) - 1 for at in range(0, 8 * vl, bits)]


def joined(values: Sequence[int], bits: int) -> int:
    return sum((value & (1 << bits) - 1) << bits * n for n, value in enumerate(values))


def signed(x: int, bits: int) -> int:
    return x - (x >> bits - 1 << bits)


def whole(cpu: Cpu, n: int) -> int:
    value, mask = cpu.z(n)
    assert not mask
    return value


def is_active(cpu: Cpu, pg: int, lane: int, bits: int) -> bool:
    return bool(cpu.p(pg)[0] >> lane * bits // 8 & 1)


REDUCE: dict[str, tuple[Callable[[list[int], int], int], Callable[[int], int]]] = {
    "addqv": (lambda xs, _: sum(xs), lambda bits: 0),
    "smaxqv": (lambda xs, b: max(signed(x, b) for x in xs), lambda bits: 1 << bits - 1),
    "umaxqv": (lambda xs, _: max(xs), lambda bits: 0),
    "sminqv": (lambda xs, b: min(signed(x, b) for x in xs), lambda bits: (1 << bits - 1) - 1),
    "uminqv": (lambda xs, _: min(xs), lambda bits: (1 << bits) - 1),
}


@pytest.mark.parametrize("vq", VQS)
@pytest.mark.parametrize("name", REDUCE)
def test_reductions_of_segments(name: str, vq: int) -> None:
    f, identity = REDUCE[name]
    for seed, letter in enumerate(SIZES):
        cpu, _ = made(vq, seed)
        bits = 8 << SIZES.index(letter)
        per = 128 // bits
        lanes = elements(whole(cpu, 1), cpu.vl, bits)
        expected = []
        for place in range(per):
            used = [lanes[n] for n in range(place, len(lanes), per) if is_active(cpu, 3, n, bits)]
            expected.append(f(used, bits) if used else identity(bits))
        run(cpu, f"{name} v2.{per}{letter}, p3, z1.{letter}")
        assert whole(cpu, 2) == joined(expected, bits)


@pytest.mark.parametrize("vq", VQS)
def test_bits_of_segments(vq: int) -> None:
    cpu, _ = made(vq, 9)
    cpu.vcpu.p[3] = exact((1 << 256) - 1)
    segments = elements(whole(cpu, 1), cpu.vl, 128)
    run(cpu, "andqv v2.2d, p3, z1.d", "orqv v3.16b, p3, z1.b", "eorqv v4.4s, p3, z1.s")
    both, either, odd = segments[0], segments[0], segments[0]
    for segment in segments[1:]:
        both, either, odd = both & segment, either | segment, odd ^ segment
    assert (whole(cpu, 2), whole(cpu, 3), whole(cpu, 4)) == (both, either, odd)


@pytest.mark.parametrize("vq", VQS)
def test_clamps_and_narrowing(vq: int) -> None:
    for seed, letter in enumerate(SIZES):
        cpu, _ = made(vq, seed)
        bits = 8 << SIZES.index(letter)
        d, n, m = (elements(whole(cpu, r), cpu.vl, bits) for r in (0, 1, 2))
        cpu.vcpu.z[5] = cpu.vcpu.z[0]
        run(cpu, f"uclamp z0.{letter}, z1.{letter}, z2.{letter}")
        run(cpu, f"sclamp z5.{letter}, z1.{letter}, z2.{letter}")
        triples = list(zip(d, n, m, strict=True))
        assert whole(cpu, 0) == joined([min(max(x, lo), hi) for x, lo, hi in triples], bits)
        by_sign = [[signed(x, bits) for x in triple] for triple in triples]
        assert whole(cpu, 5) == joined([min(max(x, lo), hi) for x, lo, hi in by_sign], bits)


def _limited(x: int, lo: int, hi: int) -> int:
    return min(max(x, lo), hi)


@pytest.mark.parametrize("vq", VQS)
@pytest.mark.parametrize("amount", [1, 7, 16])
def test_narrowing_takes_two_registers_by_turns(vq: int, amount: int) -> None:
    cpu, _ = made(vq, amount)
    first, second = (elements(whole(cpu, n), cpu.vl, 32) for n in (6, 7))
    turns = [x for pair in zip(first, second, strict=True) for x in pair]
    half = Fraction(1, 2)
    for name, reads, lo, hi in (
        ("sqrshrn", True, -(1 << 15), (1 << 15) - 1),
        ("sqrshrun", True, 0, (1 << 16) - 1),
        ("uqrshrn", False, 0, (1 << 16) - 1),
    ):
        numbers = [signed(x, 32) if reads else x for x in turns]
        rounded = [(Fraction(x, 1 << amount) + half).__floor__() for x in numbers]
        run(cpu, f"{name} z0.h, {{z6.s, z7.s}}, #{amount}")
        assert whole(cpu, 0) == joined([_limited(x, lo, hi) for x in rounded], 16), name
        without = name.replace("rshr", "cvt")
        run(cpu, f"{without} z0.h, {{z6.s, z7.s}}")
        assert whole(cpu, 0) == joined([_limited(x, lo, hi) for x in numbers], 16), without


@pytest.mark.parametrize("vq", VQS)
def test_products_of_pairs(vq: int) -> None:
    cpu, _ = made(vq, 3)
    acc, n, m = (
        elements(whole(cpu, 0), cpu.vl, 32),
        elements(whole(cpu, 1), cpu.vl, 16),
        elements(whole(cpu, 2), cpu.vl, 16),
    )
    for name, reads in (("sdot", lambda x: signed(x, 16)), ("udot", lambda x: x)):
        for index in (None, 2):
            cpu.vcpu.z[0] = exact(joined(acc, 32))
            expected = []
            for lane, start in enumerate(acc):
                other = lane if index is None else lane // 4 * 4 + index
                pairs = [(n[2 * lane + k], m[2 * other + k]) for k in (0, 1)]
                expected.append(start + sum(reads(x) * reads(y) for x, y in pairs))
            run(cpu, f"{name} z0.s, z1.h, z2.h" + (f"[{index}]" if index else ""))
            assert whole(cpu, 0) == joined(expected, 32), (name, index)


@pytest.mark.parametrize("vq", VQS)
def test_permutes_of_segments(vq: int) -> None:
    for seed, letter in enumerate(SIZES):
        cpu, _ = made(vq, seed)
        bits = 8 << SIZES.index(letter)
        per = 128 // bits
        cpu.vcpu.z[3] = exact(joined([n * 7 % (per + 2) for n in range(2048 // bits)], bits))
        a, b, places, old = (elements(whole(cpu, r), cpu.vl, bits) for r in (1, 2, 3, 4))
        count = len(a)
        both = a + b
        zipped = [lane for pair in zip(a, b, strict=True) for lane in pair]
        for name in ("zipq1", "zipq2", "uzpq1", "uzpq2"):
            expected = []
            for start in range(0, count, per):
                second = name[-1] == "2"
                if name.startswith("zip"):
                    at = 2 * start + per * second
                    expected += zipped[at : at + per]
                else:
                    for base in (start, count + start):
                        expected += both[base + second : base + per : 2]
            run(cpu, f"{name} z0.{letter}, z1.{letter}, z2.{letter}")
            assert whole(cpu, 0) == joined(expected, bits), (name, letter)
        found = [a[n // per * per + at] if at < per else None for n, at in enumerate(places)]
        run(cpu, f"tblq z0.{letter}, {{z1.{letter}}}, z3.{letter}")
        assert whole(cpu, 0) == joined([x or 0 for x in found], bits)
        run(cpu, f"tbxq z4.{letter}, z1.{letter}, z3.{letter}")
        kept = [was if x is None else x for x, was in zip(found, old, strict=True)]
        assert whole(cpu, 4) == joined(kept, bits)
        run(cpu, f"dupq z0.{letter}, z1.{letter}[{per - 1}]")
        last = [a[n // per * per + per - 1] for n in range(count)]
        assert whole(cpu, 0) == joined(last, bits)


@pytest.mark.parametrize("vq", VQS)
def test_extracts_and_exchanges_of_segments(vq: int) -> None:
    cpu, _ = made(vq, 5)
    low, high = (elements(whole(cpu, r), cpu.vl, 128) for r in (1, 2))
    old = elements(whole(cpu, 4), cpu.vl, 128)
    turned = [
        (x >> 64 | x << 64) & (1 << 128) - 1 if is_active(cpu, 3, n, 128) else was
        for n, (x, was) in enumerate(zip(low, old, strict=True))
    ]
    run(cpu, "revd z4.q, p3/m, z1.q", "extq z1.b, z1.b, z2.b, #5")
    assert whole(cpu, 4) == joined(turned, 128)
    assert whole(cpu, 1) == joined(
        [(lo | hi << 128) >> 40 for lo, hi in zip(low, high, strict=True)], 128
    )


@pytest.mark.parametrize("vq", VQS)
def test_predicates_to_vectors_and_back(vq: int) -> None:
    for t, letter in enumerate(SIZES):
        cpu, _ = made(vq, t)
        count = cpu.vl >> t
        part = f"[{(1 << t) - 1}]" if t else ""
        before = whole(cpu, 1)
        run(cpu, f"pmov z1{part}, p5.{letter}", f"pmov p6.{letter}, z1{part}")
        at = count * ((1 << t) - 1)
        packed = joined([int(is_active(cpu, 5, n, 8 << t)) for n in range(count)], 1)
        rest = before & ~((1 << count) - 1 << at) if t else 0
        assert whole(cpu, 1) == rest | packed << at
        every = joined([1] * count, 1 << t)
        assert cpu.p(6) == (cpu.p(5)[0] & every, 0)
        run(cpu, f"pmov z1{'[0]' if t else ''}, p5.{letter}")
        assert whole(cpu, 1) == packed


# -- predicates as counters ------------------------------------------------------------------


@pytest.mark.parametrize("vq", [*VQS, 5, 12])
def test_counters_stand_for_what_they_were_made_of(vq: int) -> None:
    vl = 16 * vq
    for t in range(4):
        for vectors in (1, 2, 4):
            every = vectors * vl >> t
            for count in {0, 1, 2, every // 2, every - 1, every}:
                first = decoded(encoded(t, every, count), vl) & (1 << vectors * vl) - 1
                last = decoded(encoded(t, every, count, last=True), vl) & (1 << vectors * vl) - 1
                assert first == joined([int(n < count) for n in range(every)], 1 << t)
                assert last == joined([int(n >= every - count) for n in range(every)], 1 << t)
            assert encoded(t, every, every) == 0x8000 | 1 << t


def test_a_counter_without_a_size_selects_nothing() -> None:
    assert decoded(0x8000, 16) == decoded(0x7FF0, 256) == 0
    assert decoded(0x8001, 16) == (1 << 64) - 1
    assert decoded(0xABCD_0003, 16) == 1, "the low sixteen bits say it"
    assert decoded(0x7F81, 16) == decoded(0x0001 | 0x7F81 & 0x7E, 16), "as many bits as VL asks for"


@pytest.mark.parametrize("vq", VQS)
@pytest.mark.parametrize("kind", ["lt", "le", "lo", "ls", "gt", "ge", "hi", "hs"])
def test_loops_of_several_vectors(kind: str, vq: int) -> None:
    """The manual's loop, element by element (Arm ARM, WHILELT and kin)."""
    up = kind in ("lt", "le", "lo", "ls")
    holds: dict[str, Callable[[int, int], bool]] = {
        "lt": lambda a, b: signed(a, 64) < signed(b, 64),
        "le": lambda a, b: signed(a, 64) <= signed(b, 64),
        "gt": lambda a, b: signed(a, 64) > signed(b, 64),
        "ge": lambda a, b: signed(a, 64) >= signed(b, 64),
        "lo": lambda a, b: a < b,
        "ls": lambda a, b: a <= b,
        "hi": lambda a, b: a > b,
        "hs": lambda a, b: a >= b,
    }
    rng = random.Random(f"{kind} {vq}")
    for t, letter in enumerate(SIZES):
        for vectors in (2, 4):
            cpu = guest(vq)
            every = vectors * cpu.vl >> t
            a = rng.choice((0, 5, (1 << 63) - 2, (1 << 64) - 3, 1 << 63))
            away = rng.choice((0, 1, 3, every // 2, every, every + 5))
            b = a + (away if up else -away) & (1 << 64) - 1
            cpu.vcpu.x[1], cpu.vcpu.x[2] = exact(a), exact(b)
            mask, going, now = [False] * every, True, a
            for n in range(every) if up else reversed(range(every)):
                going = going and holds[kind](now, b)
                mask[n], now = going, now + (1 if up else -1) & (1 << 64) - 1
            run(cpu, f"while{kind} pn9.{letter}, x1, x2, vlx{vectors}")
            expected = joined([int(x) for x in mask], 1 << t)
            assert decoded(cpu.p(9)[0], cpu.vl) & (1 << vectors * cpu.vl) - 1 == expected
            flags = 8 * mask[0] | 4 * (not any(mask)) | 2 * (not mask[-1])
            assert cpu.nzcv() == (flags, 0)
            run(cpu, f"cntp x3, pn9.{letter}, vlx{vectors}")
            assert cpu.x(3) == (sum(mask), 0)
            for part in range(vectors):
                run(cpu, f"pext p0.{letter}, pn9[{part}]")
                assert cpu.p(0)[0] == expected >> part * cpu.vl & (1 << cpu.vl) - 1
            run(cpu, f"pext {{p15.{letter}, p0.{letter}}}, pn9[{vectors // 4}]")
            assert cpu.p(15)[0] | cpu.p(0)[0] << cpu.vl == expected >> (vectors - 2) * cpu.vl
            if vectors == 2:
                run(cpu, f"while{kind} {{p4.{letter}, p5.{letter}}}, x1, x2")
                assert cpu.p(4)[0] | cpu.p(5)[0] << cpu.vl == expected
                assert cpu.nzcv() == (flags, 0)


@pytest.mark.parametrize("vq", VQS)
def test_a_predicate_is_selected_by_an_element(vq: int) -> None:
    for t, letter in enumerate(SIZES):
        cpu, rng = made(vq, t)
        count, imm = cpu.vl >> t, rng.randrange(16 >> t)
        index = rng.getrandbits(40)
        cpu.vcpu.x[13] = exact(index)
        chosen = is_active(cpu, 2, ((index & 0xFFFF_FFFF) + imm) % count, 8 << t)
        wanted = cpu.p(1) if chosen else (0, 0)
        run(cpu, f"psel p0, p1, p2.{letter}[w13, {imm}]", f"ptrue pn8.{letter}")
        assert cpu.p(0) == wanted
        assert decoded(cpu.p(8)[0], cpu.vl).bit_count() == 4 * count


# -- floating point ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("faddqv v0.4s, p0, z1.s", 0x40C0_0000),  # 1 + 2 + 3
        ("fmaxqv v0.4s, p0, z1.s", 0x4040_0000),
        ("fminqv v0.4s, p0, z1.s", 0x3F80_0000),
        ("fmaxnmqv v0.4s, p0, z1.s", 0x4040_0000),
        ("fminnmqv v0.4s, p0, z1.s", 0x3F80_0000),
    ],
)
def test_numbers_of_three_segments(text: str, lanes: int) -> None:
    cpu = guest(3)
    ones = joined([1] * 4, 32)
    numbers = (0x3F80_0000, 0x4000_0000, 0x4040_0000)
    cpu.vcpu.z[1] = exact(joined([ones * x for x in numbers], 128))
    cpu.vcpu.p[0] = exact((1 << 256) - 1)
    run(cpu, text)
    assert whole(cpu, 0) == ones * lanes


def test_the_sum_of_two_products_is_rounded_once() -> None:
    """2**24 + 1.5 is nearer to 2**24 + 2 than to 2**24."""
    cpu = guest(1)
    cpu.vcpu.z[1], cpu.vcpu.z[2] = exact(0x3E00_6C00), exact(0x3C00_6C00)  # 4096, 1.5; 4096, 1
    run(cpu, "fdot z0.s, z1.h, z2.h")
    assert whole(cpu, 0) & 0xFFFF_FFFF == 0x4B80_0001
    cpu.vcpu.z[1], cpu.vcpu.z[2] = exact(0x4000_3C00), exact(0x4200_4400)  # 1, 2 and 4, 3
    cpu.vcpu.z[0] = exact(0x3F80_0000)
    run(cpu, "fdot z0.s, z1.h, z2.h[0]")
    assert whole(cpu, 0) & 0xFFFF_FFFF == 0x4130_0000, "1 + 4 + 6"


def test_a_product_of_bf16_numbers_is_subtracted() -> None:
    cpu = guest(1)
    cpu.vcpu.z[1], cpu.vcpu.z[2] = exact(0x4000_3F80), exact(0x4040_4080)  # 1, 2 and 4, 3
    run(cpu, "bfmlslb z0.s, z1.h, z2.h", "bfmlslt z3.s, z1.h, z2.h[1]")
    assert (whole(cpu, 0) & 0xFFFF_FFFF, whole(cpu, 3) & 0xFFFF_FFFF) == (0xC080_0000, 0xC0C0_0000)


@pytest.mark.parametrize(("old", "expected"), [(0.5, 1.0), (1.5, 1.5), (9.0, 2.0)])
def test_numbers_are_clamped(old: float, expected: float) -> None:
    cpu = guest(2)
    run(cpu, f"fmov z0.s, #{old}", "fmov z1.s, #1.0", "fmov z2.s, #2.0", f"fmov z3.s, #{expected}")
    run(cpu, "fclamp z0.s, z1.s, z2.s")
    assert whole(cpu, 0) == whole(cpu, 3)


# -- memory --------------------------------------------------------------------------------------


def filled(vq: int, seed: int) -> tuple[Cpu, random.Random, bytes]:
    """As `made`, with noise in memory at x1, and what is there."""
    cpu, rng = made(vq, seed)
    data = rng.randbytes(0x2000)
    cpu.mem.data[0xB000:0xD000] = data
    cpu.vcpu.x[1] = exact(DATA)
    return cpu, rng, data[0x1000:]


def stored(cpu: Cpu) -> bytes:
    return bytes(cpu.mem.data[0xC000:0xD000])


@pytest.mark.parametrize("vq", VQS)
@pytest.mark.parametrize(("letter", "size"), [("w", 4), ("d", 8)])
def test_a_part_of_each_segment_in_memory(letter: str, size: int, vq: int) -> None:
    cpu, _, data = filled(vq, size)
    count = cpu.vl // 16
    run(cpu, f"ld1{letter} {{z0.q}}, p3/z, [x1, #1, mul vl]")
    loaded = data[size * count :]
    expected = [
        int.from_bytes(loaded[size * n : size * n + size], "little")
        if is_active(cpu, 3, n, 128)
        else 0
        for n in range(count)
    ]
    assert whole(cpu, 0) == joined(expected, 128)
    cpu.vcpu.x[2] = exact(3)
    lanes = elements(whole(cpu, 5), cpu.vl, 128)
    run(cpu, f"st1{letter} {{z5.q}}, p4, [x1, x2, lsl #{size.bit_length() - 1}]")
    after = bytearray(data)
    for n, lane in enumerate(lanes):
        if is_active(cpu, 4, n, 128):
            after[size * (n + 3) : size * (n + 4)] = lane.to_bytes(16, "little")[:size]
    assert stored(cpu) == after


@pytest.mark.parametrize("vq", VQS)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_structures_of_quadwords(count: int, vq: int) -> None:
    cpu, _, data = filled(vq, count)
    names = ", ".join(f"z{(31 + n) % 32}.q" for n in range(count))
    segments = cpu.vl // 16
    run(cpu, f"ld{count}q {{{names}}}, p3/z, [x1]")
    for n in range(count):
        expected = [
            int.from_bytes(data[16 * (at * count + n) :][:16], "little")
            if is_active(cpu, 3, at, 128)
            else 0
            for at in range(segments)
        ]
        assert whole(cpu, (31 + n) % 32) == joined(expected, 128)
    cpu.mem.data[0xC000:0xD000] = bytes(0x1000)
    run(cpu, f"st{count}q {{{names}}}, p3, [x1]", f"ld{count}q {{{names}}}, p3/z, [x1]")
    again = [cpu.z((31 + n) % 32) for n in range(count)]
    written = bytearray(0x1000)
    for at in range(segments):
        if is_active(cpu, 3, at, 128):
            written[16 * at * count : 16 * (at + 1) * count] = data[16 * at * count :][: 16 * count]
    assert stored(cpu) == written
    assert all(not mask for _, mask in again)


@pytest.mark.parametrize("vq", VQS)
def test_quadwords_at_addresses_in_a_vector(vq: int) -> None:
    cpu, rng, data = filled(vq, 1)
    segments = cpu.vl // 16
    places = [rng.randrange(0x800) for _ in range(segments)]
    cpu.vcpu.z[2] = exact(joined([at | rng.getrandbits(64) << 64 for at in places], 128))
    run(cpu, "ld1q {z0.q}, p3/z, [z2.d, x1]")
    expected = [
        int.from_bytes(data[at : at + 16], "little") if is_active(cpu, 3, n, 128) else 0
        for n, at in enumerate(places)
    ]
    assert whole(cpu, 0) == joined(expected, 128)
    lanes = elements(whole(cpu, 5), cpu.vl, 128)
    run(cpu, "st1q {z5.q}, p4, [z2.d, x1]")
    after = bytearray(data)
    for n, at in enumerate(places):
        if is_active(cpu, 4, n, 128):
            after[at : at + 16] = lanes[n].to_bytes(16, "little")
    assert stored(cpu) == after


@pytest.mark.parametrize("vq", VQS)
@pytest.mark.parametrize("count", [2, 4])
def test_several_vectors_by_a_counter(count: int, vq: int) -> None:
    for t, (letter, memory) in enumerate(zip(SIZES, "bhwd", strict=True)):
        cpu, rng, data = filled(vq, t)
        every = count * cpu.vl >> t
        some = rng.randrange(every + 1)
        last = rng.random() < 0.5
        cpu.vcpu.p[9] = exact(encoded(t, every, some, last=last))
        names = f"{{z8.{letter}-z{7 + count}.{letter}}}"
        run(cpu, f"ld1{memory} {names}, pn9/z, [x1, #{count}, mul vl]")
        lanes = [
            int.from_bytes(data[count * cpu.vl :][n << t : n + 1 << t], "little")
            if (n >= every - some if last else n < some)
            else 0
            for n in range(every)
        ]
        both = joined([whole(cpu, 8 + n) for n in range(count)], 8 * cpu.vl)
        assert both == joined(lanes, 8 << t)
        cpu.vcpu.x[2] = exact(2)
        at = "x2" if t == 0 else f"x2, lsl #{t}"
        run(cpu, f"stnt1{memory} {names}, pn9, [x1, {at}]")
        after = bytearray(data)
        for n, lane in enumerate(lanes):
            if n >= every - some if last else n < some:
                after[n + 2 << t : n + 3 << t] = lane.to_bytes(1 << t, "little")
        assert stored(cpu) == after


# -- without the feature -------------------------------------------------------------------------


def new_forms() -> list[Form]:
    return [form for form in FORMS.values() if form.cap == CAP]


def test_without_the_feature_a_form_is_undefined_or_another_feature_s() -> None:
    cpu = guest(1)
    cpu.lacks = Profile(lacks=frozenset({CAP})).lacks
    assert len(new_forms()) >= 70
    for form in new_forms():
        insn = Insn(form, tuple(operand.domain.values[0] for operand in form.operands))
        if may_be_of_sme(form):
            with pytest.raises(Unpredictable, match="SME"):
                access_check(cpu, insn)
        else:
            with pytest.raises(GuestException) as stop:
                access_check(cpu, insn)
            assert stop.value.esr == UNDEFINED


def test_an_unknown_element_makes_its_place_unknown() -> None:
    cpu = guest(2)
    cpu.vcpu.p[0] = exact((1 << 256) - 1)
    cpu.vcpu.z[1] = ((0, 1 << 128 + 33),)
    run(cpu, "addqv v0.4s, p0, z1.s")
    assert join(cpu.vcpu.z[0]) == (0, 0xFFFF_FFFF << 32)
    assert parse_insn("addqv v0.4s, p0, z1.s").form.cap == CAP
