"""What is written down in several languages is the same in each: the wire form in Python, C and
C++, and the lab's shared page in Python and C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sharedforms import Form, differences, of_c, of_cpp, of_python

ROOT = Path(__file__).parents[1]
WIRE_PY = (ROOT / "corpus/wire.py").read_text()
WIRE_C = (ROOT / "targets/kvm/executor/wire.h").read_text()
WIRE_CPP = (ROOT / "targets/emulator/worker/wire.h").read_text()
PAGE_PY = (ROOT / "targets/kvm/lab/channel.py").read_text()
PAGE_C = (ROOT / "targets/kvm/guest/channel.h").read_text()

RECORDS = {
    "request": "_HEADER",
    "response": "_HEADER",
    "op": "_OP",
    "observation": "_OBS",
    "run": "RUN_DATA",
    "host_thread": "HOST_THREAD_DATA",
    "sme": "SME_DATA",
    "sme_event": "SME_EVENT",
    "disturb": "DISTURB_DATA",
    "threads": "THREADS_DATA",
    "interval": "INTERVAL",
    "block": "BLOCK",
    "lists": "LISTS",
    "init": "INIT_PARAMETERS",
    "record": "_RECORD",
    "events": "EVENTS",
    "filter": "FILTER",
}
"""By the names of the headers' structs, without `wire_`."""

PYTHON_ALONE = frozenset({"DATA_BASE", "MMIO_BASE", "VECTOR_MMIO"})
"""Where cases put their data, and where guest code that only Python writes stores to."""

NOT_IN_THE_EMULATOR = frozenset(
    {
        *("RUN_LIMIT_MS", "LOOP_LIMIT_MS"),  # it counts steps
        *("FLAG_REUSE_VM", "NO_VM"),  # and makes no VM
        *("HOST_FPCR", "HOST_FPSR", "host_thread", "disturb"),  # it has no host thread with SVE
        *("sme", "sme_event", "FNV_BASIS", "FNV_PRIME"),
        *("threads", "interval", "ASIDE_CODE_BASE"),  # nor two threads
        *("CODE_ALIGNMENT", "VM_PROTECTED"),  # nor protected VMs
        *("GIC_DIST", "GIC_REDIST"),  # nor an interrupt controller
        "FEATURE_BYTES",  # of a record that both have
    }
)


def wire_differences(python: str, c: str, cpp: str) -> dict[str, list[str]]:
    """By header: what it and corpus/wire.py do not agree in."""
    ours = of_python(python)
    return {
        "executor/wire.h": differences(ours, of_c(c), RECORDS, PYTHON_ALONE),
        "worker/wire.h": differences(
            ours, of_cpp(cpp), RECORDS, PYTHON_ALONE | NOT_IN_THE_EMULATOR
        ),
    }


def page_differences(python: str, c: str) -> list[str]:
    """What the lab's two ends of the page do not agree in."""
    ours, theirs = of_python(python), of_c(c)
    sizes = {
        f"{name.upper()}_SIZE": max(offset + size for offset, size in layout)
        for name, layout in theirs.layouts.items()
    }
    words = {
        f"{name.capitalize()}Word": {f.upper(): at // 4 for f, at in fields.items() if f != "pad"}
        for name, fields in theirs.fields.items()
    }
    theirs = replace(
        theirs,
        numbers=theirs.numbers | sizes,
        lists=theirs.lists | words,
        layouts={},
    )
    return differences(ours, theirs, {}, frozenset({"MARK"}))  # the guest's, for the plugin


def test_the_wire_form_is_the_same_in_python_c_and_cpp() -> None:
    assert wire_differences(WIRE_PY, WIRE_C, WIRE_CPP) == {
        "executor/wire.h": [],
        "worker/wire.h": [],
    }


def test_both_ends_of_the_shared_page_see_the_same() -> None:
    assert page_differences(PAGE_PY, PAGE_C) == []


@pytest.mark.parametrize(
    ("read", "source"),
    [(of_python, WIRE_PY), (of_c, WIRE_C), (of_cpp, WIRE_CPP)],
)
def test_nothing_is_overlooked(read: Callable[[str], Form], source: str) -> None:
    form = read(source)
    assert form.numbers["REQUEST_MAGIC"] == int.from_bytes(b"VFC1", "little")
    assert form.numbers["CODE_BASE"] == 0x4000_1000
    assert form.lists.keys() == {"Kind", "Status", "Stage", "Stranger", "Ask"}
    assert form.lists["Kind"]["DISTURB"] == 16
    op = RECORDS["op"] if read is of_python else "op"
    assert form.layouts[op] == ((0, 2), (2, 1), (3, 1), (4, 4), (8, 8), (16, 8))


DOCTORED = [
    ("py", "REQUEST_MAGIC = 0x31434656", "REQUEST_MAGIC = 0x31434657", "constant REQUEST_MAGIC"),
    ("py", "    MIGRATE = 15\n", "    MIGRATE = 15\n    PAUSE = 17\n", "Kind PAUSE"),
    ("py", "    FULL = 2", "    FULL = 4", "Status FULL is 0x4 in Python, 0x2 in the header"),
    ("py", '_OP = struct.Struct("<HBBIQQ")', '_OP = struct.Struct("<HHIQQ")', "record op"),
    ("py", "SLOTS = 256", "SLOTS = 255", "constant SLOTS"),
    ("c", "KIND_SET_REG,\n    KIND_GET_REG,", "KIND_GET_REG,\n    KIND_SET_REG,", "Kind SET_REG"),
    ("c", "#define CODE_SIZE 0x3000u", "#define CODE_SIZE 0x4000u", "constant CODE_SIZE"),
    ("c", "+ 0x1000)", "+ 0x2000)", "constant CODE_BASE is 0x40001000 in Python, 0x40002000"),
    ("c", "#define FILL 0x5a", "", "constant FILL is known in Python only"),
    ("c", "#define FILL 0x5a", "#define FILL 0x5a\n#define MORE 1", "MORE is known in the header"),
    ("c", "uint64_t address, value;", "uint64_t address;", "record run"),
    ("c", "uint32_t features[7];", "uint32_t features[8];", "record init"),
    ("c", "uint32_t fpsr, fpcr, zero;", "uint32_t fpsr, fpcr;", "record host_thread"),
    ("c", "STAGE_LIST = 1,", "STAGE_LIST,", "Stage LIST is 0x1 in Python, 0x0 in the header"),
    ("cpp", "uint8_t vcpu, zero;", "uint8_t vcpu;", "record op"),
    ("cpp", "  kRun,\n", "", "Kind RUN is known in Python only"),
    ("cpp", "kRunTimedOut = 2", "kRunTimedOut = 4", "constant RUN_TIMED_OUT"),
    ("cpp", "kRamSize = 0x10000", "kRamSize = 0x20000", "constant RAM_SIZE"),
    ("cpp", "kMalformed = 1, kFull = 2", "kMalformed, kFull = 3", "Status FULL"),
    ("cpp", "struct WireRecord {", "struct Unwired {", "record record is known in Python only"),
]


@pytest.mark.parametrize(("where", "old", "new", "says"), DOCTORED)
def test_a_difference_is_named(where: str, old: str, new: str, says: str) -> None:
    texts = {"py": WIRE_PY, "c": WIRE_C, "cpp": WIRE_CPP}
    assert old in texts[where]
    texts[where] = texts[where].replace(old, new)
    found = wire_differences(*texts.values())
    if where != "py":
        other = "worker/wire.h" if where == "c" else "executor/wire.h"
        assert found.pop(other) == []
    assert all(any(says in sentence for sentence in each) for each in found.values()), found


@pytest.mark.parametrize(
    ("where", "old", "new", "says"),
    [
        ("py", "AREAS = 4096", "AREAS = 8192", "constant AREAS"),
        ("py", 'DOORBELL = b"\\x06"', 'DOORBELL = b"\\x07"', "constant DOORBELL"),
        ("py", "    SERVING = 7\n", "", "HeaderWord SERVING is known in the header only"),
        ("py", "    ERROR = 6", "    ERROR = 5", "SlotWord ERROR"),
        ("c", "COMMAND_READ_FILE, ", "", "Command READ_FILE is known in Python only"),
        ("c", "STATE_PENDING, STATE_RUNNING", "STATE_RUNNING, STATE_PENDING", "State PENDING"),
        ("c", "uint64_t sequence;", "uint32_t sequence;", "SlotWord ERROR"),
        ("c", "uint32_t pad[7];", "uint32_t pad[8];", "constant HEADER_SIZE"),
    ],
)
def test_a_difference_of_the_page_is_named(where: str, old: str, new: str, says: str) -> None:
    texts = {"py": PAGE_PY, "c": PAGE_C}
    assert old in texts[where]
    texts[where] = texts[where].replace(old, new)
    found = page_differences(*texts.values())
    assert any(says in sentence for sentence in found), found
