"""Clients in front of a full backlog: they wait for room, and a relay that leaves them there has not refused them."""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.checks import CHECKS, Bench
from torq_conformance.checks.levels import descriptors, memory, peak_memory, threads
from torq_conformance.errors import TargetError
from torq_conformance.model.profile import load_profile
from torq_conformance.model.timing import Timing
from torq_conformance.play.address import Address

LIMITED = msgspec.structs.replace(load_profile("reference"), max_connections=4)
RELAY = """
import select, socket, sys
path, manner, most = sys.argv[1], sys.argv[2], 4
listener, clients, filler = socket.socket(socket.AF_UNIX), [], []
listener.bind(path)
listener.listen(0 if manner == "wait" else 50)
while True:
    full = len(clients) >= most
    if full and manner == "stop":
        listener.close()
    elif full and not filler:
        filler.append(socket.socket(socket.AF_UNIX))
        filler[0].connect(path)
    for ready in select.select(clients if full else [listener, *clients], [], [])[0]:
        if ready is listener:
            clients.append(listener.accept()[0])
            continue
        data = ready.recv(65536)
        if not data:
            clients.remove(ready)
        for client in clients:
            client.send(data)
"""
"""A relay of four connections that stops listening when it has them, or fills its own backlog."""


@pytest.fixture
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[socket.socket, Address]]:
    """A listener whose backlog is full, and its address."""
    path = str(tmp_path_factory.mktemp("b") / "s")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(path)
        yield listener, Address(path=path)


def test_a_client_waits_for_room_in_the_backlog(
    full: tuple[socket.socket, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, address = full
    waits: list[float] = []

    def make_room(seconds: float) -> None:
        waits.append(seconds)
        listener.accept()[0].close()

    monkeypatch.setattr(time, "sleep", make_room)
    address.connect().close()
    assert len(waits) == 1


def test_a_backlog_that_stays_full_ends_in_a_timeout(
    full: tuple[socket.socket, Address],
) -> None:
    with pytest.raises(TimeoutError, match="stays full"):
        full[1].connect(Timing(backlog_seconds=0.02))


@pytest.mark.parametrize(("manner", "found"), [("stop", {"refused"}), ("wait", {"admitted"})])
def test_conn_5_to_stop_listening_refuses_and_to_leave_a_client_waiting_does_not(
    manner: str, found: set[str], tmp_path: Path
) -> None:
    script = tmp_path / "relay.py"
    script.write_text(RELAY)
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {{socket}} {manner}"
    with Bench(command, LIMITED, rules_of("signal"), Timing(backlog_seconds=0.5)) as bench:
        assert {finding.kind for finding in CHECKS["CONN-5"](bench)} == found


def test_the_memory_of_a_process_that_has_ended_is_no_error_of_the_suite() -> None:
    for measure in (memory, peak_memory, descriptors, threads):
        with pytest.raises(TargetError, match="has ended"):
            measure(2**30)
