"""A first look at a relay, for two faults that would make every requirement fail: its echo, and that it serves nobody.

Facts:
- a relay with the wrong echo breaks FWD-4 and nothing else, so the others are judged with the echo that it has;
- a relay that serves no client forwards nothing to judge: the requirement of service fails, the others are UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..errors import ImpededError, TargetError
from ..model.frames import Frame, Tlv
from ..model.legality import free_type
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Connect, Sync, Write
from ..play.executor import Executor
from ..play.target import Target

ECHO = "FWD-4"
"""The requirement that is about echo, and alone in failing a relay that has the wrong one."""
LOOKS = 3


@dataclass(frozen=True, slots=True)
class Survey:
    """Whether a relay serves its clients, and whether it echoes (None where that is not known)."""

    serves: bool = True
    echo: bool | None = None

    def fair(self, rules: Rules) -> Rules:
        """The rules with the echo that the relay has."""
        return rules if self.echo is None else msgspec.structs.replace(rules, echo=self.echo)


def survey(rules: Rules, target: Target) -> Survey:
    """Look three times. Where the looks disagree, echo stays unknown. The run judges failures, not this look."""
    if not rules.forwards:
        return Survey()
    executor = Executor(target, msgspec.structs.replace(rules, echo=False))
    frame = Frame(rules.number, (Tlv(free_type(rules), 8),))
    both_send = Program(rules.domain, (Connect(0), Connect(1), *(Write(conn, (frame,)) for conn in (0, 1)), Sync()))
    echoes: set[bool] = set()
    for _ in range(LOOKS):
        try:
            history = executor.play(both_send)
        except (ImpededError, TargetError):
            return Survey()
        peers = history.peers.values()
        if history.crash:
            executor.restart(patient=True)
            return Survey()
        if all(peer.joined is None for peer in peers):
            return Survey(serves=False)
        if any(peer.joined is None or not peer.fenced_by for peer in peers):
            return Survey()
        echoes |= {peer.conn in peer.fenced_by for peer in peers}
    return Survey(echo=echoes.pop() if len(echoes) == 1 else None)
