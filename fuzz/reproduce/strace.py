"""A case as the system calls that a VMM would make, in the manner of strace(1). Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from corpus import ops as o
from corpus import registers as regs
from corpus.case import Case
from corpus.ops import Op
from corpus.trace import Observation, Trace
from corpus.wire import (
    CODE_BASE,
    GIC_DIST,
    GIC_REDIST,
    LARGEST_REG,
    OTHER_SLOT,
    RAM_BASE,
    RAM_SIZE,
    SVCR_SM,
    SVCR_ZA,
    VECTOR_BASE,
    Ask,
    Stranger,
)
from fuzz.reproduce.calls import FEATURES
from fuzz.reproduce.words import pattern_of, register
from targets.spec.errno import error_name

KVM, VM, FIRST_VCPU = 3, 4, 5
"""Descriptors of /dev/kvm, of the VM and of vcpu 0."""
OTHER_VM = FIRST_VCPU + OTHER_SLOT + 1
"""Of another VM, if a vcpu of that is named."""
SHORT = 32
"""Bytes of a value that are told."""


def strace(case: Case, trace: Trace | None = None) -> str:
    """The calls, one a line, with what a leg made of them where its trace is given. Memory is
    told as comments: guests' programs, and what user space reads and writes of RAM."""
    lines = [f'openat(AT_FDCWD, "/dev/kvm", O_RDWR|O_CLOEXEC) = {KVM}', *_vm(VM, "ram")]
    if any(getattr(op, "vcpu", 0) == OTHER_SLOT for op in case.ops):
        lines += _vm(OTHER_VM, "other_ram")
    for number, op in enumerate(case.ops):
        seen = None
        if trace is not None and number < len(trace.observations):
            seen = trace.observations[number]
        lines += _CALLS[type(op)](op, seen)
    return "\n".join(lines) + "\n"


def _vm(fd: int, ram: str) -> Iterator[str]:
    yield f"ioctl({KVM}, KVM_CREATE_VM, 36) = {fd}"
    region = f"{{slot=0, flags=0, guest_phys_addr={RAM_BASE:#x}, memory_size={RAM_SIZE:#x}"
    yield f"ioctl({fd}, KVM_SET_USER_MEMORY_REGION, {region}, userspace_addr={ram}}}) = 0"


def result(seen: Observation | None, done: str = "0") -> str:
    """` = 0`, ` = -1 EINVAL (Invalid argument)`, or nothing where that is not known."""
    if seen is None:
        return ""
    if seen.err == 0:
        return f" = {done}"
    return f" = -1 {error_name(seen.err)} ({os.strerror(seen.err)})"


def _ioctl(fd: int, name: str, argument: str, seen: Observation | None, done: str = "0") -> str:
    return f"ioctl({fd}, {name}, {argument}){result(seen, done)}"


def _fd(vcpu: int) -> int:
    return FIRST_VCPU + vcpu


def _create(op: o.CreateVcpu, seen: Observation | None) -> Iterator[str]:
    vm = OTHER_VM if op.vcpu == OTHER_SLOT else VM
    yield _ioctl(vm, "KVM_CREATE_VCPU", str(op.vcpu), seen, str(_fd(op.vcpu)))


def _preferred(_op: o.PreferredTarget, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(VM, "KVM_ARM_PREFERRED_TARGET", _data(seen), seen)


def _features(bits: int) -> str:
    words = []
    for at in range(7):
        word = bits >> 32 * at & 0xFFFF_FFFF
        names = [f"1<<{FEATURES[n]}" if not at and n in FEATURES else f"1<<{n}" for n in range(32)]
        words.append("|".join(name for n, name in enumerate(names) if word >> n & 1) or "0")
    while len(words) > 1 and words[-1] == "0":
        words.pop()
    return f"[{', '.join(words)}]"


def _init(op: o.Init, seen: Observation | None) -> Iterator[str]:
    target = "KVM_ARM_TARGET_GENERIC_V8" if op.target == o.GENERIC_V8 else f"{op.target:#x}"
    argument = f"{{target={target}, features={_features(op.features)}}}"
    yield _ioctl(_fd(op.vcpu), "KVM_ARM_VCPU_INIT", argument, seen)


def _one_reg(name: str, vcpu: int, reg: int, value: str, seen: Observation | None) -> str:
    row = regs.BY_ID.get(reg)
    called = register(reg) if row is None or row.name not in regs.SYSREG_ENCODINGS else row.name
    return _ioctl(_fd(vcpu), name, f"{{id={called}, addr=[{value}]}}", seen)


def _short(data: bytes) -> str:
    text = pattern_of(data)
    return text if len(text) <= 2 * SHORT else f"{pattern_of(data[:SHORT])} ..."


def _data(seen: Observation | None) -> str:
    return _short(seen.data) if seen and seen.data and not seen.err else "..."


def _set_vls(op: o.SetVls, seen: Observation | None) -> Iterator[str]:
    value = pattern_of(op.vqs.to_bytes(64, "little"))
    yield _one_reg("KVM_SET_ONE_REG", op.vcpu, regs.VLS_ID, value, seen)


def _get_vls(op: o.GetVls, seen: Observation | None) -> Iterator[str]:
    yield _one_reg("KVM_GET_ONE_REG", op.vcpu, regs.VLS_ID, _data(seen), seen)


def _finalize(op: o.Finalize, seen: Observation | None) -> Iterator[str]:
    what = "KVM_ARM_VCPU_SVE" if op.what == o.FINALIZE_SVE else f"{op.what:#x}"
    yield _ioctl(_fd(op.vcpu), "KVM_ARM_VCPU_FINALIZE", f"[{what}]", seen)


def _edge(edge: int | None) -> str:
    return "" if edge is None else f" /* only {edge} bytes are mapped */"


def _set(op: o.SetReg, seen: Observation | None) -> Iterator[str]:
    value = _short(op.value.expand(min(regs.size_of(op.reg), LARGEST_REG)))
    yield _one_reg("KVM_SET_ONE_REG", op.vcpu, op.reg, value, seen) + _edge(op.edge)


def _get(op: o.GetReg, seen: Observation | None) -> Iterator[str]:
    yield _one_reg("KVM_GET_ONE_REG", op.vcpu, op.reg, _data(seen), seen) + _edge(op.edge)


def _list(op: o.RegList, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(_fd(op.vcpu), "KVM_GET_REG_LIST", f"{{n={op.room}}}", seen)


def _run(op: o.Run | o.HostRun, seen: Observation | None) -> Iterator[str]:
    yield f"/* at {CODE_BASE:#x}, with vectors at {VECTOR_BASE:#x}:"
    yield from (f" *     {insn.format()}" for insn in op.program)
    yield " * and a store outside RAM, which leaves the guest */"
    for name, value in (("regs.pc", CODE_BASE), ("VBAR_EL1", VECTOR_BASE)):
        yield f"ioctl({_fd(op.vcpu)}, KVM_SET_ONE_REG, {{id={name}, addr=[{value:#x}]}})"
    exit_ = ""
    if seen is not None and not seen.err and len(seen.data) >= 16:
        reason, address = seen.data[:4], seen.data[8:16]
        exit_ = f" /* exit_reason={int.from_bytes(reason, 'little')}"
        exit_ += f", address {int.from_bytes(address, 'little'):#x} */"
    yield _ioctl(_fd(op.vcpu), "KVM_RUN", "0", seen) + exit_


def _host_run(op: o.HostRun, seen: Observation | None) -> Iterator[str]:
    on = (("in streaming mode", SVCR_SM), ("with ZA on", SVCR_ZA))
    states = [words for words, bit in on if op.svcr & bit]
    if states:
        yield f"/* KVM_RUN is made {' and '.join(states)} */"
    yield from _run(op, seen)


def _read_all(op: o.ReadAll, seen: Observation | None) -> Iterator[str]:
    yield f"/* KVM_GET_ONE_REG on {_fd(op.vcpu)} of every register{result(seen)} */"


def _mp(op: o.SetMp, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(_fd(op.vcpu), "KVM_SET_MP_STATE", f"{{mp_state={op.state}}}", seen)


def _get_mp(op: o.GetMp, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(_fd(op.vcpu), "KVM_GET_MP_STATE", f"{{mp_state={_data(seen)}}}", seen)


def _set_events(op: o.SetEvents, seen: Observation | None) -> Iterator[str]:
    exception = f"serror_pending={op.serror}, serror_has_esr={op.has_esr}"
    exception += f", ext_dabt_pending={op.abort}, serror_esr={op.esr:#x}"
    events = f"{{exception={{{exception}}}, reserved[11]={op.reserved}}}"
    yield _ioctl(_fd(op.vcpu), "KVM_SET_VCPU_EVENTS", events, seen)


def _get_events(op: o.GetEvents, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(_fd(op.vcpu), "KVM_GET_VCPU_EVENTS", _data(seen), seen)


def _device_attr(op: o.DeviceAttr, seen: Observation | None) -> Iterator[str]:
    ask = Ask(op.ask)
    value = {Ask.HAS: "...", Ask.GET: _data(seen), Ask.SET: f"&{op.value:#x}"}[ask]
    attr = f"{{group={op.group:#x}, attr={op.attribute:#x}, addr={value}}}"
    yield _ioctl(_fd(op.vcpu), f"KVM_{ask.name}_DEVICE_ATTR", attr, seen)


def _smccc_filter(op: o.SmcccFilter, seen: Observation | None) -> Iterator[str]:
    wanted = f"{{base={op.base:#x}, nr_functions={op.count:#x}, action={op.action}}}"
    attr = f"{{group=0, attr=0, addr=&{wanted}}}"
    yield _ioctl(VM, "KVM_SET_DEVICE_ATTR", attr, seen)


def _enable_cap(op: o.EnableCap, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(VM, "KVM_ENABLE_CAP", f"{{cap={op.cap}, flags={op.flags:#x}}}", seen)


def _create_vm(op: o.CreateVm, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(KVM, "KVM_CREATE_VM", f"36 | {op.type:#x}", seen, str(VM))


def _create_gic(_op: o.CreateGic, seen: Observation | None) -> Iterator[str]:
    yield _ioctl(VM, "KVM_CREATE_DEVICE", "{type=KVM_DEV_TYPE_ARM_VGIC_V3, flags=0}", seen)
    yield f"/* KVM_SET_DEVICE_ATTR of its addresses, {GIC_DIST:#x} and {GIC_REDIST:#x}, and to"
    yield " * initialise it */"


def _read_mem(op: o.ReadMem, seen: Observation | None) -> Iterator[str]:
    yield f"/* ram[{op.offset:#x}], {op.length} bytes, reads as {_data(seen)} */"


def _write_mem(op: o.WriteMem, _seen: Observation | None) -> Iterator[str]:
    value = _short(op.value.expand(op.length))
    yield f"/* ram[{op.offset:#x}], {op.length} bytes, becomes {value} */"


def _migrate(op: o.Migrate, seen: Observation | None) -> Iterator[str]:
    yield f"/* KVM_GET_REG_LIST and KVM_GET_ONE_REG of all on {_fd(op.vcpu)}; then"
    yield f" * KVM_CREATE_VCPU, KVM_ARM_VCPU_INIT with features={_features(op.features)},"
    yield f" * KVM_SET_ONE_REG of all in their order, and KVM_GET_ONE_REG on {_fd(op.to)}"
    yield f" *{result(seen)} */" if seen else " */"


def _disturb(op: o.Disturb, _seen: Observation | None) -> Iterator[str]:
    by = Stranger(op.by).name.lower()
    yield f"/* beside the next {op.span} calls: {by}, {op.after} ns after each begins */"


def _threads(op: o.Threads, _seen: Observation | None) -> Iterator[str]:
    yield f"/* two threads at once: the next {op.first} calls by one, and from {op.after} ns on"
    yield f" * the {op.span - op.first} behind them by another */"


_CALLS: dict[type[Op], Callable[[Any, Observation | None], Iterator[str]]] = {
    o.CreateVcpu: _create,
    o.PreferredTarget: _preferred,
    o.Init: _init,
    o.SetVls: _set_vls,
    o.GetVls: _get_vls,
    o.Finalize: _finalize,
    o.SetReg: _set,
    o.GetReg: _get,
    o.RegList: _list,
    o.Run: _run,
    o.HostRun: _host_run,
    o.ReadAll: _read_all,
    o.SetMp: _mp,
    o.GetMp: _get_mp,
    o.SetEvents: _set_events,
    o.GetEvents: _get_events,
    o.DeviceAttr: _device_attr,
    o.SmcccFilter: _smccc_filter,
    o.EnableCap: _enable_cap,
    o.CreateVm: _create_vm,
    o.CreateGic: _create_gic,
    o.ReadMem: _read_mem,
    o.WriteMem: _write_mem,
    o.Migrate: _migrate,
    o.Disturb: _disturb,
    o.Threads: _threads,
}
