"""Small kernels of the user's own tree, each revision under a name of its own.

Compiled aside in a directory that stays, so that the next revision takes as long as what it
changes: the tree itself is only read (`shadow`).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.cache import locked, using
from targets.kvm.lab import build, kconfig, kernels
from targets.kvm.lab.kernels import Kernel
from targets.kvm.lab.shadow import Revision, Shadow, TreeError

LLVM_TOOLS = {
    "clang": "clang",
    "ld.lld": "lld",
    "llvm-ar": "llvm",
    "llvm-nm": "llvm",
    "llvm-objcopy": "llvm",
}
"""Program -> Debian package, for `make LLVM=1`."""

GIT = {"git": "git"}

_SAME_EVERYWHERE = (
    "KBUILD_BUILD_USER=vcpufuzz",
    "KBUILD_BUILD_HOST=vcpufuzz",
    "KBUILD_BUILD_VERSION=1",
    "KBUILD_BUILD_TIMESTAMP=Thu Jan 1 00:00:00 UTC 1970",
    "LOCALVERSION=",
)
"""So that the same code is the same Image, whoever builds it, and when."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """How a tree is built: with which self-checks, whose compiler, and which files of options
    over those of a small kernel."""

    checks: Sequence[str] = ()
    llvm: bool = False
    fragments: Sequence[Path] = ()

    @property
    def suffix(self) -> str:
        """What it adds to a kernel's name. Raises OSError."""
        words = [*self.checks, *(["llvm"] if self.llvm else [])]
        if self.fragments:
            words.append("c" + hashlib.sha256(self._own().encode()).hexdigest()[:6])
        return "".join(f"-{word}" for word in words)

    @property
    def options(self) -> str:
        """The configuration asked for, over allnoconfig. Raises OSError."""
        return build.fragment(self.checks) + self._own()

    @property
    def insisted(self) -> dict[str, str]:
        """Options that the user asked for. Raises OSError."""
        return kconfig.parse(self._own())

    def _own(self) -> str:
        return "".join(f"{path.read_text()}\n" for path in self.fragments)

    @property
    def recipe(self) -> str:
        """16 hexadecimal digits that change with what is made of a source. Raises OSError."""
        parts = (build.recipe(self.checks), self._own(), str(self.llvm))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def arguments(self) -> list[str]:
        """For make. A compiler cache is used if there is one."""
        compiler = "clang" if self.llvm else f"{build.CROSS}gcc"
        found = ["LLVM=1"] if self.llvm else []
        if shutil.which("ccache"):
            host = "clang" if self.llvm else "gcc"
            found += [f"CC=ccache {compiler}", f"HOSTCC=ccache {host}"]
        return found


@dataclass(frozen=True, slots=True)
class Built:
    """A kernel of a tree; `seconds` it took to build, 0 if it was kept."""

    kernel: Kernel
    revision: Revision
    seconds: float


class TreeBuilder:
    """Builds revisions of one tree in one flavour. `say` is told what is under way."""

    def __init__(
        self,
        tree: Path,
        flavour: Flavour,
        *,
        jobs: int = 0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Raises TransportError, with the command that installs what is missing, too."""
        build.check_tools(GIT | (LLVM_TOOLS if flavour.llvm else {}))
        self.shadow = Shadow(tree)
        self._flavour = flavour
        self._jobs = jobs or build.cpus()
        self._say = say
        if re.search(r"[\s:]", str(self.shadow.home)):
            raise TreeError(
                f"no kernel can be built in {self.shadow.home}: make takes no space or colon there."
            )
        with locked(self.shadow.home, f"building kernels of {self.shadow.tree}"):
            self.shadow.open()

    def revision(self, commit: str | None) -> Revision:
        """The revision of that name, or the directory as it stands. Raises TransportError."""
        if commit is not None:
            return self.shadow.resolve(commit)
        self._say(f"looking through {self.shadow.tree}")
        with locked(self.shadow.home, f"building kernels of {self.shadow.tree}"):
            return self.shadow.snapshot()

    def name(self, revision: Revision) -> str:
        """What stands for the kernel in a leg's name."""
        return f"{self.shadow.label}@{revision.short}{self._flavour.suffix}"

    def kept(self, revision: Revision) -> Kernel | None:
        """Its kernel, if that was built before."""
        return kernels.built(self.name(revision), self._flavour.recipe)

    def build(self, revision: Revision, *, again: bool = False) -> Built:
        """Its kernel; built if it is not kept, or `again`. Safe in several processes at once.
        Raises TransportError."""
        kept = None if again else self.kept(revision)
        if kept is None:
            with locked(self.shadow.home, f"building kernels of {self.shadow.tree}"):
                kept = None if again else self.kept(revision)
                if kept is None:
                    began = time.monotonic()
                    with using(self.shadow.home):
                        kernel = self._build(revision)
                    return Built(kernel, revision, time.monotonic() - began)
        return Built(kept, revision, 0.0)

    def _build(self, revision: Revision) -> Kernel:
        name, shadow = self.name(revision), self.shadow
        self._say(f"checking out {revision.short}")
        shadow.check_out(revision)
        build.add_driver(shadow.source)
        out = shadow.home / f"out{self._flavour.suffix}"
        out.mkdir(exist_ok=True)
        log = out / "build.log"
        log.write_bytes(b"")
        arguments = [f"O={out}", *_SAME_EVERYWHERE, *self._flavour.arguments]
        wanted = out / "wanted.config"
        wanted.write_text(self._flavour.options)
        build.make(shadow.source, log, [*arguments, f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig"])
        self._check(name, (out / ".config").read_text(encoding="utf-8", errors="replace"))
        self._say(f"compiling {name} with {self._jobs} jobs")
        build.make(shadow.source, log, [*arguments, f"-j{self._jobs}", "Image"])
        return kernels.keep(name, revision.commit, out / build.IMAGE, self._flavour.recipe)

    def _check(self, name: str, config: str) -> None:
        """Raises TransportError for a tree that does not take what has to be."""
        got = kconfig.parse(config)
        refused = list(self._refused(got))
        if refused:
            raise TreeError(f"{name} does not take {', '.join(refused)}.")
        left_out = list(build.denied(kconfig.parse(self._flavour.options), got))
        if left_out:
            self._say(f"{name} has no {', '.join(left_out)}, and goes without")

    def _refused(self, got: dict[str, str]) -> Iterator[str]:
        yield from (f"{option}=y" for option in kconfig.lacking(got))
        insisted = self._flavour.insisted
        for option, value in insisted.items():
            if got.get(option, "n") != value and option not in kconfig.NEEDS:
                yield f"{option}={value}"
