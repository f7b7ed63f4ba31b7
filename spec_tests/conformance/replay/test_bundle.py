"""What a replay script carries: what is needed, nothing that is not there, alike whatever plays it."""

import ast
import inspect
import re
import sys
import zipfile
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from mypy import api

from spec_tests.conformance.program_strategies import programs
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.replay import bundle, older_python
from torq_conformance.replay.script import python_text

PLAYER = "torq_conformance.replay.player"
ENTRIES = {
    PLAYER,
    "torq_conformance.replay.older_python",
    *(oracle.__module__ for scenario in SCENARIOS.values() for oracle in scenario.judges),
}
ROOMS = {"judging", "model", "oracles", "play", "replay"}
OF_DIFFERENCES = {"torq_conformance.comparison.evidence.player", "torq_conformance.replay.older_python"}
"""What the script of a difference of two relays carries."""
FEW = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize(("entries", "rooms"), [(ENTRIES, ROOMS), (OF_DIFFERENCES, ROOMS | {"comparison"})])
def test_an_archive_holds_the_rooms_that_play_and_judge_and_no_others(entries: set[str], rooms: set[str]) -> None:
    paths = [path.split("/") for path in bundle.sources(entries)]
    assert {path[1] for path in paths if len(path) > 2} == rooms
    assert {path[0] for path in paths} == {"msgspec.py", "torq_conformance", "torq_protocol"}


def test_the_same_modules_make_the_same_archive() -> None:
    assert bundle.archive(ENTRIES) == bundle.archive(sorted(ENTRIES))
    with zipfile.ZipFile(BytesIO(bundle.archive(ENTRIES))) as file:
        assert {name: file.read(name).decode() for name in file.namelist()} == bundle.sources(ENTRIES)


def test_what_needs_a_library_of_others_is_refused() -> None:
    with pytest.raises(ImportError, match=r"hypothesis\S* is not of the standard library"):
        bundle.sources(["torq_conformance.generation.machine"])


def test_every_file_is_the_source_that_runs_here() -> None:
    for path, source in bundle.sources(["torq_protocol.constants", "torq_conformance.errors"]).items():
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        assert source == inspect.getsource(import_module(name))


def test_what_a_script_carries_takes_from_newer_pythons_only_what_it_gives_to_the_oldest(tmp_path: Path) -> None:
    """The suite itself needs a newer one than scripts promise to run with."""
    paths = bundle.sources(ENTRIES | OF_DIFFERENCES)
    for path, source in paths.items():
        ast.parse(source, path, feature_version=(3, 10))
    names = [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]
    modules = [word for name in names if name != "msgspec" for word in ("-m", name)]
    options = ("--python-version", "3.10", "--follow-imports", "silent", "--cache-dir", str(tmp_path))
    said, failed, _ = api.run([*options, *modules])
    assert 'no attribute "Self"' in said, f"mypy does not see what 3.10 lacks: {said}{failed}"
    lacking = re.findall(r'error: Module .*has no attribute "(\w+)"|error: Cannot find .* named "(\w+)"', said)
    assert {attribute or module for attribute, module in lacking} <= older_python.GIVEN, said + failed


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module of programs as a script has it: from an archive, upon the stand-in for msgspec."""
    archive = tmp_path_factory.mktemp("archive") / "player.zip"
    archive.write_bytes(bundle.archive(ENTRIES))
    roots = ("msgspec", *bundle.OWN)
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in roots}
    for name in ours:
        del sys.modules[name]
    sys.path.insert(0, str(archive))
    try:
        module = import_module("torq_conformance.model.program")
        for beside in ("frames", "steps", "rules"):
            names = vars(import_module(f"torq_conformance.model.{beside}"))
            vars(module).update({name: value for name, value in names.items() if not name.startswith("_")})
        vars(module)["replace"] = import_module("msgspec").structs.replace
    finally:
        sys.path.remove(str(archive))
        for name in [name for name in sys.modules if name.partition(".")[0] in roots]:
            del sys.modules[name]
        sys.modules.update(ours)
    assert str(module.__file__).startswith(str(archive))
    return module


def made_by(twin: ModuleType, value: object) -> Any:
    return eval(python_text(value), vars(twin))


@FEW
@given(program=programs())
def test_programs_upon_the_stand_in_are_alike(twin: ModuleType, program: Program) -> None:
    other = made_by(twin, program)
    assert type(other) is twin.Program
    assert repr(other) == repr(program)
    assert list(other.placed()) == [(tuple(place), made_by(twin, step)) for place, step in program.placed()]
    assert list(other.words()) == list(program.words())
    assert (other.weight, other.connections, other.in_words) == (program.weight, program.connections, program.in_words)
    assert [
        twin.encode_frame(frame, conn=conn, number=number, sequence=7) for number, _, conn, frame in other.frames()
    ] == [twin.encode_frame(frame, conn=conn, number=number, sequence=7) for number, _, conn, frame in program.frames()]


@FEW
@given(one=programs(), two=programs())
def test_values_upon_the_stand_in_are_equal_frozen_and_replaced_as_ours_are(
    twin: ModuleType, one: Program, two: Program
) -> None:
    a, again, b = made_by(twin, one), made_by(twin, one), made_by(twin, two)
    assert a == again
    assert hash(a) == hash(again)
    assert (a == b) is (one == two)
    assert twin.replace(a, steps=b.steps) == twin.Program(a.domain, b.steps, a.version)
    for value in (a, *a.steps):
        with pytest.raises(AttributeError):
            value.version = value.conn = 1


@pytest.mark.parametrize("domain", ["market_data", "signal", "execution"])
def test_rules_upon_the_stand_in_are_alike(twin: ModuleType, domain: str) -> None:
    rules = rules_for(load_profile("reference"), domain)
    other = made_by(twin, rules)
    assert repr(other) == repr(rules)
    assert other.types == rules.types
