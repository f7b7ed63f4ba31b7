"""The check of relays beside each other (DOM-5)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..errors import TargetError
from ..oracles import Finding
from ..profile import Rules, rules_for
from ..requirements import DOMAIN_NAMES
from ..target import SpawnedTarget
from .bench import KEPT_OPEN, PATIENCE, Bench, Client, UnsupportedCheckError


def stays_apart(bench: Bench) -> Iterator[Finding]:
    """DOM-5: two relays at once, in one directory."""
    if "{domain}" not in bench.command and bench.rules.domain not in bench.command:
        raise UnsupportedCheckError(
            "needs relays of two domains: write {domain} in --exec 'CMD --domain {domain} {socket}'"
        )
    others = [name for name in DOMAIN_NAMES if name != bench.rules.domain]
    command = bench.command.replace(bench.rules.domain, others[0]).replace("{domain}", others[0])
    bench.act(
        f"start a relay of {bench.rules.domain} and one of {others[0]} in one directory; each gets the other's frames"
    )
    with bench.relay() as target:
        try:
            neighbour = SpawnedTarget(command, folder=target.folder)
            neighbour.start()
        except TargetError as error:
            raise UnsupportedCheckError(f"a relay of {others[0]} does not start with {command!r}: {error}") from error
        try:
            here, beside = bench.joined(target, 2)
            there, writer = bench.connect(neighbour), bench.connect(neighbour)
            other = Bench(command, bench.profile, _other_rules(bench, others[0]))
            served = other.reaches(writer, [there])
            here.send(foreign := other.frame())
            bench.reaches(here, [beside])
            end = other.frame()
            patience = PATIENCE if bench.rules.forwards else KEPT_OPEN
            arrived = served and writer.send(end) and _comes_before(there, foreign, end, patience)
            if arrived:
                yield Finding(
                    "leaked", f"a frame for {others[0]}, sent to {bench.rules.domain}, nowhere", "it came there"
                )
            there.close()
            writer.close()
        finally:
            neighbour.stop()


def _comes_before(client: Client, wanted: bytes, end: bytes, seconds: float) -> bool:
    """Whether some bytes reach a client before others that were sent after them, or shortly after those."""
    deadline = time.monotonic() + seconds
    while end not in client.buffer and client.read(deadline - time.monotonic()):
        pass
    client.read(0.02)
    return wanted in client.buffer


def _other_rules(bench: Bench, domain: str) -> Rules:
    """The rules of the same profile for another domain."""
    return rules_for(bench.profile, domain)
