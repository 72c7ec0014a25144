"""What a lab kernel must have been configured with, and which option a failed boot points at."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

NEEDS = (
    "CONFIG_KVM",
    "CONFIG_ARM64_SVE",
    "CONFIG_PCI_HOST_GENERIC",  # the shared page
    "CONFIG_SERIAL_AMBA_PL011_CONSOLE",  # the log and the doorbell
    "CONFIG_PRINTK",  # faults and KVM's mode are read from the log
    "CONFIG_BLK_DEV_INITRD",
    "CONFIG_BINFMT_ELF",
    "CONFIG_DEVTMPFS",
    "CONFIG_PROC_FS",
    "CONFIG_SYSFS",
    "CONFIG_POSIX_TIMERS",  # runs that do not end are cut off
)
"""Options that must be y; the lab loads no modules."""

_BLAME = (
    (r"Failed to execute /init \(error -8\)", "CONFIG_BINFMT_ELF"),
    (r"[Uu]nable to mount root fs|[Nn]o working init found", "CONFIG_BLK_DEV_INITRD"),
    (r"vcpufuzz: /dev: ", "CONFIG_DEVTMPFS"),
    (r"vcpufuzz: /proc: ", "CONFIG_PROC_FS"),
    (r"vcpufuzz: /sys: ", "CONFIG_SYSFS"),
    (r"vcpufuzz: (no PCI devices|shared memory device)", "CONFIG_PCI_HOST_GENERIC"),
)
"""What the log of a boot that failed says -> the option whose lack has this effect."""

SILENT = "CONFIG_SERIAL_AMBA_PL011_CONSOLE"
"""Lacking when the machine goes down properly and the log is empty."""


def parse(text: str) -> dict[str, str]:
    """Option -> value of a kernel configuration; an option that is off has the value n."""
    options = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE))
    off = re.findall(r"^# (CONFIG_\w+) is not set$", text, re.MULTILINE)
    return options | dict.fromkeys(off, "n")


def embedded(image: bytes) -> dict[str, str] | None:
    """The configuration inside an Image built with CONFIG_IKCONFIG, else None.

    Form: gzip between two marks, kernel/configs.c.
    """
    start = image.find(b"IKCFG_ST")
    if start < 0:
        return None
    try:
        text = zlib.decompressobj(31).decompress(image[start + 8 :])
    except zlib.error:
        return None
    return parse(text.decode("utf-8", "replace"))


def lacking(config: Mapping[str, str]) -> list[str]:
    """Options of NEEDS that are not y."""
    return [option for option in NEEDS if config.get(option) != "y"]


def blame(log: str) -> str:
    """The option whose lack explains a boot that failed with this log, or nothing."""
    return next((option for pattern, option in _BLAME if re.search(pattern, log)), "")
