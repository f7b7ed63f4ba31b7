"""One mutant, judged by the suite: killed, by what, or alive."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from .subjects import ROOT, UNCHANGED, find, subject_of

FAILED = re.compile(r"^(?:FAIL|FLAKY) +(\S+) +(.*)")
GRACE_S = 30.0
"""Beyond its budget the suite confirms, shrinks and ends the relay; one that takes longer hangs with its relay."""
MUTATION_MEANS = ("--confirm-budget", "0.1s", "--shrink-budget", "0.1s", "--workers", "1", "--fail-fast")
"""A mutant is to be found, not to be explained."""
DOMAINS = {"specimen": ("execution", "signal"), "engine": ("execution", "market_data")}
"""The strictest domain first; the second, on other paths of the code, judges what survives a long budget there."""


PROFILES = {"specimen": "specimen", "engine": "torq"}
"""What each relay promises. By its own profile its figures, audit log and settings are judged too."""


class Effort(msgspec.Struct, frozen=True):
    """What a judgement may cost: seconds in each domain, programs for each requirement, and how many domains."""

    name: str
    seconds: int
    max_examples: int
    domains: int


SHORT = Effort("short", 40, 25, 1)
LONG = Effort("long", 90, 100, 2)


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a mutant; ``killed_by`` is a requirement, ``start`` or ``hang``, "" for a survivor."""

    name: str
    change: str
    effort: str
    killed_by: str = ""
    seen: str = ""
    seconds: float = 0.0


def judge(name: str, effort: Effort, seed: int) -> Outcome:
    """Judge a mutant until something of it fails."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torq-mutation-") as folder:
        source = Path(folder) / "mutated.py"
        source.write_text(find(name).source, "utf-8")
        killed_by, seen = _judged(subject_of(name).relay, (name, str(source)), effort, seed, Path(folder))
    return Outcome(name, find(name).change, effort.name, killed_by, seen, round(time.monotonic() - started, 1))


def fault_of_unchanged(relay: str, effort: Effort, seed: int) -> str:
    """What fails of a relay in which nothing is changed; "" if nothing does. Else no mutant of it can be judged."""
    with tempfile.TemporaryDirectory(prefix="torq-mutation-") as folder:
        return " ".join(_judged(relay, (UNCHANGED, "-"), effort, seed, Path(folder))).strip()


def _judged(relay: str, what: tuple[str, str], effort: Effort, seed: int, folder: Path) -> tuple[str, str]:
    """What fails first and how, in one domain after the other; empty if nothing does."""
    for domain in DOMAINS[relay][: effort.domains]:
        words = ["specimen", "correct", "--domain", domain] if relay == "specimen" else [domain]
        command = shlex.join([sys.executable, "-m", "spec_tests.mutation.run", *what, "--", *words])
        killed_by, seen = _suite(f"{command} --socket {{socket}}", domain, PROFILES[relay], effort, seed, folder)
        if killed_by:
            return killed_by, seen
    return "", ""


def _suite(command: str, domain: str, profile: str, effort: Effort, seed: int, folder: Path) -> tuple[str, str]:
    words = [sys.executable, "-m", "torq_conformance", "run", "--exec", command, "--domain", domain]
    words += ["--profile", profile, "--seed", str(seed), "--failures", str(folder / "failures"), *MUTATION_MEANS]
    words += ["--max-examples", str(effort.max_examples), "--time-budget", f"{effort.seconds}s"]
    lines: list[str] = []
    late = threading.Event()
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
    ) as suite:
        assert suite.stdout is not None

        def end(suite: subprocess.Popen[str] = suite) -> None:
            late.set()
            suite.send_signal(signal.SIGINT)

        timer = threading.Timer(effort.seconds + GRACE_S, end)
        last = threading.Timer(effort.seconds + 2 * GRACE_S, suite.kill)
        timer.start()
        last.start()
        found = None
        for line in suite.stdout:
            lines.append(line.rstrip())
            found = found or FAILED.match(line)
            if found and suite.poll() is None:
                suite.send_signal(signal.SIGINT)
                break
        suite.stdout.read()
        code = suite.wait()
        timer.cancel()
        last.cancel()
    if found:
        return found[1], found[2]
    if late.is_set():
        return "hang", f"no verdict {GRACE_S:.0f} s after the budget of {effort.seconds} s"
    if code in (0, 3):
        return "", ""
    said = " ".join(line for line in lines if line)
    if code == 2 and "internal" not in said and "suite itself" not in said:
        return "start", said[-200:]
    raise SystemExit(f"{shlex.join(words)} ended with {code}:\n" + "\n".join(lines))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
