"""The reference model: a VM stepped op by op, each step saying what may be observed.

The model's state after a step assumes the op's only outcome, or waits for the
observation where several are permitted. `Model` is told what was observed through
`targets.model.judge`, which narrows the sets named in the step's parts.
"""

from __future__ import annotations

from collections.abc import Callable

from corpus import registers as regs
from corpus import wire
from corpus.ops import (
    FEATURE_SVE,
    FINALIZE_SVE,
    GENERIC_V8,
    READ_GROUPS,
    CreateVcpu,
    Finalize,
    GetMp,
    GetReg,
    GetVls,
    Init,
    Op,
    PreferredTarget,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetMp,
    SetReg,
    SetVls,
    WriteMem,
)
from targets.model import onereg
from targets.model.errno import (
    E2BIG,
    EBADF,
    EEXIST,
    EFAULT,
    EINTR,
    EINVAL,
    ENOENT,
    ENOEXEC,
    EPERM,
)
from targets.model.errors import Unpredictable
from targets.model.expect import Home, Outcome, Part, Permitted, fails
from targets.model.memory import Memory
from targets.model.readall import usual_answer
from targets.model.run import run
from targets.model.sets import Set, either, exact, unknown
from targets.model.vcpu import Vcpu, Vm
from targets.profile import Profile

POWER_OFF = 1
EL1_32BIT = 1 << 1
PMU_V3 = 1 << 3
PTRAUTH = 3 << 5
HAS_EL2 = 1 << 7
MP_RUNNABLE, MP_STOPPED, MP_SUSPENDED = 0, 5, 10
KVM_EXIT_MMIO = 6
PREFILL = 0x5A


class Model:
    """The specification of one VM on the machine described by `profile`.

    `rules` collects the ids of the rules that the steps have used.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.vm = Vm()
        self.mem = Memory()
        self.rules: set[str] = set()
        self.beyond = False
        """A register outside the model was written: what a later run does is not known."""

    def step(self, op: Op) -> Permitted:
        """What `op` may observe now. Raises Unpredictable."""
        permitted = _STEPS[type(op)](self, op)
        self.rules.add(permitted.rule)
        return permitted

    # -- life of a vcpu -----------------------------------------------------------

    def _create(self, op: CreateVcpu) -> Permitted:
        if op.vcpu in self.vm.vcpus:
            return fails("vcpu.create-twice", EEXIST)
        self.vm.vcpus[op.vcpu] = Vcpu()
        return Permitted("vcpu.create", (Outcome(),))

    def _preferred_target(self, op: PreferredTarget) -> Permitted:
        part = Part("kvm_vcpu_init", 32, exact(GENERIC_V8))
        return Permitted("vm.preferred-target", (Outcome(known_parts=(part,)),))

    def _init(self, op: Init) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return fails("vcpu.missing", EBADF)
        features = op.features & ~POWER_OFF
        refusal = self._init_refusal(vcpu, op.target, features)
        if refusal:
            return refusal
        rule = "init.again" if vcpu.initialised else "init.first"
        effect = self._init_effect(vcpu, features, op.features & POWER_OFF)
        if features & EL1_32BIT and features & FEATURE_SVE:
            # Not refused by the code read, not promised by the interface either.
            return Permitted("init.aarch32-sve", (Outcome(effect=effect), Outcome(EINVAL)))
        effect()
        return Permitted(rule, (Outcome(),))

    def _init_refusal(self, vcpu: Vcpu, target: int, features: int) -> Permitted | None:
        if target != GENERIC_V8:
            return fails("init.target", EINVAL)
        if features & ~self.profile.valid_features:
            return fails("init.unknown-feature", ENOENT)
        if features & ~self.profile.features:
            return fails("init.unsupported-feature", EINVAL)
        if features & PTRAUTH not in (0, PTRAUTH):
            return fails("init.half-ptrauth", EINVAL)
        if features & EL1_32BIT and features & HAS_EL2:
            return fails("init.aarch32-el2", EINVAL)
        if self.vm.features is not None and features != self.vm.features:
            rule = "init.features-changed" if vcpu.initialised else "init.vm-wide-features"
            return fails(rule, EINVAL)
        return None

    def _init_effect(self, vcpu: Vcpu, features: int, power_off: int) -> Callable[[], None]:
        def effect() -> None:
            self.vm.features = features
            vcpu.initialised = True
            vcpu.sve = bool(features & FEATURE_SVE)
            vcpu.aarch32 = bool(features & EL1_32BIT)
            if not vcpu.finalised:
                vcpu.max_vq = self.profile.max_vq
            vcpu.reset()
            vcpu.stopped = MP_STOPPED if power_off else MP_RUNNABLE

        return effect

    def _finalize(self, op: Finalize) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return fails("vcpu.missing", EBADF)
        if not vcpu.initialised:
            return fails("finalize.not-initialised", ENOEXEC)
        if op.what != FINALIZE_SVE:
            return fails("finalize.what", EINVAL)
        if not vcpu.sve:
            return fails("finalize.no-sve", EINVAL)
        if vcpu.finalised:
            return fails("finalize.twice", EPERM)
        vcpu.finalised = True
        return Permitted("finalize.ok", (Outcome(),))

    # -- vector lengths ------------------------------------------------------------

    def _vls_gate(self, slot: int) -> Vcpu | Permitted:
        vcpu = self.vm.vcpus.get(slot)
        if vcpu is None:
            return fails("vcpu.missing", EBADF)
        if not vcpu.initialised:
            return fails("reg.not-initialised", ENOEXEC)
        if not vcpu.sve:
            return fails("vls.no-sve", ENOENT)
        return vcpu

    def _get_vls(self, op: GetVls) -> Permitted:
        return self._read_vls(op.vcpu, None)

    def _read_vls(self, slot: int, edge: int | None) -> Permitted:
        vcpu = self._vls_gate(slot)
        if isinstance(vcpu, Permitted):
            return _with_prefill(vcpu, 64 if edge is None else edge)
        vqs = self.profile.vqs & ((1 << vcpu.max_vq) - 1)
        if edge is not None and edge < 64:
            return _fault_on_get("vls.get", 64, edge)
        return Permitted("vls.get", (Outcome(known_parts=(Part("vls", 64, exact(vqs)),)),))

    def _set_vls(self, op: SetVls) -> Permitted:
        return self._write_vls(op.vcpu, op.vqs, None)

    def _write_vls(self, slot: int, vqs: int, edge: int | None) -> Permitted:
        vcpu = self._vls_gate(slot)
        if isinstance(vcpu, Permitted):
            return vcpu
        if vcpu.finalised:
            return fails("vls.after-finalize", EPERM)
        if edge is not None and edge < 64:
            return fails("vls.set-fault", EFAULT)
        top = vqs.bit_length()
        if top > self.profile.max_vq:
            return fails("vls.above-host-maximum", EINVAL)
        if vqs ^ (self.profile.vqs & ((1 << top) - 1)):
            return fails("vls.differs-from-host", EINVAL)
        if not vqs:
            return fails("vls.empty", EINVAL)
        vcpu.max_vq = top
        return Permitted("vls.set", (Outcome(),))

    # -- registers -------------------------------------------------------------------

    def _get_reg(self, op: GetReg) -> Permitted:
        if op.reg == regs.VLS_ID:
            return self._read_vls(op.vcpu, op.edge)
        size = min(regs.size_of(op.reg), 256)
        seen = size if op.edge is None else min(op.edge, size)
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return _with_prefill(fails("vcpu.missing", EBADF), seen)
        if not vcpu.initialised:
            return _with_prefill(fails("reg.not-initialised", ENOEXEC), seen)
        found = onereg.find(self.vm, vcpu, self.profile, op.reg)
        if isinstance(found, onereg.NotModelled):
            return Permitted(found.rule, (), anything=True)
        if isinstance(found, onereg.Refused):
            return _with_prefill(fails(found.rule, found.err), seen)
        if op.edge is not None and op.edge < size:
            return _fault_on_get(found.rule, size, seen)
        part = Part(regs.name_of(op.reg), size, found.candidates, found.home)
        return Permitted(
            found.rule, (Outcome(known_parts=(part,)),), self._context(vcpu), origins=vcpu.origins
        )

    def _set_reg(self, op: SetReg) -> Permitted:
        size = min(regs.size_of(op.reg), 256)
        data = op.value.expand(64 if op.reg == regs.VLS_ID else size)
        if op.reg == regs.VLS_ID:
            return self._write_vls(op.vcpu, int.from_bytes(data, "little"), op.edge)
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return fails("vcpu.missing", EBADF)
        if not vcpu.initialised:
            return fails("reg.not-initialised", ENOEXEC)
        found = onereg.find(self.vm, vcpu, self.profile, op.reg)
        mapped = size if op.edge is None else min(op.edge, size)
        if isinstance(found, onereg.NotModelled):
            self.beyond = True
            return Permitted(found.rule, (), anything=True)
        sysreg = op.reg & (onereg.UPPER_MASK | onereg.COPROC_MASK) == regs.ARM64 | regs.SYSREG
        if sysreg and op.edge is not None and op.edge < 8:
            return fails("sysreg.fault-first", EFAULT)
        if isinstance(found, onereg.Refused):
            return fails(found.rule, found.err)
        if mapped < found.copied:
            if found.kind in ("z", "p", "ffr"):
                _partial_write(found, data, mapped)
            return fails("reg.set-fault", EFAULT)
        value = int.from_bytes(data[: found.copied], "little")
        return self._accept(vcpu, found, value)

    def _accept(self, vcpu: Vcpu, slot: onereg.Slot, value: int) -> Permitted:
        home, key = slot.home

        def store() -> None:
            home[key] = exact(value)
            vcpu.origins.pop(slot.name, None)
            if slot.kind in _CORE_KINDS:
                _narrow_to_32bit(vcpu)

        refusals = slot.check(value) if slot.check else ()
        rule = slot.rule + "-set"
        if not refusals:
            store()
            return Permitted(rule, (Outcome(),))
        outcomes = tuple(Outcome(err, effect=None if err else store) for err in refusals)
        return Permitted(slot.rule + "-refused" if 0 not in refusals else rule, outcomes)

    def _reg_list(self, op: RegList) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        room = Part("n", 8, exact(op.room))
        if vcpu is None:
            return Permitted("vcpu.missing", (Outcome(EBADF, (room,)),))
        if not vcpu.initialised:
            return Permitted("reg-list.not-initialised", (Outcome(ENOEXEC, (room,)),))
        if vcpu.sve and not vcpu.finalised:
            return Permitted("reg-list.not-finalised", (Outcome(EPERM, (room,)),))
        count = Part("n", 8, unknown(0, 0x7FF))
        too_small = Outcome(E2BIG, (count,))
        fits = Outcome(0, (count, *_listed(vcpu)), open_ended=True)
        least = 43 + 50 if vcpu.sve else 75
        return Permitted(
            "reg-list.content", (too_small, fits) if op.room >= least else (too_small,)
        )

    def _read_all(self, op: ReadAll) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return Permitted("vcpu.missing", (Outcome(EBADF, open_ended=True),))
        whole, holes = usual_answer(vcpu) or (None, ())
        outcome = Outcome(whole=whole, holes=holes, more=lambda: self._read_parts(vcpu))
        return Permitted("reg.read-all", (outcome,), self._context(vcpu), origins=vcpu.origins)

    def _read_parts(self, vcpu: Vcpu) -> tuple[Part, ...]:
        parts: list[Part] = []
        for group in READ_GROUPS:
            for reg in group:
                err, size, candidates, home = self._peek(vcpu, reg)
                parts.append(Part("", 8, exact(err | size << 32)))
                if err:
                    break
                parts.append(Part(regs.name_of(reg), size, candidates, home))
                if size & 7:
                    parts.append(Part("", -size & 7, exact(0)))
        return tuple(parts)

    def _peek(self, vcpu: Vcpu, reg: int) -> tuple[int, int, Set, Home | None]:
        if not vcpu.initialised:
            return ENOEXEC, 0, exact(0), None
        found = onereg.find(self.vm, vcpu, self.profile, reg)
        if isinstance(found, onereg.Refused):
            self.rules.add(found.rule)
            return found.err, 0, exact(0), None
        assert isinstance(found, onereg.Slot)
        return 0, found.size, found.candidates, found.home

    # -- running -----------------------------------------------------------------------

    def _run(self, op: Run) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        nothing = Part("exit", 28, exact(0))
        if vcpu is None:
            return _run_fails("vcpu.missing", EBADF, EBADF, 0, nothing)
        if not vcpu.initialised:
            return _run_fails("run.not-initialised", ENOEXEC, ENOEXEC, None, nothing)
        vcpu.core["pc"] = exact(wire.CODE_BASE)
        vcpu.sys["vbar_el1"] = exact(wire.VECTOR_BASE)
        if vcpu.aarch32:
            _narrow_to_32bit(vcpu)
        if vcpu.sve and not vcpu.finalised:
            return _run_fails("run.not-finalised", EPERM, 0, None, nothing)
        if self.vm.features and self.vm.features & PMU_V3:
            return _run_fails("run.pmu-not-created", EINVAL, 0, None, nothing)
        self.vm.ran_once = vcpu.run_once = True
        if vcpu.stopped:
            return _run_fails("run.stopped", EINTR, 0, 1, nothing)
        if op.immediate:
            return _run_fails("run.immediate-exit", EINTR, 0, 0, nothing)
        if self.beyond:
            raise Unpredictable("a register outside the model was written before this run")
        ended = run(vcpu, self.profile, self.mem, op.program, self.rules)
        if ended.mmio is None:
            return _run_fails("run.fails", ended.err, 0, 0, nothing)
        mmio = ended.mmio
        parts = (
            Part("exit reason", 4, exact(KVM_EXIT_MMIO)),
            Part("mmio is_write", 4, exact(1)),
            Part("mmio address", 8, exact(mmio.address)),
            Part("mmio data", 8, unknown(mmio.value, mmio.mask)),
            Part("mmio length", 4, exact(mmio.size)),
            Part("flags", 4, exact(0)),
        )
        cause = dict.fromkeys(("mmio address", "mmio data"), ended.cause)
        return Permitted(
            "run.exit", (Outcome(known_parts=parts),), self._context(vcpu), origins=cause
        )

    def _set_mp(self, op: SetMp) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return fails("vcpu.missing", EBADF)
        if op.state not in (MP_RUNNABLE, MP_STOPPED, MP_SUSPENDED):
            return fails("mp.unknown-state", EINVAL)
        vcpu.stopped = op.state
        return Permitted("mp.set", (Outcome(),))

    def _get_mp(self, op: GetMp) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu)
        if vcpu is None:
            return fails("vcpu.missing", EBADF)
        return Permitted(
            "mp.get", (Outcome(known_parts=(Part("mp_state", 4, exact(vcpu.stopped)),)),)
        )

    # -- guest RAM ------------------------------------------------------------------------

    def _read_mem(self, op: ReadMem) -> Permitted:
        length = min(op.length, wire.RAM_SIZE - op.offset)
        value, mask = self.mem.load(wire.RAM_BASE + op.offset, length)
        part = Part("ram", length, unknown(value, mask))
        writer = next((v.origins for v in self.vm.vcpus.values() if "ram" in v.origins), None)
        return Permitted("ram.read", (Outcome(known_parts=(part,)),), origins=writer)

    def _write_mem(self, op: WriteMem) -> Permitted:
        length = min(op.length, wire.RAM_SIZE - op.offset)
        value = int.from_bytes(op.value.expand(op.length)[:length], "little")
        self.mem.store(wire.RAM_BASE + op.offset, length, value)
        return Permitted("ram.write", (Outcome(),))

    def _context(self, vcpu: Vcpu) -> str:
        if not vcpu.sve:
            return "no SVE"
        zcr = vcpu.sys["zcr_el1"]
        length = f"ZCR_EL1 {zcr[0][0]:#x}, " if len(zcr) == 1 else ""
        return f"{length}vcpu VL {vcpu.max_vq * 16}, host VL {self.profile.max_vq * 16} bytes"


_CORE_KINDS = frozenset({"x", "sp", "pc", "pstate", "sp_el1", "elr_el1", "fpsr", "fpcr", "v"})


def _narrow_to_32bit(vcpu: Vcpu) -> None:
    """Any core SET while PSTATE is an AArch32 mode cuts registers to 32 bits (guest.c)."""
    mode = vcpu.core["pstate"][0][0] & 0x1F
    if not mode & 0x10:
        return
    count = 15 if mode in (0x10, 0x1F) else 31
    for n in range(count):
        vcpu.x[n] = either((v & 0xFFFF_FFFF, m & 0xFFFF_FFFF) for v, m in vcpu.x[n])
    vcpu.core["pc"] = either((v & 0xFFFF_FFFF, m & 0xFFFF_FFFF) for v, m in vcpu.core["pc"])


def _partial_write(slot: onereg.Slot, data: bytes, mapped: int) -> None:
    """A SET that faults: a part of the mapped bytes has arrived, the rest is zero."""
    arrived = int.from_bytes(data[:mapped], "little")
    home, key = slot.home
    home[key] = unknown(0, arrived)


def _with_prefill(permitted: Permitted, size: int) -> Permitted:
    """A failing GET leaves the user's buffer alone."""
    part = Part("buffer", size, exact(int.from_bytes(bytes([PREFILL]) * size, "little")))
    return Permitted(permitted.rule, (Outcome(permitted.outcomes[0].err, (part,)),))


def _fault_on_get(rule: str, size: int, seen: int) -> Permitted:
    """A GET into a buffer that ends early: what arrived before the fault is not specified."""
    part = Part("buffer", seen, unknown(0, (1 << 8 * seen) - 1))
    return Permitted("reg.get-fault", (Outcome(EFAULT, (part,)),), f"{rule}, {size} bytes")


def _listed(vcpu: Vcpu) -> tuple[Part, ...]:
    """The head of KVM_GET_REG_LIST: core registers, then the SVE block (facts 1.8)."""
    order = sorted(
        (row for row in regs.REGISTERS.values() if row.id & onereg.COPROC_MASK == regs.CORE),
        key=lambda row: row.id & 0xFFFF,
    )
    ids = [row.id for row in order if not (vcpu.sve and row.kind == "v")]
    if vcpu.sve:
        ids += [regs.VLS_ID, *regs.Z_IDS, *regs.P_IDS, regs.REGISTERS["ffr"].id]
    return tuple(Part(f"list: {regs.name_of(i)}", 8, exact(i)) for i in ids)


def _run_fails(rule: str, err: int, aux_err: int, flags: int | None, nothing: Part) -> Permitted:
    flag = Part("flags", 4, unknown(0, 1) if flags is None else exact(flags))
    aux = aux_err | aux_err << 32
    return Permitted(rule, (Outcome(err, (nothing, flag), aux),))


_STEPS: dict[type[Op], Callable[..., Permitted]] = {
    CreateVcpu: Model._create,
    PreferredTarget: Model._preferred_target,
    Init: Model._init,
    SetVls: Model._set_vls,
    GetVls: Model._get_vls,
    Finalize: Model._finalize,
    SetReg: Model._set_reg,
    GetReg: Model._get_reg,
    RegList: Model._reg_list,
    Run: Model._run,
    ReadAll: Model._read_all,
    SetMp: Model._set_mp,
    GetMp: Model._get_mp,
    ReadMem: Model._read_mem,
    WriteMem: Model._write_mem,
}
