"""Exit codes of every command: part of the interface, so that CI can tell a failing relay from a failing run."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code of a command says."""

    PASS = 0
    """Every MUST that was judged holds; a replayed failure is fixed; nothing newly fails."""
    FAIL = 1
    """Something fails or is flaky; a replayed failure is reproduced; something newly fails."""
    USAGE = 2
    """A wrong option, name or file, a target that cannot be reached, output that cannot be written, or an error of the
    suite itself."""
    UNKNOWN = 3
    """A MUST could not be judged, or nothing was; a replay did not fail, but too rarely to call it fixed."""
    INTERRUPTED = 130
    """Ctrl-C. What was known by then has been written."""
    TERMINATED = 143
    """SIGTERM, or SIGHUP (the terminal was closed). What was known by then has been written."""
