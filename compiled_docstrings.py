"""Docstrings and signatures of compiled modules: mypyc drops the docstrings and spoils some of the signatures.

Facts:
- CPython takes a signature from the front of a C docstring: ``name(parameters)``, a line ``--``, an empty line;
- a signature tells defaults that are literals or names of constants; any other is ``...``, as in a stub;
- mypyc's own file stays as it is, so that the next build finds it unchanged: a documented copy is compiled.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_STRING = r'(?:NULL|"(?:[^"\\]|\\.)*")'
_PLACES = (
    # A function or method, a compiled class, a property, a module: what stands in front, the name, and what follows.
    re.compile(rf"(\(PyCFunction\)CPyPy_(\w+),\s*[A-Z_ |]+, PyDoc_STR\(){_STRING}(\))"),
    re.compile(rf"(static PyTypeObject CPyType_(\w+)_template_ = [^;]*?\.tp_doc = PyDoc_STR\(){_STRING}(\))"),
    re.compile(r"(\(getter\)(\w+),\s*(?:NULL|\(setter\)\w+),\s*)NULL(, NULL})"),
    re.compile(r'(PyModuleDef_HEAD_INIT,\s*"([\w.]+)",\s*)NULL(, /\* docstring \*/)'),
)
_ORDINARY_CLASS = re.compile(
    r"(\w+) = CPyStatics\[\d+\];( /\* 'mypyc filler docstring' \*/"
    r'(?:[^;]*;){1,9}?[^;]*?CPy_AddTraceback\("([^"]+)", "<module>", (\d+),)'
)
"""A class that mypyc leaves an ordinary one, as an enumeration, is known by its place in the source."""

_SIMPLE = bool | int | float | str | bytes | None
"""The types of the defaults that CPython takes from a C docstring."""


@dataclass(frozen=True)
class _Object:
    """An object of a module: what it is called in Python and in C, and what is told of it."""

    name: str
    c_names: tuple[str, ...]
    signature: str
    docstring: str

    @property
    def c_docstring(self) -> str:
        return (f"{self.signature}\n--\n\n" if self.signature else "") + self.docstring


def write_documented_copies(c_files: Iterable[str], sources: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Write a documented copy beside each C file that mypyc made of ``sources``; returns the copies by their originals.

    Returns with them the documented objects for which no place was found: another mypyc may write another C.
    """
    objects = [found for source in sources for found in _objects(Path(source))]
    texts = {c_name: found.c_docstring for found in objects for c_name in found.c_names}
    placed: set[str] = set()
    copies: dict[str, str] = {}
    for c_file in map(Path, c_files):
        code = c_file.read_text("utf-8")
        documented = _with_docstrings(code, texts, placed)
        if documented != code:
            beside = c_file.with_name(f"{c_file.stem}_documented.c")
            beside.write_text(documented, "utf-8")
            copies[str(c_file)] = str(beside)
    return copies, [found.name for found in objects if found.docstring and placed.isdisjoint(found.c_names)]


def _with_docstrings(code: str, texts: dict[str, str], placed: set[str]) -> str:
    def put(match: re.Match[str]) -> str:
        front, c_name, rest = match.groups()
        if c_name not in texts:
            return match[0]
        placed.add(c_name)
        return f"{front}{_c_string(texts[c_name])}{rest}"

    def put_object(match: re.Match[str]) -> str:
        variable, rest, source, line = match.groups()
        text = texts.get(f"{source}:{line}")
        if not text:
            return match[0]
        placed.add(f"{source}:{line}")
        made = f"{variable} = PyUnicode_FromString({_c_string(text)});"
        return f"{made} if (unlikely({variable} == NULL)) CPyError_OutOfMemory();{rest}"

    for place in _PLACES:
        code = place.sub(put, code)
    return _ORDINARY_CLASS.sub(put_object, code)


def _objects(source: Path) -> Iterator[_Object]:
    module = ast.parse(source.read_text("utf-8"))
    name = ".".join(source.with_suffix("").parts[1:])  # behind the folder that holds the package
    yield _Object(name, (name,), "", ast.get_docstring(module) or "")
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            c_name = f"{source.stem}___{node.name}"
            yield _Object(f"{name}.{node.name}", (c_name,), _signature(node), ast.get_docstring(node) or "")
        elif isinstance(node, ast.ClassDef):
            yield from _objects_of_class(node, source, f"{name}.{node.name}")


def _objects_of_class(node: ast.ClassDef, source: Path, name: str) -> Iterator[_Object]:
    c_name = f"{source.stem}___{node.name}"
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
    constructor = next((_signature(method, node.name) for method in methods if method.name == "__init__"), "")
    yield _Object(name, (c_name, f"{source}:{node.lineno}"), constructor, ast.get_docstring(node) or "")
    for method in methods:
        docstring = ast.get_docstring(method) or ""
        decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
        method_name = f"{name}.{method.name}"
        if "property" in decorators:
            yield _Object(method_name, (f"{c_name}_get_{method.name}",), "", docstring)
        elif docstring or not method.name.startswith("__"):  # CPython has words for special methods
            mark = "" if "staticmethod" in decorators else "$"
            yield _Object(method_name, (f"{c_name}___{method.name}",), _signature(method, mark=mark), docstring)


def _signature(function: ast.FunctionDef, of_class: str = "", *, mark: str = "") -> str:
    """``name(parameters)`` as CPython reads it; ``mark`` stands in front of what a method is bound to."""
    told = copy.deepcopy(function.args)
    told.defaults = [_told(default) for default in told.defaults]
    told.kw_defaults = [default and _told(default) for default in told.kw_defaults]
    parameters = [*told.posonlyargs, *told.args, *told.kwonlyargs, *filter(None, (told.vararg, told.kwarg))]
    for parameter in parameters:
        parameter.annotation = None
    if of_class:
        del told.args[0]
    elif mark:
        parameters[0].arg = mark + parameters[0].arg
    return f"{of_class or function.name}({ast.unparse(told)})"


def _told(default: ast.expr) -> ast.expr:
    try:
        simple = isinstance(default, ast.Name) or isinstance(ast.literal_eval(default), _SIMPLE)
    except ValueError:
        simple = False
    return default if simple else ast.Constant(...)


def _c_string(text: str) -> str:
    """A string literal of C; the null pointer for no text."""
    if not text:
        return "NULL"
    escaped = {ord("\n"): r"\n", ord('"'): r"\"", ord("\\"): r"\\", ord("?"): r"\?"}
    plain = {byte: chr(byte) for byte in range(32, 127)} | escaped
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode()) + '"'
