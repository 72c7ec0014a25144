"""The cryptographic instructions, put together to the ciphers and hashes that they serve."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import pytest
from model_guest import guest, run

from targets.spec.cpu import Cpu

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
Step = Callable[..., int]


def step(text: str) -> Step:
    """An instruction on v0 to v3 as a function of their contents; v0 is the result."""
    cpu = guest(1)

    def f(*values: int) -> int:
        for n, value in enumerate(values):
            cpu.set_v(n, value)
        run(cpu, text)
        value, mask = cpu.v(0)
        assert mask == 0
        return value

    return f


def vector(words: list[int], bits: int = 32) -> int:
    return sum((word & (1 << bits) - 1) << bits * i for i, word in enumerate(words))


def lanes(value: int, bits: int = 32) -> list[int]:
    return [value >> at & (1 << bits) - 1 for at in range(0, 128, bits)]


def added(a: int, b: int, bits: int = 32) -> int:
    return vector([x + y for x, y in zip(lanes(a, bits), lanes(b, bits), strict=True)], bits)


def block(message: bytes, word: str, size: int) -> list[int]:
    """A message of one block, padded as the SHA family and SM3 do it, as vectors."""
    bits = struct.pack(">Q", 8 * len(message))
    padded = (message + b"\x80").ljust(size - 8, b"\0") + bits
    width = 32 if word == "I" else 64
    numbers = list(struct.unpack(f">{size * 8 // width}{word}", padded))
    per = 128 // width
    return [vector(numbers[i : i + per], width) for i in range(0, len(numbers), per)]


def digest(words: list[int], start: list[int], bits: int = 32) -> str:
    return "".join(
        f"{x + y & (1 << bits) - 1:0{bits // 4}x}" for x, y in zip(words, start, strict=True)
    )


# -- AES (FIPS 197, appendices A.1 and C.1) ----------------------------------------

KEY = bytes(range(16))
PLAIN = bytes.fromhex("00112233445566778899aabbccddeeff")
CIPHER = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")


def aes_keys(key: bytes) -> list[int]:
    """The round keys; AESE of a word in all columns and a key of zero substitutes its bytes."""
    aese = step("aese v0.16b, v1.16b")
    words = lanes(int.from_bytes(key, "little"))
    rcon = 1
    while len(words) < 44:
        new = words[-1]
        if len(words) % 4 == 0:
            new = aese(vector([new] * 4), 0) & U32
            new = (new >> 8 | new << 24) & U32 ^ rcon
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        words.append(words[-4] ^ new)
    return [vector(words[i : i + 4]) for i in range(0, 44, 4)]


def test_aes_encrypts() -> None:
    encrypt, mix = step("aese v0.16b, v1.16b"), step("aesmc v0.16b, v0.16b")
    keys = aes_keys(KEY)
    state = int.from_bytes(PLAIN, "little")
    for key in keys[:9]:
        state = mix(encrypt(state, key))
    state = encrypt(state, keys[9]) ^ keys[10]
    assert state.to_bytes(16, "little") == CIPHER


def test_aes_decrypts() -> None:
    decrypt, unmix = step("aesd v0.16b, v1.16b"), step("aesimc v0.16b, v0.16b")
    keys = aes_keys(KEY)
    state = int.from_bytes(CIPHER, "little")
    state = unmix(decrypt(state, keys[10]))
    for key in keys[9:1:-1]:
        state = unmix(decrypt(state, unmix(key)))
    state = decrypt(state, unmix(keys[1])) ^ keys[0]
    assert state.to_bytes(16, "little") == PLAIN


# -- SHA-1, SHA-256, SHA-512, SHA-3, SM3 -------------------------------------------

MESSAGES = (b"abc", b"", bytes(range(40)))
MESSAGE = pytest.mark.parametrize("message", MESSAGES, ids=len)


@MESSAGE
def test_sha1_hashes(message: bytes) -> None:
    rounds = [step(f"sha1{letter} q0, s1, v2.4s") for letter in "cpmp"]
    rotate = step("sha1h s0, s0")
    su0, su1 = step("sha1su0 v0.4s, v1.4s, v2.4s"), step("sha1su1 v0.4s, v1.4s")
    constants = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)
    start = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    w = block(message, "I", 64)
    abcd, e = vector(start[:4]), start[4]
    for i in range(20):
        schedule = added(w[0], vector([constants[i // 5]] * 4))
        following = rotate(abcd)
        abcd, e = rounds[i // 5](abcd, e, schedule), following
        w = [*w[1:], su1(su0(w[0], w[1], w[2]), w[3])]
    assert digest([*lanes(abcd), e], start) == hashlib.sha1(message).hexdigest()


def primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % p for p in found):
            found.append(number)
        number += 1
    return found


def root_fraction(number: int, root: int, bits: int) -> int:
    """The first bits after the point of a square or cube root (FIPS 180-4, 4.2 and 5.3)."""
    scaled = number << root * bits
    low, high = 0, 1 << bits + 9
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle)
    return low & (1 << bits) - 1


@MESSAGE
def test_sha256_hashes(message: bytes) -> None:
    first, second = step("sha256h q0, q1, v2.4s"), step("sha256h2 q0, q1, v2.4s")
    su0, su1 = step("sha256su0 v0.4s, v1.4s"), step("sha256su1 v0.4s, v1.4s, v2.4s")
    constants = [root_fraction(p, 3, 32) for p in primes(64)]
    start = [root_fraction(p, 2, 32) for p in primes(8)]
    w = block(message, "I", 64)
    abcd, efgh = vector(start[:4]), vector(start[4:])
    for i in range(0, 64, 4):
        schedule = added(w[0], vector(constants[i : i + 4]))
        abcd, efgh = first(abcd, efgh, schedule), second(efgh, abcd, schedule)
        w = [*w[1:], su1(su0(w[0], w[1]), w[2], w[3])]
    words = [*lanes(abcd), *lanes(efgh)]
    assert digest(words, start) == hashlib.sha256(message).hexdigest()


def swapped(value: int) -> int:
    """The halves of a vector exchanged."""
    return value >> 64 | (value & U64) << 64


def between(low: int, high: int) -> int:
    """The upper half of one vector and the lower half of the next."""
    return low >> 64 | (high & U64) << 64


@MESSAGE
def test_sha512_hashes(message: bytes) -> None:
    first, second = step("sha512h q0, q1, v2.2d"), step("sha512h2 q0, q1, v2.2d")
    su0, su1 = step("sha512su0 v0.2d, v1.2d"), step("sha512su1 v0.2d, v1.2d, v2.2d")
    constants = [root_fraction(p, 3, 64) for p in primes(80)]
    start = [root_fraction(p, 2, 64) for p in primes(8)]
    w = block(message, "Q", 128)
    ab, cd, ef, gh = (vector(start[i : i + 2], 64) for i in range(0, 8, 2))
    for i in range(0, 80, 2):
        schedule = swapped(added(w[0], vector(constants[i : i + 2], 64), 64))
        partial = first(added(gh, schedule, 64), between(ef, gh), between(cd, ef))
        ab, cd, ef, gh = second(partial, cd, ab), ab, added(cd, partial, 64), ef
        w = [*w[1:], su1(su0(w[0], w[1]), w[7], between(w[4], w[5]))]
    words = [word for pair in (ab, cd, ef, gh) for word in lanes(pair, 64)]
    assert digest(words, start, 64) == hashlib.sha512(message).hexdigest()


def keccak_rotations() -> dict[tuple[int, int], int]:
    """FIPS 202, 3.2.2."""
    x, y, amounts = 1, 0, {(0, 0): 0}
    for t in range(24):
        amounts[x, y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return amounts


def keccak_constants() -> list[int]:
    """FIPS 202, 3.2.5: bits from a shift register of eight stages."""
    register, bits = 1, []
    for _ in range(7 * 24):
        bits.append(register & 1)
        register = register << 1 ^ (0x171 if register & 0x80 else 0)
    return [sum(bits[7 * i + j] << (1 << j) - 1 for j in range(7)) for i in range(24)]


@MESSAGE
def test_sha3_hashes(message: bytes) -> None:
    eor3, rax1 = step("eor3 v0.16b, v1.16b, v2.16b, v3.16b"), step("rax1 v0.2d, v1.2d, v2.2d")
    bcax = step("bcax v0.16b, v1.16b, v2.16b, v3.16b")
    rotations, five = keccak_rotations(), range(5)
    xar = {by: step(f"xar v0.2d, v1.2d, v2.2d, #{-by % 64}") for by in rotations.values()}
    padded = bytearray((message + b"\x06").ljust(136, b"\0"))
    padded[-1] |= 0x80
    words = [*struct.unpack("<17Q", padded), *[0] * 8]
    a = {(x, y): words[x + 5 * y] for x in five for y in five}
    for constant in keccak_constants():
        c = [eor3(0, eor3(0, a[x, 0], a[x, 1], a[x, 2]), a[x, 3], a[x, 4]) for x in five]
        d = [rax1(0, c[x - 1], c[(x + 1) % 5]) for x in five]
        b = {
            (y, (2 * x + 3 * y) % 5): xar[rotations[x, y]](0, a[x, y], d[x])
            for x in five
            for y in five
        }
        for x, y in list(a):
            a[x, y] = bcax(0, b[x, y], b[(x + 2) % 5, y], b[(x + 1) % 5, y]) & U64
        a[0, 0] ^= constant
    result = struct.pack("<4Q", *(a[x, 0] & U64 for x in range(4)))
    assert result == hashlib.sha3_256(message).digest()


def test_sm3_hashes() -> None:
    """GB/T 32905, example 1."""
    ss1 = step("sm3ss1 v0.4s, v1.4s, v2.4s, v3.4s")
    part1, part2 = (step(f"sm3partw{n} v0.4s, v1.4s, v2.4s") for n in (1, 2))
    tt = {
        (n, kind, i): step(f"sm3tt{n}{kind} v0.4s, v1.4s, v2.s[{i}]")
        for n in (1, 2)
        for kind in "ab"
        for i in range(4)
    }
    start = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600]
    start += [0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    w = [word for part in block(b"abc", "I", 64) for word in lanes(part)]
    while len(w) < 68:
        old = w[-16:]
        partial = part1(vector(old[:4]), vector(old[7:11]), vector(old[12:]))
        w += lanes(part2(partial, vector(old[10:14]), vector(old[3:7])))
    abcd, efgh = vector(start[3::-1]), vector(start[:3:-1])
    for j in range(64):
        kind, constant = ("a", 0x79CC4519) if j < 16 else ("b", 0x7A879D8A)
        turned = (constant << j % 32 | constant >> 32 - j % 32) & U32
        mixed = ss1(0, abcd, efgh, turned << 96)
        i, four = j % 4, j - j % 4
        now, later = vector(w[four : four + 4]), vector(w[four + 4 : four + 8])
        abcd = tt[1, kind, i](abcd, mixed, now ^ later)
        efgh = tt[2, kind, i](efgh, mixed, now)
    words = [*reversed(lanes(abcd)), *reversed(lanes(efgh))]
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert "".join(f"{x ^ y:08x}" for x, y in zip(words, start, strict=True)) == expected


def test_sm4_encrypts() -> None:
    """GB/T 32907, example 1: key and plain text are the same."""
    encrypt, expand = step("sm4e v0.4s, v1.4s"), step("sm4ekey v0.4s, v0.4s, v1.4s")
    text = list(struct.unpack(">4I", bytes.fromhex("0123456789abcdeffedcba9876543210")))
    family = [0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC]
    constants = [
        int.from_bytes(bytes((4 * i + j) * 7 & 0xFF for j in range(4)), "big") for i in range(32)
    ]
    key = vector([x ^ y for x, y in zip(text, family, strict=True)])
    state = vector(text)
    for i in range(0, 32, 4):
        key = expand(key, vector(constants[i : i + 4]))
        state = encrypt(state, key)
    result = struct.pack(">4I", *reversed(lanes(state)))
    assert result.hex() == "681edf34d206965e86b3e94f536e4246"


# -- polynomials and SVE -------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "product"),
    [
        (3, 3, 5),
        (U64, U64, 0x5555_5555_5555_5555_5555_5555_5555_5555),
        (1 << 63, 1 << 63, 1 << 126),
        (0x87, 1 << 63, 0x87 << 63),
    ],
)
def test_polynomials_multiply_without_carry(a: int, b: int, product: int) -> None:
    assert step("pmull v0.1q, v1.1d, v2.1d")(0, a | 7 << 64, b | 9 << 64) == product
    assert step("pmull2 v0.1q, v1.2d, v2.2d")(0, a << 64 | 7, b << 64 | 9) == product


def segments(cpu: Cpu, n: int) -> list[int]:
    value, mask = cpu.z(n)
    assert mask == 0
    return [value >> at & (1 << 128) - 1 for at in range(0, 8 * cpu.vl, 128)]


@pytest.mark.parametrize(
    ("sve", "advsimd"),
    [
        ("aese z0.b, z0.b, z1.b", "aese v0.16b, v1.16b"),
        ("aesd z0.b, z0.b, z1.b", "aesd v0.16b, v1.16b"),
        ("aesmc z0.b, z0.b", "aesmc v0.16b, v0.16b"),
        ("aesimc z0.b, z0.b", "aesimc v0.16b, v0.16b"),
        ("sm4e z0.s, z0.s, z1.s", "sm4e v0.4s, v1.4s"),
        ("sm4ekey z0.s, z0.s, z1.s", "sm4ekey v0.4s, v0.4s, v1.4s"),
        ("rax1 z0.d, z0.d, z1.d", "rax1 v0.2d, v0.2d, v1.2d"),
        ("pmullb z0.q, z0.d, z1.d", "pmull v0.1q, v0.1d, v1.1d"),
        ("pmullt z0.q, z0.d, z1.d", "pmull2 v0.1q, v0.2d, v1.2d"),
    ],
)
def test_sve_does_to_each_segment_what_advsimd_does(sve: str, advsimd: str) -> None:
    cpu = guest(3)
    run(cpu, "index z0.b, #3, #7", "index z1.b, #-9, #5")
    pairs = list(zip(segments(cpu, 0), segments(cpu, 1), strict=True))
    run(cpu, sve)
    assert segments(cpu, 0) == [step(advsimd)(x, y) for x, y in pairs]
