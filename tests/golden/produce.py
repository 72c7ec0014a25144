"""Makes the golden logs: kernels with a defect put into their text, booted in the lab.

    PYTHONPATH=tests python tests/golden/produce.py [RELEASE-FAULT]...

What is written is what the kernel printed, whole. Those of lockdep take a kernel that is built
for it, with a defect in its source.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from faultykernel import LOOP, UDF, FaultyKernel

from corpus.case import Case
from corpus.text import parse_case
from targets.base import WireTarget
from targets.kvm import legname
from targets.kvm.lab.variants import Edit, source_tree

HERE = Path(__file__).parent
RELEASES = ("6.1", "6.12", "newest", "small-6.12")
SILENT = {"small-6.12-hang", "newest-hang"}
UP = "create v0\ninit v0\nfinalize v0\n"
GET_MP = "kvm_arch_vcpu_ioctl_get_mpstate"
HYP_RUN = "__kvm_nvhe___kvm_vcpu_run"
ASK = parse_case(UP + "get-mp v0\n")
RUN = parse_case(UP + "run v0 {\n    isb\n}\n")

NULL = (0xD2800009, 0xF9400129)
"""mov x9, #0; ldr x9, [x9]"""

Plant = Callable[[FaultyKernel], None]


def _panic(kernel: FaultyKernel) -> None:
    kernel.plant_call(GET_MP, "panic", b"Linux version ")


FAULTS: Mapping[str, tuple[Plant, Case, str]] = {
    "oops": (lambda kernel: kernel.plant(GET_MP, UDF), ASK, "vhe"),
    "null": (lambda kernel: kernel.plant(GET_MP, *NULL), ASK, "vhe"),
    "warn": (lambda kernel: kernel.plant_report(GET_MP, warning=True), ASK, "vhe"),
    "bug": (lambda kernel: kernel.plant_report(GET_MP, warning=False), ASK, "vhe"),
    "panic": (_panic, ASK, "vhe"),
    "hyp": (lambda kernel: kernel.plant(HYP_RUN, UDF), RUN, "nvhe"),
    "hang": (lambda kernel: kernel.plant(GET_MP, LOOP), ASK, "vhe"),
}
"""By name: what is put into the kernel, the case that comes to it, and the mode."""


CHECKED = "lockdep-6.12"
_ARM = "arch/arm64/kvm/arm.c"
_GETS = "int kvm_arch_vcpu_ioctl_get_mpstate(struct kvm_vcpu *vcpu,\n"
_READ = "\t*mp_state = READ_ONCE(vcpu->arch.mp_state);\n"
_SETS = "\tspin_lock(&vcpu->arch.mp_state_lock);\n\n\tswitch (mp_state->mp_state) {\n"


def _locked(outer: str, inner: str) -> str:
    take, drop = "\tmutex_lock(&{});\n", "\tmutex_unlock(&{});\n"
    return take.format(outer) + take.format(inner) + drop.format(inner) + drop.format(outer)


BOTH = parse_case(UP + "get-mp v0\nset-mp v0 runnable\n")
LOCKDEP: Sequence[tuple[Edit, Case]] = (
    (
        Edit(
            "deadlock",
            "Reading MP_STATE takes two locks in one order, writing it in the other.",
            _ARM,
            _GETS,
            "static DEFINE_MUTEX(one);\nstatic DEFINE_MUTEX(other);\n\n" + _GETS,
            ((_READ, _locked("one", "other") + _READ), (_SETS, _locked("other", "one") + _SETS)),
        ),
        BOTH,
    ),
    (
        Edit(
            "sleeping",
            "Reading MP_STATE takes a mutex with preemption off.",
            _ARM,
            _GETS,
            "static DEFINE_MUTEX(one);\n\n" + _GETS,
            (
                (
                    _READ,
                    "\tpreempt_disable();\n\tmutex_lock(&one);\n\tmutex_unlock(&one);\n"
                    "\tpreempt_enable();\n" + _READ,
                ),
            ),
        ),
        ASK,
    ),
    (
        Edit(
            "rcu",
            "Reading MP_STATE follows a pointer of RCU's outside of its readers.",
            _ARM,
            _GETS,
            "static void __rcu *followed;\n\n" + _GETS,
            ((_READ, "\t(void)rcu_dereference(followed);\n" + _READ),),
        ),
        ASK,
    ),
    (
        Edit(
            "held",
            "Reading MP_STATE keeps a lock.",
            _ARM,
            _GETS,
            "static DEFINE_MUTEX(one);\n\n" + _GETS,
            ((_READ, "\tmutex_lock(&one);\n" + _READ),),
        ),
        ASK,
    ),
)


def log_of(release: str, fault: str) -> str:
    """What a kernel prints of a fault."""
    plant, case, mode = FAULTS[fault]
    kernel = FaultyKernel(release)
    plant(kernel)
    with tempfile.TemporaryDirectory() as folder:
        return _said(kernel.write(Path(folder) / "Image"), mode, case)


def _said(image: Path, mode: str, case: Case) -> str:
    spec = legname.parse(f"kvm:{image}:{mode}")
    with WireTarget(spec.name, "kvm", legname.open_transport(spec)) as leg:
        return leg.run(case).log


def lockdep(names: list[str]) -> None:
    """Write the logs of lockdep, or those named."""
    wanted = [both for both in LOCKDEP if not names or f"{CHECKED}-{both[0].name}" in names]
    if not wanted:
        return
    with source_tree("6.12", checks=("lockdep",)) as tree:
        for edit, case in wanted:
            with tree.edited(edit) as image:
                name = f"{CHECKED}-{edit.name}"
                (HERE / f"{name}.log").write_text(_said(image, "vhe", case))
                print(name, flush=True)


def main(names: list[str]) -> None:
    """Write the logs, or those named."""
    lockdep(names)
    for release in RELEASES:
        for fault in FAULTS:
            name = f"{release}-{fault}"
            if name in names or (not names and name not in SILENT):
                (HERE / f"{name}.log").write_text(log_of(release, fault))
                print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
