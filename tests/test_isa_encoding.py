"""The table's encodings against two assemblers that know nothing of it."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from isa_draws import every_draw

from corpus.isa import sve21
from corpus.isa.form import Insn

_EXTENSIONS = (
    "crc+fp16+rcpc+dotprod+rdma+lse+sve2+sve2-bitperm+sve2-aes+sve2-sha3+sve2-sm4+sme"
    "+i8mm+bf16+f32mm+f64mm+fp16fml+aes+sha2+sha3+sm4+mops+memtag"
)


def _missing(tool: str, package: str) -> str:
    pytest.fail(f"{tool} is needed to prove the encodings: install the Debian package {package}.")


def _llvm_mc() -> str:
    versions = [f"llvm-mc-{n}" for n in range(40, 15, -1)]
    found = next((path for name in versions if (path := shutil.which(name))), None)
    return found or _missing("llvm-mc 16 or newer", "llvm-19")


def _text_section(elf: Path) -> bytes:
    objcopy = shutil.which("aarch64-linux-gnu-objcopy") or _missing(
        "aarch64-linux-gnu-objcopy", "binutils-aarch64-linux-gnu"
    )
    flat = elf.with_suffix(".bin")
    subprocess.run([objcopy, "-O", "binary", "-j", ".text", elf, flat], check=True)
    return flat.read_bytes()


def _spelt(line: str) -> str:
    """With a register that Debian 12's assembler has no name for by its encoding."""
    return re.sub(r"\bfpmr\b", "s3_3_c4_c4_2", line)


def _assemble(command: list[str], source: Path, insns: list[Insn]) -> list[int]:
    """Words of all `insns`, assembled in one run."""
    lines = [_spelt(insn.form.format(insn.args, assembler=True)) for insn in insns]
    source.write_text("".join(line + "\n" for line in lines))
    elf = source.with_suffix(".o")
    done = subprocess.run(
        [*command, source, "-o", elf], capture_output=True, text=True, check=False
    )
    if done.returncode:
        flat = "\n".join(lines).split("\n")
        errors = re.findall(r":(\d+):(?:\d+:)? *(?:error|Error): *(.*)", done.stderr)
        texts = [f"{flat[int(n) - 1]}: {message}" for n, message in errors]
        pytest.fail(f"{len(texts)} lines refused:\n" + "\n".join(texts[:60]))
    text = _text_section(elf)
    return list(struct.unpack(f"<{len(text) // 4}I", text))


def _differences(insns: list[Insn], words: list[int]) -> list[str]:
    ours = [(word, insn) for insn in insns for word in insn.words()]
    assert len(ours) == len(words)
    return [
        f"{insn.form.name}: {insn.format()}: table {mine:#010x}, assembler {theirs:#010x}"
        for (mine, insn), theirs in zip(ours, words, strict=True)
        if mine != theirs
    ]


@pytest.mark.parametrize("assembler", ["llvm", "binutils"])
def test_words_equal_the_assemblers(assembler: str, tmp_path: Path) -> None:
    insns = every_draw()
    if assembler == "binutils":  # Debian 12's does not know SVE2.1
        insns = [insn for insn in insns if insn.form.cap != sve21.CAP]
    if assembler == "llvm":
        command = [_llvm_mc(), "-triple=aarch64", "-mattr=+all", "-filetype=obj"]
    else:
        gas = shutil.which("aarch64-linux-gnu-as") or _missing(
            "aarch64-linux-gnu-as", "binutils-aarch64-linux-gnu"
        )
        command = [gas, f"-march=armv8.6-a+{_EXTENSIONS}"]
    different = _differences(insns, _assemble(command, tmp_path / "forms.s", insns))
    assert not different, "\n".join(different[:40])
