"""The composite GitHub action: its script, run as a job would run it."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import specimen

ACTION = Path(__file__).parents[3] / ".github" / "actions" / "torq-conformance" / "action.yml"


def script() -> str:
    """The shell script of the step that judges: the last block under ``run: |``."""
    block = ACTION.read_text().split("run: |\n")[-1]
    return textwrap.dedent(re.split(r"\n {4}- name:", block)[0])


@pytest.mark.parametrize(("relay", "code"), [("correct", 0), ("first-generic", 1)])
def test_the_script_of_the_action_judges_and_writes_its_reports(tmp_path: Path, relay: str, code: int) -> None:
    inputs = {
        "EXEC": specimen(relay, "signal"),
        "DOMAIN": "signal",
        "PROFILE": "reference",
        "SECTION": "FRAME-1,ORD-1",
        "EXPECTED": "",
        "MAX_EXAMPLES": "3",
        "TIME_BUDGET": "60s",
        "SEED": "",
        "WORKERS": "1",
        "SHARD": "1/2",
        "DATABASE": str(tmp_path / "database"),
        "REPORTS": str(tmp_path / "reports"),
        "GITHUB_RUN_NUMBER": "17",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ("bash", "-e", "-o", "pipefail", "-c", script()),
        env={**os.environ, **inputs, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    assert "ORD-1" in (tmp_path / "summary").read_text()
    assert {each.name for each in (tmp_path / "reports").iterdir()} >= {"report.json", "report.xml", "report.html"}


def test_every_input_of_the_action_is_used_and_every_variable_is_given() -> None:
    text = ACTION.read_text()
    declared = set(re.findall(r"^  ([a-z-]+):\n    description:", text.partition("outputs:")[0], re.MULTILINE))
    assert declared == set(re.findall(r"inputs\.([a-z-]+)", text))
    given = set(re.findall(r"^ {8}([A-Z_]+): \$\{\{ inputs", text, re.MULTILINE))
    used = set(re.findall(r"\$\{?([A-Z_]+)", text)) - {"GITHUB_RUN_NUMBER", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"}
    assert used == given
