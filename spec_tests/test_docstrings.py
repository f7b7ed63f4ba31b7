"""Help in a REPL and in an editor, compiled or not: docstrings as in the source, signatures as when interpreted."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest
from compiled_docstrings import write_documented_copies

import torq_protocol
from torq_protocol.build_info import COMPILED_MODULES, interpreted_package

from .engine import hub_forms

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    ".".join(path.relative_to(ROOT / "protocol").with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "protocol").rglob("*.py"))
} | {f"torq_engine.{name}": ROOT / f"engine/torq_engine/{name}.py" for name in hub_forms.COMPILED_MODULES}
TWINS = {
    f"torq_protocol.{name}": f"torq_protocol_interpreted.{name}" for name in COMPILED_MODULES if name[0] != "_"
} | {f"torq_engine.{name}": f"{hub_forms._TWIN}.{name}" for name in hub_forms.COMPILED_MODULES}
PORT_CALLS = ("receive", "send_all", "turn", "send", "unread")
Named = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def objects(node: Named, found: object, name: str) -> Iterator[tuple[Named, object, str]]:
    """A module, its classes and functions, and the members of the classes: as written, as running, and its name."""
    yield node, found, name
    if not isinstance(node, ast.Module | ast.ClassDef):
        return
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from objects(child, getattr(found, child.name), f"{name}.{child.name}")


def objects_of(module_name: str) -> Iterator[tuple[Named, object, str]]:
    return objects(ast.parse(SOURCES[module_name].read_text("utf-8")), import_module(module_name), module_name)


@pytest.mark.parametrize("module_name", SOURCES)
def test_every_docstring_of_the_source_is_that_of_the_running_object(module_name: str) -> None:
    written = [(node, found, name) for node, found, name in objects_of(module_name) if ast.get_docstring(node)]
    assert written
    assert {name: inspect.getdoc(found) for _, found, name in written} == {
        name: ast.get_docstring(node) for node, _, name in written
    }


@pytest.mark.parametrize(
    ("in_c", "in_python"),
    [
        ("torq_protocol._scanner.FrameScanner", "torq_protocol.framing.FrameScanner"),
        ("torq_protocol._scanner.FrameScanner.scan", "torq_protocol.framing.FrameScanner.scan"),
        ("torq_protocol._scanner.Scan", "torq_protocol.framing.Scan"),
        ("torq_protocol._scanner.skip_frames", "torq_protocol.framing.skip_frames"),
        *(
            (f"torq_engine._sockets.{name}", f"torq_engine.port.Port.{name}")
            for name in ("receive", "send_all", "send", "unread")
        ),
    ],
)
def test_what_is_written_in_c_tells_what_its_fallback_tells(in_c: str, in_python: str) -> None:
    try:
        told = inspect.getdoc(resolve_name(in_c))
    except ImportError:
        pytest.skip("no C compiler was there: the fallback runs")
    assert told == inspect.getdoc(resolve_name(in_python))


def test_every_public_class_and_function_tells_what_it_is_for() -> None:
    public = {name: getattr(torq_protocol, name) for name in torq_protocol.__all__}
    silent = [name for name, found in public.items() if callable(found) and not inspect.getdoc(found)]
    assert not silent


def parameters(found: object) -> str:
    """Names, kinds and defaults, without the first of a method, of which CPython makes a positional-only one.

    A default that is no literal is told as ``...``, as in a stub.
    """
    assert callable(found)
    told = [
        each if isinstance(each.default, bool | int | str | bytes | None | type) else each.replace(default=...)
        for each in inspect.signature(found).parameters.values()
        if each.name != "self"
    ]
    return repr([(each.name, each.kind, each.default) for each in told])


@pytest.mark.parametrize("module_name", TWINS)
def test_signatures_are_those_of_the_interpreted_module(module_name: str) -> None:
    interpreted_package()
    twin = import_module(TWINS[module_name])
    compared = 0
    for node, found, name in objects_of(module_name):
        if isinstance(node, ast.Module) or node.name.startswith("_") or not callable(found):
            continue
        interpreted: object = twin
        for part in name.removeprefix(f"{module_name}.").split("."):
            interpreted = getattr(interpreted, part)
        assert parameters(found) == parameters(interpreted), name
        compared += 1
    assert compared


def test_a_docstring_that_finds_no_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another mypyc may write its tables in another form: then the build says what help() will not."""
    monkeypatch.chdir(tmp_path)
    source = Path("house/package/module.py")
    source.parent.mkdir(parents=True)
    source.write_text('def place():\n    """Has a place: ü, "quoted"."""\ndef none():\n    """Has none."""\n', "utf-8")
    c_file = Path("all.c")
    c_file.write_text('{"place", (PyCFunction)CPyPy_module___place, METH_FASTCALL, PyDoc_STR(NULL) /* docstring */},')
    copies, left_out = write_documented_copies([str(c_file)], [str(source)])
    assert left_out == ["package.module.none"]
    assert Path(copies["all.c"]).read_text("ascii") == (
        '{"place", (PyCFunction)CPyPy_module___place, METH_FASTCALL, '
        'PyDoc_STR("place()\\n--\\n\\nHas a place: \\303\\274, \\"quoted\\".") /* docstring */},'
    )
