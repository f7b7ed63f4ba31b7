"""Successors that speak the protocol up to a point, and processes of real ones that stop or die at a point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from torq_domains.command import RELAYS
from torq_engine.handover.channel import (
    WIRE,
    Ack,
    Batch,
    Channel,
    Early,
    Hello,
    Kept,
    Message,
    Offer,
    Prepared,
    Ready,
    Whole,
    close_all,
)
from torq_engine.handover.state import SCHEMA
from torq_engine.handover.successor import connect
from torq_engine.operations.loading import Source
from torq_engine.operations.sockets import door_path
from torq_engine.operations.takeovers import places_of

from ..relays import LIMIT


def hello(relay: str, **flags: object) -> Hello:
    """The greeting of a successor with these flags."""
    source = Source(RELAYS[relay], "", {}, flags)
    return Hello(os.getpid(), WIRE, SCHEMA, "a test", places_of(source, source.load(), b""), 10_000)


class HalfSuccessor:
    """Goes through a handover step by step, and does nothing that is not asked for."""

    def __init__(self, path: Path, greeting: Hello) -> None:
        self.channel: Channel = connect(door_path(path))
        self.descriptors: list[int] = []
        self._greeting = greeting

    def steps(self) -> Iterator[str]:
        """Each step, done when it is asked for, to the one in which it says that it is prepared."""
        self._say(self._greeting)
        yield "greeted"
        assert isinstance(self.hear(), Offer)
        yield "offered"
        self._say(Ready())
        yield "ready"
        assert isinstance(self.hear(), Early)
        yield "the copy"
        self._say(Kept())
        while isinstance(message := self.hear(), Batch):
            yield "some descriptors"
            self._say(Ack(len(self.descriptors) - 2))
            yield "acknowledged"
        assert isinstance(message, Whole)
        yield "the state"
        self._say(Prepared())
        yield "prepared"

    def hear(self) -> Message:
        assert self.channel.waits(LIMIT)
        message, descriptors = self.channel.receive()
        self.descriptors += descriptors
        return message

    def leave(self) -> None:
        self.channel.close()
        close_all(self.descriptors)

    def _say(self, message: Message) -> None:
        self.channel.send(message)


_PATCHED = """
import os, signal, sys
import torq_engine.handover.successor as successor
from torq_engine.handover.successor import Successor
from torq_engine.operations.service import Service
def before(owner, name, act):
    done = getattr(owner, name)
    def changed(self, *arguments):
        act(self)
        return done(self, *arguments)
    setattr(owner, name, changed)
def wait(_):
    print("here", flush=True)
    sys.stdin.readline()
def die(_):
    os.kill(os.getpid(), signal.SIGKILL)
def stop(_):
    os.kill(os.getpid(), signal.SIGSTOP)
def orphan(one):
    os.kill(one.predecessor, signal.SIGKILL)
before({owner}, {name!r}, {act})
from torq_domains.{domain} import main
sys.argv[0] = "{domain}_relay"
main()
"""
POINTS = {
    "before it greets": ("Successor", "__init__"),
    "before it takes anything": ("Successor", "collect"),
    "with everything, before it says that it is prepared": ("Successor", "claim"),
    "prepared, before it looks at the baton": ("successor", "read_baton"),
    "as the owner, before it serves": ("Service", "resume"),
}
"""Where a real successor can be made to stop, die or wait, by the method before which it does."""


def changed(domain: str, point: str, act: str, *words: str) -> list[str]:
    """The command line of a successor that does something at a point: ``wait``, ``die``, ``stop`` or ``orphan``."""
    owner, name = POINTS[point]
    code = _PATCHED.format(owner=owner, name=name, act=act, domain=domain)
    return [sys.executable, "-c", code, *words]


def piped(words: list[str]) -> subprocess.Popen[str]:
    """A process whose standard streams are all pipes."""
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
