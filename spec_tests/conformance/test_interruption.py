"""An interruption that falls into a callback of the garbage collector is not lost."""

import gc
import signal
import sys
from collections.abc import Iterator

import pytest

from torq_conformance import interruption
from torq_conformance.interruption import Terminated, check, install


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    hook = sys.unraisablehook
    install()
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)]
)
def test_a_signal_interrupts_at_once(number: signal.Signals, kind: type[KeyboardInterrupt]) -> None:
    with pytest.raises(kind):
        signal.raise_signal(number)


def test_a_signal_inside_a_callback_of_the_collector_is_raised_at_the_next_check(
    capsys: pytest.CaptureFixture[str],
) -> None:

    def callback(_: str, __: dict[str, int]) -> None:
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()
    assert callback not in gc.callbacks
    assert capsys.readouterr().err == ""
    with pytest.raises(KeyboardInterrupt):
        check()
    check()


def test_a_signal_soon_behind_another_does_not_interrupt_what_that_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(interruption, "AGAIN_AFTER", 0.0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    install()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
