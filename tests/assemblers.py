"""Assemblers and disassemblers that know nothing of the instruction table."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def llvm_mc() -> str:
    """The newest llvm-mc there is; it knows all of SVE2 since 16."""
    versions = [f"llvm-mc-{n}" for n in range(40, 15, -1)]
    found = next((path for name in versions if (path := shutil.which(name))), None)
    return found or missing("llvm-mc 16 or newer", "llvm-19")


def missing(tool: str, package: str) -> str:
    """Fails the test: none is skipped for want of a tool."""
    pytest.fail(f"{tool} is needed to prove the encodings: install the Debian package {package}.")


def assembled(lines: Sequence[str]) -> list[int | None]:
    """The word that llvm-mc makes of each line, None where it refuses."""
    command = [llvm_mc(), "-triple=aarch64", "-mattr=+all", "-show-encoding", "-"]
    text = "\n".join(lines) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    refused = {int(n) for n in re.findall(r"<stdin>:(\d+):\d+: error", done.stderr)}
    codes = iter(re.findall(r"encoding: \[([^]]*)\]", done.stdout))
    words = [None if n in refused else _word(next(codes)) for n in range(1, len(lines) + 1)]
    assert next(codes, None) is None
    return words


def _word(code: str) -> int:
    return int.from_bytes(bytes(int(byte, 16) for byte in code.split(",")), "little")


def disassembled(words: Sequence[int]) -> list[str]:
    """What llvm-mc prints for each word."""
    text = "\n".join(" ".join(f"{b:#x}" for b in w.to_bytes(4, "little")) for w in words)
    command = [llvm_mc(), "--disassemble", "-triple=aarch64", "-mattr=+all"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    lines = (line.partition("//")[0].strip() for line in done.stdout.splitlines())
    return [line for line in lines if line and not line.startswith(".")]


def dumped(words: Sequence[int], scratch: Path) -> list[str]:
    """What objdump prints for each word."""
    tool = shutil.which("aarch64-linux-gnu-objdump")
    tool = tool or missing("aarch64-linux-gnu-objdump", "binutils-aarch64-linux-gnu")
    flat = scratch / "words.bin"
    flat.write_bytes(struct.pack(f"<{len(words)}I", *words))
    command = [tool, "-D", "-b", "binary", "-m", "aarch64", str(flat)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = re.findall(r"^\s+[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$", done.stdout, re.MULTILINE)
    return [line.partition("//")[0].strip() for line in lines]
