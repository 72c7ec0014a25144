"""What the KVM legs consist of, without booting anything."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from corpus.domain import TextError
from targets.kvm import legname
from targets.kvm.lab import apt, console, cpio, image, kernellog, kernels, qemu, sources
from targets.kvm.lab.boot import Bootloader, LabSpec
from targets.kvm.lab.channel import Channel, Command, Layout, State
from targets.transport import TransportError

ALL = tuple(range(1, 17))


@pytest.mark.parametrize(
    ("name", "kernel", "mode", "vqs"),
    [
        ("kvm:6.12:vhe", "6.12", "vhe", ALL),
        ("kvm:6.12", "6.12", "vhe", ALL),
        ("kvm:6.1:nvhe:vq=1,2,4", "6.1", "nvhe", (1, 2, 4)),
        ("kvm:newest:protected:vq=1-3", "newest", "protected", (1, 2, 3)),
        ("kvm:newest:vq=1", "newest", "vhe", (1,)),
        ("kvm:/src/linux/Image:nested", Path("/src/linux/Image"), "nested", ALL),
        ("kvm:./Image:vhe:vq=1-16", Path("Image"), "vhe", ALL),
    ],
)
def test_leg_names(name: str, kernel: str | Path, mode: str, vqs: tuple[int, ...]) -> None:
    assert legname.parse(name) == legname.LegSpec(kernel, mode, vqs)


_OF_MACHINES = (
    *("kvm:6.12:vhe:smp=2", "kvm:6.12:nvhe:icount=4", "kvm:6.12:vhe:icount=0"),
    *("kvm:6.12:vhe:vq=1,2:smp=3:icount=10", "kvm:6.12:vhe:qemu=11"),
    *("kvm:6.12:vhe:mte", "kvm:6.12:nvhe:vq=1,2:smp=2:mte:icount=4:qemu=11"),
    "kvm:6.12:vhe:vq=1,2:smp=2:icount=4:qemu=10",
)


def test_a_leg_can_have_cpus_and_a_clock_that_counts_instructions() -> None:
    assert legname.parse("kvm:6.12:smp=2") == legname.LegSpec("6.12", smp=2)
    both = legname.parse("kvm:6.12:vhe:vq=1,2:smp=2:icount=4")
    assert both == legname.LegSpec("6.12", "vhe", (1, 2), 2, icount=4)


@pytest.mark.parametrize(
    "name", ["kvm:6.12:vhe", "kvm:6.1:nvhe:vq=1,2,4", "kvm:/a/Image:protected", *_OF_MACHINES]
)
def test_leg_name_round_trip(name: str) -> None:
    assert legname.parse(name).name == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("emulator:keep", "no KVM leg"),
        ("kvm:", "no KVM leg"),
        ("kvm:5.10:vhe", "no known kernel"),
        ("kvm:6.12:hyp", "no KVM mode"),
        ("kvm:6.12:vhe:vl=1", "not vq="),
        ("kvm:6.12:vhe:vq=1,2:more", "no list"),
        ("kvm:6.12:vhe:vq=1,3", "power of two"),
        ("kvm:6.12:vhe:smp=5", "smp=N with N from 1 to 4"),
        ("kvm:6.12:vhe:smp=", "smp=N with"),
        ("kvm:6.12:vhe:icount=11", "icount=N with N from 0 to 10"),
        ("kvm:6.12:vhe:icount=4:smp=2", "not vq="),
        ("kvm:6.12:vhe:qemu=11:icount=4", "not vq="),
        ("kvm:6.12:vhe:qemu=9", "qemu=N with N 7, 10, 11"),
        ("kvm:6.12:vhe:smp=2:smp=2", "not vq="),
    ],
)
def test_bad_leg_names_say_why(name: str, says: str) -> None:
    with pytest.raises(TextError, match=says):
        legname.parse(name)


ONE_LINE = """\
# a comment
deb cdrom:[Debian 12]/ bookworm main
deb [ arch=amd64 signed-by=/k.gpg check-valid-until=no ] http://mirror/debian bookworm main contrib
deb-src http://mirror/debian bookworm main   # trailing
deb http://security/debian-security bookworm-security main
deb [broken http://x y
"""

STANZAS = """\
# comment
Types: deb deb-src
URIs: http://mirror/debian
# inside
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off/debian
Suites: trixie
Components: main
"""


def test_one_line_sources() -> None:
    cdrom, archive, source, security = sources.parse_one_line(ONE_LINE)
    assert cdrom.uris == ("cdrom:[Debian",)
    assert archive.types == ("deb",)
    assert archive.uris == ("http://mirror/debian",)
    assert archive.components == ("main", "contrib")
    assert ("signed-by", "/k.gpg") in archive.options
    assert source.types == ("deb-src",)
    assert security.suites == ("bookworm-security",)


def test_stanza_sources() -> None:
    (archive,) = sources.parse_stanzas(STANZAS)
    assert archive.suites == ("trixie", "trixie-updates")
    assert (
        dict(archive.options)["signed-by"].splitlines()[1]
        == " -----BEGIN PGP PUBLIC KEY BLOCK-----"
    )


def test_another_suite_of_the_archive_keeps_what_makes_it_trusted() -> None:
    archive = sources.debian_archive(sources.parse_one_line(ONE_LINE))
    assert archive is not None
    (again,) = sources.parse_stanzas(sources.stanza(archive, "sid"))
    assert again.uris == ("http://mirror/debian",)
    assert again.suites == ("sid",)
    assert again.components == ("main",)
    assert dict(again.options) == {"signed-by": "/k.gpg", "check-valid-until": "no"}

    (keyed,) = sources.parse_stanzas(STANZAS)
    (again,) = sources.parse_stanzas(sources.stanza(keyed, "sid"))
    assert again.options == keyed.options


def test_no_debian_archive_among_foreign_sources() -> None:
    text = (
        "deb http://mirror/ubuntu noble main\ndeb http://x/debian-security bookworm-security main"
    )
    assert sources.debian_archive(sources.parse_one_line(text)) is None


def test_configured_reads_both_forms(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a/debian bookworm main\n")
    (parts / "b.sources").write_text(STANZAS)
    (parts / "c.list.save").write_text("deb http://no/debian sid main\n")
    assert [s.uris[0] for s in sources.configured(tmp_path)] == [
        "http://a/debian",
        "http://mirror/debian",
    ]


def test_a_machine_without_a_debian_archive_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "configured", lambda: [])
    with pytest.raises(TransportError, match="no Debian archive is configured"):
        kernels.fetch("6.12")


def test_an_unreachable_mirror_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    nowhere = sources.Source(("deb",), (f"file:{tmp_path}/none",), ("trixie",), ("main",))
    monkeypatch.setattr(sources, "configured", lambda: [nowhere])
    with pytest.raises(TransportError, match=r"^apt-get update failed: ") as caught:
        kernels.fetch("6.12")
    assert "\n" not in str(caught.value)
    assert kernels.cached("6.12") is None


def test_only_fetch_settings_of_the_machine_are_carried_over() -> None:
    dump = (
        'APT::Update::Post-Invoke:: "touch /x";\nAcquire::http::Proxy "p";\n'
        'Acquire::IndexTargets::deb::DEP-11 "";\nDir "/";'
    )
    assert apt.fetch_settings(dump) == ['Acquire::http::Proxy "p";']


def test_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(TransportError, match=r"6\.1, 6\.12, newest"):
        kernels.fetch("4.19")


def test_a_half_kept_kernel_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    store = tmp_path / "kernels"
    store.mkdir()
    (store / "6.1.json").write_text('{"release": "6.1", "package_version"')
    assert kernels.cached("6.1") is None
    digest = hashlib.sha256(b"x").hexdigest()
    record = {"release": "6.1", "package_version": "1", "sha256": digest}
    (store / "6.1.json").write_text(json.dumps(record))
    assert kernels.cached("6.1") is None
    (store / digest).mkdir()
    (store / digest / "Image").write_bytes(b"x")
    assert kernels.cached("6.1") == kernels.Kernel(store / digest / "Image", "6.1", "1", digest)


def test_a_kernel_is_forgotten_but_not_an_image_that_another_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    one, other = "linux@0123456789ab", "linux@ba9876543210"
    (tmp_path / "Image").write_bytes(b"image")
    kept = kernels.keep(one, "0123", tmp_path / "Image", "recipe")
    assert kernels.keep(other, "ba98", tmp_path / "Image", "recipe").path == kept.path
    assert kernels.forget(one) == 0
    assert (kernels.cached(one), kernels.built(one, "recipe")) == (None, None)
    assert kernels.cached(other)
    assert kernels.forget(other) == len(b"image")
    assert not kept.path.exists()
    assert kernels.of_trees() == []
    assert kernels.forget(other) == 0


@pytest.mark.parametrize("mode", legname.MODES)
def test_modes_that_walk_the_address_space_have_less_of_it(mode: str) -> None:
    kernel = kernels.Kernel(Path("Image"), "x", "", "")
    loader = Bootloader(LabSpec("x", lambda: kernel, mode, memory_mib=700), Layout())
    for version, least in (("10.0.2", ()), ("11.1.3", ("nested", "protected"))):
        machine = loader._machine(kernel, image.Image(Path("initramfs"), "key"), version)
        assert machine.lpa2 is (mode in ("vhe", "nvhe"))
        argv = qemu.command("q", machine, qemu.Shared(1, 2, 3))
        assert argv.count("-plugin") == (mode in least)
    assert machine.memory_mib == 700


def test_channel_areas_do_not_overlap() -> None:
    layout = Layout(slots=3, request_cap=4096, response_cap=8192)
    edges = [at(slot) for slot in range(3) for at in (layout.request_at, layout.response_at)]
    assert edges == [4096, 8192, 16384, 20480, 28672, 32768]
    assert layout.size == 65536
    assert layout.response_at(2) + layout.response_cap <= layout.size


@pytest.mark.parametrize(
    "geometry", [{"slots": 0}, {"slots": 64}, {"request_cap": 12}, {"response_cap": 7}]
)
def test_channel_geometry_is_checked(geometry: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"slots|multiples of 8"):
        Layout(**geometry)


def test_channel_round_trip_as_the_guest_sees_it() -> None:
    layout = Layout(slots=2, request_cap=64, response_cap=64)
    page = bytearray(layout.size)
    channel = Channel(memoryview(page), layout)
    assert page[:16] == bytes.fromhex("56464348 02000000 40000000 40000000")
    assert channel.free_slot() == 0
    channel.post(0, 7, Command.EXECUTE, b"hello")
    assert channel.state(0) is State.PENDING
    assert channel.free_slot() == 1
    head = page[64:128]
    assert head[:12] == bytes.fromhex("01000000 00000000 05000000")
    assert head[16:24] == (7).to_bytes(8, "little")
    assert page[4096:4101] == b"hello"

    page[64 + 12 : 64 + 16] = (3).to_bytes(4, "little")
    page[layout.response_at(0) : layout.response_at(0) + 3] = b"bye"
    page[64] = State.DONE
    assert channel.take(0) == (0, b"bye")
    assert channel.state(0) is State.FREE


def test_channel_refuses_what_does_not_fit() -> None:
    layout = Layout(slots=1, request_cap=64, response_cap=64)
    channel = Channel(memoryview(bytearray(layout.size)), layout)
    with pytest.raises(TransportError, match="65 bytes exceeds"):
        channel.post(0, 1, Command.EXECUTE, bytes(65))
    assert channel.state(0) is State.FREE


@pytest.mark.parametrize(
    ("vqs", "has"),
    [
        (ALL, "sve-max-vq=16"),
        ((1, 2, 3), "sve-max-vq=3"),
        ((1, 2, 4), "sve128=on,sve256=on,sve384=off,sve512=on,sve640=off"),
    ],
)
def test_cpu_has_exactly_the_lengths(vqs: tuple[int, ...], has: str) -> None:
    assert has in qemu.cpu(vqs)


def test_command_line_boots_what_was_asked() -> None:
    machine = qemu.Machine(
        Path("/k"), Path("/i"), "kvm-arm.mode=nvhe", (1, 2), plugin=Path("/a,b.so")
    )
    argv = qemu.command("qemu", machine, qemu.Shared(5, 4096, 6, 7))
    assert argv[0] == "qemu"
    options = dict(pairwise(argv))
    assert options["-kernel"] == "/k"
    assert options["-initrd"] == "/i"
    assert options["-append"].endswith("kvm-arm.mode=nvhe")
    assert "virtualization=on" in options["-machine"]
    assert options["-object"].endswith("size=4096,mem-path=/proc/self/fd/5")
    assert options["-chardev"] == "socket,id=line,fd=6"
    assert options["-plugin"] == "/a,,b.so,log=7,page=5"
    assert "-plugin" not in qemu.command(
        "qemu", qemu.Machine(Path("/k"), Path("/i")), qemu.Shared(5, 4096, 6)
    )


def test_only_a_machine_with_a_port_has_a_network() -> None:
    machine = qemu.Machine(Path("/k"), Path("/i"), forward=9000)
    shared = qemu.Shared(5, 4096, 6)
    options = dict(pairwise(qemu.command("qemu", machine, shared)))
    assert options["-netdev"] == "user,id=net,hostfwd=tcp:127.0.0.1:9000-:9000"
    without = qemu.command("qemu", qemu.Machine(Path("/k"), Path("/i")), shared)
    assert not any("net" in word for word in without)


def test_missing_qemu_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(qemu.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TransportError, match="qemu-system-aarch64 is not installed"):
        qemu.find()
    monkeypatch.setenv(qemu.VARIABLE, "/nowhere/qemu")
    with pytest.raises(TransportError, match="/nowhere/qemu"):
        qemu.find()


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TransportError, match="gcc-aarch64-linux-gnu"):
        image.build()


def test_doorbells_cut_the_log() -> None:
    line = console.Console()
    assert line.feed(b"boot\r\n") == []
    assert line.feed(b"more\r\n\x06WARN") == ["boot\nmore\n"]
    assert line.feed(b"ING\x06\x06tail") == ["WARNING", ""]
    assert line.drain() == "tail"


def test_a_byte_that_only_wakes_is_no_part_of_the_log() -> None:
    line = console.Console()
    assert line.feed(b"\x05") == []
    assert line.feed(b"WA\x05RN\x06\x05") == ["WARN"]
    assert line.drain() == ""


@pytest.mark.parametrize(
    "line",
    [
        "[  1.0] WARNING: CPU: 0 PID: 1 at arch/arm64/kvm/arm.c:1 f+0x0/0x10",
        "[  1.0] kernel BUG at mm/slub.c:1!",
        "[  1.0] Internal error: Oops: 0000000096000004 [#1] SMP",
        "[  1.0] Kernel panic - not syncing: HYP panic:",
        "[  1.0] kvm [1]: nVHE hyp BUG at: [<0>] f+0x0",
        "[  1.0] BUG: KASAN: slab-out-of-bounds in f+0x0/0x10",
    ],
)
def test_kernel_faults_are_seen(line: str) -> None:
    assert kernellog.at_fault(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[    0.0] arch_timer: [Firmware Bug]: VHE-capable CPU without EL2 virtual timer interrupt",
        "[    0.0] cacheinfo: Unable to detect cache hierarchy for CPU 0",
    ],
)
def test_ordinary_lines_are_no_faults(line: str) -> None:
    assert not kernellog.at_fault(line)


def test_cpio_archive_is_read_by_cpio(tmp_path: Path) -> None:
    entries = [cpio.directory("dev"), cpio.executable("init", b"12345"), cpio.executable("b", b"")]
    done = subprocess.run(
        ["cpio", "-i", "--quiet"], input=cpio.archive(entries), cwd=tmp_path, check=True, timeout=30
    )
    assert done.returncode == 0
    assert (tmp_path / "dev").is_dir()
    assert (tmp_path / "init").read_bytes() == b"12345"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "b").read_bytes() == b""


def test_cpio_is_deterministic() -> None:
    def once() -> bytes:
        return io.BytesIO(cpio.archive([cpio.character_device("console", 5, 1)])).getvalue()

    assert once() == once()
