"""A test's name says which requirements it stands for, and cannot say it wrongly unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

from spec_tests.requirement_names import UnknownRequirementError, identifiers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_frame_1_header_split_at_every_byte", ["FRAME-1"]),
        ("test_fwd_1_2_3_every_frame", ["FWD-1", "FWD-2", "FWD-3"]),
        ("test_res_2_val_6_memory_is_flat", ["RES-2", "VAL-6"]),
        ("test_sec_1_checklist_2_socket_and_directory", ["SEC-1"]),
        ("test_sec_1", ["SEC-1"]),
        ("test_that_stands_for_no_requirement", []),
        ("test_a_limit_of_64_bytes", []),
    ],
)
def test_a_name_begins_with_the_requirements(name: str, expected: list[str]) -> None:
    assert identifiers(name) == expected


@pytest.mark.parametrize("name", ["test_frame_99_x", "test_farme_1_x", "test_fwd_1_99_x", "test_res_2_vla_6_x"])
def test_a_misspelt_requirement_is_refused(name: str) -> None:
    with pytest.raises(UnknownRequirementError, match="no such requirement"):
        identifiers(name)


def test_a_misspelt_requirement_ends_the_collection(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("def test_farme_1_x() -> None: ...\n", encoding="utf-8")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "spec_tests.conftest",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    ended = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_farme_1_x: no such requirement: FARME-1; mend the test's name" in ended.stderr
