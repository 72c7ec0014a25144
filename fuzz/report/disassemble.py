"""Guest code as a disassembler reads it, to set beside what the case says."""

from __future__ import annotations

from collections.abc import Sequence

import capstone

from corpus.isa.decode import decode
from corpus.isa.form import Insn
from corpus.wire import CODE_BASE


def disassemble(program: Sequence[Insn]) -> list[str]:
    """One line per instruction word: address, word, mnemonic. What capstone 5 does not know, as it
    does SVE2.1, is as the table of instructions has it."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    lines = []
    address = CODE_BASE
    for insn in program:
        for word in insn.words():
            decoded = next(engine.disasm(word.to_bytes(4, "little"), address), None)
            known = decode(word) if decoded is None else None
            text = f"{decoded.mnemonic} {decoded.op_str}".strip() if decoded else "(unknown)"
            text = known.format() if known else text
            lines.append(f"{address:#x}: {word:08x}  {text}")
            address += 4
    return lines
