"""Wheels, as a user gets them: built, installed in an empty virtual environment, judged by their own suite.

They are compiled without optimising, which takes half the time: what optimised modules do, every other test shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def _built(tree: Path, folder: Path, **environment: str) -> Path:
    """A wheel by the standard interface of builds (PEP 517), which pip and build use too."""
    building = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    _run(sys.executable, "-c", building, folder, cwd=tree, **environment)
    (wheel,) = folder.glob("torq-*.whl")
    return wheel


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
    wanted = f"torq[relay,conformance] @ file://{wheel}"
    _pip(programs, "install", "-q", "--no-compile", "-c", ROOT / "constraints.txt", wanted)
    assert runs in _run(programs / "signal_relay", "--version")
    judged = _run(
        programs / "torq-conformance", "--domain", "signal", "--section", "FRAME-1,DOM-1,VAL-1",
        "--max-examples", "10", "--failures", tmp_path / "failures",
    )  # fmt: skip
    assert "3 PASS" in judged


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
