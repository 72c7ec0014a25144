"""What the text of a recorded case says of its ops beside them, in comments that begin with `#:`.

`EPERM` behind an op is how it ended, if not well; `exit mmio: ...` how a run did that is known by
its exit only; all else is what no op says. Pure."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from corpus.text import Document

RAN = "exit "
"""What the remark on a run that entered the guest begins with."""
ON = "recorded on "
"""What the remark begins with that names the leg."""
ON_VCPU = "calls on vcpu "
"""What the remark begins with that is about another vcpu."""
SET_OTHERWISE = "set to other values"
"""What the remark begins with that is about registers of the specification."""
_MAKES_GIC = re.compile(r"KVM_CREATE_IRQCHIP|KVM_CREATE_DEVICE(, \d+ times)?(: .*vgic|$)")
"""What remarks begin with behind which a VM has an interrupt controller of KVM's."""
_CHANGES = (SET_OTHERWISE, "KVM_SET_VCPU_EVENTS", "KVM_RUN")
"""What remarks begin with behind which a vcpu may have other values than its ops gave it."""
_ERRNO = re.compile(r"E[A-Z0-9]+|errno \d+")
_MORE = "  "
"""What the next line of a longer remark begins with."""


@dataclass(frozen=True, slots=True)
class Remarks:
    """Remarks by the number of ops before them. `leg`: where the recording was made, empty if
    this is none; `first`: what stands before the first op, but for what is about the whole."""

    leg: str = ""
    first: tuple[str, ...] = ()
    said: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def recorded(self, number: int) -> int | None:
        """The errno of op `number`, from 0 on; None where that was not recorded."""
        if not self.leg:
            return None
        return next((_number(one) for one in self._behind(number) if _is_errno(one)), 0)

    def ran(self, number: int) -> tuple[str, ...]:
        """How runs of the guest ended that stand for op `number`."""
        behind = self._behind(number)
        return tuple(one.removeprefix(RAN) for one in behind if one.startswith(RAN))

    def beside(self, number: int) -> tuple[str, ...]:
        """What was done between that op and the next, but for what other vcpus were asked for."""
        behind = (one for one in self._behind(number) if not one.startswith((RAN, ON_VCPU)))
        return tuple(one for one in behind if not _is_errno(one))

    def changed(self, number: int) -> bool:
        """Whether something between that op and the next may have changed the vcpu's values."""
        done = (one for one in self.beside(number) if one.startswith(_CHANGES))
        return any(not _failed(one) for one in done)

    def makes_gic(self, number: int) -> bool:
        """Whether something right before that op made an interrupt controller of KVM's."""
        done = (one for one in self.said.get(number, ()) if _MAKES_GIC.match(one))
        return bool(self.leg) and any(not _failed(one) for one in done)

    def _behind(self, number: int) -> tuple[str, ...]:
        return self.said.get(number + 1, ())


NONE = Remarks()


def short(remark: str) -> str:
    """What a remark says, without the registers that it names."""
    return remark.partition(": ")[0].removesuffix(":")


def _failed(remark: str) -> bool:
    return _is_errno(short(remark).rpartition(", ")[2])


def _is_errno(text: str) -> bool:
    return _ERRNO.fullmatch(text) is not None


def _number(text: str) -> int:
    return int(getattr(errno, text, 0)) or int(text.partition(" ")[2] or 0)


def remarks_of(document: Document) -> Remarks:
    """Those of a text. Only in a recording does an op without one have ended well."""
    said: dict[int, list[str]] = {}
    for number, text in document.remarks:
        if text.startswith(_MORE):
            continue
        said.setdefault(number, []).append(text.strip())
    head = said.get(0, [])
    leg = next((one.removeprefix(ON) for one in head if one.startswith(ON)), "")
    return Remarks(leg, tuple(_about_calls(head)), {at: tuple(some) for at, some in said.items()})


_WHOLE = re.compile(r"recorded on |VM \d+: |remarks: ")


def _about_calls(head: Iterable[str]) -> Iterable[str]:
    return (text for text in head if not _WHOLE.match(text))
