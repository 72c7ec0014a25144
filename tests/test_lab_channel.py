"""The shared page: who is told of a finished request, and how far one got."""

from __future__ import annotations

import struct
from collections import deque

import pytest

from targets.kvm.lab.channel import Channel, HeaderWord, Layout, SlotWord, State
from targets.kvm.lab.vm import Vm

LAYOUT = Layout(slots=3, request_cap=64, response_cap=64)


class Guest:
    """The other side of a page."""

    def __init__(self) -> None:
        self.memory = bytearray(LAYOUT.size)
        self.channel = Channel(memoryview(self.memory), LAYOUT)

    def put(self, slot: int, word: SlotWord, value: int) -> None:
        struct.pack_into("<I", self.memory, 4 * LAYOUT.word(slot, word), value)

    def finish(self, slot: int, *, silent: bool) -> None:
        self.put(slot, SlotWord.SILENT, silent)
        self.put(slot, SlotWord.STATE, State.DONE)

    def vm(self, *in_flight: tuple[int, int]) -> Vm:
        """A machine whose line says nothing: to wait for it would fail."""
        vm = object.__new__(Vm)
        vm.channel, vm._in_flight, vm._logs = self.channel, deque(in_flight), deque()
        return vm


@pytest.fixture
def guest() -> Guest:
    return Guest()


def test_only_what_is_done_and_says_so_is_finished_silently(guest: Guest) -> None:
    guest.put(0, SlotWord.SILENT, 1)
    guest.put(0, SlotWord.STATE, State.RUNNING)
    assert not guest.channel.finished_silently(0)
    guest.finish(0, silent=True)
    assert guest.channel.finished_silently(0)
    guest.finish(1, silent=False)
    assert not guest.channel.finished_silently(1)


def test_how_far_a_request_got_is_known_if_the_guest_counts(guest: Guest) -> None:
    struct.pack_into("<I", guest.memory, 4 * HeaderWord.PROGRESS, 12)
    assert guest.channel.ops_done(0) is None
    guest.put(0, SlotWord.BEGAN, 1 + 9)
    assert guest.channel.ops_done(0) == 3
    struct.pack_into("<I", guest.memory, 4 * HeaderWord.PROGRESS, 1)
    guest.put(0, SlotWord.BEGAN, 0xFFFF_FFFF)  # it counts modulo 2**32
    assert guest.channel.ops_done(0) == 3


def test_the_host_says_whether_it_waits(guest: Guest) -> None:
    for waiting in (True, False):
        guest.channel.set_waiting(waiting)
        assert struct.unpack_from("<I", guest.memory, 4 * HeaderWord.WAITING) == (waiting,)


def test_a_log_belongs_to_the_request_that_rang(guest: Guest) -> None:
    vm = guest.vm((7, 0), (8, 1))
    guest.finish(0, silent=True)
    guest.finish(1, silent=False)
    vm._logs.append("WARN")
    first, second = vm.next_completion(), vm.next_completion()
    assert (first.sequence, first.log) == (7, "")
    assert (second.sequence, second.log) == (8, "WARN")
    assert not vm._logs


def test_what_finished_silently_is_no_longer_waited_for(guest: Guest) -> None:
    vm = guest.vm((7, 2))
    guest.finish(2, silent=True)
    assert vm.next_completion().slot == 2
    assert not vm._in_flight
