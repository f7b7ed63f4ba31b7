"""The package offers its names without importing what is not used, and its three lists of them cannot drift apart."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import torq_protocol


def imported_for_type_checkers() -> dict[str, str]:
    """Names and their modules, as a type checker reads them in the source."""
    assert torq_protocol.__file__ is not None
    tree = ast.parse(Path(torq_protocol.__file__).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_what_checkers_see_is_what_is_public_and_what_is_imported_on_use() -> None:
    seen = imported_for_type_checkers()
    assert sorted(seen) == sorted(torq_protocol.__all__)
    at_once = dict.fromkeys(("BuildInfo", "build_info"), "build_info")
    assert torq_protocol._HOME | at_once == seen


def test_every_public_name_is_there_and_listed(wire: ModuleType) -> None:
    for name in wire.__all__:
        assert getattr(wire, name) is not None, name
    assert set(wire.__all__) <= set(dir(wire))


def test_no_name_that_is_imported_on_use_is_the_name_of_a_module() -> None:
    """Importing such a module would put the module where the name belongs."""
    modules = {module.name for module in pkgutil.iter_modules(torq_protocol.__path__)}
    assert modules.isdisjoint(torq_protocol._HOME)


def test_names_are_listed_before_they_are_used_and_a_star_brings_all() -> None:
    assert fresh("import torq_protocol as t; print(set(t.__all__) <= set(dir(t)))") == "True"
    star = "from torq_protocol import *; import torq_protocol as t; "
    assert fresh(star + "print(set(t.__all__) <= set(globals()), Trade.__name__)") == "True Trade"


def test_an_unknown_name_is_told_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'torq_protocol' has no attribute 'Trades'"):
        torq_protocol.Trades  # noqa: B018 - the access is what is tested
    with pytest.raises(ImportError, match="cannot import name 'Trades'"):
        exec("from torq_protocol import Trades")


def test_clients_read_the_generated_fields_and_never_import_construct() -> None:
    every_name = "import sys, torq_protocol.client; from torq_protocol import *; "
    assert fresh(every_name + "print(Trade.SIZE, 'construct' in sys.modules)") == "40 False"


def test_a_relay_starts_without_the_payloads_that_it_never_looks_into() -> None:
    loaded = (
        "import sys, torq_domains.market_data; print([m for m in sys.modules if m.startswith('torq_protocol.pay')])"
    )
    assert fresh(loaded) == "[]"
