"""Code that signs pointers and authenticates them."""

from __future__ import annotations

import random

from corpus.isa.form import Form, Insn
from corpus.isa.pauth import ENABLE_KEYS, FLOW, KEY_ENABLES, LOADS
from corpus.isa.table import FORMS, insn
from corpus.registers import KEY_NAMES
from corpus.stream import Source
from corpus.wire import RAM_SIZE

_KEYS = tuple(KEY_ENABLES)
_SYS = FORMS["msr"].operands[0].domain
_BETWEEN = (("isb",), ("nop",), ("hvc_loop", 2), ("spin_loop", 1), ("movz", 9, 5))


def enabled_keys(rng: random.Random) -> list[Insn]:
    """SCTLR_EL1 enables most keys, rarely none, and some of them are written."""
    bits = sum(bit for bit in KEY_ENABLES.values() if rng.random() < 0.8)
    code: list[Insn] = []
    while rng.random() < 0.3:
        key = _SYS.parse(rng.choice(KEY_NAMES))
        code += [insn("movz", 9, rng.randrange(1 << 16)), insn("msr", key, 9)]
    return [*code, insn(ENABLE_KEYS, bits)]


_FLOW = [FORMS[name] for name in sorted(FLOW)]


def followed(rng: random.Random, form: Form) -> list[Insn]:
    """A branch, or a load by a pointer that is, mostly, signed right before."""
    drawn = form.draw(Source(rng.randbytes(16)))
    if form not in LOADS:
        return [Insn(form, drawn)]
    destination, base, _ = drawn
    offset = rng.randrange(-64, 64, 8)
    code = [] if base == 31 else [insn("lda", base, rng.randrange(0x8000, 0xF000, 8))]
    if base != 31 and rng.random() < 0.9:
        key = form.mnemonic[-1] if rng.random() < 0.95 else rng.choice("ab")
        code.append(insn(f"pacdz{key}", base))
    return [*code, Insn(form, (destination, base, offset))]


def signed(rng: random.Random) -> list[Insn]:
    """A pointer that is signed and, mostly, authenticated with the same key and modifier."""
    code = enabled_keys(rng) if rng.random() < 0.5 else []
    key, pointer, modifier = rng.choice(_KEYS), rng.randrange(29), rng.choice((*range(29), 31))
    code.append(insn("lda", pointer, rng.randrange(RAM_SIZE)))
    if rng.random() < 0.3:
        code.append(insn("sub_imm", pointer, 31, 64) if rng.random() < 0.5 else insn("nop"))
    roll = rng.random()
    between = [insn(*rng.choice(_BETWEEN))] if rng.random() < 0.4 else []
    other = rng.choice(_KEYS) if rng.random() < 0.1 else key
    pair: tuple[Insn, ...]
    if roll < 0.6 and modifier != pointer:
        pair = insn(f"pac{key}", pointer, modifier), insn(f"aut{other}", pointer, modifier)
    elif roll < 0.8:
        pair = tuple(
            insn(f"{what}{of[0]}z{of[1]}", pointer) for what, of in (("pac", key), ("aut", other))
        )
    elif roll < 0.87:
        return [*code, *followed(rng, rng.choice(_FLOW))]
    else:
        half, by = rng.choice("ab"), rng.choice(("z", "sp", "1716"))
        pair = insn(f"paci{half}{by}"), insn(f"auti{half}{by}")
    return [*code, pair[0], *between, *pair[1 : 1 + (rng.random() < 0.9)]]
