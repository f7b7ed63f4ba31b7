"""What predecessor and successor say to each other: whole messages with all their descriptors, or an error."""

import array
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from torq_engine.handover.channel import BATCH, Ack, Batch, Channel, Prepared, Refuse, TakeoverError, close_all


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket, Channel]]:
    """Two ends, and the socket of the first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channels = Channel(ours), Channel(theirs)
    yield channels[0], ours, channels[1]
    for channel in channels:
        channel.close()


Pair = tuple[Channel, socket.socket, Channel]


def test_messages_arrive_one_by_one_with_their_descriptors(pair: Pair) -> None:
    ours, _, theirs = pair
    with open(os.devnull, "rb") as file:
        ours.send(Batch(), [file.fileno()] * BATCH)
        ours.send(Ack(3))
        message, descriptors = theirs.receive()
        assert (message, len(descriptors)) == (Batch(), BATCH)
        assert all(os.path.sameopenfile(file.fileno(), each) for each in descriptors)
        assert not any(os.get_inheritable(each) for each in descriptors)
        close_all(descriptors)
    assert theirs.receive() == (Ack(3), [])
    with pytest.raises(BlockingIOError):
        theirs.receive()


def test_life_4_descriptors_for_which_there_is_no_room_are_an_error_and_none_stays_open(pair: Pair) -> None:
    ours, _, theirs = pair
    with open(os.devnull, "rb") as file:
        ours.send(Batch(), [file.fileno()] * 10)
        before = os.listdir("/proc/self/fd")
        lowest_free = next(number for number in range(len(before) + 1) if str(number) not in before[:-1])
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 3, hard))
        try:
            with pytest.raises(TakeoverError, match="descriptors or bytes were cut off"):
                theirs.receive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "said", [b"\xc1", b"\x81\xa4type\xa7Nothing", b"\x82\xa4type\xa5Ready\xa1x\x01", bytes(200_000)]
)
def test_life_4_nonsense_is_an_error_and_what_came_with_it_is_closed(pair: Pair, said: bytes) -> None:
    _, socket_of_ours, theirs = pair
    before = os.listdir("/proc/self/fd")
    with open(os.devnull, "rb") as file:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))
        socket_of_ours.sendmsg([said], [rights])
    with pytest.raises(TakeoverError):
        theirs.receive()
    assert os.listdir("/proc/self/fd") == before


def test_life_4_who_is_gone_is_an_error_on_both_ways(pair: Pair) -> None:
    ours, _, theirs = pair
    ours.send(Refuse("no"))
    ours.close()
    assert theirs.receive() == (Refuse("no"), [])
    with pytest.raises(TakeoverError, match="the other process is gone"):
        theirs.receive()
    with pytest.raises(TakeoverError, match="cannot send Prepared: Broken pipe"):
        theirs.send(Prepared())
