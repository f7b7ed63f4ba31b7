"""Relays to be measured: spawned on a private path and always reaped, or reached where they run."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_LIMIT = 10.0
STOP_LIMIT = 10.0


class RelayError(Exception):
    """The relay to be measured cannot be started or reached."""


@contextmanager
def spawned_relay(command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Run a relay, ``{socket}`` in its command replaced by a private path; yields the path and the process id."""
    directory = tempfile.mkdtemp(prefix="torq-bench-")
    path = os.path.join(directory, "relay.sock")
    process = subprocess.Popen([part.replace("{socket}", path) for part in command], stderr=subprocess.DEVNULL)
    try:
        _await(path, process)
        yield path, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def relay_command(domain: str = "market_data", *flags: str) -> list[str]:
    """The command line of a daemon of ours, run by this interpreter, quiet."""
    code = f"from torq_domains.{domain} import main; main()"
    return [sys.executable, "-c", code, "--socket", "{socket}", "--log-level", "error", *flags]


def connect(path: str) -> socket.socket:
    """A blocking connection to a relay."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise RelayError(f"{path}: cannot connect: {error.strerror}; is a relay running there?") from error
    return sock


def resident_bytes(process: int) -> int:
    """The resident memory of a process, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes(process: int) -> int:
    """The peak resident memory of a process in bytes; 0 for process 0 and for a process that has ended."""
    if process == 0:
        return 0
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    peaks = (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    return next(peaks, 0)


def allow_descriptors() -> None:
    """Let this process, and what it starts, open as many files as it may."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@dataclass(frozen=True, slots=True)
class Processor:
    """Seconds that the threads of a process have run, and that they have waited for a core that others had."""

    running: float
    waiting: float


def processor_use(process: int) -> Processor:
    """Processor time of a process so far; zeros for process 0."""
    threads = Path(f"/proc/{process}/task").iterdir() if process else ()
    times = [(thread / "schedstat").read_text(encoding="ascii").split() for thread in threads]
    return Processor(*(sum(int(each[column]) for each in times) / 1e9 for column in (0, 1)))


def _await(path: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise RelayError(f"{_shown(process)}: ended with exit code {process.returncode} before it listened")
        with suppress(RelayError):
            connect(path).close()
            return
        time.sleep(0.002)
    raise RelayError(f"{_shown(process)}: nobody listens on {path} after {START_LIMIT:.0f} s")


def _shown(process: subprocess.Popen[bytes]) -> str:
    return " ".join(map(str, process.args)) if isinstance(process.args, list) else str(process.args)
