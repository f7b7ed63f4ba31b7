"""Levels of a process, on whatever machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torq_conformance.checks.levels import busy_share

SPINS = "while True: pass"
WAITS = "import time\nwhile True: time.sleep(0.01)"


@contextmanager
def running(*programs: str) -> Iterator[list[int]]:
    """Processes of Python, ended with the block, all on one core."""
    core = {min(os.sched_getaffinity(0))}
    processes = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        for process in processes:
            os.sched_setaffinity(process.pid, core)
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_who_spins_shows_it_on_a_core_that_others_want_and_who_waits_does_not() -> None:
    with running(*[SPINS] * 8, WAITS) as pids:
        busy_share(pids[-1], 0.5)  # they have started
        assert busy_share(pids[0], 1.0) > 0.5
        assert busy_share(pids[-1], 1.0) < 0.2
