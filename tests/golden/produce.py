"""Makes the golden logs: kernels with a defect put into their text, booted in the lab.

    PYTHONPATH=tests python tests/golden/produce.py [RELEASE-FAULT]...

What is written is what the kernel printed, whole.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from faultykernel import LOOP, UDF, FaultyKernel

from corpus.case import Case
from corpus.text import parse_case
from targets.base import WireTarget
from targets.kvm import legname

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


def log_of(release: str, fault: str) -> str:
    """What a kernel prints of a fault."""
    plant, case, mode = FAULTS[fault]
    kernel = FaultyKernel(release)
    plant(kernel)
    with tempfile.TemporaryDirectory() as folder:
        image = kernel.write(Path(folder) / "Image")
        spec = legname.parse(f"kvm:{image}:{mode}")
        with WireTarget(spec.name, "kvm", legname.open_transport(spec)) as leg:
            return leg.run(case).log


def main(names: list[str]) -> None:
    """Write the logs, or those named."""
    for release in RELEASES:
        for fault in FAULTS:
            name = f"{release}-{fault}"
            if name in names or (not names and name not in SILENT):
                (HERE / f"{name}.log").write_text(log_of(release, fault))
                print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
