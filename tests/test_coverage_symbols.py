"""From /proc/kallsyms to functions, areas and ranges; blocks from the plugin's memory."""

from __future__ import annotations

import mmap
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from targets.codemap import CodeMap, Function
from targets.kvm.lab import plugins
from targets.kvm.lab.coverage import maps
from targets.kvm.lab.coverage.areas import NoSymbols, code_map
from targets.kvm.lab.coverage.log import MAGIC, MOST_INTERRUPTED, NOTHING, BlockLog
from targets.kvm.lab.coverage.names import NAMES, NVHE, SOURCES
from targets.transport import TransportError

BASE = 0xFFFF_8000_8001_0000
RUN = [
    *("schedule_work", "kvm_no_compat_ioctl", "kvm_vcpu_kick", "__traceiter_kvm_mmio"),
    *("kvm_vm_release", "kvm_arch_vcpu_ioctl_run", "a_static_one", "kvm_arch_vcpu_load"),
    *("kvm_arm_get_reg", "kvm_arm_set_reg", "kvm_reset_vcpu", "unrelated"),
]


def kallsyms(names: list[str], base: int = BASE, step: int = 0x100, extra: str = "") -> str:
    lines = [f"{base - 0x10000:016x} T _text", f"{base:016x} T _stext"]
    lines += [f"{base + step * (i + 1):016x} t {name}" for i, name in enumerate(names)]
    end = base + step * (len(names) + 1)
    return "\n".join([*lines, f"{end:016x} T after", f"{end:016x} D _etext", extra])


def areas(code: CodeMap) -> dict[str, str]:
    return {f.name: f.area for f in code.functions}


def test_the_vectors_are_found_where_the_kernel_has_them() -> None:
    assert code_map(kallsyms(RUN)).vectors is None
    assert code_map(kallsyms([*RUN, "vectors"])).vectors == 0x100 * (len(RUN) + 1)
    assert code_map(kallsyms(RUN, extra=f"{BASE - 0x800:016x} T vectors")).vectors is None


def test_functions_come_with_area_size_and_offset() -> None:
    code = code_map(kallsyms(RUN))
    assert areas(code) == {
        "kvm_no_compat_ioctl": "virt/kvm",
        "kvm_vcpu_kick": "virt/kvm",
        "kvm_vm_release": "virt/kvm",
        "kvm_arch_vcpu_ioctl_run": "arm.c",
        "a_static_one": "arm.c",
        "kvm_arch_vcpu_load": "arm.c",
        "kvm_arm_get_reg": "guest.c",
        "kvm_arm_set_reg": "guest.c",
        "kvm_reset_vcpu": "reset.c",
    }
    assert code.text == BASE
    run = next(f for f in code.functions if f.name == "kvm_arch_vcpu_ioctl_run")
    assert (run.offset, run.size) == (0x600, 0x100)


def test_offsets_do_not_depend_on_where_the_kernel_is_linked() -> None:
    here, there = code_map(kallsyms(RUN)), code_map(kallsyms(RUN, 0xFFFF_8000_0801_0000))
    assert here.functions == there.functions


def test_a_name_that_other_code_shares_does_not_make_it_kvm() -> None:
    others = ["alloc_pages", "access_ccsidr", "free_pages"]
    assert set(areas(code_map(kallsyms([*others, *["pad"] * 300, *RUN])))) == set(
        areas(code_map(kallsyms(RUN)))
    )


def test_suffixes_of_the_compiler_do_not_hide_a_name() -> None:
    code = code_map(kallsyms([*RUN, "sve_reg_to_region.isra.0", "kvm_arm_get_reg.part.0"]))
    assert areas(code)["sve_reg_to_region.isra.0"] == "guest.c"


def test_fpsimd_code_is_found_outside_kvm() -> None:
    names = [*RUN, *["pad"] * 300, "sve_get", "fpsimd_thread_switch", "sve_set_vq", "ret_to_user"]
    found = {n for n, a in areas(code_map(kallsyms(names))).items() if a == "FPSIMD"}
    assert found == {"fpsimd_thread_switch", "sve_set_vq"}


def test_hyp_text_is_known_by_prefix_and_place() -> None:
    hyp = ["__hyp_idmap_text_start", "__kvm_nvhe___kvm_vcpu_run", "__kvm_nvhe_handle_trap"]
    code = code_map(kallsyms([*RUN, "__kvm_nvhe_patched_by_host", *hyp, "__hyp_text_end"]))
    found = {n for n, a in areas(code).items() if a == NVHE}
    assert found == set(hyp[1:])


def test_of_two_names_for_one_address_the_plainer_stays() -> None:
    base = BASE + 0x100 * 6  # of kvm_arch_vcpu_ioctl_run
    twins = f"{base:016x} T __pi_x\n{base:016x} t __kvm_nvhe_kvm_arch_vcpu_ioctl_run"
    assert areas(code_map(kallsyms(RUN, extra=twins))) == areas(code_map(kallsyms(RUN)))


def test_modules_are_not_kernel_text() -> None:
    module = f"{BASE + 0x610:016x} t kvm_fake\t[kvm]"
    assert "kvm_fake" not in areas(code_map(kallsyms(RUN, extra=module)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "tells no addresses"),
        ("0000000000000000 T _stext\n0000000000000000 T kvm_init", "tells no addresses"),
        (f"{BASE:016x} T kvm_init\n", "no symbol _stext"),
        (kallsyms(["schedule", "kmalloc"]), "no functions of KVM"),
    ],
)
def test_unusable_symbols_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(NoSymbols, match=sentence):
        code_map(text)


def test_every_area_has_names_and_no_name_has_two() -> None:
    assert set(NAMES) | {NVHE} == set(SOURCES)
    assert len(frozenset().union(*NAMES.values())) == sum(map(len, NAMES.values()))


FUNCTIONS = (Function(0, 16, "a", "x"), Function(16, 8, "b", "x"), Function(64, 4, "c", "y"))
CODE = CodeMap(0x1000, 0x4000, FUNCTIONS, vectors=0x800)


def test_neighbours_share_a_range_and_gaps_do_not() -> None:
    assert CODE.ranges() == [(0, 24), (64, 68)]


@pytest.mark.parametrize(
    ("block", "name"), [(0, "a"), (12, "a"), (16, "b"), (24, None), (64, "c"), (68, None)]
)
def test_a_block_belongs_to_the_function_around_it(block: int, name: str | None) -> None:
    found = CODE.function_at(block)
    assert (found.name if found else None) == name


@pytest.fixture
def log() -> Iterator[BlockLog]:
    with closing(BlockLog(CODE, logs=2, capacity=4)) as opened:
        yield opened


def test_the_plugin_is_told_text_and_ranges(log: BlockLog) -> None:
    with mmap.mmap(log.fd, 0) as memory:
        head = struct.unpack_from("<4I3Q", memory)
        assert head == (MAGIC, 2, 2, 4, 0x1000, 0x4000, 0x800)
        assert struct.unpack_from("<4I", memory, 40) == (0, 24, 64, 68)


def test_blocks_are_those_of_the_request_asked_for(log: BlockLog) -> None:
    with mmap.mmap(log.fd, 0) as memory:
        lists = 3 + MOST_INTERRUPTED
        second = 40 + 16 + 4 * (lists + 4)  # logs follow the ranges; 7 is odd
        struct.pack_into("<5I", memory, second, 7, 3, 2, 16, 64)
        struct.pack_into("<4I", memory, second + 4 * lists, 0, 16, 64, 99)
        assert [list(part) for part in log.executed(7)] == [[0, 16, 64], [16, 64]]
        assert log.executed(5) == log.executed(6) == NOTHING
        struct.pack_into("<3I", memory, second, 9, 50, 500)  # more than it can hold
        assert [len(part) for part in log.executed(9)] == [4, MOST_INTERRUPTED]


def test_a_map_is_kept_by_the_kernels_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    assert maps.load("ab" * 32) is None
    made = maps.save("ab" * 32, kallsyms(RUN))
    assert maps.load("ab" * 32) == made
    assert maps.load("cd" * 32) is None


@pytest.mark.parametrize(
    ("version", "api"),
    [("5.2.0", 1), ("7.2.22", 1), ("8.2.2", 1), ("9.0.1", 2), ("10.0.2", 2), ("11.1.3", 7)],
)
def test_the_plugin_asks_for_an_interface_that_qemu_has(version: str, api: int) -> None:
    assert plugins.interface(plugins.COVERAGE, version) == api


def test_a_qemu_without_plugins_is_one_sentence() -> None:
    with pytest.raises(TransportError, match=r"QEMU 4\.1 cannot have the coverage plugin"):
        plugins.interface(plugins.COVERAGE, "4.1")


def test_a_qemu_whose_plugins_write_no_registers_is_none_for_fewer_addresses() -> None:
    assert plugins.interface(plugins.NARROW, "11.1.0") == 7
    with pytest.raises(TransportError, match="it takes 11"):
        plugins.build(plugins.NARROW, "10.0.2")


def test_the_plugin_is_compiled_once_per_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    old = plugins.build(plugins.COVERAGE, "7.2.22")
    assert plugins.build(plugins.COVERAGE, "8.1") == old
    assert plugins.build(plugins.COVERAGE, "10.0.2") != old
    monkeypatch.setattr(subprocess, "run", None)
    assert plugins.build(plugins.COVERAGE, "7.2.22") == old  # no compiler is asked again


def test_without_a_compiler_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TransportError, match="gcc is not installed"):
        plugins.build(plugins.COVERAGE, "7.2.22")
