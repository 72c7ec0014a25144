"""Guards of two to four ordinary things that have to meet, drawn at random and put into KVM of
Debian's 6.12. Behind each is a call of a function of its own that does nothing, which kernel
coverage sees: so one kernel tells of a hundred corners whether a search comes to them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from targets.kvm.lab.variants import Edit

SOURCE = "6.12"
FEWEST, MOST = 2, 4
"""Predicates of a guard."""


class Predicate(NamedTuple):
    """A condition in C; `about`: what of the vcpu or the call it asks for; `sve`: whether it needs
    a vcpu with SVE, or one without."""

    about: str
    text: str
    sve: bool | None = None


Draw = Callable[[random.Random], Predicate]


@dataclass(frozen=True, slots=True)
class Site:
    """Where guards stand, before `anchor`; `own` draws what a call there is about."""

    name: str
    file: str
    anchor: str
    own: Draw | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """Predicates that have to be true at once."""

    number: int
    site: str
    predicates: tuple[Predicate, ...]

    @property
    def function(self) -> str:
        """What is called behind it."""
        return f"kvm_met_{self.number}"

    def __str__(self) -> str:
        return f"{self.site}: {' && '.join(predicate.text for predicate in self.predicates)}"


_GUEST, _RESET, _SYS_REGS = (f"arch/arm64/kvm/{name}.c" for name in ("guest", "reset", "sys_regs"))
_FEATURES = ("PSCI_0_2", "PMU_V3", "SVE", "PTRAUTH_ADDRESS")
_SYSTEM = (
    *("ZCR_EL1", "CPACR_EL1", "TPIDR_EL0", "TPIDR_EL1", "TPIDRRO_EL0", "VBAR_EL1"),
    *("ESR_EL1", "FAR_EL1"),
)
_CORE = ("regs.sp", "regs.pc", "regs.pstate", "sp_el1", "elr_el1", "spsr[0]", "fp_regs.fpcr")


def _vl(rng: random.Random) -> Predicate:
    return Predicate("VL", f"vcpu->arch.sve_max_vl == {16 * rng.randint(1, 16)}", True)


def _feature(rng: random.Random) -> Predicate:
    name, has = rng.choice(_FEATURES), rng.random() < 0.5
    test = f"test_bit(KVM_ARM_VCPU_{name}, vcpu->kvm->arch.vcpu_features)"
    return Predicate(name, test if has else f"!{test}", has if name == "SVE" else None)


def _zcr(rng: random.Random) -> Predicate:
    return Predicate("ZCR", f"(__vcpu_sys_reg(vcpu, ZCR_EL1) & 15) == {rng.randrange(16)}", True)


def _bit(about: str, word: str, bits: Sequence[int]) -> Draw:
    return lambda rng: Predicate(about, f"({word} >> {rng.choice(bits)} & 1)")


def _general(rng: random.Random) -> Predicate:
    n = rng.randrange(31)
    return Predicate(f"x{n}", f"(vcpu_get_reg(vcpu, {n}) >> {rng.choice((0, 31, 63))} & 1)")


def _either(about: str, test: str) -> Draw:
    return lambda rng: Predicate(about, rng.choice(("", "!")) + test)


_ANYWHERE: tuple[Draw, ...] = (
    *(_vl, _vl, _feature, _feature, _zcr, _general),
    _bit("CPACR", "__vcpu_sys_reg(vcpu, CPACR_EL1)", (16, 17, 20, 21)),
    _bit("PSTATE", "*vcpu_cpsr(vcpu)", (6, 7, 9, 12, 20, 22, 23, 24, 28, 29, 30, 31)),
    _bit("FPCR", "vcpu->arch.ctxt.fp_regs.fpcr", (22, 23, 24, 25, 26)),
    _either("run", "vcpu_has_run_once(vcpu)"),
    _either("stopped", "(vcpu->arch.mp_state.mp_state == KVM_MP_STATE_STOPPED)"),
    lambda _: Predicate("vcpu", "vcpu->vcpu_id == 1"),
)


def _vector(rng: random.Random) -> Predicate:
    kind, count = rng.choice((("ZREG", 32), ("ZREG", 32), ("PREG", 16)))
    name = "FFR(0)" if rng.random() < 0.1 else f"{kind}({rng.randrange(count)}, 0)"
    return Predicate("register", f"reg->id == KVM_REG_ARM64_SVE_{name}", True)


def _core(rng: random.Random) -> Predicate:
    kind = rng.choice("xxvo")
    name = {
        "x": f"regs.regs[{rng.randrange(31)}]",
        "v": f"fp_regs.vregs[{rng.randrange(32)}]",
        "o": rng.choice(_CORE),
    }[kind]
    test = f"off == KVM_REG_ARM_CORE_REG({name})"
    return Predicate("register", test, False if kind == "v" else None)


def _system(rng: random.Random) -> Predicate:
    name = rng.choice(_SYSTEM)
    return Predicate("register", f"r->reg == {name}", True if name == "ZCR_EL1" else None)


SITES = (
    Site(
        "GET of SVE state",
        _GUEST,
        "\tif (copy_to_user(uptr, vcpu->arch.sve_state + region.koffset,\n",
        _vector,
    ),
    Site(
        "SET of SVE state",
        _GUEST,
        "\tif (copy_from_user(vcpu->arch.sve_state + region.koffset, uptr,\n",
        _vector,
    ),
    Site(
        "GET of a core register",
        _GUEST,
        "\tif (copy_to_user(uaddr, addr, KVM_REG_SIZE(reg->id)))\n",
        _core,
    ),
    Site(
        "SET of a core register",
        _GUEST,
        "\tmemcpy(addr, valp, KVM_REG_SIZE(reg->id));\n",
        _core,
    ),
    Site(
        "SET of a system register",
        _SYS_REGS,
        "\tif (r->set_user) {\n\t\tret = (r->set_user)(vcpu, r, val);\n",
        _system,
    ),
    Site("INIT", _RESET, "\tmemset(vcpu_gp_regs(vcpu), 0, sizeof(*vcpu_gp_regs(vcpu)));\n"),
)
_FUNCTIONS = "void kvm_reset_vcpu(struct kvm_vcpu *vcpu)\n"
"""What the functions are put before; it stands in the file of INIT."""


def draw(seed: int, count: int) -> list[Guard]:
    """The same ones for the same seed; as many at each site and of each number of predicates."""
    rng = random.Random(seed)
    guards = []
    for number in range(count):
        site = SITES[number % len(SITES)]
        length = FEWEST + number // len(SITES) % (MOST - FEWEST + 1)
        guards.append(Guard(number, site.name, _predicates(rng, site, length)))
    return guards


def _predicates(rng: random.Random, site: Site, length: int) -> tuple[Predicate, ...]:
    found = [site.own(rng)] if site.own else []
    while len(found) < length:
        one = rng.choice(_ANYWHERE)(rng)
        if all(_meet(one, other) for other in found):
            found.append(one)
    return tuple(found)


def _meet(one: Predicate, other: Predicate) -> bool:
    return one.about != other.about and (None in (one.sve, other.sve) or one.sve == other.sve)


def edits(guards: Sequence[Guard]) -> list[Edit]:
    """What puts them into the kernel, a change of each file."""
    by_file: dict[str, list[tuple[str, str]]] = {}
    for site in SITES:
        there = "".join(_code(guard) for guard in guards if guard.site == site.name)
        by_file.setdefault(site.file, []).append((site.anchor, there + site.anchor))
    functions = "".join(map(_function, guards))
    by_file[_RESET].append((_FUNCTIONS, functions + _FUNCTIONS))
    return [
        Edit("guards", f"guards in {file}", file, *pairs[0], more=tuple(pairs[1:]))
        for file, pairs in by_file.items()
    ]


def _code(guard: Guard) -> str:
    condition = " && ".join(predicate.text for predicate in guard.predicates)
    call = f"extern void {guard.function}(void);\n\t\t{guard.function}();"
    return f"\tif ({condition}) {{\n\t\t{call}\n\t}}\n"


def _function(guard: Guard) -> str:
    # What it holds is its own, or the compiler makes one of those that are alike.
    body = f'asm volatile("hint #0 // {guard.number}" ::: "memory");'
    return f"void {guard.function}(void);\nnoinline void {guard.function}(void) {{ {body} }}\n"
