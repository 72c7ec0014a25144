"""Laws that hold for every instruction form, checked on arbitrary machine states."""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest
from model_guest import MAX_VQ, STOPS, aim, draw, groups, guest, registers, shuffle

from corpus.isa.form import Form, Insn
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.memory import Memory
from targets.spec.semantics import SEMANTICS
from targets.spec.sets import Set, exact, unknown

GROUPS = groups()
GROUP = pytest.mark.parametrize("group", GROUPS)
VQS = (1, 2, 3, 5, 16)
SEEDS = int(os.environ.get("VCPUFUZZ_TEST_SEEDS", "3"))
"""Machine states per form for the longest test."""


def test_every_form_has_semantics() -> None:
    assert set(SEMANTICS) == set(FORMS)


def _execute(cpu: Cpu, insn: Insn) -> bool:
    try:
        SEMANTICS[insn.form.name](cpu, *insn.args)
    except STOPS:
        return False
    return True


def _state(form: Form, seed: int) -> tuple[Cpu, Insn, random.Random]:
    rng = random.Random(f"{form.name} {seed}")
    cpu = guest(rng.choice(VQS))
    shuffle(cpu, rng)
    return cpu, aim(cpu, draw(form, rng), rng), rng


@GROUP
def test_results_fit_their_registers(group: str) -> None:
    for form in GROUPS[group]:
        for seed in range(3):
            cpu, insn, _ = _state(form, seed)
            _execute(cpu, insn)
            for name, candidates in registers(cpu):
                width = {"z": 2048, "p": 256, "f": 256}.get(name[0], 64)
                for value, mask in candidates:
                    assert 0 <= value < 1 << width, (insn, name)
                    assert 0 <= mask < 1 << width, (insn, name)
                    assert not value & mask, (insn, name)


@GROUP
def test_most_draws_can_be_predicted(group: str) -> None:
    """A semantic that always gives up would check nothing."""
    for form in GROUPS[group]:
        assert any(_execute(cpu, insn) for cpu, insn, _ in (_state(form, n) for n in range(12)))


ADVSIMD = [name for name in GROUPS if name.startswith(("asimd", "fp-"))]


@pytest.mark.parametrize("group", ADVSIMD)
def test_a_v_write_clears_up_to_the_vector_length(group: str) -> None:
    """And may keep or clear what is above, as one choice for the register (facts 2.2)."""
    for form in GROUPS[group]:
        for seed in range(4):
            cpu, insn, _ = _state(form, seed)
            before = list(cpu.vcpu.z)
            if not _execute(cpu, insn):
                continue
            bits = 8 * cpu.vl
            for n, candidates in enumerate(cpu.vcpu.z):
                if candidates is before[n]:
                    continue
                above = {value >> bits for value, _ in candidates}
                assert above <= {0, before[n][0][0] >> bits}, insn
                for value, mask in candidates:
                    assert not (value | mask) >> 128 & (1 << bits - 128) - 1, insn


WRITES_V = ("asimd-3same", "asimd-narrow", "asimd-insert", "fp-arith", "asimd-load")


@pytest.mark.parametrize("group", WRITES_V)
def test_that_law_has_something_to_say(group: str) -> None:
    changed = 0
    for form in GROUPS[group]:
        cpu, insn, _ = _state(form, 1)
        before = list(cpu.vcpu.z)
        _execute(cpu, insn)
        changed += before != cpu.vcpu.z
    assert changed > len(GROUPS[group]) // 2


SVE = [name for name in GROUPS if name.startswith(("sve", "ff-", "nf-"))]


@pytest.mark.parametrize("group", SVE)
def test_an_sve_write_keeps_or_clears_what_is_above_the_vector_length(group: str) -> None:
    for form in GROUPS[group]:
        cpu, insn, _ = _state(form, 7)
        before = dict(registers(cpu))
        if not _execute(cpu, insn):
            continue
        for name, candidates in registers(cpu):
            bits = {"z": 8 * cpu.vl, "p": cpu.vl, "f": cpu.vl}.get(name[0], 64)
            if name not in {"pstate", "fpsr"}:
                above = {(value >> bits, mask >> bits) for value, mask in candidates}
                assert above <= {(0, 0), (before[name][0][0] >> bits, 0)}, (insn, name)


def _covers(permitted: Set, found: Set) -> bool:
    """Whether every value that `found` stands for is permitted."""
    return all(
        any((v ^ value) & ~m == 0 and mask & ~m == 0 for v, m in permitted) for value, mask in found
    )


def _sparse(rng: random.Random, bits: int) -> int:
    """A few unknown bits, low ones and lane signs among them."""
    some = sum({1 << rng.randrange(bits) for _ in range(rng.randrange(1, 5))})
    return some | (1 << rng.choice((0, 7, 31, 63))) % (1 << bits)


def _blur(cpu: Cpu, insn: Insn, rng: random.Random) -> None:
    """Make bits of some of the instruction's registers unknown."""
    vcpu = cpu.vcpu
    for operand, value in zip(insn.form.operands, insn.args, strict=True):
        if rng.random() < 0.45:
            continue
        kind = operand.name[0]
        if operand.name in ("pat", "sh", "shift", "extend", "rot", "cond", "imm", "imm2", "mask"):
            continue
        if kind in "zvdsh" and operand.name != "t":
            vcpu.z[value] = unknown(vcpu.z[value][0][0], _sparse(rng, 8 * cpu.vl))
        elif kind == "p":
            vcpu.p[value] = unknown(vcpu.p[value][0][0], _sparse(rng, cpu.vl))
        elif kind in "xwr" and value < 31 and operand.name not in ("xn", "xm"):
            vcpu.x[value] = unknown(vcpu.x[value][0][0], _sparse(rng, 64))
    if rng.random() < 0.3:
        vcpu.ffr[0] = unknown(vcpu.ffr[0][0][0], _sparse(rng, cpu.vl))
    if rng.random() < 0.3:
        vcpu.core["pstate"] = unknown(vcpu.core["pstate"][0][0], rng.randrange(16) << 28)
    if rng.random() < 0.3:
        vcpu.core["fpsr"] = unknown(0x10, 1 << 27 | 2)
    for _ in range(rng.randrange(3)):
        offset = 0xC000 + rng.randrange(-64, 256)
        cpu.mem.unknown[offset] = mask = rng.randrange(1, 256)
        cpu.mem.data[offset] &= ~mask


def _clone(cpu: Cpu) -> Cpu:
    twin = guest(cpu.vl // 16, MAX_VQ)
    vcpu = cpu.vcpu
    twin.vcpu = replace(
        vcpu,
        z=list(vcpu.z),
        p=list(vcpu.p),
        ffr=list(vcpu.ffr),
        x=list(vcpu.x),
        core=dict(vcpu.core),
        sys=dict(vcpu.sys),
        signed=dict(vcpu.signed),
    )
    twin.mem.data[:] = cpu.mem.data
    twin.mem.unknown = dict(cpu.mem.unknown)
    return twin


def _same_memory(permitted: Memory, found: Memory) -> bool:
    if permitted.data == found.data:
        return True
    differing = (
        i for i, (a, b) in enumerate(zip(permitted.data, found.data, strict=True)) if a != b
    )
    return all(
        not (permitted.data[i] ^ found.data[i]) & ~permitted.unknown.get(i, 0) for i in differing
    )


def _settle(candidates: Set, rng: random.Random) -> Set:
    value, mask = candidates[0]
    return exact(value | mask & rng.getrandbits(mask.bit_length())) if mask else candidates


def _decide(cpu: Cpu, rng: random.Random) -> None:
    """Choose every unknown bit."""
    vcpu = cpu.vcpu
    for file in (vcpu.z, vcpu.p, vcpu.ffr, vcpu.x):
        file[:] = [_settle(candidates, rng) for candidates in file]
    for name in ("pstate", "fpsr", "sp_el1"):
        vcpu.core[name] = _settle(vcpu.core[name], rng)
    for offset, mask in cpu.mem.unknown.items():
        cpu.mem.data[offset] |= mask & rng.randrange(256)
    cpu.mem.unknown.clear()


@GROUP
def test_unknown_bits_are_followed_soundly(group: str) -> None:
    """Whatever the unknown bits are, the result is one of those predicted without them."""
    compared = 0
    for form in GROUPS[group]:
        for seed in range(SEEDS):
            blurred, insn, rng = _state(form, 100 + seed)
            _blur(blurred, insn, rng)
            clear = [_clone(blurred) for _ in range(3)]
            if not _execute(blurred, insn):
                continue
            for cpu in clear:
                _decide(cpu, rng)
                assert _execute(cpu, insn), insn
                predicted = dict(registers(blurred))
                for name, candidates in registers(cpu):
                    assert _covers(predicted[name], candidates), (insn, name, cpu.vl)
                assert _same_memory(blurred.mem, cpu.mem), insn
                compared += 1
    assert compared
