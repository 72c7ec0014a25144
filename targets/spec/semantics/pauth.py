"""Semantics of pointer authentication (Arm ARM, AddPAC, Auth, Strip; see `targets.spec.pauth`)."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.pauth import (
    ALL_ENABLES,
    AUTHENTICATE,
    BRANCHES,
    EL1H,
    ENABLE_KEYS,
    FORMS,
    KEY_ENABLES,
    LOADS,
    NOP,
    SIGN,
)
from corpus.registers import SYSREG_ENCODINGS
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import UNDEFINED, Decides, GuestException, Unpredictable, syndrome
from targets.spec.pauth import (
    INPUT_BITS,
    MOST_INPUT_BITS,
    SELECT,
    Signed,
    code_bits,
    is_canonical,
)
from targets.spec.rules import in_force
from targets.spec.semantics.arrival import arrive
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.sets import Candidate, exact, join, unknown

LR, SP = 30, 31
_EC_FAILED = 0x1C
_GENERIC = U64 ^ 0xFFFF_FFFF
"""The bits of PACGA's code."""
FORKING = frozenset(form.name for form in FORMS) - {ENABLE_KEYS}
"""Forms that may fault or not, on CPUs that differ in that."""


def need_keys(cpu: Cpu, name: str, access: int) -> None:
    """An MRS or MSR of the key `name` at EL1 or EL2. `access`: Rt and direction, as in ESR_ELx.
    Raises GuestException, Unpredictable."""
    _check_regime(cpu)
    if not cpu.vcpu.pauth:
        # KVM knows that of the VM before it looks at HCR_EL2.APK (triage_sysreg_trap).
        cpu.rules.add("pauth.keys-undefined")
        cpu.leave()
        raise GuestException(UNDEFINED)
    op0, op1, crn, crm, op2 = SYSREG_ENCODINGS[name]
    cpu.need_key(op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1 | access)
    _first_use(cpu)


def write_key(cpu: Cpu, name: str, value: int, mask: int) -> None:
    """MSR of a key, by which instructions may go from now on, and do once it is synchronised."""
    vcpu = cpu.vcpu
    vcpu.origins[name] = cpu.rule
    vcpu.sys[name] = ((value & ~mask, mask),)
    vcpu.forget_signed(name)
    cpu.loose_keys.add(name[2:4])


def _check_regime(cpu: Cpu) -> None:
    if cpu.vcpu.tagged:
        raise Unpredictable("codes beside tags in pointers are not modelled", Decides.NOTHING)


def _first_use(cpu: Cpu) -> None:
    """Older kernels give a vcpu its keys when it first uses them (__hyp_handle_ptrauth)."""
    if cpu.mode == "protected":
        cpu.rules.add("pauth.in-protected-mode")
    if in_force("pauth.eager", cpu.kernel):
        cpu.rules.add("pauth.eager")
    else:
        cpu.leave()


def _works(cpu: Cpu, key: str, *, is_hint: bool) -> bool:
    """Whether an instruction with `key` is done; else it leaves its register. Raises
    GuestException, Unpredictable."""
    if is_hint and cpu.has_pauth is False:
        cpu.rules.add("pauth.hints")
        return False
    _check_regime(cpu)
    enabled = key == "ga" or _enables(cpu, key)
    if cpu.vcpu.pauth:
        if enabled:
            cpu.need_pauth()
            _first_use(cpu)
        else:
            cpu.rules.add("pauth.disabled")
        return enabled
    if cpu.has_pauth is None and is_hint == enabled and cpu.forks.choose(2):
        if is_hint:
            return False
        raise GuestException(UNDEFINED)
    if not enabled:
        cpu.rules.add("pauth.disabled")
        return False
    cpu.rules.add("pauth.trapped")
    cpu.leave()
    raise GuestException(UNDEFINED)


def _enables(cpu: Cpu, key: str) -> bool:
    sctlr, mask = join(cpu.vcpu.sys[cpu.sctlr])
    if not mask & KEY_ENABLES[key]:
        return bool(sctlr & KEY_ENABLES[key])
    if cpu.vcpu.el2 and not cpu.vcpu.pauth:
        # KVM keeps what the VM does not have from the register whenever it saves it.
        return not cpu.forks.choose(2)
    name = cpu.sctlr.upper()
    raise Unpredictable(f"{name}.En{key.upper()} is not known", Decides.NOTHING)


def _input_bits(cpu: Cpu, is_lower: bool) -> int:
    return INPUT_BITS if cpu.vcpu.mapped and is_lower else MOST_INPUT_BITS


def _sign(cpu: Cpu, n: int, key: str, modifier: Candidate) -> None:
    """X register n gets a code in all upper bits but bit 55, which takes bit 63. Bit 63 tells which
    half of the addresses it is of (Arm ARM, AddPAC); QEMU goes by bit 55."""
    vcpu = cpu.vcpu
    value, mask = cpu.x(n)
    sign_unknown = mask >> 63 & 1
    bits = _input_bits(cpu, is_lower=not value >> 63 and not sign_unknown)
    either_half = mask & SELECT or sign_unknown or (value >> 63 ^ value >> 55) & 1
    least = min(bits, _input_bits(cpu, is_lower=True)) if either_half else bits
    code = code_bits(least)
    kept = ~(code | SELECT)
    cpu.rules.add("pauth.signs")
    cpu.set_x(n, value & kept | (value >> 63) * SELECT, mask & kept | code | sign_unknown * SELECT)
    vcpu.signed.pop(n, None)
    known = not mask and not modifier[1] and key not in cpu.loose_keys
    if n != 31 and known and is_canonical(value, bits):
        vcpu.signed[n] = Signed(vcpu.x[n], cpu.rule, key, modifier[0], value)


def _authenticate(cpu: Cpu, n: int, key: str, modifier: Candidate) -> None:
    """X register n gets the pointer back that it was signed from. Where it was not signed so, or
    that is not known: without FEAT_FPAC the upper bits tell of an error, with it the instruction
    does, and in a few of thousands of cases the code is right all the same."""
    pointer = _authentic(cpu, n, key, modifier)
    if pointer is not None:
        cpu.rules.add("pauth.gives-back")
        cpu.set_x(n, pointer)
        return
    cpu.rules.add("pauth.fails")
    if cpu.forks.choose(2):
        raise GuestException(syndrome(_EC_FAILED, (key[0] == "d") << 1 | (key[1] == "b")))
    value, mask = cpu.x(n)
    code = code_bits(_least_input_bits(cpu, value, mask))
    cpu.set_x(n, value & ~code, mask | code)


def _authentic(cpu: Cpu, n: int, key: str, modifier: Candidate) -> int | None:
    """The pointer that X register n was signed from with this key and modifier, None if that is
    not certain."""
    signed = cpu.vcpu.still_signed(n)
    if signed and (signed.key, signed.modifier, 0) == (key, *modifier):
        return None if key in cpu.loose_keys else signed.pointer
    return None


def _least_input_bits(cpu: Cpu, value: int, mask: int) -> int:
    """By bit 55 of a pointer that may have a code."""
    return _input_bits(cpu, is_lower=not value & SELECT)


def _strip(cpu: Cpu, n: int) -> None:
    """X register n has copies of bit 55 in place of the code. Where TCR_EL1 does not say for
    certain where that is, only what is a copy already is known."""
    cpu.rules.add("pauth.strips")
    value, mask = cpu.x(n)
    bits = _least_input_bits(cpu, value, mask)
    code = code_bits(bits)
    copies = code if value & SELECT else 0
    unknown = mask & ~code
    if mask & SELECT:
        unknown |= code
    elif bits == MOST_INPUT_BITS:
        unknown |= code & (mask | value ^ copies)
    cpu.set_x(n, value & ~code | copies, unknown)


def _strips(cpu: Cpu, n: int, *, is_hint: bool) -> None:
    """XPAC, which no key enables. Whether it traps without pointer authentication, manuals do not
    agree."""
    if is_hint and cpu.has_pauth is False:
        cpu.rules.add("pauth.hints")
        return
    _check_regime(cpu)
    if cpu.vcpu.pauth and not cpu.passes_pauth() and cpu.forks.choose(2):
        cpu.need_pauth()
    if not cpu.vcpu.pauth:
        way = cpu.forks.choose(2 + (is_hint and cpu.has_pauth is None))
        if way == 1:
            cpu.leave()
            raise GuestException(UNDEFINED)
        if way == 2:
            return
    _strip(cpu, n)


@semantic("xpaci", "xpacd")
def xpac(cpu: Cpu, xd: int) -> None:
    _strips(cpu, xd, is_hint=False)


@semantic("xpaclri")
def xpaclri(cpu: Cpu) -> None:
    _strips(cpu, LR, is_hint=True)


@semantic("pacga")
def pacga(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    if _works(cpu, "ga", is_hint=False):
        cpu.rules.add("pauth.generic")
        cpu.set_x(xd, 0, _GENERIC)
        cpu.vcpu.signed.pop(xd, None)


@semantic(ENABLE_KEYS)
def enable_keys(cpu: Cpu, enables: int) -> None:
    """What SCTLR_EL1 means here with other bits for the keys, by way of X29 and X30, and an ISB.
    While HCR_EL2.TVM is set KVM writes it (vm.c, access_vm_reg). Raises GuestException,
    Unpredictable."""
    vcpu = cpu.vcpu
    if cpu.el == 0:
        raise GuestException(UNDEFINED)
    _check_regime(cpu)
    name = cpu.enables_register()
    sctlr, mask = join(vcpu.sys[name])
    sctlr, mask = sctlr & ~ALL_ENABLES | enables, mask & ~ALL_ENABLES
    cpu.set_x(29, sctlr, mask)
    cpu.set_x(30, enables)
    lost = enables if not cpu.has_pauth or (vcpu.el2 and not vcpu.pauth) else 0
    vcpu.sys[name] = unknown(sctlr, mask | lost)
    vcpu.origins[name] = cpu.rule
    cpu.leave()
    cpu.synchronise()


def _load(key: str, *, writes_back: bool) -> Semantic:
    """LDRAA, LDRAB: xt, xn, offset."""

    def run(cpu: Cpu, xt: int, xn: int, imm: int) -> None:
        if _works(cpu, key, is_hint=False):
            pointer = _authentic(cpu, xn, key, (0, 0))
            if pointer is None:
                raise Unpredictable("a load by a pointer that may not be authentic")
            cpu.rules.add("pauth.gives-back")
        else:
            pointer = cpu.address(xn)
        address = pointer + imm & U64
        if not cpu.reaches(address, 8):
            raise Unpredictable("a load by a pointer with a code that aborts")
        loaded = cpu.load(address, 8, vector=False)
        if writes_back:
            cpu.set_xsp(xn, address)
            cpu.vcpu.signed.pop(xn, None)
        cpu.set_x(xt, *loaded)

    return run


for _form in LOADS:
    _key = "d" + _form.mnemonic[-1]
    SEMANTICS[_form.name] = _load(_key, writes_back=_form.name.endswith("_pre"))


def _branch(form: Form) -> Semantic:
    """ADR of what comes next, its signing, and the branch: [xn[, xm]]."""
    base = form.name.removesuffix("_next")
    returns, zero, links = base[:3] == "ret", base.endswith("z"), base[:3] == "blr"
    key = "i" + base.removesuffix("z")[-1]
    signs = f"pac{key}sp" if returns else f"paciz{key[1]}" if zero else f"pac{key}"

    def run(cpu: Cpu, xn: int = LR, xm: int = SP) -> None:
        start = cpu.pc
        behind = start + 4 * form.words.index(NOP)
        cpu.set_x(xn, behind)
        cpu.vcpu.signed.pop(xn, None)
        cpu.pc = start + 4
        if not returns:
            _check_feature(cpu)
        SEMANTICS[signs](cpu, *(() if returns else (xn,) if zero else (xn, xm)))
        cpu.pc += 4
        _check_feature(cpu)
        if _works(cpu, key, is_hint=False):
            _check_own(cpu, key)
        if links:
            cpu.set_x(LR, behind)
        cpu.pc = start

    return run


def _check_own(cpu: Cpu, key: str) -> None:
    """A form authenticates what it just signed, with the modifier, known or not, that it still has.
    Raises Unpredictable."""
    if key in cpu.loose_keys:
        raise Unpredictable("a pointer that may not be authentic: its key is not synchronised")
    cpu.rules.add("pauth.gives-back")


def _exception_return(form: Form) -> Semantic:
    """ERETAA, ERETAB, by way of X30: to EL1 with its own stack pointer, with SP as modifier."""
    key = "i" + form.mnemonic[5]

    def run(cpu: Cpu) -> None:
        _check_regime(cpu)
        vcpu, start = cpu.vcpu, cpu.pc
        behind = start + 4 * len(form.words)
        cpu.set_x(LR, behind)
        vcpu.signed.pop(LR, None)
        cpu.pc = start + 4
        SEMANTICS[f"pac{key}sp"](cpu)
        cpu.pc += 4
        if cpu.el == 0:
            cpu.rules.add("eret.undefined-at-el0")
            raise GuestException(UNDEFINED)
        elr, spsr = cpu.return_registers(EL1H)
        for name, held in ((elr, vcpu.x[LR]), (spsr, exact(EL1H))):
            vcpu.origins[name] = cpu.rule
            vcpu.core[name] = held
        cpu.set_x(LR, EL1H)
        vcpu.signed.pop(LR, None)
        cpu.pc = start + 20
        _check_feature(cpu)
        if cpu.el == 2:
            _need_return(cpu)
        if _works(cpu, key, is_hint=False):
            _check_own(cpu, key)
        arrive(cpu, EL1H, behind)
        cpu.pc = start

    return run


def _need_return(cpu: Cpu) -> None:
    """ERETAA or ERETAB at EL2, which KVM does. Raises GuestException, Unpredictable."""
    if not cpu.vcpu.pauth:
        cpu.rules.add("el2.eretax-undefined")
        cpu.leave()
        raise GuestException(UNDEFINED)
    cpu.rules.add("el2.eretax")


def _check_feature(cpu: Cpu) -> None:
    """Whether the CPU has what is not a hint. Raises GuestException."""
    if "pauth" in cpu.lacks:
        cpu.rules.add("run.undefined-feature")
        raise GuestException(UNDEFINED)


def _register() -> None:
    work = {SIGN: _sign, AUTHENTICATE: _authenticate}

    def hint(what: str, key: str, n: int, modifier: int | None) -> None:
        def run(cpu: Cpu) -> None:
            if _works(cpu, key, is_hint=True):
                work[what](cpu, n, key, (0, 0) if modifier is None else cpu.xsp(modifier))

        suffix = {None: "z", SP: "sp", 16: "1716"}[modifier]
        SEMANTICS[f"{what}{key}{suffix}"] = run

    def plain(what: str, key: str) -> None:
        def by_register(cpu: Cpu, xd: int, xn: int) -> None:
            if _works(cpu, key, is_hint=False):
                work[what](cpu, xd, key, cpu.xsp(xn))

        def by_zero(cpu: Cpu, xd: int) -> None:
            if _works(cpu, key, is_hint=False):
                work[what](cpu, xd, key, (0, 0))

        SEMANTICS[what + key] = by_register
        SEMANTICS[f"{what}{key[0]}z{key[1]}"] = by_zero

    for what in work:
        for key in KEY_ENABLES:
            plain(what, key)
        for key in ("ia", "ib"):
            for n, modifier in ((LR, None), (LR, SP), (17, 16)):
                hint(what, key, n, modifier)


_register()
for _form in BRANCHES:
    _build = _exception_return if _form.mnemonic.startswith("ereta") else _branch
    SEMANTICS[_form.name] = _build(_form)
