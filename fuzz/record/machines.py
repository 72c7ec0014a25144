"""Whose calls those of a log are: the VMs of a VMM and their vcpus, in the order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fuzz.record.log import Dup, Ioctl, Log, Nr, Unfinished
from targets.spec.errno import EFAULT, EHWPOISON, EINTR

ENTERED = (0, EINTR, EFAULT, EHWPOISON)
"""Results of a KVM_RUN that entered the guest, or could have: the last two are of memory that the
guest touched (api.rst 5, KVM_EXIT_MEMORY_FAULT)."""
VM, VCPU = "anon_inode:kvm-vm", "anon_inode:kvm-vcpu"
"""What /proc says that a descriptor is of, at least at its beginning."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a VM: on its vcpu of that id, or on itself (None)."""

    vcpu: int | None
    call: Ioctl | Unfinished


@dataclass(slots=True, eq=False)
class Machine:
    """A VM: the call that made it, and its calls."""

    made: Ioctl
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


_Owner = tuple[Machine, int | None]
"""Whose descriptor it is: of a vcpu by its id, or of the VM itself (None)."""


@dataclass(frozen=True, slots=True)
class Machines:
    """All VMs, in the order in which they were made; `beside`: calls on /dev/kvm that made none, on
    devices, and on what was not seen being made."""

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
    owners: dict[tuple[int, int], _Owner] = {}
    for call in log.calls:
        if isinstance(call, Dup):
            _share(call, owners)
            continue
        owner = _owner(call, owners)
        if owner is None:
            if not _makes_vm(call):
                beside.append(call)
        elif _makes_vcpu(call):
            assert isinstance(call, Ioctl)
            owner[0].calls.append(Call(call.arg, call))
        else:
            owner[0].calls.append(Call(owner[1], call))
        for descriptor, made in _made(call, owner):
            if made is None:
                assert isinstance(call, Ioctl)
                vms.append(Machine(call))
                owners[call.pid, descriptor] = vms[-1], None
            else:
                owners[call.pid, descriptor] = made
    return Machines(tuple(vms), tuple(beside))


def _owner(call: Ioctl | Unfinished, owners: Mapping[tuple[int, int], _Owner]) -> _Owner | None:
    """Whose descriptor a call is on. A process has those of the one that forked it: where its own
    is not known, it is the same in another, unless they differ."""
    of = "" if isinstance(call, Unfinished) else call.of
    own = owners.get((call.pid, call.fd))
    if own:
        # It may have been closed since, and be of something else now.
        return own if not of or of.startswith(VM if own[1] is None else VCPU) else None
    others = {owner for (_, fd), owner in owners.items() if fd == call.fd}
    if len(others) != 1:
        return None
    (other,) = others
    return other if of == (VM if other[1] is None else f"{VCPU}:{other[1]}") else None


def _share(dup: Dup, owners: dict[tuple[int, int], _Owner]) -> None:
    """A descriptor that is of the same as another, whatever it was of before."""
    owners.pop((dup.pid, dup.other), None)
    owner = owners.get((dup.pid, dup.fd))
    if owner:
        owners[dup.pid, dup.other] = owner


def _makes_vm(call: Ioctl | Unfinished) -> bool:
    return isinstance(call, Ioctl) and call.number == Nr.CREATE_VM and call.result >= 0


def _makes_vcpu(call: Ioctl | Unfinished) -> bool:
    return isinstance(call, Ioctl) and call.number == Nr.CREATE_VCPU


def _made(call: Ioctl | Unfinished, owner: _Owner | None) -> Iterator[tuple[int, _Owner | None]]:
    """The descriptor that a call made, and what it is of; None: a new VM."""
    if isinstance(call, Unfinished) or call.result < 0:
        return
    if call.number == Nr.CREATE_VM:
        yield call.result, None
    elif call.number == Nr.CREATE_VCPU and owner is not None:
        yield call.result, (owner[0], call.arg)
