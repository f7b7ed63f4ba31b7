"""The witness of ``torq_bench chaos``: what it excuses, and what it does not."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from spec_tests.engine.relays import short_directory
from torq_bench.chaos import Witness
from torq_bench.relays import RelayError
from torq_bench.traffic import make_frame
from torq_protocol.constants import HEADER_SIZE, RelayDomain

FILLING = make_frame(RelayDomain.SIGNAL, HEADER_SIZE)


@contextmanager
def relay_that_loses_one(frames_instead: int) -> Iterator[Path]:
    """Two clients; of the first one the second gets so many other frames instead of its first, then all that follow."""

    def serve() -> None:
        sender, receiver = (listener.accept()[0] for _ in range(2))
        with sender, receiver:
            sender.recv(HEADER_SIZE, socket.MSG_WAITALL)
            receiver.sendall(FILLING * frames_instead)
            while data := sender.recv(HEADER_SIZE):
                receiver.sendall(data)

    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "s"))
        listener.listen()
        thread = Thread(target=serve)
        thread.start()
        try:
            yield directory / "s"
        finally:
            thread.join()


def test_iso_3_a_frame_that_an_overflow_may_have_taken_is_sent_again() -> None:
    with relay_that_loses_one(10_000) as path:
        witness = Witness(str(path), RelayDomain.SIGNAL)
        try:
            assert witness.exchange() == 10_001
        finally:
            witness.close()


def test_fwd_1_a_frame_lost_without_an_overflow_is_a_fault() -> None:
    with relay_that_loses_one(9_999) as path:
        witness = Witness(str(path), RelayDomain.SIGNAL, patience=1.0)
        try:
            with pytest.raises(RelayError, match="nothing within 1 s"):
                witness.exchange()
        finally:
            witness.close()
