"""The API reference: docs/api/*.md, from the docstrings and signatures of the sources.

Facts:
- a page begins with hand-written examples, which the tests run; what stands behind :data:`MARK` is generated;
- the sources are read, not imported, so that compiled and interpreted modules give the same pages.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final

MARK: Final = "<!-- Generated from the sources below this line: make generate. -->"
PACKAGE: Final = Path("protocol", "torq_protocol")
FOLDER: Final = Path("docs", "api")
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("builder", "message", "header", "tlv", "checksum", "constants", "build_info"),
    "streams": ("decoder", "sequence", "policy", "framing"),
    "payloads": (
        *("payloads", "payloads.market_data", "payloads.pools", "payloads.signal", "payloads.system"),
        *("payloads.pool_cache", "payloads.payload", "enumerations", "fixed_point"),
    ),
    "instruments": ("instrument", "instrument_arrays"),
    "registry": ("registry", "names"),
    "runs": ("batch", "capture", "payload_dtypes"),
    "errors": ("errors",),
    "client": (
        *(
            "client.relay",
            "client.blocking",
            "client.publisher",
            "client.settings",
            "client.events",
            "client.errors",
            "client.address",
        ),
    ),
}
"""The modules of each page."""
_BY_NAME: Final = ("batch", "capture", "instrument_arrays", "payload_dtypes")
"""Modules that are imported by name: everything public in them counts."""
_FIELDS: Final = "fields."
"""What stands in front of a class of ``payloads/fields.py`` where it is a base."""


def pages() -> dict[str, Callable[[Path], str]]:
    """What makes each page, by path below the root."""
    makers: dict[str, Callable[[Path], str]] = {str(FOLDER / f"{name}.md"): partial(_page, name) for name in MODULES}
    return makers | {str(FOLDER / "README.md"): _index}


def public_names(root: Path) -> set[str]:
    """The names in ``__all__`` of the library and of its clients."""
    names: set[str] = set()
    for package in (PACKAGE, PACKAGE / "client"):
        for node in _tree(root / package / "__init__.py").body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names |= set(ast.literal_eval(node.value))
    return names


def documented(root: Path, page: str) -> Iterator[tuple[str, str, ast.stmt, str]]:
    """(module, name, definition, docstring of an assignment) of everything on a page."""
    wanted = public_names(root)
    for module in MODULES[page]:
        path = root / PACKAGE / Path(*module.split("."))
        body = _tree(path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).body
        for position, node in enumerate(body):
            name = _name(node)
            if name and (name in wanted or (module in _BY_NAME and not name.startswith("_"))):
                yield module, name, node, _text_behind(body, position)


def _index(root: Path) -> str:
    head = (root / FOLDER / "README.md").read_text("utf-8").partition(MARK)[0]
    lines = [head + MARK, "", "| name | page | module |", "|---|---|---|"]
    found = sorted(
        ((name, page, module) for page in MODULES for module, name, _, _ in documented(root, page)),
        key=lambda row: (row[0].casefold(), row[0]),
    )
    for name, page, module in found:
        lines.append(f"| [`{name}`]({page}.md#{name.lower()}) | [{page}]({page}.md) | `{_importable(module)}` |")
    return "\n".join(lines) + "\n"


def _page(name: str, root: Path) -> str:
    head = (root / FOLDER / f"{name}.md").read_text("utf-8").partition(MARK)[0]
    lines, last = [head + MARK], ""
    for module, defined, node, text in documented(root, name):
        if module != last:
            lines += ["", f"## `{_importable(module)}`" if module in _BY_NAME else f"## {_title(module)}"]
            last = module
        lines += ["", f"### {defined}", *_entry(node, text, root)]
    return "\n".join(lines) + "\n"


def _importable(module: str) -> str:
    if module in _BY_NAME:
        return f"torq_protocol.{module}"
    return "torq_protocol.client" if module.startswith("client.") else "torq_protocol"


def _title(module: str) -> str:
    return module.rpartition(".")[2].replace("_", " ").capitalize()


def _entry(node: ast.stmt, text: str, root: Path) -> Iterator[str]:
    """A definition: its signature, its docstring, and for a class its parts."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(base for base in _shown_bases(node, root) if base not in ("Protocol", "object"))
        yield from _code(f"class {node.name}({bases})" if bases else f"class {node.name}")
        yield from _prose(ast.get_docstring(node))
        members: dict[str, tuple[str, str]] = {}
        for each in (*_unlisted_bases(node, root), node):
            for name, head, said in _members(each):  # what is declared again without words keeps its own
                members[name] = head, said or members.get(name, ("", ""))[1]
        yield from (
            ["", *(f"- {head}: {said}" if said else f"- {head}" for head, said in members.values())] if members else []
        )
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _code(_signature(node))
        yield from _prose(ast.get_docstring(node))
    else:
        declared = ast.unparse(node)
        yield from _code(declared if len(declared) < 200 else declared.partition("=")[0].strip())
        yield from _prose(text)


def _shown_bases(node: ast.ClassDef, root: Path) -> list[str]:
    """The bases of a class by name; of one that has only generated fields for a base, those of the fields."""
    names = [ast.unparse(base) for base in node.bases]
    shown = [name for name in names if not name.startswith(_FIELDS)]
    return shown or [each for name in names for each in _shown_bases(_classes(root)[name], root)]


def _unlisted_bases(node: ast.ClassDef, root: Path) -> Iterator[ast.ClassDef]:
    """The bases of a class that have no entry of their own, so that their parts are shown with the class."""
    for name in (ast.unparse(base) for base in node.bases):
        if name not in public_names(root) and name in _classes(root):
            yield from _unlisted_bases(_classes(root)[name], root)
            yield _classes(root)[name]


@cache
def _classes(root: Path) -> dict[str, ast.ClassDef]:
    """All classes of the library by the name that a class with such a base gives."""
    found: dict[str, ast.ClassDef] = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        classes = {node.name: node for node in _tree(path).body if isinstance(node, ast.ClassDef)}
        if path.stem == _FIELDS.rstrip("."):
            for base in (base for node in classes.values() for base in node.bases if ast.unparse(base) in classes):
                assert isinstance(base, ast.Name)
                base.id = _FIELDS + base.id
            classes = {_FIELDS + name: node for name, node in classes.items()}
        found |= classes
    return found


def _members(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """(name, declaration, docstring) of the public parts of a class."""
    made_elsewhere = "made by" in (ast.get_docstring(node) or "").lower()
    for position, part in enumerate(node.body):
        name = _name(part)
        if not name or (name.startswith("_") and name != "__init__") or name in ("LAYOUT", "SIZE"):
            continue
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(part)
            if name == "__init__" or text is None:
                if name == "__init__" and not made_elsewhere:
                    yield name, f"`{_signature(part)}`", ""
                continue
            label = name if _is_property(part) else _signature(part)
            returns = f" → `{ast.unparse(part.returns)}`" if _is_property(part) and part.returns else ""
            yield name, f"`{label}`{returns}", " ".join(_prose_lines(text))
        else:
            yield name, f"`{ast.unparse(part)}`", " ".join(_prose_lines(_text_behind(node.body, position)))


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    kind += "classmethod " if any(ast.unparse(each) == "classmethod" for each in node.decorator_list) else ""
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^(self|cls)(, /)?(, )?", "", arguments)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    return f"{kind}{node.name}({arguments}){returns}"


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(each) in ("property", "cached_property") for each in node.decorator_list)


def _code(text: str) -> list[str]:
    return ["", "```python", text, "```"]


def _prose(text: str | None) -> list[str]:
    return ["", *_prose_lines(text)] if text else []


def _prose_lines(text: str | None) -> list[str]:
    """A docstring as Markdown."""
    text = re.sub(r":(?:class|func|meth|data|attr|mod):`~?([^`]+)`", r"`\1`", inspect.cleandoc(text or ""))
    text = re.sub(r":raises (\w+): ", r"Raises `\1`: ", text)
    text = text.replace("``", "`")
    return [line.rstrip() for line in text.splitlines()]


def _text_behind(body: list[ast.stmt], position: int) -> str:
    """The docstring behind an assignment."""
    behind = body[position + 1] if position + 1 < len(body) else None
    if isinstance(body[position], ast.Assign | ast.AnnAssign) and isinstance(behind, ast.Expr):
        value = behind.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""


def _name(node: ast.stmt) -> str:
    """The name that a statement defines; none for other statements."""
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return node.name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def links(text: str) -> list[str]:
    """The files that a Markdown text leads to."""
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
