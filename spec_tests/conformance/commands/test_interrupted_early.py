"""Ctrl-C while the command is still being loaded: one line, and the exit code of an interruption."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("loaded", ["torq_conformance.play.slate", "click", "hypothesis", "torq_conformance.cli"])
def test_ctrl_c_while_the_command_loads_prints_one_line(loaded: str, tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "torq_conformance", "run", "--domain", "signal"]
    with subprocess.Popen(
        [*words, "--failures", str(tmp_path / "failures")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as suite:
        assert suite.stderr is not None
        for line in suite.stderr:
            if line.rpartition("|")[2].strip() == loaded:
                break
        suite.send_signal(signal.SIGINT)
        out, err = suite.communicate()
    said = [line for line in err.splitlines() if line.strip() and not line.startswith("import time:")]
    assert suite.returncode == 130
    if "INCOMPLETE: interrupted by Ctrl-C" in out:  # the run had begun before the signal came
        assert said == []
    else:
        assert said == ["torq-conformance: interrupted"]


INTERRUPTS_IN_TEXT = """
import signal, sys
from importlib.abc import MetaPathFinder


class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torq_conformance.commands.run":
            exec("signal.raise_signal(signal.SIGINT)")


sys.meta_path.insert(0, Finder())
"""


def test_ctrl_c_while_text_runs_as_code_ends_with_the_same_code(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS_IN_TEXT)
    ended = subprocess.run(
        [sys.executable, "-m", "torq_conformance", "run", "--domain", "signal"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr.strip()) == (130, "torq-conformance: interrupted")
