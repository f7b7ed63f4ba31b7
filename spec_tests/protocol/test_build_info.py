"""What ``--version`` says is what runs."""

from __future__ import annotations

import runpy
from pathlib import Path
from unittest import mock

import pytest

from torq_protocol.build_info import COMPILED_MODULES, BuildInfo, build_info, interpreted_package

ROOT = Path(__file__).parents[2]


def test_every_compilable_module_is_reported_once() -> None:
    info = build_info()
    assert sorted(info.compiled + info.interpreted) == sorted(COMPILED_MODULES)
    assert info.version[0].isdigit()


def test_the_build_compiles_the_modules_that_are_reported() -> None:
    with mock.patch("setuptools.setup"), mock.patch.dict("os.environ", TORQ_COMPILE="no"):
        build = runpy.run_path(str(ROOT / "setup.py"))
    in_c = [name.rpartition(".")[2] for name in build["C_MODULES"] if name.startswith("torq_protocol.")]
    by_mypyc = [Path(source).stem for source in build["COMPILED_GROUPS"]["torq_protocol.compiled"]]
    assert sorted(in_c + by_mypyc) == sorted(COMPILED_MODULES)


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (BuildInfo("1.0", ("a",), ()), "torq 1.0 (compiled)"),
        (BuildInfo("1.0", (), ("a",)), "torq 1.0 (interpreted)"),
        (BuildInfo("1.0", ("a",), ("b",)), "torq 1.0 (compiled, but b interpreted)"),
    ],
)
def test_one_line_says_what_runs(info: BuildInfo, text: str) -> None:
    assert str(info) == text


def test_the_interpreted_twin_has_no_compiled_module() -> None:
    twin = interpreted_package()
    assert twin.build_info().compiled == ()
    assert twin is interpreted_package()
