"""The substitution boxes of AES and SM4, made from the fields that define them (FIPS 197, 5.1.1;
GB/T 32907): inversion in GF(2**8) between affine maps."""

from __future__ import annotations

_AES_FIELD, _SM4_FIELD = 0x11B, 0x1F5


def _multiply(a: int, b: int, field: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= field
        b >>= 1
    return product


def _inverse(x: int, field: int) -> int:
    """x**254, which is 1 / x, and 0 for 0."""
    result = 1
    for _ in range(7):
        x = _multiply(x, x, field)
        result = _multiply(result, x, field)
    return result


def _rotated(x: int, by: int) -> int:
    return (x << by | x >> 8 - by) & 0xFF


def _aes(x: int) -> int:
    y = _inverse(x, _AES_FIELD)
    return y ^ _rotated(y, 1) ^ _rotated(y, 2) ^ _rotated(y, 3) ^ _rotated(y, 4) ^ 0x63


def _sm4_affine(x: int) -> int:
    """x times the circulant matrix of 0xA7, plus 0xD3."""
    result = 0xD3
    for by in (0, 1, 3, 6, 7):
        result ^= _rotated(x, by)
    return result


AES_SBOX = tuple(_aes(x) for x in range(256))
AES_INVERSE = tuple(AES_SBOX.index(x) for x in range(256))
SM4_SBOX = tuple(_sm4_affine(_inverse(_sm4_affine(x), _SM4_FIELD)) for x in range(256))

_MULTIPLES = {
    factor: tuple(_multiply(x, factor, _AES_FIELD) for x in range(256))
    for factor in (1, 2, 3, 9, 11, 13, 14)
}


def scaled(x: int, factor: int) -> int:
    """x times a factor of AES's column matrices."""
    return _MULTIPLES[factor][x]
