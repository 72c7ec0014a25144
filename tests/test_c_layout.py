"""The executor's C files stand one above the other."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

EXECUTOR = Path(__file__).parents[1] / "targets/kvm/executor"


def _includes(folder: Path) -> dict[str, set[str]]:
    """Which of a folder's C files (with the header of its name each) include which others."""
    uses: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.[ch]")):
        included = set(re.findall(r'^#include "(\w+)\.h"', path.read_text(), re.MULTILINE))
        uses.setdefault(path.stem, set()).update(included - {path.stem})
    return uses


def test_includes_point_one_way() -> None:
    uses = _includes(EXECUTOR)
    assert len(uses) > 10
    TopologicalSorter(uses).prepare()


def test_what_a_file_defines_for_others_is_declared_in_its_own_header() -> None:
    """So that includes tell who calls whom."""
    for header in EXECUTOR.glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        declared = re.findall(r"^(?!static|typedef)[\w ]+[ *](\w+)\([^{}]*\);", text, re.MULTILINE)
        declared += re.findall(r"^handler (\w+);", text, re.MULTILINE)
        source = header.with_suffix(".c")
        assert not declared or source.exists(), header
        missing = [name for name in declared if not re.search(rf"\b{name}\b", source.read_text())]
        assert missing == [], header


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text("struct b;\n")
    (tmp_path / "a.c").write_text('#include "a.h"\n#include "b.h"\n')
    (tmp_path / "b.h").write_text("#include <stdint.h>\n")
    TopologicalSorter(_includes(tmp_path)).prepare()
    (tmp_path / "b.c").write_text('#include "b.h"\n#include "a.h"\n')
    with pytest.raises(CycleError):
        TopologicalSorter(_includes(tmp_path)).prepare()
