"""A relay, those that take its place one after the other, and clients that live through it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from torq_engine.operations.status import Status

from ..daemons import Daemon, command, daemon
from ..frames import EXECUTION, MARKET_DATA
from ..operations.invoked import Invoked, torq_relay
from ..relays import LIMIT, short_directory
from .crowd import Crowd
from .half_successors import HalfSuccessor, changed, hello, piped

DOMAINS = {"market_data": MARKET_DATA, "execution": EXECUTION}


class Line:
    """A relay and those that took its place, one after the other."""

    def __init__(self, relay: Daemon, domain: str, words: list[str]) -> None:
        self.relay = relay
        self.path = relay.path
        self.domain = domain
        self.words = words
        """The flags of the relay, its socket's path among them."""
        self.crowd = Crowd(relay.path, DOMAINS[domain])
        self.processes: list[subprocess.Popen[str]] = []
        self.serving = relay.process
        """The process that serves."""
        self.ended = False

    def ctl(self, *words: str) -> Invoked:
        return torq_relay("ctl", "--socket", f"{self.path}.c", *words)

    def status(self) -> Status:
        answer = self.ctl("status", "--json")
        assert answer.exit_code == 0, answer
        return msgspec.json.decode(answer.output, type=Status)

    def successor(self, *words: str) -> subprocess.Popen[str]:
        """Start a process that wants to take over."""
        process = subprocess.Popen(
            command(self.domain, *self.words, "--takeover", *words), stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def changed_successor(self, point: str, act: str) -> subprocess.Popen[str]:
        """Start one that does something at a point: see half_successors.py."""
        self.processes.append(piped(changed(self.domain, point, act, *self.words, "--takeover")))
        return self.processes[-1]

    def half_successor(self) -> HalfSuccessor:
        """One that does only what it is asked to do."""
        flags = {"socket": str(self.path), "control_socket": f"{self.path}.c"}
        return HalfSuccessor(self.path, hello(self.domain, **flags))

    def take_over(self) -> None:
        """Have a successor take over while the crowd goes on."""
        predecessor = self.serving
        self.pump_until_served_by(self.successor())
        assert predecessor.wait(LIMIT) == 0

    def pump_until_served_by(self, successor: subprocess.Popen[str]) -> None:
        self.pump_until(lambda: self.status().pid == successor.pid, successor)
        self.serving = successor

    def pump_until(self, done: Callable[[], bool], successor: subprocess.Popen[str] | None = None) -> None:
        """Let the crowd go on until something holds; a successor must not end before."""
        limit = time.monotonic() + LIMIT
        while not done():
            assert successor is None or successor.poll() is None
            assert time.monotonic() < limit
            self.pump(20)

    def pump(self, rounds: int = 200) -> None:
        for _ in range(rounds):
            self.crowd.pump()


@contextmanager
def line(*more: object, domain: str = "market_data", path: Path | None = None) -> Iterator[Line]:
    """A relay with a control socket, and a crowd; its directory is empty at the end."""
    with short_directory() as directory:
        path = path or directory / "s"
        directory = path.parent
        words = ["--no-echo", "--control-socket", f"{path}.c", *map(str, more)]
        with daemon(domain, *words, path=path) as relay:
            found = Line(relay, domain, ["--socket", str(path), *words])
            try:
                yield found
                assert found.ended or found.ctl("drain").exit_code == 0
                assert found.serving.wait(LIMIT) == 0
                limit = time.monotonic() + LIMIT
                while os.listdir(directory):  # a successor that a relay started is no child of ours
                    assert time.monotonic() < limit
                    time.sleep(0.001)
            finally:
                found.crowd.close()
                for process in found.processes:
                    process.kill()
                    process.communicate()
