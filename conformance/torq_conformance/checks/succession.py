"""The checks of a relay that is replaced (LIFE-3), and of one that is not, for its successor fails (LIFE-4).

Facts:
- a message of the kernel takes 253 descriptors: whoever hands over more connections needs several;
- a successor that is killed while it lacks a connection cannot have owned them all, so the relay has to serve on.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator, Sequence

from ..counting import counted
from ..model.findings import Finding, Kind
from ..play.target import SpawnedTarget
from .bench import Bench, Client, UnsupportedCheckError

MANY = 260
"""Clients of the relay: more than the descriptors of a message."""
SPARE_CONNECTIONS = 4
"""Connections below the relay's limit that are left free."""
IN_A_ROW = 3
"""Takeovers in a row."""
ATTEMPTS = 3
"""Successors that are started for one takeover at most: one may give up on a busy machine."""
FEW_DESCRIPTORS = 24
"""Descriptors of a successor that has too few."""
LOOK_SECONDS = 0.001
MAY_OWN = "it had everything by then, and the relay ended with it: it may have owned its clients"


def hands_everything_over(bench: Bench) -> Iterator[Finding]:
    """More clients than a message takes descriptors, and several takeovers in a row; the relay counts on (LIFE-3)."""
    with _crowded(bench) as (bench, target, clients):
        accounts = _Accounts(bench, target)
        for number in range(IN_A_ROW):
            bench.act(f"a successor takes over: {number + 1} of {IN_A_ROW}; a client sends, and another one connects")
            if why := _replace(target):
                yield Finding(Kind.NOT_REPLACED, "a successor to serve in the relay's place", why)
                return
            miscounted = list(accounts.continued("after a takeover"))
            if wrong := list(_served(bench, target, clients)) or miscounted:
                yield from wrong
                return
            accounts.note()


def spares_the_relay(bench: Bench) -> Iterator[Finding]:
    """A successor killed at once, one with few descriptors, a takeover, and a successor killed within one (LIFE-4)."""
    with _crowded(bench) as (bench, target, clients):
        accounts = _Accounts(bench, target)
        for number, (words, fail) in enumerate(FAILURES):
            if number == len(FAILURES) - 1:  # the last one may take all with it
                bench.act("a successor takes over")
                if why := _replace(target):
                    yield Finding(Kind.NOT_REPLACED, "a successor to serve in the relay's place, after two failed", why)
                    return
            bench.act(f"a successor is started and {words}; a client sends, and another one connects")
            if fell_short := fail(bench, target, len(clients)):
                bench.leave_out(f"a successor that {words}: {fell_short}")
            if fell_short == MAY_OWN:
                return
            if target.exit_status is not None:
                seen = f"the relay ends with status {target.exit_status}"
                yield Finding(Kind.CRASHED, f"the relay to serve on when its successor {words}", seen)
                return
            miscounted = list(accounts.continued(f"after a successor that {words}"))
            if wrong := list(_served(bench, target, clients)) or miscounted:
                yield from wrong
                return
            accounts.note()


@contextlib.contextmanager
def _crowded(bench: Bench) -> Iterator[tuple[Bench, SpawnedTarget, list[Client]]]:
    """A relay with many clients, each of which it serves, that shows its counters where the profile says how.

    Raises UnsupportedCheckError where the profile says of no successor.
    """
    if not bench.profile.successor:
        raise UnsupportedCheckError("the profile does not say how a successor is started: successor")
    if bench.profile.metrics is not None:
        bench = bench.telling(bench.profile.metrics.start)
    most = bench.rules.max_connections
    many = MANY if most is None else min(MANY, most - SPARE_CONNECTIONS)
    if many < MANY:
        bench.leave_out(f"more than {counted(many, 'connection')}: the relay takes {most}")
    with bench.relay() as target:
        bench.act(f"{counted(many, 'client')} connect; one of them sends a frame to all")
        clients = [bench.connect(target) for _ in range(many)]
        if not bench.reaches(clients[0], clients, bench.timing.many_seconds):
            raise UnsupportedCheckError(f"it does not serve {counted(many, 'client')} in time (CONN-4)")
        yield bench, target, clients


def _served(bench: Bench, target: SpawnedTarget, clients: Sequence[Client]) -> Iterator[Finding]:
    """What the clients lack, a new one too."""
    alone = bench.connect(target)
    if bench.reaches(clients[0], [*clients, alone], bench.timing.many_seconds):
        alone.close()
        return
    for client in clients:
        client.forget()
    closed = sum(client.closed for client in clients)
    if closed:
        yield Finding(Kind.CLOSED, f"{counted(len(clients), 'client')} to stay connected", f"{closed} are closed")
    else:
        yield Finding(Kind.LOST, f"a frame at {counted(len(clients) + 1, 'client')}", "it does not reach all of them")


def _replace(target: SpawnedTarget) -> str:
    """Let a successor take over: "", or why none did."""
    for _ in range(ATTEMPTS):
        target.start_successor()
        if _serves(target):
            return ""
    return target.end_of_successor or f"it neither serves nor ends within {target.timing.succession_seconds:.0f} s"


def _serves(target: SpawnedTarget) -> bool:
    """Whether the successor comes to serve."""
    deadline = time.monotonic() + target.timing.succession_seconds
    while (replaced := target.look_at_successor()) is None:
        target.limit.check()
        if time.monotonic() > deadline:
            target.give_up_successor()
            return False
        time.sleep(LOOK_SECONDS)
    return replaced


def _kill_at_once(_: Bench, target: SpawnedTarget, __: int) -> str:
    target.start_successor()
    target.give_up_successor()
    return ""


def _kill_within(bench: Bench, target: SpawnedTarget, clients: int) -> str:
    """Kill a successor that holds a first socket; why nothing can be said then, if so."""
    target.start_successor()
    deadline = time.monotonic() + target.timing.succession_seconds
    while (ended := target.look_at_successor()) is None and not target.handed_over and time.monotonic() < deadline:
        target.advance_takeover()
    held = target.handed_over
    target.give_up_successor()
    target.thaw()
    if ended is not None:
        return "it serves before that is seen" if ended else target.end_of_successor
    return MAY_OWN if held > clients and target.wait(bench.timing.last_breath_seconds) == 0 else ""


def _starve(_: Bench, target: SpawnedTarget, __: int) -> str:
    """Let a successor have too few descriptors; why it did not fail, if so."""
    target.start_successor()
    if target.successor_pid is not None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(target.successor_pid, resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, FEW_DESCRIPTORS))
    return "it takes over all the same" if _serves(target) else ""


FAILURES: tuple[tuple[str, Callable[[Bench, SpawnedTarget, int], str]], ...] = (
    ("is killed at once", _kill_at_once),
    (f"may have {FEW_DESCRIPTORS} descriptors", _starve),
    ("is killed as soon as it holds a socket of the relay", _kill_within),
)
"""How successors fail, in words, and what makes them; that gives the reason where one did not fail so."""


class _Accounts:
    """What a relay counts, where the profile says how that is seen."""

    def __init__(self, bench: Bench, target: SpawnedTarget) -> None:
        metrics = bench.profile.metrics
        names = ("received", "delivered", "dropped", "queued")
        self._names = [name for name in names if metrics is not None and getattr(metrics, name)]
        self._bench = bench
        self._target = target
        self.note()

    def note(self) -> None:
        """Note the counts as they are when nothing is under way any more; some relays never come to rest."""
        deadline = time.monotonic() + self._bench.timing.prompt_seconds
        self._noted = self._now()
        while (now := self._now()) != self._noted and time.monotonic() < deadline:
            self._noted = now

    def _now(self) -> dict[str, int]:
        if not self._names:
            return {}
        metrics, samples = self._bench.counters(self._target)
        return {name: samples.total(getattr(metrics, name)) for name in self._names}

    def continued(self, when: str) -> Iterator[Finding]:
        """What is wrong with the counts while nobody has sent anything since they were noted."""
        deadline = time.monotonic() + self._bench.timing.prompt_seconds
        while (now := self._now()) != self._noted and time.monotonic() < deadline:
            time.sleep(0.02)
        for name, count in self._noted.items():
            if now[name] != count:
                yield Finding(
                    Kind.MISCOUNTED, f"{counted(count, 'frame')} counted as {name} {when}", f"{now[name]} are"
                )
