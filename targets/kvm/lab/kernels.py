"""The kernels the lab knows: Debian's cloud kernels by release, and those it built itself.

A kernel is kept under the hash of its image; the release's entry names the hash and
is replaced in one step, so a reader sees a whole kernel or none.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from targets import cache
from targets.cache import cache_dir, locked, scratch
from targets.entry import Entry
from targets.kvm.lab import imagefile, kconfig
from targets.kvm.lab.apt import AptRoot
from targets.transport import TransportError

SUITES = {"6.1": "bookworm", "6.12": "trixie", "newest": "sid", "rc": "experimental"}
"""Release the user names -> Debian suite that carries it."""

META = "linux-image-cloud-arm64"
"""Exists in every suite and depends on that suite's kernel."""

FLAVOURS = {
    f"{release}-{flavour}": (release, package)
    for flavour, package in (("rt", "linux-image-rt-arm64"), ("16k", "linux-image-arm64-16k"))
    for release in ("6.12", "newest", "rc")
}
"""Other kernels of a release -> that, and the package that depends on them: preempted almost
everywhere, and with pages of 16 KiB."""

PACKAGES = dict.fromkeys(SUITES, META) | {name: package for name, (_, package) in FLAVOURS.items()}
"""Every kernel that is fetched -> the package that depends on it."""


def source_of(release: str) -> str:
    """The release of SUITES that a kernel is, or is built from."""
    if release in FLAVOURS:
        return FLAVOURS[release][0]
    return BUILDS[release][0] if release in BUILDS else release


CHECKS = ("kasan", "lockdep")
"""Self-checks a built kernel may have: memory errors, locking errors."""


def built_name(source: str, checks: Sequence[str] = ()) -> str:
    """The release name of a built kernel, e.g. small-6.12 or small-6.12-kasan."""
    return "-".join(("small", source, *(check for check in CHECKS if check in checks)))


BUILDS = {
    built_name(source, checks): (source, checks)
    for checks in ((), ("kasan",), ("lockdep",), CHECKS)
    for source in SUITES
}
"""Name of every kernel that `build` can make -> release of its source, and its self-checks."""


def build_command(release: str) -> str:
    """The command that builds a kernel of BUILDS, or of a tree."""
    if release not in BUILDS:
        return "vcpufuzz lab build --tree DIR --commit REV"
    source, checks = BUILDS[release]
    return " ".join(["vcpufuzz lab build --source", source, *(f"--{check}" for check in checks)])


RELEASES = (*PACKAGES, *BUILDS)

_TREE = re.compile(r"[A-Za-z0-9._-]+@[0-9a-f]{12}(\+[0-9a-f]{6})?(-[a-z0-9]+)*")
"""The name of a kernel that was built from a tree of the user's (treebuild.py)."""


def is_tree(release: str) -> bool:
    """Whether a kernel's name is that of one built from a tree: TREE@commit."""
    return bool(_TREE.fullmatch(release))


def of_trees() -> list[str]:
    """Names of the kernels from trees that are kept."""
    names = (path.stem for path in _store().glob("*@*.json"))
    return sorted(name for name in names if is_tree(name) and cached(name))


def is_known(release: str) -> bool:
    """Whether a name may stand for a kernel, kept or not."""
    return release in RELEASES or is_tree(release)


_PART = re.compile(r"linux-(image|binary|modules)-\d[^ ]*$")
_IMAGES = ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A bootable arm64 Image. `package_version` is empty for a user's own."""

    path: Path
    release: str
    package_version: str
    sha256: str


def own(path: Path) -> Kernel:
    """The user's own Image. Raises TransportError."""
    content = _image(path)
    config = kconfig.embedded(content)
    missing = kconfig.lacking(config) if config is not None else []
    if missing:
        options = ", ".join(f"{option}=y" for option in missing)
        raise TransportError(f"{path} was built without {options}: the lab needs that.")
    return Kernel(path, path.name, "", hashlib.sha256(content).hexdigest())


def _image(path: Path) -> bytes:
    """All of an Image. Raises TransportError for what is none, or not all of one."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = _NO_FILES.get(stat.S_IFMT(status.st_mode), "no file")
            raise TransportError(f"{path} is {what}, and no arm64 Image.")
        with path.open("rb") as file:
            head = file.read(imagefile.HEAD)
            why = imagefile.trouble(str(path), head, status.st_size)
            if why:
                raise TransportError(why)
            content = head + file.read(imagefile.MOST)
    except OSError as error:
        raise TransportError(
            f"kernel image {path} cannot be read: {(error.strerror or str(error)).lower()}."
        ) from error
    if not imagefile.version(content):
        raise TransportError(
            f"{path} is cut off or damaged: it does not say which version of Linux it is."
        )
    reach = imagefile.reach(content)
    if status.st_size < reach:
        raise TransportError(
            f"{path} is cut off: it has {status.st_size} bytes of {reach} or more."
        )
    return content


_NO_FILES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def image_version(path: Path) -> tuple[int, int]:
    """(major, minor) of the kernel in an Image; (0, 0) of what is none."""
    try:
        return imagefile.version(_image(path)) or (0, 0)
    except TransportError:
        return 0, 0


def cached(release: str) -> Kernel | None:
    """The kept kernel of a catalogue release, or None. Raises CacheError."""
    record = _store() / f"{release}.json"
    try:
        told = json.loads(record.read_bytes())
        kernel = Kernel(_entry(release, told["sha256"]).path, **told)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        if record not in _told:
            cache.tell(f"{record} was damaged: kernel {release} {_back(release)}.")
        _told.add(record)
        return None
    return kernel if _entry(release, kernel.sha256).kept() else None


_told: set[Path] = set()
"""Damaged records that the user knows of."""


def _back(release: str) -> str:
    """How a kernel comes back that was damaged."""
    if release in BUILDS or is_tree(release):
        return f"has to be built anew ({build_command(release)})"
    return "is fetched anew when it is needed"


def _entry(release: str, digest: str) -> Entry:
    path = _store() / digest / "Image"
    return Entry(path, f"kernel {release}", digest, _back(release))


def fetch(release: str, *, refresh: bool = False) -> Kernel:
    """The kernel of a catalogue release; downloaded if not kept or `refresh`.

    Raises TransportError. Safe in several processes at once.
    """
    if release in BUILDS or is_tree(release):
        kept = cached(release)
        if kept is None:
            raise TransportError(
                f"kernel {release} is not built yet: run {build_command(release)}."
            )
        return kept
    if release not in PACKAGES:
        known = ", ".join(PACKAGES)
        raise TransportError(
            f"no kernel release {release!r}: the lab knows {known}, or the path of an Image."
        )
    found = None if refresh else cached(release)
    if found:
        return found
    with locked(_store(), f"kernel {release}"):
        found = None if refresh else cached(release)
        return found or _download(release)


def candidate(release: str) -> str:
    """The version of a release of PACKAGES that there is to be fetched now, as a kernel that is
    kept says in `package_version`. Raises TransportError."""
    root = AptRoot(SUITES[source_of(release)])
    root.update()
    for package in root.depends(PACKAGES[release]):
        if _PART.match(package):
            return root.version(package)
    raise TransportError(f"suite {root.suite}: no kernel is behind {PACKAGES[release]}.")


def _store() -> Path:
    return cache_dir() / "kernels"


def _download(release: str) -> Kernel:
    root = AptRoot(SUITES[source_of(release)])
    with scratch(_store()) as work:
        root.update()
        image, version = _find_image(root, PACKAGES[release], work)
        return _keep(release, version, image)


def keep(release: str, version: str, image: Path, recipe: str = "") -> Kernel:
    """Copy an image that was built by `recipe` into the store. Safe in several processes at
    once."""
    with locked(_store(), f"kernel {release}"):
        kernel = _keep(release, version, image)
        cache.write(_recipe(release), recipe.encode())
        return kernel


def built(release: str, recipe: str) -> Kernel | None:
    """The kept kernel if it was built by `recipe`; an older one serves, but is out of date."""
    try:
        same = _recipe(release).read_text(encoding="utf-8", errors="replace") == recipe
    except FileNotFoundError:
        return None
    return cached(release) if same else None


def forget(release: str) -> int:
    """Remove a kernel from the cache; the bytes that this freed, fewer where another has the same
    Image. Raises CacheError."""
    with locked(_store(), f"kernel {release}"):
        record = _store() / f"{release}.json"
        try:
            digest = str(json.loads(record.read_bytes())["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            digest = ""
        cache.remove(record)
        cache.remove(_recipe(release))
        others = (path.read_text("utf-8", "replace") for path in _store().glob("*.json"))
        image = _store() / digest / "Image"
        if not digest or not image.exists() or any(digest in other for other in others):
            return 0
        size = image.stat().st_size
        cache.remove(image.parent)
        return size


def _recipe(release: str) -> Path:
    return _store() / f"{release}.recipe"


def _keep(release: str, version: str, image: Path) -> Kernel:
    """Copy `image` into the store, which is locked."""
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kept = _entry(release, digest).get(lambda staged: shutil.copyfile(image, staged))
    kernel = Kernel(kept, release, version, digest)
    record = {k: v for k, v in asdict(kernel).items() if k != "path"}
    cache.write(_store() / f"{release}.json", json.dumps(record).encode())
    return kernel


def _find_image(root: AptRoot, meta: str, work: Path) -> tuple[Path, str]:
    """Follow a meta package's dependencies to the package that holds an image."""
    wanted, seen = [meta], set[str]()
    while wanted:
        package = wanted.pop(0)
        if package in seen:
            continue
        seen.add(package)
        if package != meta:
            tree = work / "tree"
            deb = root.download(package, work)
            unpack(deb, tree)
            for pattern in _IMAGES:
                for image in sorted(tree.glob(pattern)):
                    return image, version_of(deb)
            shutil.rmtree(tree)
        wanted += [name for name in root.depends(package) if _PART.match(name)]
    raise TransportError(f"suite {root.suite}: no package under {meta} holds a kernel image.")


def version_of(deb: Path) -> str:
    """The version in a package file's name."""
    return deb.name.split("_")[1].replace("%3a", ":")


def unpack(deb: Path, into: Path) -> None:
    """Unpack a package file. Raises TransportError."""
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise TransportError(
            "dpkg-deb is not installed: packages are unpacked with it (package dpkg)."
        )
    done = subprocess.run(
        [tool, "-x", str(deb), str(into)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise TransportError(f"{deb.name} cannot be unpacked: {done.stderr.strip()}")
