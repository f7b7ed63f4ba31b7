"""``torq_bench takeover-faults``: its clients see what they must, and nobody is excused who must not be."""

import random
import re
import socket
import subprocess
import sys

import pytest

from torq_bench.faulty_handover import KILL, PREDECESSOR, STOP, SUCCESSOR, Call, Fault, Struck
from torq_bench.handover_traffic import Checked, Sender
from torq_bench.takeover_faults import _may_end_all
from torq_bench.takeover_plot import drawn
from torq_bench.traffic import make_frame
from torq_engine.handover.tables import New, Old
from torq_protocol.constants import RelayDomain

SECONDS = 60.0


FRAMES = [make_frame(RelayDomain.MARKET_DATA, 74, number) for number in range(4)]
LATE = bytearray(FRAMES[2])
LATE[40] ^= 1


@pytest.mark.parametrize(
    ("received", "fault"),
    [
        (FRAMES, ""),
        ([FRAMES[0], FRAMES[2]], "frame 2 of sender 0 where 1 was due"),
        ([FRAMES[0], FRAMES[0]], "frame 0 of sender 0 where 1 was due"),
        ([FRAMES[0], FRAMES[1][:30], *FRAMES[2:]], "a frame that nobody sent"),
        ([*FRAMES[:2], FRAMES[1][40:]], "bytes that are no frame"),
        ([FRAMES[0], FRAMES[1], bytes(LATE)], "a frame that nobody sent"),
    ],
)
def test_a_receiver_sees_what_is_lost_doubled_torn_or_damaged(received: list[bytes], fault: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Checked(ours, "receiver")
        theirs.sendall(b"".join(received))
        client.read()
        assert fault in client.fault
        assert bool(fault) == bool(client.fault)
        theirs.close()
        client.read()
        assert client.gone


def test_a_sender_cuts_its_frames_anywhere_and_sends_each_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender, receiver = Sender(ours, 3, random.Random(1)), Checked(theirs, "receiver")
        for _ in range(50):
            sender.send(more=True)
            receiver.read()
        while not sender.send(more=False):
            receiver.read()
        receiver.read()
        assert sender.sent > 50
        assert receiver.next == {3: sender.sent}
        assert not receiver.fault


@pytest.mark.parametrize("state", [*Old, *New])
@pytest.mark.parametrize("what", [KILL, STOP])
def test_only_who_owned_the_clients_may_take_them_along(state: Old | New, what: str) -> None:
    role = PREDECESSOR if isinstance(state, Old) else SUCCESSOR
    struck = Struck(Fault(role, 0, what), 1, Call("send", state.name))
    owned = state is New.SERVING if role == SUCCESSOR else state not in (Old.COMMITTED, Old.RECLAIMING, Old.LEFT)
    assert _may_end_all(struck) == (what == KILL and owned)


def test_a_few_takeovers_under_faults() -> None:
    words = [sys.executable, "-m", "torq_bench", "takeover-faults", "--times", "6", "--chain", "2", "--seed", "5"]
    run = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "6 takeovers" in run.stdout
    assert "0 frames lost, doubled, torn or out of order" in run.stdout


def test_the_picture_shows_a_wait_where_it_was() -> None:
    quiet = [(moment / 1000, 0.001) for moment in range(-100, 150)]
    waits = [(moment / 1000, 0.1) for moment in range(20)]
    [calm, stirred] = [
        [line for line in drawn(latencies).splitlines() if line.startswith('<polyline class="p99"')]
        for latencies in (quiet, quiet + waits)
    ]
    heights = [[float(point.split(",")[1]) for point in re.findall(r"[\d.]+,[\d.]+", line)] for line in calm + stirred]
    assert len(heights[0]) == len(heights[1]) == 50
    higher = [place for place, (before, after) in enumerate(zip(*heights, strict=True)) if after < before]
    assert higher == [20, 21, 22, 23]
