"""docs/configuration.md is made from the table of keys: written, checked, drift shown."""

import sys
from pathlib import Path

import pytest

from torq_engine.operations import reference
from torq_engine.operations.configuration import KEYS


def test_the_page_names_every_key_once_with_its_default_and_whether_it_reloads() -> None:
    rows = [line.split(" | ") for line in reference.page().splitlines() if line.startswith("| `")]
    assert sorted(row[0].strip("| `") for row in rows) == sorted(KEYS)
    assert {row[0].strip("| `") for row in rows if row[-1] == "yes |"} == {k for k, key in KEYS.items() if key.reloads}


def test_drift_is_shown_as_a_diff_and_writing_repairs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "configuration.md"
    monkeypatch.setattr(reference, "PAGE", page)

    def main(*flags: str) -> int:
        monkeypatch.setattr(sys, "argv", ["reference", *flags])
        return reference.main()

    assert main("--check") == 1
    assert main() == 0
    assert main("--check") == 0
    capsys.readouterr()
    page.write_text(page.read_text("utf-8").replace("`queue_frames` |", "`queue_frame` |"), encoding="utf-8")
    assert main("--check") == 1
    shown = capsys.readouterr().out
    assert "-| `queue_frame` |" in shown
    assert "+| `queue_frames` |" in shown
