"""A model CPU in the middle of a run, for tests of instruction semantics."""

from __future__ import annotations

import random
from collections.abc import Iterator

from corpus.isa import mops
from corpus.isa.form import Form, Insn
from corpus.isa.pauth import ALL_ENABLES, LOADS
from corpus.isa.table import FORMS, parse_insn
from corpus.stream import Source
from corpus.wire import RAM_BASE
from targets.profile import Profile
from targets.spec.cpu import Cpu
from targets.spec.errors import GuestException, MmioExit, RunFailed, Unpredictable
from targets.spec.memory import Memory
from targets.spec.semantics import SEMANTICS
from targets.spec.sets import Set, exact
from targets.spec.vcpu import SCTLR_RESET, Vcpu

MAX_VQ = 16
DATA = RAM_BASE + 0xC000
STOPS = (Unpredictable, RunFailed, GuestException, MmioExit)
"""What a semantic may raise instead of finishing."""

_SPECIAL = {
    1: (0, 0x8000, 0x3C00, 0x7C00, 0xFC00, 0x7E01, 0x7D00, 0x0001, 0x83FF, 0x7BFF),
    2: (0, 1 << 31, 0x3F800000, 0x7F800000, 0x7FC00001, 0x7FA00000, 1, 0x807FFFFF, 0x7F7FFFFF),
    3: (0, 1 << 63, 0x3FF << 52, 0x7FF << 52, 0x7FF8 << 48 | 1, 0x7FF4 << 48, 1, 0x7FEF << 48),
}
"""Zeros, one, infinities, NaNs of both kinds, denormals and large numbers."""


def guest(vq: int, max_vq: int = MAX_VQ) -> Cpu:
    """A CPU at EL1 with its vector units on, all keys enabled, VL vq quadwords, all registers
    zero."""
    vcpu = Vcpu(initialised=True, finalised=True, sve=True, pauth=True, max_vq=max_vq)
    vcpu.reset()
    vcpu.sys["sctlr_el1"] = exact(SCTLR_RESET | ALL_ENABLES)
    vcpu.sys["cpacr_el1"] = exact(0x33_0000)
    vcpu.sys["zcr_el1"] = exact(vq - 1)
    cpu = Cpu(vcpu, Profile(), Memory(), set())
    cpu.need_sve()
    return cpu


def run(cpu: Cpu, *texts: str) -> None:
    """Execute instructions given as text."""
    for text in texts:
        insn = parse_insn(text)
        SEMANTICS[insn.form.name](cpu, *insn.args)


def _vector(rng: random.Random) -> int:
    """2048 bits: noise, or mostly interesting floating-point numbers."""
    if rng.random() < 0.6:
        return rng.getrandbits(2048)
    t = rng.choice((1, 2, 3))
    width = 8 << t
    lanes = (
        rng.choice(_SPECIAL[t]) if rng.random() < 0.7 else rng.getrandbits(width)
        for _ in range(2048 // width)
    )
    return sum(lane << width * index for index, lane in enumerate(lanes))


_POOL = [_vector(random.Random(n)) for n in range(96)]


def shuffle(cpu: Cpu, rng: random.Random) -> None:
    """Give every register and the data area arbitrary contents."""
    vcpu = cpu.vcpu
    vcpu.z = [exact(vector) for vector in rng.sample(_POOL, 32)]
    vcpu.p = [exact(rng.getrandbits(256) | rng.choice((0, 0, (1 << 256) - 1))) for _ in range(16)]
    vcpu.ffr = [exact((1 << rng.choice((256, rng.randrange(257)))) - 1)]
    vcpu.x = [exact(rng.choice((rng.getrandbits(64), rng.randrange(300)))) for _ in range(31)]
    vcpu.core["sp_el1"] = exact(DATA)
    vcpu.core["pstate"] = exact(0x3C5 | rng.randrange(16) << 28)
    cpu.mem.data[0xB000:0xD000] = rng.randbytes(0x2000)


def draw(form: Form, rng: random.Random) -> Insn:
    """An instruction of a form."""
    return Insn(form, form.draw(Source(rng.randbytes(64))))


def aim(cpu: Cpu, insn: Insn, rng: random.Random) -> Insn:
    """Point the addresses of a memory access at the data area."""
    if insn.form in LOADS:
        base = 1 if insn.args[0] != 1 else 2
        cpu.vcpu.x[base] = exact(DATA + 8 * rng.randrange(-8, 8))
        SEMANTICS[f"pacdz{insn.form.mnemonic[-1]}"](cpu, base)
        return Insn(insn.form, (insn.args[0], base, rng.randrange(-64, 64, 8)))
    if not any(word in insn.form.group for word in ("load", "store", "gather", "scatter", "mem")):
        return insn
    names = [operand.name for operand in insn.form.operands]
    args = list(insn.args)
    if insn.form.group == mops.GROUP:
        places = dict(zip(names, args, strict=True))
        for name in ("xd", *("xs" for _ in range(not insn.form.name.startswith(mops.SET)))):
            cpu.vcpu.x[places[name]] = exact(DATA + rng.randrange(256))
        cpu.vcpu.x[places["xc"]] = exact(rng.randrange(200))
    if "xm" in names:
        args[names.index("xm")] = 5
        cpu.vcpu.x[5] = exact(rng.randrange(64))
    if "xn" in names:
        args[names.index("xn")] = rng.choice((1, 2, 31))
        cpu.vcpu.x[1] = cpu.vcpu.x[2] = exact(DATA)
    if "gather" in insn.form.group or "scatter" in insn.form.group:
        width = 32 if "_gs" in insn.form.name else 64
        base = 0 if "zm" in names else DATA
        lanes = (base + rng.randrange(0, 128, 4) for _ in range(2048 // width))
        vector = sum(lane << width * index for index, lane in enumerate(lanes))
        cpu.vcpu.z[args[names.index("zm" if "zm" in names else "zn")]] = exact(vector)
    return Insn(insn.form, tuple(args))


def registers(cpu: Cpu) -> Iterator[tuple[str, Set]]:
    """Every register that a semantic can change."""
    vcpu = cpu.vcpu
    for name, file in (("z", vcpu.z), ("p", vcpu.p), ("ffr", vcpu.ffr), ("x", vcpu.x)):
        for number, candidates in enumerate(file):
            yield f"{name}{number}", candidates
    for name in ("sp_el1", "pstate", "fpsr"):
        yield name, vcpu.core[name]


def groups() -> dict[str, list[Form]]:
    """The table's forms by group, without those that end or redirect a run."""
    found: dict[str, list[Form]] = {}
    for form in FORMS.values():
        if form.group != "sys":
            found.setdefault(form.group, []).append(form)
    return found
