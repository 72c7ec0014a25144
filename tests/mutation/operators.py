"""Which one-line defects a piece of source can have. Pure: from text to mutants."""

from __future__ import annotations

import ast
import copy
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

GONE = "(gone)"

Change = tuple[ast.AST, str] | tuple[ast.AST, str, ast.AST]
"""A node, the source to stand in its place, and of what is left out there which part."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect. `scope`: qualified name of the function it is in, empty where the module's or
    a class's body runs; `before` and `after`: the piece of source that changes; `nth`: which of
    those that read the same in this scope. `lines`: first of its statement, first and last of its
    own; `text`: the module with the defect."""

    path: str
    scope: str
    before: str
    after: str
    nth: int
    lines: tuple[int, int, int]
    text: str

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What names it, however lines move."""
        return self.path, self.scope, self.before, self.after, self.nth

    def __str__(self) -> str:
        where = f"{self.path}:{self.lines[1]} ({self.scope or 'module'})"
        return f"{where}: {self.before}  ->  {self.after}"


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(node: Any) -> tuple[int, int]:
        lines = node.lineno, node.end_lineno
        columns = node.col_offset, node.end_col_offset
        begin, end = (starts[a - 1] + b for a, b in zip(lines, columns, strict=True))
        return begin, end

    tree = ast.parse(text)
    wholes = [place(one) for one in tree.body]
    seen: dict[tuple[str, str, str], int] = {}
    for scope, first, node in _places(tree):
        at: Any
        for at, after, *part in _changes(node):
            begin, end = place(at)
            before = " ".join(data[begin:end].decode().split())
            if "\n" in after or before == after:
                continue
            name = (scope, ast.unparse(part[0]), GONE) if part else (scope, before, after)
            seen[name] = seen.get(name, -1) + 1
            left, right = wholes[bisect_right(wholes, (begin, len(data))) - 1]
            if _is_sound((data[left:begin] + after.encode() + data[end:right]).decode()):
                changed = (data[:begin] + after.encode() + data[end:]).decode()
                lines = first, at.lineno, at.end_lineno or at.lineno
                yield Mutant(path, *name, seen[name], lines, changed)


def _is_sound(text: str) -> bool:
    """Whether a statement is Python: slices in tuples, for one, cannot stand everywhere."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


# -- where ---------------------------------------------------------------------------------

_SKIPPED = (ast.Import, ast.ImportFrom, ast.Assert, ast.JoinedStr)
"""Nothing here decides; and pieces of an f-string are for people."""

_TYPES = frozenset({"TypeVar", "ParamSpec", "NewType", "Protocol", "Counter", "Callable"})


_Place = tuple[str, int, ast.AST]


def _places(tree: ast.Module) -> Iterator[_Place]:
    """Each node that may change, with the name of its function and the first line of its
    statement."""
    yield from _walk(tree.body, (), "", 1)


def _walk(
    nodes: Sequence[ast.AST], names: tuple[str, ...], scope: str, first: int
) -> Iterator[_Place]:
    for node in nodes:
        if isinstance(node, _SKIPPED) or _is_docstring(node) or _is_of_types(node):
            continue
        if isinstance(node, ast.stmt):
            first = node.lineno
        if isinstance(node, ast.ClassDef):
            yield from _walk(node.body, (*names, node.name), scope, first)
        elif isinstance(node, ast.FunctionDef):
            if any("abstract" in ast.unparse(one) for one in node.decorator_list):
                continue
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            yield from _walk(defaults, names, scope, first)
            inner = ".".join((*names, node.name))
            yield from _walk(node.body, (*names, node.name, "<locals>"), inner, first)
        else:
            yield scope, first, node
            yield from _walk(_children(node), names, scope, first)


def _children(node: ast.AST) -> list[ast.AST]:
    """What is below a node but types and claims."""
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.AnnAssign):
        children.remove(node.annotation)
    return [one for one in children if not _is_claim(one)]


def _is_claim(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg in _ASSERTS


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_of_types(node: ast.AST) -> bool:
    """Whether it serves the type checker alone."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None or "TypeAlias" in ast.unparse(node.annotation)
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if not isinstance(node, ast.Assign):
        return False
    if "__all__" in ast.unparse(node.targets[0]):
        return True
    value = node.value.value if isinstance(node.value, ast.Subscript) else node.value
    value = value.func if isinstance(value, ast.Call) else value
    return isinstance(value, ast.Name) and value.id in _TYPES


# -- what ----------------------------------------------------------------------------------

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_JOINING = (ast.Add, ast.BitOr, ast.BitAnd)
"""Operators of which one side may be forgotten."""

_CALLED = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}
_ASSERTS = ("strict",)
"""Arguments that claim what holds anyway, as assertions do."""
_ORDERED = frozenset({"isinstance", "getattr", "min", "max", "zip", "range", "frozenset"})
"""Calls whose first two arguments nobody exchanges by mistake."""

_WORD = re.compile(r"[\w.:<>=-]+")
"""What a string is like that a program reads; others are for people."""


def _changes(node: ast.AST) -> Iterator[Change]:
    for kind, change in _BY_NODE.items():
        if isinstance(node, kind):
            yield from change(node)


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, ast.expr) and not _is_plain(node) else text


def _is_plain(node: ast.AST) -> bool:
    return isinstance(
        node, ast.Name | ast.Constant | ast.Call | ast.Attribute | ast.Tuple | ast.Set
    )


def _compare(node: ast.Compare) -> Iterator[Change]:
    for index, op in enumerate(node.ops):
        for other in _COMPARE[type(op)]:
            changed = copy.copy(node)
            changed.ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            yield node, _shown(changed)
    left, right = node.left, node.comparators[0]
    if isinstance(left, ast.Tuple) and isinstance(right, ast.Tuple):
        for index in range(len(left.elts)):
            changed = copy.copy(node)
            changed.left, changed.comparators = _less(left, index), [_less(right, index)]
            yield node, _shown(changed), left.elts[index]


def _less(node: ast.Tuple, index: int) -> ast.Tuple:
    return ast.Tuple([*node.elts[:index], *node.elts[index + 1 :]], ast.Load())


def _bool_op(node: ast.BoolOp) -> Iterator[Change]:
    other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    yield node, _shown(ast.BoolOp(other, node.values))
    for index in range(len(node.values)):
        left = [*node.values[:index], *node.values[index + 1 :]]
        changed = left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
        yield node, _shown(changed), node.values[index]


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not | ast.USub):
        yield node, _shown(node.operand)


def _bin_op(node: ast.BinOp) -> Iterator[Change]:
    if type(node.op) in _ARITHMETIC:
        yield node, _shown(ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right))
    if isinstance(node.op, _JOINING):
        yield node, _shown(node.left)
        yield node, _shown(node.right)


def _aug_assign(node: ast.AugAssign) -> Iterator[Change]:
    yield node, f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
    if type(node.op) in _ARITHMETIC:
        op = _ARITHMETIC[type(node.op)]()
        yield node, ast.unparse(ast.AugAssign(node.target, op, node.value))


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield node, str(not value)
    elif isinstance(value, int):
        yield node, str(value + 1)
        if value:
            yield node, str(value - 1)
    elif isinstance(value, float):
        yield node, str(value * 3 + 1)
    elif isinstance(value, str) and _WORD.fullmatch(value):
        yield node, repr(value + "_")


def _return(node: ast.Return) -> Iterator[Change]:
    if node.value is not None and not isinstance(node.value, ast.Constant):
        yield node, "return None"


def _gone(node: ast.AST) -> Iterator[Change]:
    yield node, "pass"


def _expression(node: ast.Expr) -> Iterator[Change]:
    if isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom):
        yield node, "pass"


def _assign(node: ast.Assign) -> Iterator[Change]:
    if isinstance(node.targets[0], ast.Attribute | ast.Subscript):
        yield node, "pass"


def _negated(node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
    if not isinstance(node.test, ast.UnaryOp) and not (
        isinstance(node.test, ast.Compare) and len(node.test.ops) == 1
    ):
        yield node.test, f"not ({ast.unparse(node.test)})"


def _comprehension(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp,
) -> Iterator[Change]:
    for part in node.generators:
        for condition in part.ifs:
            yield condition, "True"


def _call(node: ast.Call) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id in _CALLED:
        yield node.func, _CALLED[node.func.id]
    for keyword in node.keywords:
        if keyword.arg not in (None, *_ASSERTS):
            changed = copy.copy(node)
            changed.keywords = [one for one in node.keywords if one is not keyword]
            yield node, _shown(changed), keyword
    plain = [isinstance(one, ast.Name | ast.Attribute) for one in node.args[:2]]
    if plain == [True, True] and ast.unparse(node.func) not in _ORDERED:
        changed = copy.copy(node)
        changed.args = [node.args[1], node.args[0], *node.args[2:]]
        yield node, _shown(changed)


def _elements(node: ast.Tuple | ast.Set | ast.List) -> Iterator[Change]:
    if len(node.elts) < 2 or (
        isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Store)
    ):
        return
    for index in range(len(node.elts)):
        changed = copy.copy(node)
        changed.elts = [*node.elts[:index], *node.elts[index + 1 :]]
        yield node, ast.unparse(changed), node.elts[index]


def _entries(node: ast.Dict) -> Iterator[Change]:
    for index in range(len(node.keys) if len(node.keys) > 1 else 0):
        changed = copy.copy(node)
        changed.keys = [*node.keys[:index], *node.keys[index + 1 :]]
        changed.values = [*node.values[:index], *node.values[index + 1 :]]
        yield node, ast.unparse(changed), node.keys[index] or node.values[index]


def _break(node: ast.Break) -> Iterator[Change]:
    yield node, "continue"


def _continue(node: ast.Continue) -> Iterator[Change]:
    yield node, "break"


_BY_NODE: dict[type | tuple[type, ...], Callable[..., Iterator[Change]]] = {
    ast.Compare: _compare,
    ast.BoolOp: _bool_op,
    ast.UnaryOp: _unary,
    ast.BinOp: _bin_op,
    ast.AugAssign: _aug_assign,
    ast.Constant: _constant,
    ast.Return: _return,
    ast.Raise: _gone,
    ast.Delete: _gone,
    ast.Expr: _expression,
    ast.Assign: _assign,
    (ast.If, ast.While, ast.IfExp): _negated,
    (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp): _comprehension,
    ast.Call: _call,
    (ast.Tuple, ast.Set, ast.List): _elements,
    ast.Dict: _entries,
    ast.Break: _break,
    ast.Continue: _continue,
}
