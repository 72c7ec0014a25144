"""The instruction conformance suite: every form, with edge and random operands, at several
vector lengths, on any leg.

Its cases are ordinary cases, a few instructions each; what judges them is the oracle.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpus import registers as regs
from corpus.case import Case
from corpus.isa.form import Form, Insn
from corpus.isa.pauth import ALL_ENABLES, FLOW, KEY_ENABLES
from corpus.isa.system import ANY
from corpus.isa.unallocated import NEWER
from corpus.ops import (
    FEATURE_PTRAUTH,
    FEATURE_SVE,
    CreateVcpu,
    Finalize,
    Init,
    Op,
    ReadAll,
    ReadMem,
    Run,
    SetReg,
    WriteMem,
)
from corpus.values import Pattern
from fuzz.generate import el2, is_memory, memory_access, newer, random_insn, signing
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.spec.vcpu import SCTLR_RESET

LENGTHS = (1, 2, 3, 4, 16)
"""Guest vector lengths in quadwords: 128, 256, 384, 512 and 2048 bits."""

_SKIPPED = ("svc", "brk", "udf", "msr", ANY)
"""Forms that end a run or reconfigure it; the interface tests cover them."""

_CONTENTS = (
    Pattern("fill", 0xFF),
    Pattern("fill", 0x80),
    Pattern("fill", 0x7F),
    Pattern("count", 1),
    Pattern("fill", 0x00),
    Pattern("fill", 0x3C),
)
_FPCR = (
    *(0, 1 << 24, 1 << 25, 3 << 22, 1 << 22, 2 << 22, 1 << 19),
    *(0b001, 0b010, 0b100, 0b111, 1 << 24 | 0b010, 1 << 24 | 1 << 19 | 0b111, 1 << 25 | 0b010),
    *(1 << 13, 1 << 13 | 1 << 24 | 0b011, 3 << 22 | 0b111),
)
"""FZ, DN, rounding modes, FZ16; FIZ, AH and NEP (FEAT_AFP); EBF."""
_DATA = 0xC000


@dataclass(frozen=True, slots=True)
class SuiteCase:
    """One suite case and the forms it runs, at vector length `vq` quadwords."""

    case: Case
    forms: tuple[str, ...]
    vq: int


def suite(
    rng: random.Random,
    forms: Sequence[Form],
    vqs: Sequence[int],
    draws: int,
    together: int = 4,
    el2_share: float = 0,
) -> Iterator[SuiteCase]:
    """Cases that run each form `draws` times at each length, `together` forms a case, on a vcpu
    with EL2 as often as `el2_share` says."""
    for vq in vqs:
        for _ in range(draws):
            pool = [form for form in forms if form.name not in _SKIPPED]
            rng.shuffle(pool)
            for start in range(0, len(pool), together):
                chosen = pool[start : start + together]
                case = _case(rng, chosen, vq)
                if el2_share and rng.random() < el2_share:
                    case = el2.beside(rng, case, vq)
                yield SuiteCase(case, tuple(form.name for form in chosen), vq)


def _case(rng: random.Random, forms: Sequence[Form], vq: int) -> Case:
    signs = any(form.group == "pauth" for form in forms)
    more = FEATURE_PTRAUTH if signs and rng.random() < 0.7 else 0
    ops: list[Op] = [CreateVcpu(0), Init(0, FEATURE_SVE | more), Finalize(0)]
    for reg in regs.Z_IDS:
        if rng.random() < 0.6:
            ops.append(SetReg(0, reg, _content(rng)))
    ops = ops[:3] + rng.sample(ops[3:], min(12, len(ops) - 3))
    for reg in rng.sample(regs.P_IDS[:8], 3):
        ones = rng.choice((0, 1, 5, 16, 33, 256))
        pattern = (
            Pattern("ones", ones) if rng.random() < 0.5 else Pattern("noise", rng.randrange(999))
        )
        ops.append(SetReg(0, reg, pattern))
    if any(form.cap == NEWER for form in forms):
        ops += [SetReg(0, reg, _counter(rng)) for reg in regs.P_IDS[8:]]
    ops.append(SetReg(0, regs.REGISTERS["ffr"].id, Pattern("ones", rng.choice((256, 16, 7)))))
    if rng.random() < 0.3:
        ops.append(SetReg(0, regs.REGISTERS["fpcr"].id, Pattern("int", rng.choice(_FPCR))))
    for reg in rng.sample(regs.X_IDS[6:28], 2):
        ops.append(SetReg(0, reg, Pattern("noise", rng.randrange(999))))
    ops.append(WriteMem(_DATA, Pattern("noise", rng.randrange(999)), 512))
    # Set from outside, so that the length does not grow in the guest and no tail is in doubt.
    ops.append(SetReg(0, regs.REGISTERS["cpacr_el1"].id, Pattern("int", 0x330000)))
    ops.append(SetReg(0, regs.REGISTERS["zcr_el1"].id, Pattern("int", vq - 1)))
    if signs and rng.random() < 0.8:
        enables = rng.choice((ALL_ENABLES, ALL_ENABLES, *KEY_ENABLES.values()))
        sctlr = regs.REGISTERS["sctlr_el1"].id
        ops.append(SetReg(0, sctlr, Pattern("int", SCTLR_RESET | enables)))
        ops += [SetReg(0, regs.REGISTERS[name].id, _content(rng)) for name in regs.KEY_NAMES]
    program: list[Insn] = []
    for form in forms:
        if form.name in FLOW:
            program += signing.followed(rng, form)
            continue
        if form.cap == NEWER:
            program += newer.code(rng, form)
            continue
        program += memory_access(rng, form) if is_memory(form) else [random_insn(rng, form)]
    ops += [Run(0, 0, tuple(program)), ReadAll(0), ReadMem(_DATA, 512)]
    return Case(tuple(ops), vq)


def _counter(rng: random.Random) -> Pattern:
    """What a predicate may hold that is used as a counter, which is seldom noise."""
    if rng.random() < 0.3:
        return Pattern("noise", rng.randrange(9999))
    size, count = rng.randrange(5), rng.choice((0, 1, 3, 8, 17, 64, 255, rng.randrange(1 << 14)))
    return Pattern("int", (2 * count + 1 << size | rng.getrandbits(1) << 15) & 0xFFFF)


def _content(rng: random.Random) -> Pattern:
    return rng.choice(_CONTENTS) if rng.random() < 0.4 else Pattern("noise", rng.randrange(9999))


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What one suite case showed on one leg."""

    tested: SuiteCase
    leg: str
    verdict: Verdict

    @property
    def diverged(self) -> Diverge | None:
        """The divergence, if it is one."""
        return self.verdict if isinstance(self.verdict, Diverge) else None

    @property
    def unjudged(self) -> str:
        """Why a part of the case was not judged, or nothing."""
        return self.verdict.reason if isinstance(self.verdict, Agree) else ""


def run_suite(tests: Iterator[SuiteCase], legs: Everywhere) -> Iterator[SuiteResult]:
    """Run suite cases on the legs whose machine has the length. Raises TransportError."""
    by_length: dict[int, Everywhere] = {}
    for tested in tests:
        able = by_length.get(tested.vq)
        if able is None:
            names = [leg.name for leg in legs.legs if leg.profile.vqs >> tested.vq - 1 & 1]
            able = by_length[tested.vq] = legs.only(names)
        for name, verdict in able.look(tested.case).verdicts.items():
            yield SuiteResult(tested, name, verdict)
