"""One run of the suite on a foreign relay, and what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import tomli_w

from . import PROFILE, Settings, command

_FAILED = re.compile(r"^(FAIL|FLAKY) +([A-Z]+-\d+)", re.MULTILINE)
_GRACE_S = 120.0
"""Beyond its budget the suite confirms, shrinks and ends relays."""
_MEANS = ("--confirm-budget", "2s", "--shrink-budget", "2s")


class Judgement(NamedTuple):
    """What a run of the suite says: its exit code, each requirement that fails with FAIL or FLAKY, and its output."""

    code: int
    failures: dict[str, str]
    output: str
    seconds: float

    @property
    def verdict(self) -> str:
        """The run in one word."""
        return "ACCUSED" if self.failures else {0: "holds", 3: "unknown"}.get(self.code, f"exit {self.code}")

    @property
    def words(self) -> str:
        """The requirements that fail; those that fail some of the time only with ``FLAKY``."""
        return " ".join(name if kind == "FAIL" else f"{name}(FLAKY)" for name, kind in self.failures.items())

    @property
    def failing_lines(self) -> list[str]:
        """What the suite shows of each failure: the paragraph that begins with its verdict."""
        return re.findall(r"^(?:FAIL|FLAKY) .*?(?=^\s*$|\Z)", self.output, re.MULTILINE | re.DOTALL)


class Effort(NamedTuple):
    """What a run may cost: programs for each requirement, seconds, and the requirements (empty: all)."""

    max_examples: int
    seconds: int
    section: str = ""


def judge(domain: str, seed: int, effort: Effort, *faults: str, settings: Settings | None = None) -> Judgement:
    """Run the suite on a relay with these faults and settings; no counterexample is kept: the seed finds it again."""
    started = time.monotonic()
    settings = settings or {}
    with tempfile.TemporaryDirectory(prefix="torq-foreign-") as folder:
        profile = Path(folder) / PROFILE.name
        profile.write_text(tomli_w.dumps(settings) + PROFILE.read_text("utf-8"), "utf-8")
        relay = command(*faults, **settings)
        words = [sys.executable, "-m", "torq_conformance", "run", "--exec", relay, "--domain", domain]
        words += ["--profile", str(profile), "--seed", str(seed), "--max-examples", str(effort.max_examples), *_MEANS]
        words += ["--time-budget", f"{effort.seconds}s", "--failures", str(Path(folder) / "failures")]
        if effort.section:
            words += ["--section", effort.section]
        environment = {**os.environ, "NO_COLOR": "1"}
        run = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=effort.seconds + _GRACE_S
        )
    output = run.stdout + run.stderr
    if run.returncode not in (0, 1, 3):
        raise SystemExit(f"{shlex.join(words)} ended with {run.returncode}:\n{output}")
    failures = {requirement: kind for kind, requirement in _FAILED.findall(output)}
    return Judgement(run.returncode, failures, output, time.monotonic() - started)
