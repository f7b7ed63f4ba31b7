"""The checks of what a relay counts: refused frames by reason (VAL-7), and where every frame went (ISO-6).

Facts:
- the suite knows what it has sent, and to how many; a counter has ``prompt_seconds`` to show it;
- what is finer than the reasons told apart here, such as a reason for each malformation, is left free.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..counting import counted
from ..model.findings import Finding, Kind
from ..model.frames import Frame, Tlv
from ..model.legality import FIXED_SIZES, Fate, fate_of, free_type
from ..play.target import SpawnedTarget
from .bench import Bench, Client
from .life import VALUE_BYTES, backlog, flood, whole_frames

LEAST_REFUSED = 3
"""Frames refused for the first reason; each further reason gets one more, so that no two are alike."""
QUEUE_BYTES = 2_000_000
"""The queue of a consumer, where the suite may set it."""
OVERFLOWING_BYTES = 4_000_000
"""Bytes that overflow it for certain, whatever the sockets hold."""


def counts_refused_frames(bench: Bench) -> Iterator[Finding]:
    """Frames refused for one reason after the other, each among frames that are forwarded (VAL-7)."""
    bench = bench.counting("refused")
    seen: dict[str, str] = {}
    with bench.relay() as target:
        sender, receiver = bench.joined(target, 2)
        for count, (requirement, what, frame) in enumerate(_refusals(bench), LEAST_REFUSED):
            bench.act(f"a client sends {counted(count, 'frame')} with {what}, then one that is forwarded")
            before = _refused(bench, target)
            data = b"".join(bench.encoded(frame) for _ in range(count))
            if not sender.send(data) or not bench.reaches(sender, [receiver]):
                yield Finding(Kind.LOST, f"a frame behind those with {what} to be served", "it is not")
                return
            after = _settled(bench, target, sum(before.values()) + count)
            more = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
            owed = f"{counted(count, 'refused frame')} with {what} to be counted under one reason"
            if list(more.values()) != [count]:
                told = ", ".join(f"{number} under {name!r}" for name, number in more.items()) or "none"
                yield Finding(Kind.MISCOUNTED, owed, f"counted are {told}")
                return
            reason = next(iter(more))
            if seen.setdefault(reason, requirement) != requirement:
                yield Finding(
                    Kind.MISCOUNTED,
                    f"a reason for frames with {what} ({requirement}) that is not that of {seen[reason]}",
                    f"both are counted under {reason!r}",
                )


def _refusals(bench: Bench) -> list[tuple[str, str, Frame]]:
    """Frames that the relay must refuse: the requirement of each, and what it has."""
    rules, own = bench.rules, (Tlv(free_type(bench.rules), 8),)
    fixed = next((each for each in rules.types if each in FIXED_SIZES), rules.first_type)
    frames = (
        ("DOM-1", "another domain", Frame(rules.number % 3 + 1, own)),
        ("VAL-1", "a wrong checksum", Frame(rules.number, own, checksum="inverted")),
        ("DOM-2", "a TLV type of another range", Frame(rules.number, (*own, Tlv(rules.last_type + 1, 8)))),
        ("VAL-3", "a TLV that is cut off", Frame(rules.number, own, tail=f"{free_type(rules):02x}ff00")),
        ("VAL-4", "an unknown version", Frame(rules.number, own, version=9)),
        ("VAL-4", "an unknown source", Frame(rules.number, own, source=250)),
        ("VAL-4", "a wrong size", Frame(rules.number, (Tlv(fixed, FIXED_SIZES.get(fixed, 8) + 1),))),
    )
    return [
        each
        for each in frames
        if fate_of(each[2], rules)[0] is Fate.REFUSE and each[0] not in bench.profile.not_promised
    ]


def _refused(bench: Bench, target: SpawnedTarget) -> dict[str, int]:
    """The refused frames of each reason."""
    metrics, samples = bench.counters(target)
    return samples.by(metrics.reason, metrics.refused)


def _settled(bench: Bench, target: SpawnedTarget, goal: int) -> dict[str, int]:
    """The same as soon as they are so many, or when the time that a relay gets is over."""
    _await(bench, lambda: sum(_refused(bench, target).values()) == goal)
    return _refused(bench, target)


def _await(bench: Bench, holds: Callable[[], bool]) -> bool:
    """Whether something holds within the time that a relay gets."""
    deadline = time.monotonic() + bench.timing.prompt_seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def balances(bench: Bench) -> Iterator[Finding]:
    """A consumer that stalls past its bound and reads again, and one that leaves with a backlog (ISO-6)."""
    bench = bench.counting("received", "delivered", "dropped", "queued")
    if {"queue_bytes", "overflow"} <= bench.profile.settings.keys():
        bench = bench.under({"queue_bytes": QUEUE_BYTES, "overflow": "drop_oldest"})
    with bench.relay() as target:
        sent = bench.evidence["frames"]
        sender, reader, slow = bench.joined(target, 3)
        ledger = _Ledger(bench, target)
        sent = bench.evidence["frames"] - sent
        if not _await(bench, lambda: ledger.received == sent and ledger.queued == 0):
            yield Finding(
                Kind.MISCOUNTED,
                f"{counted(sent, 'frame')} to be received, and none queued, when all have come",
                f"{ledger.received} are received, {ledger.queued} queued",
            )
            return
        ledger.open(receivers=3 if bench.rules.echo else 2)
        yield from _overflow(bench, ledger, (sender, reader, slow))
        yield from _leaving(bench, ledger, (sender, reader, slow))


def _overflow(bench: Bench, ledger: _Ledger, clients: tuple[Client, Client, Client]) -> Iterator[Finding]:
    """A consumer stalls past its bound, where that is small, and reads again."""
    sender, reader, slow = clients
    size = bench.size_of(VALUE_BYTES)
    overflows = bench.rules.most_bytes <= QUEUE_BYTES and bench.rules.overflow == "drop_oldest"
    count = OVERFLOWING_BYTES // size if overflows else backlog(bench.rules, size)
    bench.act(f"C does not read while A sends {counted(count, 'frame')} of {counted(size, 'byte')}, which B reads")
    frames = [bench.frame(VALUE_BYTES) for _ in range(count)]
    if not flood(sender, reader, frames, bench.rules):
        yield Finding(Kind.LOST, "the sender's frames at somebody who reads", "they did not come")
        return
    yield from ledger.unbalanced(count, "while a consumer does not read")
    bench.act("C reads until it has the last of them")
    slow.buffer.clear()
    while not slow.buffer.endswith(frames[-1]) and slow.read(bench.timing.prompt_seconds):
        pass
    missing = len(set(frames) - whole_frames(slow, bench.rules))
    yield from ledger.unbalanced(count, "when it has read all", queued=0, dropped=missing)


def _leaving(bench: Bench, ledger: _Ledger, clients: tuple[Client, Client, Client]) -> Iterator[Finding]:
    """A consumer leaves while frames wait for it."""
    sender, reader, slow = clients
    size = bench.size_of(VALUE_BYTES)
    count = max(1, min(backlog(bench.rules, size), bench.rules.most_bytes * 3 // 4 // size))
    at_bound = ledger.dropped_by_reason()
    ledger.open(receivers=ledger.receivers)
    bench.act(f"C does not read {counted(count, 'frame')} more, and leaves")
    if not flood(sender, reader, [bench.frame(VALUE_BYTES) for _ in range(count)], bench.rules):
        yield Finding(Kind.LOST, "the sender's frames at somebody who reads", "they did not come")
        return
    slow.close()
    yield from ledger.unbalanced(count, "when a consumer has left with a backlog", queued=0)
    if shared := sorted(at_bound & ledger.dropped_by_reason()):
        yield Finding(
            Kind.MISCOUNTED,
            "other reasons for frames dropped at the bound and for those of a client that left",
            f"both are counted under {shared[0]!r}",
        )


class _Ledger:
    """The accounts of a relay, from the moment when they were opened last."""

    def __init__(self, bench: Bench, target: SpawnedTarget) -> None:
        self._bench = bench
        self._target = target
        self.receivers = 0
        self._begun = (0, 0, 0, 0)
        self._reasons_before: dict[str, int] = {}

    def _now(self) -> tuple[int, int, int, int]:
        metrics, samples = self._bench.counters(self._target)
        names = (metrics.received, metrics.delivered, metrics.dropped, metrics.queued)
        received, delivered, dropped, queued = map(samples.total, names)
        return received, delivered, dropped, queued

    @property
    def received(self) -> int:
        """Frames received since the start."""
        return self._now()[0]

    @property
    def queued(self) -> int:
        """Frames that wait."""
        return self._now()[3]

    def dropped_by_reason(self) -> set[str]:
        """The reasons for which frames were dropped."""
        return {reason for reason, number in self._reasons().items() if number > self._reasons_before.get(reason, 0)}

    def _reasons(self) -> dict[str, int]:
        metrics, samples = self._bench.counters(self._target)
        return samples.by(metrics.reason, metrics.dropped)

    def open(self, *, receivers: int) -> None:
        """Count from now on, for so many receivers of each frame; nothing may be queued."""
        self._begun, self._reasons_before, self.receivers = self._now(), self._reasons(), receivers

    def unbalanced(
        self, count: int, when: str, *, queued: int | None = None, dropped: int | None = None
    ) -> Iterator[Finding]:
        """What contradicts the accounts when ``count`` frames were sent since they were opened."""

        def moved() -> tuple[int, int, int, int]:
            received, delivered, lost, waiting = self._now()
            return received - self._begun[0], delivered - self._begun[1], lost - self._begun[2], waiting

        def balanced() -> bool:
            received, delivered, lost, waiting = moved()
            return (
                received == count
                and delivered + lost + waiting == count * self.receivers
                and queued in (None, waiting)
                and dropped in (None, lost)
            )

        if not _await(self._bench, balanced):
            received, delivered, lost, waiting = moved()
            exactly = "" if dropped is None else f", {dropped} of them dropped"
            yield Finding(
                Kind.MISCOUNTED,
                f"{count} received x {self.receivers} receivers = delivered + dropped + queued{exactly}, {when}",
                f"received are {received}, delivered {delivered}, dropped {lost}, queued {waiting}",
            )
