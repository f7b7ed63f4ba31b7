"""Tables for a terminal: nothing that they say is cut off."""

import re
from io import StringIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from torq_engine.accounting import REFUSAL_LABELS, DropReason
from torq_engine.operations.status import ORDERS, ConnectionStatus, RefusedClient, RefusedClients, in_order
from torq_engine.operations.tables import print_connections, print_refused, status_table

from ..frames import frame
from ..relays import happened
from .services import operating

COUNTS = st.integers(0, 10**12)
ROWS = st.builds(
    ConnectionStatus,
    id=st.integers(1, 10**7),
    pid=st.integers(0, 2**22),
    uid=st.integers(0, 2**32 - 1),
    gid=st.just(0),
    program=st.text("abc[]-\n\x1b\xe9", max_size=15),
    seconds=st.floats(0, 10**7),
    frames_in=COUNTS,
    bytes_in=COUNTS,
    refused=COUNTS,
    refused_by=st.dictionaries(st.sampled_from(sorted(REFUSAL_LABELS.values())), COUNTS, max_size=4),
    framing_error=st.just(""),
    frames_out=COUNTS,
    bytes_out=COUNTS,
    queued_frames=COUNTS,
    queued_bytes=COUNTS,
    queued_seconds=st.floats(0, 10**6),
    dropped=st.dictionaries(st.sampled_from([reason.label for reason in DropReason]), COUNTS, max_size=5),
    reads=st.booleans(),
    sends=st.booleans(),
)


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
@given(rows=st.lists(ROWS, min_size=1, max_size=4), columns=st.integers(20, 300))
def test_a_table_of_connections_shows_every_number_and_reason_at_any_width(
    terminal: bool, rows: list[ConnectionStatus], columns: int
) -> None:
    screen = StringIO()
    print_connections(rows, "", Console(file=screen, width=columns, force_terminal=terminal))
    said = re.sub("\x1b\\[[0-9;]*m|,\\B", "", screen.getvalue())
    words = set(said.split())
    for one in rows:
        assert {str(one.id), str(one.pid), str(one.uid), f"{one.queued_seconds:.1f}"} <= words
        assert {f"{number:,}" for number in (one.frames_in, one.frames_out, one.queued_frames)} <= words
        for counts in (one.refused_by, one.dropped):
            assert all(f"{reason} {count:,}" in said for reason, count in counts.items())
    assert terminal or len(said.splitlines()) == len(rows) + 5


@given(rows=st.lists(ROWS, max_size=8))
def test_connections_are_sorted_by_what_is_asked_for_and_as_they_came_where_it_is_equal(
    rows: list[ConnectionStatus],
) -> None:
    for sort, value in ORDERS.items():
        values = [value(one) for one in in_order(rows, sort)]
        assert values == sorted(values, reverse=True)
    assert in_order(rows, "dropped") == sorted(rows, key=lambda one: -sum(one.dropped.values()))


async def test_a_status_shows_paths_as_they_are_and_what_frames_hold_without_their_end() -> None:
    async with operating() as running:
        client = await running.join()
        await client.send(frame(bytes(100))[:60])
        await happened(lambda: running.service.status().incomplete_bytes == 60)
        status = msgspec.structs.replace(running.service.status(), sockets=["/tmp/[/b]/a"], audit="/[red]")
    screen = StringIO()
    Console(file=screen, width=200).print(status_table(status))
    assert all(
        words in screen.getvalue() for words in ("/tmp/[/b]/a", "/[red]", "60 bytes of frames without their end")
    )


@given(program=st.text("abc[]-\n\x1b\xe9", max_size=15), times=COUNTS, others=COUNTS)
def test_a_table_of_refused_clients_shows_who_why_and_how_often(program: str, times: int, others: int) -> None:
    client = RefusedClient(
        pid=77, uid=1001, gid=1002, program=program, reason="not-allowed", times=times, seconds_ago=61.5
    )
    screen = StringIO()
    console = Console(file=screen, width=20)
    print_refused(RefusedClients([client], {"max-connections": others} if others else {}), console)
    title, _, _, _, row, *rest, _ = screen.getvalue().splitlines()
    assert title.split() == ["1", "refused", "clients"]
    assert row.split()[-7:] == ["77", "1001", "1002", "not-allowed", f"{times:,}", "0:01:01", "ago"]
    assert row.isprintable()
    assert [line.split() for line in rest] == [["others", "before", "max-connections", f"{others:,}"]] * bool(others)
