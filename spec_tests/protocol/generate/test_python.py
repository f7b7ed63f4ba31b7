"""The library's own modules that are generated: made from schema and registry alone, and members named by one rule."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from torq_protocol.generate.registry_names import member_name

ROOT = Path(__file__).parents[3]
GENERATED = ("payloads/fields.py", "names.py", "compiled_numbers.py")


def test_modules_that_are_lost_are_written_again_by_one_command(tmp_path: Path) -> None:
    package = tmp_path / "protocol" / "torq_protocol"
    shutil.copytree(ROOT / "protocol" / "torq_protocol", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "docs").mkdir()
    stored = {name: (package / name).read_text() for name in GENERATED}
    for name in GENERATED:
        (package / name).unlink()
    command = [sys.executable, "-m", "torq_protocol.generate", "all"]
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert {name: (package / name).read_text() for name in GENERATED} == stored


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("Trade", "TRADE"),
        ("L2Snapshot", "L2_SNAPSHOT"),
        ("MEVBundle", "MEV_BUNDLE"),
        ("LPToken", "LP_TOKEN"),
        ("NYSE", "NYSE"),
        ("UniswapV3Arbitrum", "UNISWAP_V3_ARBITRUM"),
        ("SushiSwapPolygon", "SUSHISWAP_POLYGON"),
        ("DYdX", "DYDX"),
    ],
)
def test_a_member_is_the_words_of_a_registered_name(name: str, member: str) -> None:
    assert member_name(name) == member
