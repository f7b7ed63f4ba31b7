"""The check of what a relay inherits from whoever starts it (LIFE-5).

Facts: a few lines of Python become the relay (exec), so that it keeps the process, and with that what they have set.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import TargetError
from ..model.findings import Finding, Kind
from ..play.target import installed_beside
from .bench import Bench
from .levels import pid_of

SIGNALS = "signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM"
HERITAGES = {
    "blocked signals": f"signal.pthread_sigmask(signal.SIG_BLOCK, [{SIGNALS}])",
    "ignored signals": f"[signal.signal(each, signal.SIG_IGN) for each in [{SIGNALS}]]",
    "closed standard descriptors": "os.closerange(0, 3)",
    "a closed standard input": "os.close(0)",
    "standard descriptors that do not block": (
        "way = os.pipe(); os.set_inheritable(way[0], True); os.dup2(way[1], 1); os.dup2(way[1], 2); "
        "[os.set_blocking(each, False) for each in range(3)]"
    ),
    "64 descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "a umask of 0": "os.umask(0)",
    "a umask of 0777": "os.umask(0o777)",
    "no home": "os.environ.pop('HOME', None)",
    "a deleted working directory": "place = tempfile.mkdtemp(); os.chdir(place); os.rmdir(place)",
}
"""What a relay may inherit, and the Python that bequeaths it."""
BEFORE = "import os, resource, signal, sys, tempfile; signal.signal(signal.SIGPIPE, signal.SIG_DFL)"
"""What comes before that: Python itself ignores a signal."""


def starts_whatever_it_inherits(bench: Bench) -> Iterator[Finding]:
    """A relay with each heritage starts, serves and ends, or refuses to start with an error (LIFE-5)."""
    program, *words = shlex.split(bench.command)
    for name, code in HERITAGES.items():
        bequest = f"{BEFORE}; {code}; os.execvp(sys.argv[1], sys.argv[1:])"
        heir = shlex.join((sys.executable, "-c", bequest, os.path.abspath(installed_beside(program)), *words))
        bench.act(f"a relay that inherits {name}:")
        yield from _ends_well(replace(bench, command=heir), name)


def _ends_well(bench: Bench, heritage: str) -> Iterator[Finding]:
    """What is wrong with a relay that has inherited something, from its start to its end."""
    target = bench.spawned()
    try:
        with bench.started(target):
            sender, receiver = bench.joined(target, 2)
            if not bench.reaches(sender, [receiver]):
                yield Finding(Kind.LOST, f"a relay with {heritage} to serve", "a frame reached nobody")
            if "LIFE-1" in bench.profile.not_promised:
                return
            bench.act("send it SIGTERM while two clients are connected; wait for its end")
            os.kill(pid_of(target), signal.SIGTERM)
            status = target.wait(bench.profile.drain_timeout + bench.timing.prompt_seconds)
            if status is None:
                yield Finding(Kind.STUCK, f"a relay with {heritage} to end after SIGTERM", "it still runs")
            elif status != 0:
                yield Finding(Kind.STATUS, f"exit status 0 after SIGTERM to a relay with {heritage}", f"{status}")
            elif target.address.path and Path(target.address.path).exists():
                yield Finding(Kind.LEFT_BEHIND, f"no socket file of a relay with {heritage}", target.address.path)
    except TargetError as error:
        if target.refused_to_start:
            bench.leave_out(f"with {heritage} it refuses to start, as it may")
        else:
            owed = f"a relay with {heritage} to start and to serve, or to end with an error at its start"
            yield Finding(Kind.DOWN, owed, error.what)
