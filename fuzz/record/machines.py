"""Whose calls those of a log are: the VMs of a VMM and their vcpus, in the order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fuzz.record.log import Ioctl, Log, Nr, Unfinished
from targets.spec.errno import EFAULT, EHWPOISON, EINTR

ENTERED = (0, EINTR, EFAULT, EHWPOISON)
"""Results of a KVM_RUN that entered the guest, or could have: the last two are of memory that the
guest touched (api.rst 5, KVM_EXIT_MEMORY_FAULT)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a VM: on its vcpu of that id, or on itself (None)."""

    vcpu: int | None
    call: Ioctl | Unfinished


@dataclass(slots=True)
class Machine:
    """A VM: its calls, that which made it not among them."""

    calls: list[Call] = field(default_factory=list)

    @property
    def vcpus(self) -> tuple[int, ...]:
        """Ids, in the order in which they were made or tried."""
        ids = (one.vcpu for one in self.calls if one.vcpu is not None)
        return tuple(dict.fromkeys(ids))

    @property
    def runs(self) -> int:
        """How often KVM_RUN returned."""
        done = (one.call for one in self.calls if isinstance(one.call, Ioctl))
        return sum(call.times for call in done if call.number == Nr.RUN and call.err in ENTERED)


@dataclass(frozen=True, slots=True)
class Machines:
    """All VMs, in the order in which they were made; `beside`: calls on /dev/kvm and on what was
    not seen being made."""

    vms: tuple[Machine, ...]
    beside: tuple[Ioctl | Unfinished, ...]

    def usual(self) -> int:
        """The VM that one wants to see: the first that ran, else the one with the most calls, as
        VMMs make some only to see what there is."""
        for number, machine in enumerate(self.vms):
            if machine.runs:
                return number
        return max(range(len(self.vms)), key=lambda number: len(self.vms[number].calls))


def machines(log: Log) -> Machines:
    """Sort the calls of a log by the descriptors that they are made on."""
    vms: list[Machine] = []
    beside: list[Ioctl | Unfinished] = []
    owners: dict[tuple[int, int], tuple[Machine, int | None]] = {}
    for call in log.calls:
        owner = owners.get((call.pid, call.fd))
        if isinstance(call, Ioctl):
            owner = _still(call, owner)
        if owner is None:
            beside.append(call)
        elif _makes_vcpu(call):
            assert isinstance(call, Ioctl)
            owner[0].calls.append(Call(call.arg, call))
        else:
            owner[0].calls.append(Call(owner[1], call))
        for descriptor, made in _made(call, owner):
            if made is None:
                vms.append(Machine())
                owners[call.pid, descriptor] = vms[-1], None
            else:
                owners[call.pid, descriptor] = made
    return Machines(tuple(vms), tuple(beside))


def _still(
    call: Ioctl, owner: tuple[Machine, int | None] | None
) -> tuple[Machine, int | None] | None:
    """The owner of a descriptor, unless it was closed since and is of something else now."""
    if owner is None:
        return None
    kind = "anon_inode:kvm-vm" if owner[1] is None else "anon_inode:kvm-vcpu"
    return owner if not call.of or call.of.startswith(kind) else None


def _makes_vcpu(call: Ioctl | Unfinished) -> bool:
    return isinstance(call, Ioctl) and call.number == Nr.CREATE_VCPU


def _made(
    call: Ioctl | Unfinished, owner: tuple[Machine, int | None] | None
) -> Iterator[tuple[int, tuple[Machine, int | None] | None]]:
    """The descriptor that a call made, and what it is of; None: a new VM."""
    if isinstance(call, Unfinished) or call.result < 0:
        return
    if call.number == Nr.CREATE_VM:
        yield call.result, None
    elif call.number == Nr.CREATE_VCPU and owner is not None:
        yield call.result, (owner[0], call.arg)
