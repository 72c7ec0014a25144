"""Guest programs: plausible code that sets its vector units up, and some nonsense."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from corpus.domain import Domain, TextError
from corpus.fields import MAX_PROGRAM
from corpus.isa import mops
from corpus.isa.decode import decode
from corpus.isa.form import Form, Insn
from corpus.isa.system import ANY, BRANCH_TO, GMID, LOOPS, OF_EL2, RETURN_VECTORS, unsynchronised
from corpus.isa.table import COMMON, FORMS, insn
from corpus.isa.tagged import TAG_CHECKS
from corpus.isa.unallocated import UNALLOCATED, is_unallocated
from corpus.registers import KEY_NAMES, TAGGING_NAMES
from corpus.stream import Source
from corpus.wire import MMIO_BASE, RAM_SIZE
from fuzz.generate.copies import copied
from fuzz.generate.signing import signed

DATA = 0x8000
"""Offset in guest RAM at which data begins."""
MIDDLE, SPREAD = DATA + 0x4000, 512
"""Where most accesses go, and over how many bytes their bases are spread."""


RETURNING = 0.06
"""How many programs have a handler that returns, so that they outlive exceptions."""


def source(rng: random.Random, size: int = 96) -> Source:
    """Random bytes for a domain's `draw`."""
    return Source(rng.randbytes(size))


def random_insn(rng: random.Random, form: Form | None = None) -> Insn:
    """Any instruction, or one of `form`; often with a register named twice."""
    form = form or rng.choice(_FORMS)
    drawn = Insn(form, form.draw(source(rng)))
    return _aliased(rng, drawn) if rng.random() < 0.25 else drawn


def _aliased(rng: random.Random, drawn: Insn) -> Insn:
    """The same with some registers equal to another of their kind, where that can be encoded."""
    args = list(drawn.args)
    places: dict[str, list[int]] = {}
    for index, operand in enumerate(drawn.form.operands):
        if operand.name[0] in "zpvx" and len(operand.name) == 2:
            places.setdefault(operand.name[0], []).append(index)
    for same_kind in places.values():
        number = args[rng.choice(same_kind)]
        for index in same_kind:
            if rng.random() < 0.7 and _takes(drawn.form.operands[index].domain, number):
                args[index] = number
    aliased = Insn(drawn.form, tuple(args))
    return drawn if drawn.form.valid and not drawn.form.valid(aliased.args) else aliased


def _takes(domain: Domain[int], value: int) -> bool:
    try:
        return domain.parse(domain.format(value)) == value
    except TextError:
        return False


_FORMS = [form for form in COMMON.values() if form.name not in {*LOOPS, BRANCH_TO, TAG_CHECKS}]
"""All but loops that only take time, for which what goes on beside has a use, a branch that ends
what is judged unless the guest's data is mapped, and what has memory tagged: where that cannot be,
or nothing is mapped, a guest comes to no end."""
GROUPS: dict[str, list[Form]] = {}
for _form in _FORMS:
    GROUPS.setdefault(_form.group, []).append(_form)
_GROUP_NAMES = list(GROUPS)


def enable_vectors(rng: random.Random) -> list[Insn]:
    """CPACR_EL1 := both units on, sometimes something else; rarely without the ISB that makes
    it certain."""
    value = 0x33 if rng.random() < 0.9 else rng.randrange(0x40)
    code = [insn("movz16", 0, value), insn("msr", _SYS["cpacr_el1"], 0)]
    return code if rng.random() < 0.04 else [*code, insn("isb")]


def synchronised_soon(rng: random.Random, code: list[Insn]) -> list[Insn]:
    """Code in which a write of CPACR_EL1 mostly has an ISB a few instructions behind it: each
    that may or may not see it is one more way that a run can go, of which few are followed."""
    writes = [n for n, each in enumerate(code) if _writes_cpacr(each)]
    if not writes or rng.random() < 0.1 or unsynchronised(code) <= FEW_UNSYNCHRONISED:
        return code
    place = writes[0] + rng.randrange(2, 2 + FEW_UNSYNCHRONISED)
    return [*code[:place], insn("isb"), *code[place:]]


FEW_UNSYNCHRONISED = 3


def _writes_cpacr(each: Insn) -> bool:
    return each.form.name == "msr" and each.args[0] == _SYS["cpacr_el1"]


def _set_length(rng: random.Random) -> list[Insn]:
    return [insn("movz", 0, rng.randrange(16)), insn("msr", _SYS["zcr_el1"], 0)]


_SYS = {
    name: FORMS["msr"].operands[0].domain.parse(name) for name in ("zcr_el1", "cpacr_el1", "fpcr")
}


def _base_of(form: Form) -> tuple[int, str] | None:
    """The operand that is a memory form's base register."""
    for index, operand in enumerate(form.operands):
        if operand.name == "xn":
            return index, operand.name
    return None


_NOT_THE_BASE = frozenset({"xm", "xt1", "xt2"})
"""Operands that are to be other registers than the base: an index, and what STGP stores."""


def memory_access(rng: random.Random, form: Form) -> list[Insn]:
    """A memory instruction with its base register pointed into RAM, rarely at its edge."""
    access = random_insn(rng, form)
    if form.group == mops.GROUP:
        return copied(rng, access, MIDDLE)
    base = _base_of(form)
    if base is None:
        return _from_vector(rng, access)
    args = list(access.args)
    setup = []
    for index, operand in enumerate(form.operands):
        if operand.name == "xm" and index != base[0]:
            args[index] = rng.choice((5, 5, 5, args[index]))
            if args[index] != 31:
                setup.append(insn("movz", args[index], rng.choice((0, 1, 2, 8, 16, 32))))
        elif operand.name == "imm" and form.name in _FAR and rng.random() < 0.8:
            args[index] = rng.randrange(-2, 3)
    taken = {args[n] for n, operand in enumerate(form.operands) if operand.name in _NOT_THE_BASE}
    register = rng.choice((1, 2, 3, 4) if rng.random() < 0.7 else range(31))
    if register in taken:
        register = next(n for n in (6, 7, 8) if n not in taken)
    args[base[0]] = register
    middle = MIDDLE + rng.randrange(0, SPREAD, 16)
    edge = RAM_SIZE - 16 * rng.randrange(1, 40)
    roll = rng.random()
    if roll < 0.03:
        setup.append(insn("movz16", register, MMIO_BASE >> 16))
    else:
        setup.append(insn("lda", register, middle if roll < 0.9 else edge))
    if rng.random() < 0.15:
        setup.append(insn("add_imm", 31, register, 0))  # mov sp, xN
        args[base[0]] = 31
    return [*setup, Insn(form, tuple(args))]


_FAR = frozenset({"ldr_z", "str_z", "ldr_p", "str_p"})
"""Forms whose immediate, times the VL, reaches far beyond RAM either way."""


def _spill(rng: random.Random) -> list[Insn]:
    """A whole register stored with STR and loaded with LDR, there or next to it."""
    kind, first, count = rng.choice((("z", _INDEX, 32), ("z", _INDEX, 32), ("p", _PTRUE, 16)))
    kept, base, at = rng.randrange(count), 1, rng.randrange(-2, 3)
    return [
        Insn(first, (kept, *first.draw(source(rng))[1:])),
        insn("lda", base, MIDDLE + rng.randrange(0, SPREAD, 16)),
        insn(f"str_{kind}", kept, base, at),
        insn(f"ldr_{kind}", rng.randrange(count), base, rng.choice((at, -at, at + 1))),
    ]


_INDEX, _PTRUE = FORMS["index_ii"], FORMS["ptrue"]


def stores(program: Sequence[Insn]) -> bool:
    """Whether a program has an instruction that stores."""
    groups = {i.form.group for i in program}
    return any("store" in group or "scatter" in group or group == "mem" for group in groups)


def _from_vector(rng: random.Random, access: Insn) -> list[Insn]:
    """An access to addresses in a vector: they point into RAM, or, where a register is added to
    them, that does, and the vector holds small offsets."""
    values = {o.name: n for o, n in zip(access.form.operands, access.args, strict=True)}
    if "zn" not in values or rng.random() < 0.05:
        return [access]
    lane = 2 if ".s" in access.form.syntax else 3
    step, base = rng.choice((1, 2, 4, 8, 15)), MIDDLE + rng.randrange(0, SPREAD, 16)
    if "xm" in values:
        setup = [insn("lda", values["xm"], base), insn("index_ii", values["zn"], lane, 0, step)]
    else:
        setup = [insn("lda", _BASE, base), insn("index_ri", values["zn"], lane, _BASE, step)]
    return [*setup, access]


_BASE = 6
"""The register from which addresses are put into a vector."""


def is_memory(form: Form) -> bool:
    """Whether an instruction of this form accesses memory."""
    return any(word in form.group for word in ("mem", "load", "store", "gather", "scatter"))


IDIOMS = 0.195
"""How often a few instructions are such that belong together."""


def idiom(rng: random.Random) -> list[Insn]:
    """A few instructions that belong together: what makes vectors meaningful, or ends a run."""
    make, _ = rng.choices(_IDIOMS, _IDIOM_WEIGHTS)[0]
    return make(rng)


def random_program(rng: random.Random, length: int | None = None) -> tuple[Insn, ...]:
    """A guest program that usually switches its vector units on first."""
    program: list[Insn] = []
    if rng.random() < 0.9:
        program += enable_vectors(rng)
    if rng.random() < 0.6:
        program += _set_length(rng)
    if rng.random() < RETURNING:
        program.append(insn(RETURN_VECTORS))
    want = length or rng.choice((0, 1, 2, 4, 8, 12, 16))
    for _ in range(want):
        if rng.random() < IDIOMS:
            program += idiom(rng)
        else:
            roll = rng.random()
            form = (
                rng.choice(GROUPS[rng.choice(_GROUP_NAMES)]) if roll < 0.5 else rng.choice(_FORMS)
            )
            if _often_ends_run(form) and rng.random() < 0.6:
                continue
            if form.name == ANY:
                program.append(insn(ANY, strange_word(rng)))
            elif form.name in ("mrs", "msr"):
                program.append(system_access(rng, form))
            elif is_memory(form):
                program += memory_access(rng, form)
            else:
                program.append(random_insn(rng, form))
    return tuple(synchronised_soon(rng, program)[:MAX_PROGRAM])


_ENDS_RUN = frozenset({"svc", "brk", "udf", ANY, *(f.name for f in _FORMS if f.cap == "mte")})


def _often_ends_run(form: Form) -> bool:
    """Whether on many machines nothing behind an instruction is executed."""
    return form.name in _ENDS_RUN


_SVE_FORMS = [form for form in _FORMS if form.words[0] & 0x1E00_0000 == 0x0400_0000]


def strange_word(rng: random.Random) -> int:
    """A word that is unallocated, or next to an instruction of SVE and rarely unknown."""
    if rng.random() < 0.5:
        mask, value = rng.choice(UNALLOCATED)
        return rng.getrandbits(32) & ~mask | value
    while True:
        word = random_insn(rng, rng.choice(_SVE_FORMS)).words()[0]
        for _ in range(rng.choice((1, 1, 2))):
            word ^= 1 << rng.choice(_OPCODE_BITS)
        if rng.random() < 0.1 or is_unallocated(word) or _is_common(word):
            return word


def _is_common(word: int) -> bool:
    """Whether a word is an instruction that most machines have."""
    known = decode(word)
    return known is not None and known.form.name in COMMON


_OPCODE_BITS = (*range(10, 25), 29, 30, 31)


def system_access(rng: random.Random, form: Form) -> Insn:
    """An MRS or MSR; rarely of a register that is UNDEFINED below EL2, or without pointer
    authentication or memory tagging, which ends a run."""
    access = random_insn(rng, form)
    while rng.random() < 0.9 and any(arg in _OFTEN_UNDEFINED for arg in access.args):
        access = random_insn(rng, form)
    return access


_OFTEN_UNDEFINED = frozenset(
    FORMS["mrs"].operands[1].domain.parse(name)
    for name in (*OF_EL2, *KEY_NAMES, *TAGGING_NAMES, GMID, "tco")
)

_FUNCTIONS: dict[int, float] = {
    **dict.fromkeys((0xC400_0003, 0x8400_0003), 12),  # CPU_ON
    **dict.fromkeys((0xC400_0004, 0x8400_0004), 5),  # AFFINITY_INFO
    **dict.fromkeys((0x8400_0000, 0x8000_0000, 0x8400_0006), 3),  # versions, MIGRATE_INFO_TYPE
    **dict.fromkeys((0x8400_0008, 0x8400_0009, 0x8400_0012, 0xC400_0012), 2),  # SYSTEM_*
    0x8400_000A: 4,  # PSCI_FEATURES
    **dict.fromkeys((0, 0x8400_00FF, 0xC200_0000), 2),  # nobody's
    0x95C1_BA60: 2,  # CPU_ON of PSCI 0.1
    # What the CPU, the firmware and the hypervisor have; random numbers; SYSTEM_SUSPEND.
    **dict.fromkeys((0x8000_0001, 0x8600_FF01, 0xC500_0020, 0x8400_0053, 0x8400_000E), 0.6),
    **dict.fromkeys((0x8400_0002, 0xC400_0001), 0.05),  # CPU_OFF, CPU_SUSPEND
}
"""Functions that a guest calls, with weights. CPU_OFF and CPU_SUSPEND are rare: each costs
a KVM leg the whole time limit of a run."""


def constant(register: int, value: int) -> list[Insn]:
    """Code that loads a 32-bit constant."""
    return [insn("movz", register, value & 0xFFFF), insn("movk", register, value >> 16, 1)]


def hypercall(rng: random.Random) -> list[Insn]:
    """A call of the hypervisor with plausible arguments."""
    function = rng.choices(list(_FUNCTIONS), list(_FUNCTIONS.values()))[0]
    first = rng.choice((0, 1, 1, 2, 9))
    if function == 0x8400_000A:
        first = rng.choice(list(_FUNCTIONS))
    code = [*constant(0, function), *constant(1, first)]
    code += [insn("movz", 2, rng.choice((0, 0, 1, 3, 4, 0x1000)))]
    return [*code, insn("movz", 3, rng.randrange(1 << 16)), insn("hvc", 0)]


def _predicate(rng: random.Random) -> list[Insn]:
    form = FORMS.get("ptrue")
    return [random_insn(rng, form)] if form else []


_IDIOMS: tuple[tuple[Callable[[random.Random], list[Insn]], int], ...] = (
    (_set_length, 70),
    (_predicate, 80),
    (hypercall, 20),
    (lambda rng: [random_insn(rng, FORMS["eret_to"])], 10),
    (_spill, 15),
    (signed, 20),
)
"""With how often each is drawn."""
_IDIOM_WEIGHTS = [weight for _, weight in _IDIOMS]
