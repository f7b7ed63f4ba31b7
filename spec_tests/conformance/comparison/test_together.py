"""Things done at the same time: none outlives the call, whatever ends it."""

import threading
from collections.abc import Callable

import pytest

from torq_conformance import interruption
from torq_conformance.comparison.together import together

SECONDS = 30.0


def test_all_are_done_at_the_same_time_and_come_in_their_order() -> None:
    meeting = threading.Barrier(3)

    def act(name: str) -> Callable[[], str]:
        def done() -> str:
            meeting.wait(SECONDS)  # breaks where one is done after the other
            return name

        return done

    assert together([act("A"), act("B"), act("C")], lambda: None) == ["A", "B", "C"]


@pytest.mark.parametrize("fails", ["here", "elsewhere"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_one_raises_is_raised_after_the_others_have_given_up(fails: str, error: type[BaseException]) -> None:
    told, given_up = threading.Event(), []

    def failing() -> None:
        raise error

    def waiting() -> None:
        assert told.wait(SECONDS), "it is told to give up"
        given_up.append(True)

    acts = [failing, waiting] if fails == "here" else [lambda: None, waiting, failing]
    with pytest.raises(error):
        together(acts, told.set)
    assert given_up == [True]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_an_interruption_is_left_to_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_pending", [KeyboardInterrupt()])

    def asks() -> bool:
        interruption.check()
        with interruption.deferred():
            pass
        return True

    assert together([lambda: True, asks], lambda: None) == [True, True]
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
