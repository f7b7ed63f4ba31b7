"""Every command of the distribution says the same version, and the command ``torq`` names all the others."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from torq_protocol.build_info import build_info
from torq_protocol.command import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]


def _run(command: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(command)
    return subprocess.run([path, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", SCRIPTS)
def test_every_command_says_the_version_of_the_distribution(command: str) -> None:
    result = _run(command, "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{command}: torq {build_info().version}"), result.stdout


@pytest.mark.parametrize(
    "line", ["torq-specimen --list", "torq-specimen --list-mutants", "torq-specimen --list-mutants --json", "torq"]
)
def test_a_reader_that_has_seen_enough_ends_a_listing_without_an_error(line: str) -> None:
    command, *words = line.split()
    path = Path(sys.executable).with_name(command)
    with subprocess.Popen([path, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == b""


def test_torq_names_every_other_command() -> None:
    named = {name for names in COMMANDS for name in names.split(", ")}
    assert named | {"torq"} == set(SCRIPTS)
    result = _run("torq")
    assert result.returncode == 0
    assert all(name in result.stdout for name in named)


def test_the_changelog_begins_with_the_version_that_runs() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines() if line.startswith("## ")]
    released = next(line for line in headings if line != "## Unreleased")
    assert released.split()[1] == build_info().version
