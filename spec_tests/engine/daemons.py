"""Daemons as processes of their own, on private paths, always reaped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .relays import LIMIT, short_directory


class Daemon:
    """A running relay process."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.process = process
        self.path = path
        self.connections: list[socket.socket] = []

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connections.append(sock)
        sock.settimeout(LIMIT)
        sock.connect(str(self.path))
        return sock

    def stops_listening(self) -> None:
        """Wait until nobody can connect any more."""
        limit = time.monotonic() + LIMIT
        while self.path.exists() and time.monotonic() < limit:
            time.sleep(0.001)  # a path that vanishes gives no event to wait for

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        return self.process.wait(LIMIT)

    def log(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


def command(domain: str, *flags: object) -> list[str]:
    code = f"from torq_domains.{domain} import main; main()"
    return [sys.executable, "-c", code, *map(str, flags)]


def run(domain: str, *flags: object) -> subprocess.CompletedProcess[str]:
    """Run a daemon that ends by itself."""
    return subprocess.run(command(domain, *flags), capture_output=True, text=True, timeout=LIMIT, check=False)


@contextmanager
def daemon(domain: str, *flags: object, path: Path | None = None, **options: object) -> Iterator[Daemon]:
    """A daemon of the platform on a path of its own unless one is given."""
    with short_directory() as directory:
        path = path or directory / "s"
        with listening(command(domain, "--socket", path, *flags), path, **options) as started:
            yield started


@contextmanager
def listening(words: list[str], path: Path, **options: object) -> Iterator[Daemon]:
    """A process that can be connected to at a path; killed if it is still there at the end."""
    process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]  # any option of a process
        words, stderr=subprocess.PIPE, text=True, **options
    )
    assert process.stderr is not None
    started = Daemon(process, path)
    try:
        _await(started)
        yield started
    finally:
        for sock in started.connections:
            sock.close()
        process.kill()
        process.wait()
        process.stderr.close()


def _await(started: Daemon) -> None:
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit:
        assert started.process.poll() is None, started.log()
        with suppress(OSError):
            started.connect().close()
            return
        time.sleep(0.002)  # a process that is starting gives no event to wait for
    raise AssertionError("the daemon does not listen")


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, fewer only when the relay closes."""
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            break
        data += part
    return data
