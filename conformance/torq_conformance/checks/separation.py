"""The check of two relays side by side (DOM-5)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from ..errors import TargetError
from ..model.findings import Finding
from ..model.profile import rules_for
from ..model.requirements import DOMAIN_NAMES
from ..model.rules import Rules
from ..oracles.wordings import LEAKED_ACROSS
from .bench import Bench, Client, UnsupportedCheckError


def separates_domains(bench: Bench) -> Iterator[Finding]:
    """Two relays of different domains in one directory (DOM-5)."""
    if "{domain}" not in bench.command and bench.rules.domain not in bench.command:
        raise UnsupportedCheckError(
            "needs relays of two domains: write {domain} in --exec 'CMD --domain {domain} {socket}'"
        )
    others = [name for name in DOMAIN_NAMES if name != bench.rules.domain]
    command = bench.command.replace(bench.rules.domain, others[0])
    bench.act(
        f"start a relay of {bench.rules.domain} and one of {others[0]} in one directory; each gets the other's frames"
    )
    with bench.relay() as target, ExitStack() as stack:
        try:
            neighbour = stack.enter_context(bench.spawned(command, domain=others[0], folder=target.folder))
        except TargetError as error:
            raise UnsupportedCheckError(f"a relay of {others[0]} does not start with {command!r}: {error}") from error
        here, beside = bench.joined(target, 2)
        there, writer = bench.connect(neighbour), bench.connect(neighbour)
        other = Bench(command, bench.profile, _other_rules(bench, others[0]), bench.timing, limit=bench.limit)
        served = other.reaches(writer, [there])
        here.send(foreign := other.frame())
        bench.reaches(here, [beside])
        # A leak may use a connection between the relays; a client that joins now joins after it.
        newcomer = bench.connect(neighbour)
        arrived = served and any(
            _comes_before(sender, there, foreign, other.frame(), bench) for sender in (newcomer, writer)
        )
        if arrived:
            yield LEAKED_ACROSS(domain=others[0], relay=bench.rules.domain)


def _comes_before(sender: Client, receiver: Client, wanted: bytes, end: bytes, bench: Bench) -> bool:
    """Whether ``wanted`` reaches the receiver before ``end``, which the sender sends now."""
    timing = bench.timing
    deadline = time.monotonic() + (timing.prompt_seconds if bench.rules.forwards else timing.kept_open_seconds)
    sender.send(end)
    while end not in receiver.buffer and receiver.read(deadline - time.monotonic()):
        pass
    return wanted in receiver.buffer


def _other_rules(bench: Bench, domain: str) -> Rules:
    """The rules of the same profile for another domain."""
    return rules_for(bench.profile, domain)
