"""Ids of rules in the code are rules that there are, and no rule is without use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from corpus.isa.table import FORMS
from targets.spec.rules import RULES

ROOT = Path(__file__).parents[1]
FAMILIES = {rule.partition(".")[0] for rule in RULES} | {"isa"}
ELSEWHERE = re.compile(r".*\.[ch]|legs\.id|ending\.[a-z]+|core\.(?:bare|fsmonitor|autocrlf)")
"""What looks like an id and is none: files of kernels, a column, settings of git; rules of faults,
which are made from their kind."""

_ID = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+(?:-[a-z0-9_]+)*")
_LEAST = 4
"""Characters that the fixed parts of an f-string must have to name rules."""


def _strings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every string and its line, but docstrings and parts of f-strings."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Expr | ast.JoinedStr):
            for one in ast.iter_child_nodes(node):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value, one.lineno


def _patterns(tree: ast.AST) -> Iterator[re.Pattern[str]]:
    """What f-strings can become."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(p.value) if isinstance(p, ast.Constant) else None for p in node.values]
            if sum(len(part or "") for part in parts) >= _LEAST:
                yield re.compile("".join(".+" if p is None else re.escape(p) for p in parts))


def _unknown(text: str) -> list[str]:
    """Strings in a source that look like the id of a rule and are none."""
    found = []
    for word, line in _strings(ast.parse(text)):
        if word.partition(".")[0] not in FAMILIES or not _ID.fullmatch(word):
            continue
        known = word in RULES or word.removeprefix("isa.") in FORMS or ELSEWHERE.fullmatch(word)
        if not known:
            found.append(f"line {line}: {word}")
    return found


def test_rules_that_code_names_are_in_the_table() -> None:
    rooms = ("targets", "fuzz", "corpus", "db")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 150
    unknown = {str(path): _unknown(path.read_text()) for path in files}
    assert {path: found for path, found in unknown.items() if found} == {}


def test_an_id_that_is_misspelt_is_seen() -> None:
    source = 'def f(self):\n    """vcpu.nonsense"""\n    self.rules.add({!r})\n'
    assert _unknown(source.format("vcpu.create")) == []
    assert _unknown(source.format("vcpu.created")) == ["line 3: vcpu.created"]
    assert _unknown(source.format("isa.rdvl")) == []
    assert _unknown(source.format("isa.rdvll")) == ["line 3: isa.rdvll"]
    assert _unknown(source.format("some.other")) == []


def test_every_rule_is_named_where_it_is_used() -> None:
    named: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for path in [*(ROOT / "targets" / "spec").rglob("*.py"), *(ROOT / "fuzz").rglob("*.py")]:
        if path.parent.name != "rules":
            tree = ast.parse(path.read_text())
            named |= {text for text, _ in _strings(tree)}
            patterns += _patterns(tree)
    named |= {f"{rule}-set" for rule in named}  # as SETs name theirs (targets.spec.steps)
    unused = {rule for rule in set(RULES) - named if not any(p.fullmatch(rule) for p in patterns)}
    assert unused == set()
