"""The pytest plugin, as a team uses it: the example of the guide, run against a right and a wrong relay."""

import re
import subprocess
import sys
from pathlib import Path

from spec_tests.conformance.judged_relays import specimen

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "test_my_relay.py"


def run_example(*options: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE), *options)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


def test_the_example_of_the_guide_passes_on_a_correct_relay() -> None:
    done = run_example("--relay-exec", specimen("correct", "signal"), "--relay-domain", "signal")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_a_failure_shows_the_minimal_program_and_its_rate() -> None:
    relay = ("--relay-exec", specimen("first-generic", "signal"), "--relay-domain", "signal")
    done = run_example(*relay, "-k", "specification")
    assert done.returncode == 1
    assert "FAIL FRAME-1" in done.stdout
    assert "A connects" in done.stdout
    assert re.search(r"\b(\d+) of \1 runs fail", done.stdout)


def test_life_3_a_relay_is_held_to_takeovers_where_its_successor_is_named(tmp_path: Path) -> None:
    file = tmp_path / "test_takeovers.py"
    file.write_text(
        "from torq_conformance.testing import Connect, Takeover\n"
        "def test_a_takeover(relay_target):\n"
        "    assert relay_target.play([Connect(0), Takeover()]).takeovers == 1\n"
        "    relay_target.hold_to('LIFE-3', max_examples=1)\n"
    )
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file), "--relay-domain", "signal")
    more = ("--relay-exec", specimen("correct", "signal"), "--relay-successor", "{command} --takeover")
    done = subprocess.run([*words, *more], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


def test_a_missing_relay_is_told_without_a_traceback() -> None:
    done = run_example("--relay-exec", "no-such-relay {socket}", "--relay-domain", "signal", "-k", "one_frame")
    assert done.returncode == 1
    assert "relay_target: cannot start 'no-such-relay'" in done.stdout
    assert "Traceback" not in done.stdout
