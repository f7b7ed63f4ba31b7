"""What the suite inherits, or lacks, changes no verdict."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import specimen

PROGRAMS = Path(sys.executable).parent
CORRECT = f"{PROGRAMS}/{specimen('correct', 'signal')}"
SUITE = (sys.executable, "-m", "torq_conformance", "run", "--domain", "signal", "--seed", "3", "--max-examples", "2")
STATES = {
    "clean": "pass",
    "SIGCHLD ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "all signals ignored": "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 10, 12, 13, 14, 15, 17, 20)]",
    "all signals blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "no descriptors": "os.closerange(0, 3)",
    "no standard input": "os.close(0)",
    "no folder": "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
}


def judged(
    folder: Path, command: str, sections: str, state: str = "pass", *more: str
) -> tuple[int, dict[str, tuple[str, str]], str]:
    """The exit code, each verdict with its reason, and what was printed."""
    report = folder / "report.json"
    start = f"import os, resource, signal, sys\n{state}\nos.execv(sys.argv[1], sys.argv[1:])"
    words = (*SUITE, "--exec", command, "--section", sections, "--report", f"json:{report}", *more)
    done = subprocess.run(
        (sys.executable, "-c", start, *words, "--failures", str(folder / "failures")),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    results = json.loads(report.read_text())["judgements"]
    return (
        done.returncode,
        {each["id"]: (each["verdict"], each["reason"]) for each in results},
        done.stdout + done.stderr,
    )


@pytest.mark.parametrize(
    ("state", "workers"), [*((state, "1") for state in STATES), ("SIGCHLD ignored", "2"), ("all signals blocked", "2")]
)
def test_what_the_suite_inherits_changes_no_verdict(tmp_path: Path, state: str, workers: str) -> None:
    code, verdicts, said = judged(tmp_path, CORRECT, "CONN-2,LIFE-1,FWD-1", STATES[state], "--workers", workers)
    assert {each: verdict for each, (verdict, _) in verdicts.items()} == {
        "CONN-2": "PASS",
        "LIFE-1": "PASS",
        "FWD-1": "PASS",
    }, said
    assert code == 0, said
    assert ("has been deleted" in said) == (state == "no folder")


@pytest.mark.parametrize("state", ["clean", "SIGCHLD ignored", "all signals blocked"])
def test_a_wrong_exit_status_is_seen_in_each_state(tmp_path: Path, state: str) -> None:
    code, verdicts, said = judged(
        tmp_path, specimen("correct", "signal", "--mutant", "exit-code-1"), "LIFE-1", STATES[state], "--workers", "1"
    )
    assert (code, verdicts["LIFE-1"][0]) == (1, "FAIL"), said


def test_a_target_starts_with_a_clean_slate(tmp_path: Path) -> None:
    shown = tmp_path / "status"
    script = tmp_path / "relay.sh"
    script.write_text(  # the shell's own words alone: while it starts another program it blocks all signals itself
        "#!/bin/sh\n"
        "while read -r name value; do case $name in SigBlk:|SigIgn:) echo $value;; esac; done "
        f"</proc/$$/status >{shown}\npwd >>{shown}\necho /proc/$$/fd/* >>{shown}\n"
        f"exec {CORRECT.replace('{socket}', '$1')}\n"
    )
    state = "; ".join(
        (STATES["all signals ignored"], STATES["all signals blocked"], STATES["no folder"], "os.closerange(0, 3)")
    )
    code, _, said = judged(tmp_path, f"sh {script} {{socket}}", "FWD-1", state, "--workers", "1")
    assert code == 0, said
    blocked, ignored, folder, descriptors = shown.read_text().splitlines()
    assert int(blocked, 16) == 0
    settable = sum(1 << number - 1 for number in signal.valid_signals())  # the C library keeps two for itself
    assert int(ignored, 16) & settable == 0
    assert Path(folder).is_dir()
    assert set("012") <= {each.rpartition("/")[2] for each in descriptors.split()}


@pytest.mark.parametrize("workers", ["1", "4"])
def test_few_descriptors_accuse_nobody(tmp_path: Path, workers: str) -> None:
    few = "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    code, verdicts, said = judged(tmp_path, CORRECT, "VAL-6,CONN-4,CONN-8,RES-1,ISO-8,FWD-1", few, "--workers", workers)
    assert code == 3, said
    assert {verdict for verdict, _ in verdicts.values()} <= {"PASS", "UNKNOWN", "UNSUPPORTED"}, said
    for each in ("VAL-6", "CONN-4"):
        assert verdicts[each][0] == "UNKNOWN"
        assert "could not be judged, because" in verdicts[each][1]
        assert "64 (ulimit -n)" in verdicts[each][1]


def test_a_wrapper_that_gets_the_signal_is_no_failure_of_the_relay(tmp_path: Path) -> None:
    script = tmp_path / "wrapper.sh"
    script.write_text('"$@"\nexit $?\n')
    code, verdicts, said = judged(tmp_path, f"sh {script} {CORRECT}", "LIFE-1", "pass", "--workers", "1")
    assert code == 3, said
    assert verdicts["LIFE-1"][0] == "UNKNOWN"
    assert "exec" in verdicts["LIFE-1"][1]
