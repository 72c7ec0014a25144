"""Booting what a lab leg is made of, and making sure that it came up as asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.wire import Kind, WireError, WireOp, pack_request, unpack_response
from targets.codemap import CodeMap
from targets.kvm.lab import console, image, newer_qemu, plugins, qemu, symbols
from targets.kvm.lab.channel import Command, Layout
from targets.kvm.lab.coverage import maps
from targets.kvm.lab.coverage.areas import NoSymbols
from targets.kvm.lab.kernels import Kernel
from targets.kvm.lab.monitor import Counter
from targets.kvm.lab.pace import Pace
from targets.kvm.lab.symbols import Symbols
from targets.kvm.lab.vm import GuestDied, KilledAtBoot, Vm
from targets.transport import TransportError
from targets.vqs import ALL_VQS

IMAGE_ALIGNMENT = 1 << 21
"""Where an Image begins, in memory and as it is linked (Documentation/arch/arm64/booting)."""

_KERNEL_CODE = re.compile(r"^\s*([0-9a-f]+)-[0-9a-f]+ : Kernel code$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What a lab leg is made of; `kernel` fetches on demand and may raise TransportError."""

    name: str
    kernel: Callable[[], Kernel]
    mode: str
    boot_options: str = ""
    vqs: tuple[int, ...] = ALL_VQS
    coverage: bool = False
    smp: int = 1
    mte: bool = False
    icount: int | None = None
    qemu: int | None = None
    """Major version of QEMU; None: the one for the mode."""
    memory_mib: int = 512
    initramfs: Callable[[], image.Image] = lambda: image.build()  # noqa: PLW0108 (late bound)


def unfit(facts: Mapping[str, str], mode: str) -> str:
    """Why a machine that booted is not the leg asked for, in one sentence; else nothing."""
    release, found = facts.get("release"), facts.get("mode", "unknown")
    if found == "unknown":
        return f"kernel {release} does not log in which mode its KVM came up (CONFIG_PRINTK=y)."
    if found != mode:
        hint = " (CONFIG_ARM64_VHE=y)" if (mode, found) == ("vhe", "nvhe") else ""
        return f"the kernel came up in KVM mode {found}, not {mode}{hint}."
    if facts.get("cap.sve") != "1":
        return f"KVM of kernel {release} in mode {mode} has no SVE (CONFIG_ARM64_SVE=y)."
    if mode == "nested" and facts.get("cap.el2", "0") == "0":
        return f"KVM of kernel {release} offers its guests no EL2 on this emulated machine."
    return ""


def _narrow(version: str) -> Path | None:
    """The plugin for fewer physical addresses, where QEMU can have it; without, a leg is slow."""
    with suppress(TransportError):
        return plugins.build(plugins.NARROW, version)
    return None


@dataclass(frozen=True, slots=True)
class Booted:
    """A guest that serves, what its KVM says of itself, and what its kernel logged."""

    vm: Vm
    facts: Mapping[str, str]
    log: str


class Bootloader:
    """Boots one leg, again and again. `code`, `no_coverage`: as of a transport."""

    def __init__(self, spec: LabSpec, layout: Layout) -> None:
        self.spec = spec
        self.code: CodeMap | None = None
        self.no_coverage = ""
        self.pace = Pace()
        self._layout = layout
        self._symbols: Symbols | None = None
        self._image_physical = 0
        self._asked = False

    def boot(self) -> Booted:
        """A fresh guest. Raises TransportError, KilledAtBoot."""
        program = newer_qemu.program_for(self.spec.mode, self.spec.qemu)
        version = qemu.version(program)
        initramfs = self.spec.initramfs()  # first: a missing compiler saves the download
        kernel = self.spec.kernel()
        machine = self._machine(kernel, initramfs, version)
        vm: Vm | None = None
        try:
            if self.spec.coverage:
                machine = self._with_plugin(program, version, machine, kernel)
            vm = Vm(program, machine, self._layout, self.code, self.pace)
            log = vm.wait_ready()
            facts = self._probe(vm)
        except BaseException as error:
            if vm:
                vm.close()
            if isinstance(error, TransportError):
                raise type(error)(f"{self.spec.name}: {error}") from error
            raise
        facts["lab.qemu"] = version
        # QEMU checks no alignment below a stage 2, as hardware would with the MMU off.
        facts["unaligned"] = "1"
        facts["reads_on"] = "1"  # sve_helper.c, sve_ldnfff1_r
        facts["lab.kernel_sha256"] = kernel.sha256
        facts["lab.kernel_package"] = kernel.package_version
        facts["lab.executor"] = initramfs.key
        facts["lab.machine"] = qemu.key(machine)
        return Booted(vm, facts, log)

    def name(self, address: int) -> str | None:
        """`function+0x10/0x80` for an address of the kernel's code."""
        found = self._known_symbols()
        return found.name(address) if found else None

    def place(self, counter: Counter) -> str | None:
        """The same for where a CPU is: the hypervisor of nVHE runs at addresses of its own,
        but from the same memory."""
        found = self._known_symbols()
        if found is None:
            return None
        name = found.name(counter.address)
        if name is None and counter.level == "EL2" and counter.physical is not None:
            self._ask()
            if self._image_physical:
                base = found.text & -IMAGE_ALIGNMENT
                name = found.name(base + counter.physical - self._image_physical)
        return name

    def _machine(self, kernel: Kernel, initramfs: image.Image, version: str) -> qemu.Machine:
        spec = self.spec
        # KVM walks the whole IPA space, 1 GiB a step, when it drops a vcpu with EL2, and protected
        # KVM, which gives every VM all of it, when it drops a VM: 48 bits take 16 times less
        # than 52, and 40 bits 256 times less than that.
        walks = spec.mode in ("nested", "protected")
        return qemu.Machine(
            kernel.path,
            initramfs.path,
            spec.boot_options,
            spec.vqs,
            spec.memory_mib,
            lpa2=not walks,
            narrow=_narrow(version) if walks else None,
            smp=spec.smp,
            mte=spec.mte,
            icount=spec.icount,
        )

    def _known_symbols(self) -> Symbols | None:
        if self._symbols is None:
            with suppress(TransportError):
                self._symbols = symbols.load(self.spec.kernel().sha256)
        if self._symbols is None:
            self._ask()
        return self._symbols

    def _ask(self) -> None:
        """Boot a healthy guest, once for all faults, and ask where its kernel is."""
        if self._asked:
            return
        self._asked = True
        with suppress(TransportError, GuestDied, NoSymbols):
            kernel = self.spec.kernel()
            program = newer_qemu.program_for(self.spec.mode, self.spec.qemu)
            machine = self._machine(kernel, self.spec.initramfs(), qemu.version(program))
            with closing(Vm(program, machine, self._layout)) as vm:
                vm.wait_ready()
                memory = read_file(vm, "/proc/iomem").decode("ascii", "replace")
                code = _KERNEL_CODE.search(memory)
                self._image_physical = int(code[1], 16) & -IMAGE_ALIGNMENT if code else 0
                if self._symbols is None:
                    text = read_file(vm, "/proc/kallsyms").decode("ascii", "replace")
                    self._symbols = symbols.save(kernel.sha256, text)

    def _with_plugin(
        self, program: str, version: str, machine: qemu.Machine, kernel: Kernel
    ) -> qemu.Machine:
        """The machine with the coverage plugin, or as it is if that cannot be had here.

        A kernel that is seen for the first time is booted once more, to ask where its
        functions are: the plugin must know that before it boots.
        """
        try:
            plugin = plugins.build(plugins.COVERAGE, version)
            self.code = maps.load(kernel.sha256)
            if self.code is None:
                with closing(Vm(program, machine, self._layout)) as vm:
                    vm.wait_ready()
                    kallsyms = read_file(vm, "/proc/kallsyms")
                text = kallsyms.decode("ascii", "replace")
                self.code = maps.save(kernel.sha256, text)
                self._symbols = symbols.save(kernel.sha256, text)
        except KilledAtBoot:
            raise
        except (TransportError, NoSymbols) as error:
            self.no_coverage = str(error)
            return machine
        except GuestDied as death:
            if death.from_outside:
                raise KilledAtBoot(f"QEMU was {death.cause} while it told symbols") from death
            self.no_coverage = f"the guest died while its symbols were read ({death})."
            return machine
        return replace(machine, plugin=plugin)

    def _probe(self, vm: Vm) -> dict[str, str]:
        """The probe's facts, once it is sure that they are of the leg asked for."""
        vm.post(pack_request([WireOp(Kind.PROBE)]))
        try:
            done = vm.next_completion()
        except GuestDied as death:
            if death.from_outside:
                raise KilledAtBoot(f"QEMU was {death.cause} while it was probed") from death
            words = console.last_words(death.log)
            raise TransportError(f"the kernel died when its KVM was probed: {words}") from death
        try:
            (seen,) = unpack_response(vm.channel.take(done.slot)[1])
        except (WireError, ValueError) as error:
            raise TransportError(
                "the kernel has no usable /dev/kvm with these options (CONFIG_KVM=y)."
            ) from error
        text = seen.data.decode("utf-8", "replace")
        facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        trouble = unfit(facts, self.spec.mode)
        if trouble:
            raise TransportError(trouble)
        return facts


def read_file(vm: Vm, path: str) -> bytes:
    """A file of a guest that serves nothing else now. Raises GuestDied, TransportError."""
    content = bytearray()
    while True:
        vm.post(len(content).to_bytes(8, "little") + path.encode(), Command.READ_FILE)
        error, piece = vm.channel.take(vm.next_completion().slot)
        if error:
            raise TransportError(f"the guest cannot read {path}: errno {error}.")
        if not piece:
            return bytes(content)
        content += piece
