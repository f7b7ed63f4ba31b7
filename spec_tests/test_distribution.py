"""Installations as users make them, in an empty virtual environment: judged by their own suite, read by type checkers.

They are compiled without optimising, which takes half the time: what optimised modules do, every other test shows.
"""

from __future__ import annotations

import doctest
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _run(*words: str | Path, cwd: Path | None = None, **environment: str) -> str:
    result = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _pip(programs: Path, *words: str | Path) -> None:
    _run(sys.executable, "-m", "pip", "--python", programs / "python", *words)


def _source_tree(folder: Path) -> Path:
    """A copy of the tracked sources: building in place would leave compiled files behind for other tests."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def _built(tree: Path, folder: Path, kind: str = "wheel", **environment: str) -> Path:
    """A wheel (or ``editable``, or ``sdist``) by the standard interface of builds (PEP 517), which pip uses too."""
    building = f"import sys; from setuptools.build_meta import build_{kind} as build; print(build(sys.argv[1]))"
    return folder / _run(sys.executable, "-c", building, folder, cwd=tree, **environment).split()[-1]


def _install(programs: Path, wheel: Path, extras: str = "async,conformance,relay") -> None:
    wanted = f"torq[{extras}] @ file://{wheel}" if extras else wheel
    _pip(programs, "install", "-q", "--no-compile", "-c", ROOT / "constraints.txt", wanted)


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin"


@pytest.fixture
def programs(empty_environment: Path) -> Iterator[Path]:
    """Where the commands of a wheel are to be found; what one wheel installed is gone before the next comes."""
    yield empty_environment
    _pip(empty_environment, "uninstall", "-q", "-y", "torq")
    assert not [*empty_environment.glob("torq*"), *empty_environment.glob("*_relay")]


@pytest.mark.parametrize(
    ("compile_", "runs"),
    [
        pytest.param(
            "yes",
            "(compiled)",
            marks=pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine"),
        ),
        ("no", "(interpreted)"),
    ],
)
def test_wheel_runs_the_demo_from_an_environment_without_sources(
    programs: Path, tmp_path: Path, compile_: str, runs: str
) -> None:
    wheel = _built(_source_tree(tmp_path / "tree"), tmp_path, TORQ_COMPILE=compile_, MYPYC_OPT_LEVEL="0")
    assert ("py3-none-any" in wheel.name) == (compile_ == "no")
    _install(programs, wheel)
    _check_types(programs, tmp_path, "mypy")
    assert runs in _run(programs / "signal_relay", "--version")
    judged = _run(
        programs / "torq-conformance", "--domain", "signal", "--section", "FRAME-1,DOM-1,VAL-1",
        "--max-examples", "10", "--failures", tmp_path / "failures",
    )  # fmt: skip
    assert "3 PASS" in judged


def test_a_wheel_made_of_the_source_archive_has_all_files_of_the_packages_and_no_other(
    tmp_path: Path,
) -> None:
    tree = _source_tree(tmp_path / "tree")
    archive = _built(tree, tmp_path, "sdist", TORQ_COMPILE="no")
    shutil.unpack_archive(archive, tmp_path)
    wheel = _built(tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path, TORQ_COMPILE="no")
    tracked = {path.relative_to(tree).parts for path in tree.glob("*/torq_*/**/*") if path.is_file()}
    with mock.patch("setuptools.setup"), mock.patch.dict("os.environ", TORQ_COMPILE="no"):
        sources = runpy.run_path(str(ROOT / "setup.py"))["C_MODULES"].values()
    in_c = {Path(source).parts for source in sources} | {parts for parts in tracked if parts[-1].endswith(".h")}
    with tarfile.open(archive) as members:
        archived = {Path(name).parts[1:] for name in members.getnames()}
    assert in_c <= archived
    tracked -= in_c  # what is built of them is in a compiled wheel
    assert {Path(name).parts for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == {
        parts[1:] for parts in tracked
    }


CHECKERS = {
    "mypy": (sys.executable, "-m", "mypy", "--strict", "--python-executable"),
    "pyright": ("pyright", "--pythonpath"),
}
"""Type checkers without settings; what follows is the interpreter of an environment."""

TYPED_PROGRAM = """# pyright: strict
from typing import assert_type

from torq_protocol import FrameDecoder, Message, Tlv, parse_message
from torq_protocol.client import BlockingRelay, Relay, connect, connect_blocking


def read(data: bytes) -> None:
    assert_type(parse_message(data), Message)
    assert_type(parse_message(data).tlvs, tuple[Tlv, ...])
    assert_type([message for message in FrameDecoder().feed(data)], list[Message])
    assert_type(connect_blocking("/tmp/signal.sock"), BlockingRelay)


async def receive() -> None:
    async with await connect("/tmp/signal.sock") as relay:
        assert_type(relay, Relay)
        assert_type(await relay.receive(), Message)
"""


def _check_types(programs: Path, folder: Path, checker: str) -> None:
    """A strict program, and the guide to clients, whose examples have no annotations, as authors' editors see them."""
    examples = doctest.DocTestParser().get_examples((ROOT / "docs/client.md").read_text("utf-8"))
    guide = "# mypy: allow-untyped-defs, allow-untyped-calls\n" + "".join(example.source for example in examples)
    for name, text in (("typed_program.py", TYPED_PROGRAM), ("guide.py", guide)):
        (folder / name).write_text(text, "utf-8")
    _run(*CHECKERS[checker], programs / "python", "typed_program.py", "guide.py", cwd=folder)


@pytest.mark.parametrize(
    "checker",
    [
        "mypy",
        pytest.param(
            "pyright",
            marks=pytest.mark.skipif(
                shutil.which("pyright") is None, reason="no pyright on the PATH: npm install --global pyright"
            ),
        ),
    ],
)
def test_checkers_without_settings_find_the_types_of_an_editable_installation(
    programs: Path, tmp_path: Path, checker: str
) -> None:
    _install(programs, _built(_source_tree(tmp_path / "tree"), tmp_path, "editable", TORQ_COMPILE="no"))
    _check_types(programs, tmp_path, checker)


def test_an_editable_install_runs_no_module_that_only_an_earlier_build_compiled(tmp_path: Path) -> None:
    tree = _source_tree(tmp_path / "tree")
    stale = tree / f"protocol/torq_protocol/framing{sysconfig.get_config_var('EXT_SUFFIX')}"
    stale.write_bytes(b"")
    _built(tree, tmp_path, "editable", TORQ_COMPILE="no")
    assert not stale.exists()


def test_without_a_compiler_the_install_falls_back_and_says_so(tmp_path: Path) -> None:
    tree = _source_tree(tmp_path / "tree")
    built = subprocess.run(
        [sys.executable, "setup.py", "build", "--build-base", str(tmp_path / "build")],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": str(Path(sys.executable).parent), "CC": "no-such-compiler", "TORQ_COMPILE": "auto"},
    )
    assert built.returncode == 0, built.stderr
    assert "no C compiler found; installing interpreted modules" in built.stderr
    assert not list((tmp_path / "build").rglob("*.so"))


def test_an_install_without_extras_is_two_packages_and_a_client_that_runs(tmp_path: Path) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "light")
    programs = tmp_path / "light/bin"
    _install(programs, _built(_source_tree(tmp_path / "tree"), tmp_path, TORQ_COMPILE="no"), extras="")
    listed = _run(
        programs / "python", "-c", "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    )
    assert set(listed.split()) == {"torq", "librt", "mypy_extensions"}
    client = """
from torq_protocol import Trade, parse_message
from torq_protocol.client import connect_blocking
try:
    connect_blocking("/nowhere", wait_for_relay_seconds=0)
except OSError as error:
    print(type(error).__name__)
"""
    assert _run(programs / "python", "-c", client) == "ConnectError\n"
