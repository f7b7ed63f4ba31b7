"""The events of a server's life reach everyone who watches, in order."""

import inspect

from torq_engine.observer import Observer, ObserverGroup


class Recorder(Observer):
    """Writes down which events it was told, with what."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[object, ...]]] = []

    def __getattribute__(self, name: str) -> object:
        if name in EVENTS:
            return lambda *given: self.told.append((name, given))
        return super().__getattribute__(name)


EVENTS = [name for name, _ in inspect.getmembers(Observer, inspect.isfunction) if not name.startswith("_")]


def test_every_event_reaches_every_member_of_a_group_as_it_was() -> None:
    first, second = Recorder(), Recorder()
    group = ObserverGroup([first, second])
    given = {name: tuple(map(str, range(len(inspect.signature(getattr(group, name)).parameters)))) for name in EVENTS}
    for name in EVENTS:
        getattr(group, name)(*given[name])
    assert len(EVENTS) >= 9
    assert first.told == second.told == list(given.items())


def test_an_event_that_nobody_watches_is_nothing() -> None:
    observer = Observer()
    for name in EVENTS:
        count = len(inspect.signature(getattr(observer, name)).parameters)
        assert getattr(observer, name)(*[None] * count) is None
