"""Mutation operators on the syntax tree: one small change of one place of a module each."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
REMOVED = (ast.Assign, ast.AugAssign, ast.Delete, ast.Raise)
Edit = Callable[[ast.AST], ast.AST]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one place of a module: ``name`` is stable as long as the place's line is."""

    name: str
    operator: str
    text: str  # of the module, unchanged
    index: int  # of the place, in the order of ast.walk
    edit: Edit

    @property
    def source(self) -> str:
        """The whole module, changed."""
        tree = ast.parse(self.text)
        node = _at(tree, self.index)
        return ast.unparse(ast.fix_missing_locations(_replaced(tree, node, self._after(node))))

    @property
    def change(self) -> str:
        """The place before and after, a line each, in one."""
        node = _at(ast.parse(self.text), self.index)
        return f"{_brief(node)} => {_brief(self._after(node))}"

    def _after(self, node: ast.AST) -> ast.AST:
        return ast.fix_missing_locations(ast.copy_location(self.edit(copy.deepcopy(node)), node))


@dataclass(frozen=True, slots=True)
class _Place:
    index: int  # of the node in the order of ast.walk
    node: ast.AST
    scope: str


def mutants(text: str, label: str) -> list[Mutant]:
    """Every mutant of a module's source, in the order of its lines. ``label`` begins the names."""
    tree = ast.parse(text)
    found: list[Mutant] = []
    numbers: Counter[tuple[str, int, str]] = Counter()
    for place in sorted(_places(tree), key=lambda each: (_line(each.node), each.index)):
        for operator, edit in _edits(place.node):
            key = (place.scope, _line(place.node), operator)
            numbers[key] += 1
            name = f"{label}:{place.scope}:{key[1]}:{operator}:{numbers[key]}"
            found.append(Mutant(name, operator, text, place.index, edit))
    return found


def mutants_of(file: Path, label: str) -> list[Mutant]:
    """Every mutant of a source file."""
    return mutants(file.read_text("utf-8"), label)


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _brief(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0]


def _places(tree: ast.Module) -> Iterator[_Place]:
    """The nodes whose change can be seen: no annotation, no docstring, no decorator, nothing only checkers read."""
    indices = {id(node): index for index, node in enumerate(ast.walk(tree))}

    def visit(node: ast.AST, scope: str) -> Iterator[_Place]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            scope = f"{scope}.{node.name}" if scope != "module" else node.name
        yield _Place(indices[id(node)], node, scope)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "bases"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, scope)

    yield from visit(tree, "module")


def _at(tree: ast.Module, index: int) -> ast.AST:
    return next(node for at, node in enumerate(ast.walk(tree)) if at == index)


def _replaced(tree: ast.Module, target: ast.AST, after: ast.AST) -> ast.Module:
    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return after if node is target else self.generic_visit(node)

    Replace().visit(tree)
    return tree


def _edits(node: ast.AST) -> Iterator[tuple[str, Edit]]:
    """The operators that fit a node; each edit is given a copy of it and may change that."""
    if isinstance(node, ast.Compare):
        for at, each in enumerate(node.ops):
            if type(each) in COMPARISONS:
                yield "compare", _compared(at)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        values = dict.fromkeys((node.value + 1, node.value - 1, 0))
        yield from (("constant", _constant(value)) for value in values if value != node.value)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "truth", _constant(not node.value)
    elif isinstance(node, ast.BoolOp):
        yield "and_or", _switched
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not_removed", _operand
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
        yield "arithmetic", _calculated
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not isinstance(node.args[0], ast.Starred):
        yield "arguments_swapped", _swapped
    elif isinstance(node, ast.Break):
        yield "break_continue", lambda _: ast.Continue()
    elif isinstance(node, ast.Continue):
        yield "break_continue", lambda _: ast.Break()
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield "not_added", _negated
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
        yield "call_removed", lambda _: ast.Pass()
    if isinstance(node, REMOVED):
        yield "statement_removed", lambda _: ast.Pass()
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_generator(node):
        yield "early_return", _returns_early
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield "return_none", lambda _: ast.Return(ast.Constant(None))


def _is_generator(node: ast.AST) -> bool:
    return any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in ast.walk(node))


def _compared(at: int) -> Edit:
    def edit(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Compare)
        node.ops[at] = COMPARISONS[type(node.ops[at])]()
        return node

    return edit


def _constant(value: int) -> Edit:
    return lambda _: ast.Constant(value)


def _switched(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _operand(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.UnaryOp)
    return node.operand


def _calculated(node: ast.AST) -> ast.AST:
    assert isinstance(node, (ast.BinOp, ast.AugAssign))
    node.op = ARITHMETIC[type(node.op)]()
    return node


def _swapped(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Call)
    node.args[0], node.args[1] = node.args[1], node.args[0]
    return node


def _negated(node: ast.AST) -> ast.AST:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return node


def _returns_early(node: ast.AST) -> ast.AST:
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    first = ast.get_docstring(node) is not None
    node.body.insert(int(first), ast.Return(None))
    return node
