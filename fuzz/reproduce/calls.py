"""Each kind of op as a call in C. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corpus import ops as o
from corpus import registers as regs
from corpus.isa.form import Insn
from corpus.ops import EPILOGUE, Op
from corpus.wire import LARGEST_REG, RAM_SIZE, Ask
from fuzz.reproduce.checks import Lines
from fuzz.reproduce.words import comment, pattern_of, register, string

_WORDS = 7
"""Of features in struct kvm_vcpu_init."""


def call(op: Op, number: int) -> Lines:
    """The statement that executes op `number` and keeps its errno."""
    return _CALLS[type(op)](op, number)


AUX: dict[type[Op], str] = {
    o.Run: "errnos of setting PC and VBAR_EL1",
    o.Migrate: "the stage that failed",
}
"""Ops with a second result, and what it is."""


def tables(op: Op, number: int) -> tuple[str, ...]:
    """What the call of op `number` needs to stand before main(): the words of a program."""
    if not isinstance(op, o.Run):
        return ()
    lines = [f"static const __u32 code_{number + 1}[] = {{"]
    for insn in op.program:
        lines += _insn(insn)
    lines.append(f"\t{EPILOGUE[0]:#010x},\t/* movz x30, #0x5000, lsl #16 */")
    lines.append(f"\t{EPILOGUE[1]:#010x},\t/* str xzr, [x30] */")
    return (*lines, "};", "")


def _insn(insn: Insn) -> list[str]:
    first, *rest = insn.words()
    lines = [f"\t{first:#010x},\t/* {comment(insn.format())} */"]
    return lines + [f"\t{word:#010x}," for word in rest]


def _lines(expression: str, *parts: str) -> Lines:
    return Lines((f"\tseen->err = {expression};",), frozenset(parts))


def features(bits: int) -> str:
    """The words of struct kvm_vcpu_init, by the macros of `parts/ids.c`."""
    words = [bits >> 32 * n & 0xFFFF_FFFF for n in range(_WORDS)]
    used = max((n for n, word in enumerate(words) if word), default=0)
    told = [_first_word(words[0]), *(f"{word:#x}" for word in words[1 : used + 1])]
    return f"FEATURES({', '.join(told)})"


def _first_word(word: int) -> str:
    named = [name for bit, name in FEATURES.items() if word >> bit & 1]
    rest = word & ~sum(1 << bit for bit in FEATURES)
    words = [f"HAS({name.removeprefix('KVM_ARM_VCPU_')})" for name in named]
    return " | ".join([*words, *([f"{rest:#x}"] if rest else [])]) or "0"


FEATURES = {
    0: "KVM_ARM_VCPU_POWER_OFF",
    1: "KVM_ARM_VCPU_EL1_32BIT",
    2: "KVM_ARM_VCPU_PSCI_0_2",
    3: "KVM_ARM_VCPU_PMU_V3",
    4: "KVM_ARM_VCPU_SVE",
    5: "KVM_ARM_VCPU_PTRAUTH_ADDRESS",
    6: "KVM_ARM_VCPU_PTRAUTH_GENERIC",
}
"""INIT's features that every header of a kernel with SVE vcpus names, by bit."""


def _target(target: int) -> str:
    return "KVM_ARM_TARGET_GENERIC_V8" if target == o.GENERIC_V8 else f"{target:#x}"


def _create(op: o.CreateVcpu, _: int) -> Lines:
    return _lines(f"create_vcpu({op.vcpu})", "create")


def _preferred(_op: o.PreferredTarget, _: int) -> Lines:
    return _lines("preferred_target()", "target")


def _init(op: o.Init, _: int) -> Lines:
    return _lines(f"init_vcpu({op.vcpu}, {_target(op.target)}, {features(op.features)})", "init")


def _set_vls(op: o.SetVls, _: int) -> Lines:
    value = string(pattern_of(op.vqs.to_bytes(64, "little")))
    return _lines(f"set_reg({op.vcpu}, KVM_REG_ARM64_SVE_VLS, {value}, 64, -1)", "set")


def _get_vls(op: o.GetVls, _: int) -> Lines:
    return _lines(f"get_reg({op.vcpu}, KVM_REG_ARM64_SVE_VLS, 64, -1)", "get")


def _finalize(op: o.Finalize, _: int) -> Lines:
    what = "KVM_ARM_VCPU_SVE" if op.what == o.FINALIZE_SVE else f"(int){op.what:#x}"
    return _lines(f"call(vcpus[{op.vcpu}].fd, KVM_ARM_VCPU_FINALIZE, &(int){{ {what} }})", "vcpus")


def _edge(edge: int | None, size: int) -> int:
    return -1 if edge is None else min(edge, size)


def _set(op: o.SetReg, _: int) -> Lines:
    size = min(regs.size_of(op.reg), LARGEST_REG)
    value = string(pattern_of(op.value.expand(size)))
    mapped = _edge(op.edge, size)
    return _lines(f"set_reg({op.vcpu}, {register(op.reg)}, {value}, {size}, {mapped})", "set")


def _get(op: o.GetReg, _: int) -> Lines:
    size = min(regs.size_of(op.reg), LARGEST_REG)
    return _lines(f"get_reg({op.vcpu}, {register(op.reg)}, {size}, {_edge(op.edge, size)})", "get")


def _list(op: o.RegList, _: int) -> Lines:
    return _lines(f"get_list({op.vcpu}, {op.room})", "list")


def _run(op: o.Run, number: int) -> Lines:
    immediate = "true" if op.immediate else "false"
    code = f"code_{number + 1}"
    return _lines(f"run({op.vcpu}, {code}, sizeof({code}), {immediate})", "run")


def _read_all(op: o.ReadAll, _: int) -> Lines:
    return _lines(f"read_all(vcpus[{op.vcpu}].fd)", "readall", "vcpus")


def _set_mp(op: o.SetMp, _: int) -> Lines:
    return _lines(f"set_mp_state({op.vcpu}, {op.state})", "setmp")


def _get_mp(op: o.GetMp, _: int) -> Lines:
    return _lines(f"get_mp_state({op.vcpu})", "getmp")


def _set_events(op: o.SetEvents, _: int) -> Lines:
    fields = f"{op.serror}, {op.has_esr}, {op.esr:#x}, {op.abort}, {op.reserved}"
    return _lines(f"set_events({op.vcpu}, {fields})", "setevents")


def _get_events(op: o.GetEvents, _: int) -> Lines:
    return _lines(f"get_events({op.vcpu})", "getevents")


def _device_attr(op: o.DeviceAttr, _: int) -> Lines:
    request = f"KVM_{Ask(op.ask).name}_DEVICE_ATTR"
    fields = f"{request}, {op.group:#x}, {op.attribute:#x}, {op.value:#x}ULL"
    return _lines(f"device_attr({op.vcpu}, {fields})", "attr")


def _smccc_filter(op: o.SmcccFilter, _: int) -> Lines:
    return _lines(f"smccc_filter({op.base:#x}, {op.count:#x}, {op.action})", "filter")


def _enable_cap(op: o.EnableCap, _: int) -> Lines:
    return _lines(f"enable_cap({op.cap}, {op.flags:#x})", "enablecap")


def _create_vm(op: o.CreateVm, _: int) -> Lines:
    return _lines(f"renew_vm({op.type:#x}ul)", "renew")


def _create_gic(_op: o.CreateGic, _: int) -> Lines:
    return _lines("create_gic()", "vgic")


def _read_mem(op: o.ReadMem, _: int) -> Lines:
    length = min(op.length, RAM_SIZE - op.offset)
    return _lines(f"read_ram({op.offset:#x}, {length})", "readmem")


def _write_mem(op: o.WriteMem, _: int) -> Lines:
    length = min(op.length, RAM_SIZE - op.offset)
    value = string(pattern_of(op.value.expand(op.length)[:length]))
    return _lines(f"write_ram({op.offset:#x}, {value}, {length})", "writemem")


def _migrate(op: o.Migrate, _: int) -> Lines:
    return _lines(
        f"migrate({op.vcpu}, {op.to}, {features(op.features)})",
        *("create", "init", "readall", "migrate"),
    )


_CALLS: dict[type[Op], Callable[[Any, int], Lines]] = {
    o.CreateVcpu: _create,
    o.CreateVm: _create_vm,
    o.CreateGic: _create_gic,
    o.PreferredTarget: _preferred,
    o.Init: _init,
    o.SetVls: _set_vls,
    o.GetVls: _get_vls,
    o.Finalize: _finalize,
    o.SetReg: _set,
    o.GetReg: _get,
    o.RegList: _list,
    o.Run: _run,
    o.ReadAll: _read_all,
    o.SetMp: _set_mp,
    o.GetMp: _get_mp,
    o.SetEvents: _set_events,
    o.GetEvents: _get_events,
    o.DeviceAttr: _device_attr,
    o.SmcccFilter: _smccc_filter,
    o.EnableCap: _enable_cap,
    o.ReadMem: _read_mem,
    o.WriteMem: _write_mem,
    o.Migrate: _migrate,
}
