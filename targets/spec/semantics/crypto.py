"""Cryptographic steps on 128-bit values, by the functions of the Arm architecture.

A 128-bit value is an int; its words are listed lowest first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from targets.spec.semantics.galois import AES_INVERSE, AES_SBOX, SM4_SBOX, scaled
from targets.spec.semantics.lanes import ones

Words = list[int]


def words(value: int, bits: int = 32) -> Words:
    """A 128-bit value as words of `bits`."""
    return [value >> at & ones(bits) for at in range(0, 128, bits)]


def joined(parts: Sequence[int], bits: int = 32) -> int:
    """The value of words, each taken modulo its size."""
    return sum((part & ones(bits)) << bits * i for i, part in enumerate(parts))


def rol(x: int, by: int, bits: int = 32) -> int:
    """Rotate left; `x` may be larger than its word."""
    x &= ones(bits)
    by %= bits
    return (x << by | x >> bits - by) & ones(bits)


def ror(x: int, by: int, bits: int = 32) -> int:
    return rol(x, bits - by, bits)


def choose(x: int, y: int, z: int) -> int:
    """Bits of y where x is one, of z elsewhere."""
    return z ^ x & (y ^ z)


def majority(x: int, y: int, z: int) -> int:
    return x & y | (x | y) & z


def parity(x: int, y: int, z: int) -> int:
    return x ^ y ^ z


Choice = Callable[[int, int, int], int]

# -- AES: byte 4 * column + row -----------------------------------------------


def _rows_moved(state: int, direction: int) -> list[int]:
    """The bytes with each row rotated by its number of columns."""
    cells = state.to_bytes(16, "little")
    return [
        cells[4 * ((column + direction * row) % 4) + row] for column in range(4) for row in range(4)
    ]


def aes_encrypt(state: int, key: int) -> int:
    """AESE: add the key, substitute, shift rows."""
    return joined([AES_SBOX[x] for x in _rows_moved(state ^ key, 1)], 8)


def aes_decrypt(state: int, key: int) -> int:
    """AESD: the inverse steps."""
    return joined([AES_INVERSE[x] for x in _rows_moved(state ^ key, -1)], 8)


def _columns_mixed(state: int, factors: tuple[int, int, int, int]) -> int:
    cells = state.to_bytes(16, "little")
    out = []
    for column in range(0, 16, 4):
        for row in range(4):
            byte = 0
            for k, factor in enumerate(factors):
                byte ^= scaled(cells[column + (row + k) % 4], factor)
            out.append(byte)
    return joined(out, 8)


def aes_mix(state: int) -> int:
    """AESMC."""
    return _columns_mixed(state, (2, 3, 1, 1))


def aes_unmix(state: int) -> int:
    """AESIMC."""
    return _columns_mixed(state, (14, 11, 13, 9))


def polynomial_product(a: int, b: int) -> int:
    """The product of 64-bit polynomials over GF(2)."""
    product = 0
    while b:
        product ^= a * (b & -b)
        b &= b - 1
    return product


# -- SHA-1 and SHA-256 ---------------------------------------------------------


def sha1_rounds(state: int, e: int, schedule: int, function: Choice) -> int:
    """SHA1C, SHA1M, SHA1P: four rounds; `e` is the fifth word of the state."""
    a, b, c, d = words(state)
    for w in words(schedule):
        total = e + rol(a, 5) + function(b, c, d) + w & ones(32)
        a, b, c, d, e = total, a, rol(b, 30), c, d
    return joined([a, b, c, d])


def sha1_schedule0(d: int, n: int, m: int) -> int:
    """SHA1SU0."""
    return (n & ones(64)) << 64 ^ d >> 64 ^ d ^ m


def sha1_schedule1(d: int, n: int) -> int:
    """SHA1SU1."""
    t = words(d ^ n >> 32)
    return joined([rol(t[0], 1), rol(t[1], 1), rol(t[2], 1), rol(t[3], 1) ^ rol(t[0], 2)])


def sha256_rounds(abcd: int, efgh: int, schedule: int) -> tuple[int, int]:
    """Four rounds of SHA-256 on both halves of the state."""
    x, y = words(abcd), words(efgh)
    for w in words(schedule):
        e = y[0]
        sigma1 = ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)
        t = y[3] + sigma1 + choose(e, y[1], y[2]) + w
        sigma0 = ror(x[0], 2) ^ ror(x[0], 13) ^ ror(x[0], 22)
        new_a = t + sigma0 + majority(x[0], x[1], x[2]) & ones(32)
        x, y = [new_a, *x[:3]], [x[3] + t & ones(32), *y[:3]]
    return joined(x), joined(y)


def sha256_schedule0(d: int, n: int) -> int:
    """SHA256SU0."""
    following = words(d >> 32 | (n & ones(32)) << 96)
    sigma = [ror(t, 7) ^ ror(t, 18) ^ t >> 3 for t in following]
    return joined([x + s for x, s in zip(words(d), sigma, strict=True)])


def sha256_schedule1(d: int, n: int, m: int) -> int:
    """SHA256SU1."""
    base, middle = words(d), words(n >> 32 | (m & ones(32)) << 96)
    out: Words = []
    for e in range(4):
        t = words(m)[2 + e] if e < 2 else out[e - 2]
        sigma = ror(t, 17) ^ ror(t, 19) ^ t >> 10
        out.append(base[e] + middle[e] + sigma & ones(32))
    return joined(out)


# -- SHA-512 and SHA-3 ---------------------------------------------------------


def _ror64(x: int, *by: int) -> int:
    result = 0
    for amount in by:
        result ^= ror(x, amount, 64)
    return result


def sha512_first(d: int, n: int, m: int) -> int:
    """SHA512H: the part of two rounds that yields the new e."""
    (w0, w1), (x0, x1), (y0, y1) = (words(value, 64) for value in (d, n, m))
    high = choose(y1, x0, x1) + _ror64(y1, 14, 18, 41) + w1 & ones(64)
    total = high + y0 & ones(64)
    low = choose(total, y1, x0) + _ror64(total, 14, 18, 41) + w0
    return joined([low, high], 64)


def sha512_second(d: int, n: int, m: int) -> int:
    """SHA512H2: the part of two rounds that yields the new a."""
    (w0, w1), (x0, _), (y0, y1) = (words(value, 64) for value in (d, n, m))
    high = majority(x0, y1, y0) + _ror64(y0, 28, 34, 39) + w1 & ones(64)
    low = majority(high, y0, y1) + _ror64(high, 28, 34, 39) + w0
    return joined([low, high], 64)


def sha512_schedule0(d: int, n: int) -> int:
    """SHA512SU0."""
    (w0, w1), (x0, _) = words(d, 64), words(n, 64)
    low, high = (_ror64(t, 1, 8) ^ t >> 7 for t in (w1, x0))
    return joined([w0 + low, w1 + high], 64)


def sha512_schedule1(d: int, n: int, m: int) -> int:
    """SHA512SU1."""
    parts = zip(*(words(value, 64) for value in (d, n, m)), strict=True)
    return joined([w + (_ror64(x, 19, 61) ^ x >> 6) + y for w, x, y in parts], 64)


def rotated_sum(n: int, m: int) -> int:
    """RAX1: n added to m rotated by one, without carry."""
    return n ^ joined([rol(x, 1, 64) for x in words(m, 64)], 64)


def sum_rotated(n: int, m: int, by: int) -> int:
    """XAR: the carryless sum, rotated right."""
    return joined([ror(x, by, 64) for x in words(n ^ m, 64)], 64)


# -- SM3 and SM4 ---------------------------------------------------------------


def sm3_ss1(n: int, m: int, a: int) -> int:
    """SM3SS1: the highest word alone."""
    top = [value >> 96 for value in (n, m, a)]
    return rol(rol(top[0], 12) + top[1] + top[2], 7) << 96


def sm3_tt1(d: int, n: int, w: int, function: Choice) -> int:
    """SM3TT1A, SM3TT1B."""
    d0, d1, d2, d3 = words(d)
    ss2 = n >> 96 ^ rol(d3, 12)
    return joined([d1, rol(d2, 9), d3, function(d3, d2, d1) + d0 + ss2 + w])


def sm3_tt2(d: int, n: int, w: int, function: Choice) -> int:
    """SM3TT2A, SM3TT2B."""
    d0, d1, d2, d3 = words(d)
    tt2 = function(d3, d2, d1) + d0 + (n >> 96) + w & ones(32)
    return joined([d1, rol(d2, 19), d3, tt2 ^ rol(tt2, 9) ^ rol(tt2, 17)])


def _spread(x: int) -> int:
    """SM3's permutation P1."""
    return x ^ rol(x, 15) ^ rol(x, 23)


def sm3_part1(d: int, n: int, m: int) -> int:
    """SM3PARTW1."""
    t, following = words(d ^ n), words(m)[1:]
    out = [_spread(x ^ rol(y, 15)) for x, y in zip(t, following, strict=False)]
    return joined([*out, _spread(t[3] ^ rol(out[0], 15))])


def sm3_part2(d: int, n: int, m: int) -> int:
    """SM3PARTW2."""
    t = [x ^ rol(y, 7) for x, y in zip(words(n), words(m), strict=True)]
    result = words(d ^ joined(t))
    result[3] ^= _spread(rol(t[0], 15))
    return joined(result)


def _sm4(state: int, keys: int, rotations: tuple[int, ...]) -> int:
    """Four steps of SM4; `rotations` make its linear transformation."""
    x = words(state)
    for key in words(keys):
        mixed = x[1] ^ x[2] ^ x[3] ^ key
        substituted = joined([SM4_SBOX[mixed >> at & 0xFF] for at in (0, 8, 16, 24)], 8)
        new = x[0] ^ substituted
        for by in rotations:
            new ^= rol(substituted, by)
        x = [*x[1:], new]
    return joined(x)


def sm4_encrypt(state: int, keys: int) -> int:
    """SM4E."""
    return _sm4(state, keys, (2, 10, 18, 24))


def sm4_key(state: int, constants: int) -> int:
    """SM4EKEY."""
    return _sm4(state, constants, (13, 23))
