"""A search that is to look at some code most closely, and how that is told to a worker."""

from __future__ import annotations

import msgspec
import pytest

from corpus.case import Case
from corpus.ops import CreateVcpu
from corpus.trace import Trace
from fuzz.worker.events import WorkerConfig
from fuzz.worker.focus import Focus
from fuzz.worker.steering import NEAREST, Steering


def test_only_what_lies_inside_counts_and_the_less_the_more_often() -> None:
    focus = Focus({"kvm": [(0x200, 0x300), (0x100, 0x180)]})
    assert focus.near("kvm", [0xFC, 0x180, 0x1FC, 0x300]) == 0
    assert focus.near("kvm", [0x100, 0x17C, 0x200]) == 3
    assert focus.near("kvm", [0x100, 0x17C, 0x2FC]) == pytest.approx(2.0)
    assert focus.near("kvm", [0x100]) == pytest.approx(1 / 3)
    assert focus.near("other", [0x100]) == 0
    assert focus.near("kvm", []) == 0
    assert Focus({"kvm": []}).near("kvm", [1]) == 0


def _case(number: int) -> Case:
    return Case((CreateVcpu(number % 4),) * (1 + number // 4))


def _run(near: dict[int, float], cases: int = 40) -> list[str]:
    """Ids of what is made after a corpus of 12, of which some came near."""
    steering = Steering(7)
    for number in range(12):
        steering.note(_case(number), [Trace(())], 1, near.get(number, 0.0))
    made = []
    for _ in range(cases):
        case = steering.child()
        made.append(case.id)
        steering.note(case, [Trace(())], 0)
    return made


def test_without_a_focus_the_same_cases_are_made_as_ever() -> None:
    assert _run({}) == _run({})
    assert _run({3: 1.0}) != _run({})


def test_what_came_nearest_has_the_most_children() -> None:
    steering = Steering(7)
    for number in range(4):
        steering.note(_case(number), [Trace(())], 1, 100.0 if number == 2 else 0.001)
    for _ in range(200):
        steering.child()
    children = {parent.case.id: parent.children for parent in steering._near}
    assert max(children, key=lambda one: children[one]) == _case(2).id
    assert 40 < sum(children.values()) < 120


def test_those_that_are_remembered_are_the_rarest() -> None:
    steering = Steering(7)
    steering.child()
    for number in range(NEAREST + 4):
        steering.note(_case(number), [Trace(())], 0, float(1 + number))
    assert len(steering._near) == NEAREST
    assert min(parent.features for parent in steering._near) == 5


def test_a_focus_travels_to_a_worker() -> None:
    config = WorkerConfig(["kvm"], 1, 0.0, 0, "", focus={"kvm": [(1, 2)]})
    assert msgspec.json.decode(msgspec.json.encode(config), type=WorkerConfig) == config
