"""LLVM's disassembler, which knows nothing of our table."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

import pytest

_FEATURES = (
    *("neon", "fullfp16", "fp16fml", "complxnum", "fptoint", "jsconv", "rdm", "dotprod"),
    *("aes", "sha2", "sha3", "sm4", "bf16", "i8mm", "f32mm", "f64mm"),
    *("sve2", "sve2-aes", "sve2-sha3", "sve2-sm4", "sve2-bitperm", "sve2p1"),
)


def disassembled(words: Sequence[int], *more: str) -> dict[int, str]:
    """Those of `words` that are instructions of a CPU with the features of the table, and
    `more` features, each with its text."""
    tool = next((t for n in range(40, 15, -1) if (t := shutil.which(f"llvm-mc-{n}"))), None)
    if not tool:
        pytest.fail("llvm-mc 16 or newer is needed: install the Debian package llvm-19.")
    text = "\n".join(
        " ".join(f"{byte:#x}" for byte in word.to_bytes(4, "little")) for word in words
    )
    features = ",".join("+" + feature for feature in (*_FEATURES, *more))
    done = subprocess.run(
        [
            *(tool, "--disassemble", "-triple=aarch64", "--show-encoding"),
            f"-mattr={features}",
        ],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[int, str] = {}
    for line in done.stdout.splitlines():
        if match := re.match(r"\s+(\w.*?)\s*(?://|;|#) encoding: \[(.*)\]", line):
            data = bytes(int(byte, 0) for byte in match[2].split(","))
            found[int.from_bytes(data, "little")] = re.sub(r"\s+", " ", match[1])
    return found
