"""Kernels with a defect of one line each, built and hunted one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from fuzz.bench.buckets.counting import INTACT, Counted, count
from fuzz.bench.buckets.kerneldefects import SOURCE
from fuzz.oracle.knowledge import Knowledge
from targets.kvm.lab.variants import Edit, source_tree
from targets.legs import open_legs
from targets.transport import TransportError

MODE = "vhe"
NOTHING = Edit(INTACT, "the kernel as it is", "", "", "")


def count_kernels(
    defects: Sequence[Edit], cases: int, seed: int, say: Callable[[str], None]
) -> Iterator[Counted]:
    """The buckets of each defect, after those of the kernel without any; what its machine
    cannot do is told in its row. Raises TransportError if nothing can be built."""
    with source_tree(SOURCE, say=say) as tree:
        tree.check(defects)
        say(f"compiling kernel {SOURCE}")
        yield _count(NOTHING, tree.build(), cases, seed)
        for defect in defects:
            say(f"{defect.name}: {defect.about}")
            with tree.edited(defect) as image:
                yield _count(defect, image, cases, seed)


def _count(defect: Edit, image: Path, cases: int, seed: int) -> Counted:
    what = (defect.name, defect.about)
    try:
        legs = open_legs([f"kvm:{image}:{MODE}", "model"])
    except TransportError as error:
        return Counted(*what, 0, 0, 0, 0.0, [], str(error))
    try:
        counted = count(legs, what, cases, seed, knowledge=Knowledge.shipped())
    except TransportError as error:
        return Counted(*what, 0, 0, 0, 0.0, [], str(error))
    finally:
        for leg in legs:
            leg.close()
    shown = [
        msgspec.structs.replace(
            one, title=_short(one.title, image), same_as=_short(one.same_as, image)
        )
        for one in counted.buckets
    ]
    return msgspec.structs.replace(counted, buckets=shown)


def _short(title: str, image: Path) -> str:
    """A title without the place where the kernel was built."""
    return title.replace(f"kvm:{image}:", "kvm:")
