"""Encodings around the groups of SVE that no extension known so far gives a meaning.

Each row is a part of the Arm ARM's index by encoding for SVE (bits 28:25 are 0010) whose
every word is unallocated: fixed bits, and their values. It is no complete list of such words.
A processor takes an UNDEFINED exception there whatever CPACR_EL1 says; one with SVE2.1 or
later may have extensions that are younger than this table.
"""

from __future__ import annotations

UNALLOCATED: tuple[tuple[int, int], ...] = (
    (0xFF30_E000, 0x0400_A000),
    (0xFFA0_F000, 0x0420_2000),
    (0xFF20_F000, 0x0420_D000),
    (0xFF20_F800, 0x0420_E800),
    (0xFF34_A000, 0x0504_8000),
    (0xDF04_E000, 0x0504_A000),
    (0xFF3C_A000, 0x0508_8000),
    (0xFF30_E000, 0x0510_8000),
    (0xFF30_E000, 0x0510_E000),
    (0xFF1C_E000, 0x0518_A000),
    (0xDF30_E000, 0x0530_8000),
    (0xFFB4_8000, 0x0584_0000),
    (0xFFBC_8000, 0x0588_0000),
    (0xFFE0_E000, 0x24C0_2000),
    (0xFFE0_4000, 0x24C0_4000),
    (0xFF26_E000, 0x2500_A000),
    (0xFF06_E000, 0x2502_A000),
    (0xFF30_E010, 0x2510_E010),
    (0xFF12_E000, 0x2512_C000),
    (0xFF16_E000, 0x2514_C000),
    (0xFF20_E800, 0x2520_2800),
    (0xFF38_E000, 0x2528_E000),
    (0xFF31_E000, 0x2531_E000),
    (0xDFE0_F000, 0x4400_0000),
    (0xDEE0_F000, 0x4400_1000),
    (0xDFE0_D000, 0x4400_4000),
    (0xDFE0_D800, 0x4400_5800),
    (0xFFA0_F000, 0x4400_D000),
    (0xDFE0_D800, 0x4420_1800),
    (0xFFE0_C000, 0x4420_4000),
    (0xFFA0_9000, 0x4420_8000),
    (0xFFA0_B000, 0x4420_9000),
    (0xFFA0_F000, 0x4420_B000),
    (0xDFE0_9800, 0x4460_1800),
    (0xFFE0_D000, 0x4460_4000),
    (0xDFE0_D800, 0x4460_5000),
    (0xFFA0_D400, 0x4480_D400),
    (0xFFE0_E000, 0x4500_2000),
    (0xFFC0_F000, 0x4500_7000),
    (0xFFE0_C800, 0x4520_C800),
    (0xFFE0_E000, 0x4560_C000),
    (0xFF60_E000, 0x4560_E000),
    (0xFFE0_E000, 0x45E0_2000),
    (0xFFE0_E000, 0x45E0_8000),
    (0xFFE0_E000, 0x6400_2000),
    (0xFF20_D000, 0x6400_C000),
    (0xFF00_D000, 0x6400_D000),
    (0xFF2C_D000, 0x640C_8000),
    (0xFFE0_E000, 0x6420_6000),
    (0xFF28_D400, 0x6420_9400),
    (0xFF4A_D000, 0x6448_9000),
    (0xFFA0_B800, 0x64A0_A800),
    (0xFFE0_B000, 0x64E0_3000),
    (0xFFC0_4000, 0x6500_4000),
    (0xFFE0_C000, 0x6520_8000),
    (0xFF60_E010, 0x6540_E000),
    (0xFE60_C010, 0x8400_C010),
    (0xBFA0_C010, 0x8420_0010),
    (0xFF80_C000, 0x8500_0000),
    (0xFFC0_E000, 0x8500_8000),
    (0xFFE0_E000, 0x8520_A000),
    (0xBFC0_E010, 0x8580_0010),
    (0xBFC0_E000, 0x8580_2000),
    (0xFFC0_C000, 0x8580_8000),
    (0xFFE0_6010, 0x85A0_6000),
    (0xFFE0_C010, 0x85A0_C010),
    (0xFFC0_C010, 0x85C0_0010),
    (0xFFE0_C010, 0x85C0_4010),
    (0xFFD0_E000, 0xA400_8000),
    (0xFF50_E000, 0xA410_2000),
    (0xFF70_E000, 0xA410_8000),
    (0xFE30_E010, 0xA430_E000),
    (0xFE30_E010, 0xA430_E010),
    (0xFF40_6000, 0xA440_0000),
    (0xFF40_E000, 0xA440_2000),
    (0xFE70_E010, 0xA450_E000),
    (0xFE70_E010, 0xA450_E010),
    (0xFF70_E000, 0xA530_2000),
    (0xBFE0_E000, 0xA540_0000),
    (0xFFE0_E000, 0xA540_2000),
    (0xFFC0_E000, 0xA540_8000),
    (0xBF60_C000, 0xA560_0000),
    (0xBFE0_C000, 0xA5C0_0000),
    (0xBFC0_E000, 0xA5C0_8000),
    (0xFFE0_C010, 0xC420_4010),
    (0xFFE0_4010, 0xC460_4010),
    (0xFFE0_C010, 0xC460_8010),
    (0xFEE0_E010, 0xC480_E010),
    (0xFFE0_E000, 0xC500_A000),
    (0xFFC0_E010, 0xC580_0000),
    (0xFF80_C000, 0xC580_8000),
    (0xFFC0_C000, 0xC5C0_0000),
    (0xFF30_E000, 0xE410_0000),
    (0xFFE0_6000, 0xE420_0000),
    (0xFFE0_E000, 0xE460_8000),
    (0xFFA0_E000, 0xE4A0_2000),
    (0xFFE0_E000, 0xE500_0000),
    (0xFF60_E010, 0xE520_0010),
    (0xFF60_E000, 0xE520_2000),
    (0xFFE0_E000, 0xE5E0_A000),
)

NEWER = "sve2p1"
"""The capability of machines that may know more than the table."""

_SPACE, _SVE = 0x1E00_0000, 0x0400_0000


def is_unallocated(word: int) -> bool:
    """Whether a word surely means nothing."""
    return word & _SPACE == _SVE and any(word & mask == value for mask, value in UNALLOCATED)


def is_in_vector_space(word: int) -> bool:
    """Whether a word is SVE's, AdvSIMD's or FP's by its major opcode, loads and stores apart:
    nothing there touches system registers or the flow of the program."""
    return word & _SPACE == _SVE or word >> 25 & 7 == 7
