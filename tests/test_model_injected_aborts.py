"""Synchronous aborts that user space injects: what is told of them, and when they are taken."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from corpus.kept import Effect
from corpus.text import parse_case
from corpus.wire import CODE_BASE, MMIO_BASE, VECTOR_BASE, VECTOR_MMIO
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget, keep
from targets.profile import Profile
from targets.spec import aborts
from targets.spec.errors import Unpredictable
from targets.spec.judge import invent
from targets.spec.model import Model
from targets.spec.sets import exact, unknown
from targets.spec.vcpu import OPTIONAL_PSTATE, PSTATE_PAN, U64, Vcpu

UP = "create v0\ninit v0\nfinalize v0\n"
RAN = UP + "run v0 { }\n"
OFF = (
    "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\nset v0 x0 0x84000008\n"
    "run v0 {\n    hvc #0\n}\n"
)
"""The last exit is that of a hypercall."""
ABORT = "set-events v0 abort=yes\n"
OLD, NEW, NONE = (6, 12), (7, 2), (0, 0)
IL = 1 << 25


def _after(text: str, kernel: tuple[int, int] = OLD, **machine: object) -> tuple[Model, Vcpu]:
    model = Model(Profile(kernel=kernel, **machine))  # type: ignore[arg-type]
    for op in parse_case(text).ops:
        invent(model.step(op), keep)
    return model, model.vm.vcpus[0]


@pytest.mark.parametrize("kernel", [(6, 1), OLD])
def test_old_kernels_tell_of_it_and_leave_the_guest_where_it_is(kernel: tuple[int, int]) -> None:
    _, vcpu = _after(RAN + "set v0 pc 0x40001230\n" + ABORT, kernel)
    assert vcpu.sys["esr_el1"] == exact(0x9600_0010)
    assert vcpu.sys["far_el1"] == exact(MMIO_BASE)
    assert vcpu.core["pc"] == exact(0x4000_1230)
    assert vcpu.core["pstate"] == exact(0x3C5)
    assert vcpu.origins["esr_el1"] == aborts.PENDS


def test_the_next_run_takes_it_and_executes_nothing_else() -> None:
    text = RAN + "set v0 x1 7\n" + ABORT + "set v0 esr_el1 0x123\nrun v0 {\n    mov x1, #9\n}\n"
    model, vcpu = _after(text)
    assert vcpu.x[1] == exact(7)
    assert vcpu.x[30] == exact(VECTOR_MMIO + 8 * 4)  # from EL1h
    assert vcpu.core["elr_el1"] == exact(CODE_BASE)
    assert vcpu.sys["esr_el1"] == exact(0x123)  # as user space wrote it in between
    assert vcpu.sys["far_el1"] == exact(MMIO_BASE)
    assert {aborts.PENDS, "exception.from-el1h"} <= model.rules
    _, again = _after(text + "run v0 {\n    mov x1, #9\n}\n")
    assert again.x[1] == exact(9)


@pytest.mark.parametrize("kernel", [NEW, NONE])
def test_new_kernels_and_the_emulator_move_the_vcpu_at_once(kernel: tuple[int, int]) -> None:
    text = RAN + "set v0 pc 0x40001230\nset v0 pstate 0x600003c4\n" + ABORT
    model, vcpu = _after(text, kernel)
    assert vcpu.sys["esr_el1"] == exact(0x9600_0010)
    assert vcpu.sys["far_el1"] == (exact(MMIO_BASE) if kernel == NEW else unknown(0, U64))
    assert vcpu.core["pc"] == exact(VECTOR_BASE)  # from EL1t
    assert vcpu.core["elr_el1"] == exact(0x4000_1230)
    assert vcpu.core["spsr_el1"] == exact(0x6000_03C4)
    assert vcpu.core["pstate"] == unknown(0x6000_03C5, OPTIONAL_PSTATE & ~PSTATE_PAN)
    assert aborts.TAKEN in model.rules
    assert not vcpu.aborting


@pytest.mark.parametrize(("mode", "offset", "ec"), [(0x3C5, 0x200, 0x25), (0x3C0, 0x400, 0x24)])
def test_it_tells_where_it_came_from(mode: int, offset: int, ec: int) -> None:
    _, vcpu = _after(RAN + f"set v0 pstate {mode:#x}\n" + ABORT, NEW)
    assert vcpu.core["pc"] == exact(VECTOR_BASE + offset)
    assert vcpu.sys["esr_el1"] == exact(ec << 26 | IL | 0x10)


def test_pan_stays_where_sctlr_says_so() -> None:
    tail = f"set v0 pstate 0x3c5\n{ABORT}"
    _, kept = _after(RAN + tail, NEW)
    _, loose = _after(RAN + "set v0 sctlr_el1 0x00450078\n" + tail, NEW)
    assert not kept.core["pstate"][0][1] & PSTATE_PAN
    assert loose.core["pstate"][0][1] & PSTATE_PAN


@pytest.mark.parametrize("vbar", ["0x40000808", "0x40000800"])
def test_a_handler_that_is_not_aligned_is_anywhere(vbar: str) -> None:
    _, vcpu = _after(RAN + f"set v0 vbar_el1 {vbar}\n" + ABORT, NEW)
    known = vbar == "0x40000800"
    assert vcpu.core["pc"] == (exact(0x4000_0A00) if known else unknown(0, U64))


def test_without_an_exit_before_it_no_address_and_no_il_is_certain() -> None:
    _, vcpu = _after(UP + ABORT)
    assert vcpu.sys["esr_el1"] == unknown(0x9400_0010, IL)
    assert vcpu.sys["far_el1"] == unknown(0, U64)
    _, called = _after(OFF + ABORT)
    assert called.sys["far_el1"] == unknown(0, U64)


@pytest.mark.parametrize("how", ["run v0 immediate=yes { }\n", "run v0 { }\n"])
def test_a_run_that_gets_nowhere_moves_the_vcpu(how: str) -> None:
    stop = "" if "immediate" in how else "set-mp v0 stopped\n"
    _, vcpu = _after(RAN + stop + ABORT + how)
    assert vcpu.core["pc"] == exact(VECTOR_BASE + 0x200)
    assert vcpu.core["elr_el1"] == exact(CODE_BASE)
    assert vcpu.aborting is False


@pytest.mark.parametrize("how", ["run v0 immediate=yes { }\n", "run v0 {\n    mov x1, #9\n}\n"])
def test_init_forgets_it(how: str) -> None:
    model, vcpu = _after(RAN + ABORT + "init v0\nset v0 elr_el1 7\n" + how)
    assert "init.forgets-aborts" in model.rules
    assert vcpu.core["elr_el1"] == exact(7)
    assert vcpu.aborting is False
    assert vcpu.x[1] == exact(0 if "immediate" in how else 9)


def test_where_init_is_known_to_leave_it_nothing_behind_is_judged() -> None:
    defects = {"init.forgets-aborts": frozenset({Effect.STOP})}
    case = parse_case(RAN + ABORT + "init v0\nget v0 pc\nrun v0 { }\n")
    profile = Profile(kernel=OLD, defects=defects)
    verdict = judge(case, ModelTarget(replace(profile, defects={})).run(case), profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(case.ops) - 1
    assert "init.forgets-aborts is a known defect" in verdict.reason


def test_an_serror_beside_it_pends_behind_it() -> None:
    for kernel in (OLD, NEW, NONE):
        _, vcpu = _after(RAN + "set-events v0 serror=yes abort=yes\n", kernel)
        assert vcpu.serror is not None
        assert vcpu.aborting is (kernel == OLD)


def test_a_syndrome_that_is_refused_leaves_it_to_new_kernels_alone() -> None:
    text = RAN + "set-events v0 serror=yes has_esr=yes esr=0x2000000 abort=yes\n"
    for kernel, taken in ((OLD, False), (NONE, False), (NEW, True)):
        _, vcpu = _after(text, kernel)
        assert (vcpu.core["pc"] == exact(VECTOR_BASE + 0x200)) is taken
        assert not vcpu.aborting


def test_a_reset_by_psci_forgets_it() -> None:
    model, vcpu = _after(RAN + ABORT)
    vcpu.reset_requested = True
    model.settle(vcpu)
    assert vcpu.aborting is False


@pytest.mark.parametrize(
    ("kernel", "text", "then"),
    [
        ((6, 19), RAN, ABORT),
        (NEW, UP, ABORT),
        (NEW, OFF, ABORT),
        (NEW, RAN + "set v0 0x603000000013c083 0x8\n", ABORT),  # SCTLR2_EL1
    ],
)
def test_what_is_not_certain_is_not_judged(kernel: tuple[int, int], text: str, then: str) -> None:
    model, _ = _after(text, kernel)
    (op,) = parse_case(then).ops
    with pytest.raises(Unpredictable):
        model.step(op)


def test_what_the_last_exit_was_decides_on_new_kernels() -> None:
    for kernel, foreseen in ((NEW, True), (OLD, False), (NONE, False)):
        model, _ = _after(OFF, kernel)
        (op,) = parse_case(ABORT).ops
        with contextlib.suppress(Unpredictable):
            model.step(op)
        assert ("events.abort-by-last-exit" in model.rules) is foreseen
    model, _ = _after(RAN + ABORT, NEW)
    assert "events.abort-by-last-exit" not in model.rules


def test_6_1_spoils_the_upper_half_of_the_syndrome() -> None:
    spoiled = {aborts.PENDS: frozenset({Effect.RESULT})}
    _, vcpu = _after(RAN + ABORT, (6, 1), defects=spoiled)
    assert vcpu.sys["esr_el1"] == unknown(0x9600_0010, U64 ^ 0xFFFF_FFFF)


@pytest.mark.parametrize("kernel", [(6, 1), OLD, NEW, NONE])
def test_what_the_model_does_is_permitted(kernel: tuple[int, int]) -> None:
    looks = "get v0 pc\nget v0 pstate\nget v0 elr_el1\nget v0 esr_el1\nget v0 far_el1\n"
    case = parse_case(RAN + ABORT + looks + "run v0 { }\n" + looks + "read-all v0\n")
    machine = Profile(kernel=kernel)
    found = judge(case, ModelTarget(machine).run(case), machine)
    assert isinstance(found, Agree)
    assert not found.reason
