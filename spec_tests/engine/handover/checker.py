"""Every run of a handover: the two tables, a channel, the baton, and a crash or a delay at each point, breadth first.

``python -m spec_tests.engine.handover.checker`` prints how many states there are, and the shortest run that breaks a
promise if one does. The promises: one process serves at a time; the successor serves only what is whole and the
latest; every run ends with somebody serving, unless the process that owned everything died.

Facts: a process may die between any two of its actions. A hang is a delay: each state that waits may be LATE at any
time. Messages arrive in order, or never, when a process has died.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torq_engine.handover.tables import PREDECESSOR, SUCCESSOR, Action, Event, New, Old, Role

BATCHES = 2
_COMMIT, _REVOKED, _EMPTY, _NONE = "commit", "revoked", "empty", "no baton"
_SAID_BY_OLD = {
    Action.SAY_OFFER: Event.OFFER,
    Action.SAY_REFUSE: Event.REFUSED,
    Action.SEND_COPY: Event.EARLY,
    Action.SEND_STATE: Event.STATE,
}
_MAY_FAIL = (Action.COPY, Action.SEND_COPY, Action.FREEZE, Action.SEND_STATE)
_SAID_BY_NEW = {
    Action.SAY_READY: Event.READY,
    Action.KEEP_COPY: Event.KEPT,
    Action.SAY_ACK: Event.ACK,
    Action.SAY_PREPARED: Event.PREPARED,
    Action.SAY_ACTIVE: Event.ACTIVE,
    Action.SAY_FAILED: Event.FAILED,
}


@dataclass(frozen=True, slots=True)
class World:
    """All that matters at one moment; ``stale``: the predecessor served after it had stood still."""

    old: Old
    new: New
    old_lives: bool = True
    new_lives: bool = True
    to_old: tuple[Event, ...] = (Event.FITS,)
    to_new: tuple[Event, ...] = ()
    baton: str = _NONE
    sent: int = 0
    got: int = 0
    froze: bool = False
    stale: bool = False
    excused: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """How many states there are, and the shortest run that breaks a promise: which, and its steps."""

    states: int
    broken: str = ""
    run: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checker:
    """The runs of two tables."""

    predecessor: Role[Old] = PREDECESSOR
    successor: Role[New] = SUCCESSOR

    def explore(self) -> Found:
        """Visit every state; stop at the first that breaks a promise, which is a nearest one."""
        start = World(self.predecessor.start, self.successor.start)
        before: dict[World, tuple[World, str] | None] = {start: None}
        waiting = deque([start])
        while waiting:
            world = waiting.popleft()
            following = list(self._following(world))
            broken = self._broken(world, last=not following)
            if broken:
                return Found(len(before), broken, tuple(_run(world, before)))
            for step, after in (*following, *self._crashes(world)):
                if after not in before:
                    before[after] = (world, step)
                    waiting.append(after)
        return Found(len(before))

    def _broken(self, world: World, *, last: bool) -> str:
        old = world.old_lives and world.old in self.predecessor.serving
        new = world.new_lives and world.new in self.successor.serving
        if old and new:
            return "both serve"
        if new and world.stale:
            return "the successor serves what is not the latest"
        if new and world.got < BATCHES:
            return "the successor serves what is not whole"
        if last and not old and not new and not world.excused:
            return "nobody serves"
        return ""

    def _following(self, world: World) -> Iterator[tuple[str, World]]:
        """Whatever may happen next, crashes aside."""
        if world.old_lives and world.old in self.predecessor.rows:
            for event, rest in self._events_of_old(world):
                for after in self._old_step(replace(world, to_old=rest), event):
                    yield f"predecessor: {event.value}{'' if after.old_lives else ', and it dies'}", after
        if world.new_lives and world.new in self.successor.rows:
            for event, after in self._events_of_new(world):
                for result in self._new_step(after, event):
                    yield f"successor: {event.value}{'' if result.new_lives else ', and it dies'}", result

    def _events_of_old(self, world: World) -> Iterator[tuple[Event, tuple[Event, ...]]]:
        if world.old is Old.COPYING:
            yield Event.COPIED, world.to_old
        if world.to_old:
            event, rest = world.to_old[0], world.to_old[1:]
            if event is Event.ACK and world.sent == BATCHES:
                event = Event.LAST_ACK
            yield event, rest
            if event is Event.FITS:
                yield Event.MISFIT, rest
        elif not world.new_lives or world.new is New.ENDED:
            yield Event.LOST, ()
        yield Event.LATE, world.to_old

    def _events_of_new(self, world: World) -> Iterator[tuple[Event, World]]:
        if world.new is New.VERIFYING:
            yield Event.UNUSABLE, world
            yield Event.WHOLE, world
        elif world.new is New.PREPARED:
            if world.baton == _COMMIT:
                yield Event.COMMITTED, replace(world, baton=_EMPTY)
            elif world.baton == _REVOKED:
                yield Event.REVOKED, replace(world, baton=_EMPTY)
            elif not world.old_lives:
                yield Event.ORPHANED, world
            else:
                yield Event.LATE, world
        else:
            if world.to_new:
                event, rest = world.to_new[0], world.to_new[1:]
                yield event, replace(world, to_new=rest, got=world.got + (event is Event.BATCH))
                if event is Event.EARLY:
                    yield Event.UNUSABLE, replace(world, to_new=rest)
            elif not world.old_lives or world.old not in self.predecessor.rows:
                yield Event.LOST, world
            yield Event.LATE, world

    def _old_step(self, world: World, event: Event) -> Iterator[World]:
        """The states after a step of the predecessor: it may die behind each action, or be unable to do some."""
        step = self.predecessor.step(world.old, event)
        world = replace(world, old=step.to)
        for action in step.actions:
            if action in _MAY_FAIL:
                yield from self._old_step(replace(world, froze=world.froze or action is Action.FREEZE), Event.UNABLE)
            if action is Action.TAKE_BACK:
                back = world.baton == _COMMIT
                world = replace(world, baton=_EMPTY) if back else world
                yield from self._died(world)
                yield from self._old_step(world, Event.TAKEN_BACK if back else Event.GONE)
                return
            world = self._acted_by_old(world, action)
            yield from self._died(world)
        if world.old is Old.SERVING and world.froze:
            world = replace(world, stale=True)
        yield world

    def _acted_by_old(self, world: World, action: Action) -> World:
        match action:
            case Action.FREEZE:
                return replace(world, froze=True)
            case Action.SEND_BATCH:
                return replace(world, sent=world.sent + 1, to_new=(*world.to_new, Event.BATCH))
            case Action.COMMIT:
                return replace(world, baton=_COMMIT)
            case Action.REVOKE:
                return replace(world, baton=_REVOKED)
            case Action.LEAVE | Action.COPY:
                return world
        if action is Action.SAY_OFFER:
            world = replace(world, baton=_EMPTY)
        return replace(world, to_new=(*world.to_new, _SAID_BY_OLD[action]))

    def _new_step(self, world: World, event: Event) -> Iterator[World]:
        step = self.successor.step(world.new, event)
        world = replace(world, new=step.to)
        for action in step.actions:
            if action in _SAID_BY_NEW:
                world = replace(world, to_old=(*world.to_old, _SAID_BY_NEW[action]))
            yield self._without_new(world)
        yield world

    def _crashes(self, world: World) -> Iterator[tuple[str, World]]:
        if world.old_lives:
            yield "predecessor: dies", self._without_old(world)
        if world.new_lives:
            yield "successor: dies", self._without_new(world)

    def _died(self, world: World) -> Iterator[World]:
        yield self._without_old(world)

    def _without_old(self, world: World) -> World:
        """Nobody can serve if it owned everything, and had kept it for itself or not given it whole."""
        owned = world.old is not Old.LEFT and world.new not in self.successor.serving
        whole = world.new_lives and world.new is New.PREPARED and world.baton != _REVOKED
        return replace(world, old_lives=False, excused=world.excused or (owned and not whole))

    def _without_new(self, world: World) -> World:
        owned = world.new in self.successor.serving or not world.old_lives
        return replace(world, new_lives=False, excused=world.excused or owned)


def _run(world: World, before: dict[World, tuple[World, str] | None]) -> list[str]:
    steps: list[str] = []
    while (link := before[world]) is not None:
        world, step = link
        steps.insert(0, step)
    return steps


def told(found: Found) -> str:
    """What was found, as lines."""
    lines = [f"{found.states} states"]
    if found.broken:
        lines += [f"broken: {found.broken}", *(f"{place}. {step}" for place, step in enumerate(found.run, start=1))]
    else:
        lines.append("one process serves at a time, and every run ends with one that does")
    return "\n".join(lines)


if __name__ == "__main__":
    result = Checker().explore()
    print(told(result))
    sys.exit(bool(result.broken))
