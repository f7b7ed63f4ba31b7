"""The generator command as its users run it: what is stored is up to date, and drift is seen."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from torq_protocol.generate.__main__ import main

ROOT = Path(__file__).parents[3]


def generate(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torq_protocol.generate", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)


def test_everything_stored_is_what_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["all", "--check", "--root", str(ROOT)])
    shown = capsys.readouterr()
    assert code == 0, shown.out + shown.err
    assert "generated files are up to date" in shown.out


def test_writing_and_checking_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    assert main(["all", "--root", str(tmp_path), "--check"]) == 1
    assert not list((tmp_path / "docs").iterdir())
    assert main(["all", "--root", str(tmp_path)]) == 0
    assert main(["all", "--root", str(tmp_path), "--check"]) == 0
    capsys.readouterr()


def test_drift_is_shown_as_a_diff_and_repaired(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "kaitai", tmp_path / "docs" / "kaitai")
    stored = tmp_path / "docs" / "kaitai" / "torq.ksy"
    text = stored.read_text()
    stored.write_text(text.replace("endian: le", "endian: be"))
    run = generate("kaitai", "--check", root=tmp_path)
    assert run.returncode == 1
    assert "-  endian: be" in run.stdout
    assert "+  endian: le" in run.stdout
    assert "1 of 1 generated files differ" in run.stderr
    assert "endian: be" in stored.read_text(), "a check writes nothing"
    assert generate("kaitai", root=tmp_path).stdout == f"wrote {Path('docs/kaitai/torq.ksy')}\n"
    assert stored.read_text() == text
    assert generate("kaitai", root=tmp_path).stdout.startswith("kept ")


def test_a_missing_file_is_drift(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert generate("dissector", "--check", root=tmp_path).returncode == 1


def test_relay_requirements_are_left_out_where_their_source_is_missing(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert generate("docs", root=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "docs" / "spec").iterdir()) == [
        "envelope.md",
        "payloads.md",
        "registry.md",
    ]


def test_wrong_usage_is_explained(tmp_path: Path) -> None:
    run = generate("docs", root=tmp_path)
    assert run.returncode == 2
    assert "has no docs folder; run in the source tree or give it with --root" in run.stderr
    assert generate("poem").returncode == 2
