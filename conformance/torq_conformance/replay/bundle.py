"""The suite's own modules as one archive that a Python without the suite can import from.

Facts: what goes in is found by following imports, so that the archive has what is needed and no more, however the suite
changes. Of compiled modules it has the sources, for it has to run anywhere.
"""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib import resources
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name

STAND_INS = {"msgspec": f"{__package__}.msgspec_stand_in"}
"""Modules of others, and what takes their places."""
OWN = ("torq_conformance", "torq_protocol")
MADE_ON = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an archive: the same modules make the same bytes."""


def archive(entries: Iterable[str]) -> bytes:
    """A zip of some modules, named with dots, and of all that they import. Raises ImportError as :func:`sources`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path, source in sorted(sources(entries).items()):
            entry = zipfile.ZipInfo(path, MADE_ON)
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, source)
    return packed.getvalue()


def sources(entries: Iterable[str]) -> dict[str, str]:
    """The sources of some modules and of all that they import, by their paths in an archive.

    Raises ImportError for a module that is neither ours nor in the standard library.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] in sys.stdlib_module_names:
            continue
        seen.add(name)
        spec = find_spec(STAND_INS.get(name, name))
        if spec is None or (name not in STAND_INS and name.partition(".")[0] not in OWN):
            raise ImportError(f"{name} is not of the standard library, so no script can carry what imports it")
        source = _source_of(spec)
        package = spec.submodule_search_locations is not None
        found[f"{name.replace('.', '/')}{'/__init__' if package else ''}.py"] = source
        waiting += _parents(name)
        waiting += _imported(ast.parse(source), spec.name if package else spec.name.rpartition(".")[0])
    return found


def _source_of(spec: ModuleSpec) -> str:
    """The source file of a module, be it compiled or not."""
    package = spec.submodule_search_locations is not None
    name = "__init__" if package else spec.name.rpartition(".")[2]
    return resources.files(spec.parent or "").joinpath(f"{name}.py").read_text("utf-8")


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that a syntax tree of some package imports when it runs: not those that only type checkers see."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = resolve_name(f"{'.' * node.level}{node.module or ''}", package) if node.level else str(node.module)
        yield module
        if module.partition(".")[0] in OWN:
            names = (f"{module}.{alias.name}" for alias in node.names)
            yield from (name for name in names if _is_module(module, name))
    elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        for statement in node.orelse:
            yield from _imported(statement, package)
    else:
        for each in ast.iter_child_nodes(node):
            yield from _imported(each, package)


def _is_module(package: str, name: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.submodule_search_locations is not None and find_spec(name) is not None
