"""Clients that come back in a loop: told by client and reason, in lines and memory of which the number is bounded."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_engine.accounting import CloseReason
from torq_engine.handover.state import LogState, RefusedState, StateError
from torq_engine.operations import client_lines, refused_clients
from torq_engine.operations.client_lines import ClientLines
from torq_engine.operations.configuration import LogLevel
from torq_engine.operations.logs import EventLog, Field
from torq_engine.operations.refused_clients import RefusalsByClient
from torq_engine.port import Peer, program_of

from ..frames import frame
from ..relays import happened
from .services import operating
from .test_logs import lines
from .test_logs import log as log  # noqa: PLC0414 - the fixture
from .test_operators import CONTROL, UNIX, ctl, samples
from .test_slow_consumers import Timers, said

FULL = CloseReason.MAX_CONNECTIONS
FORBIDDEN = CloseReason.NOT_ALLOWED


def client(pid: int) -> Peer:
    return Peer(pid, 1000, 1000, "strategy")


class MemoryLog(EventLog):
    """A log that keeps the fields of each line."""

    def __init__(self, repeat_interval: float = 10.0) -> None:
        self.repeat_interval = repeat_interval
        self.later = self.timers = Timers()
        self.told: list[tuple[str, dict[str, Field]]] = []

    def write(self, level: LogLevel, event: str, fields: dict[str, Field]) -> None:
        self.told.append((event, fields))


def total(log: MemoryLog, reason: str, field: str, default: int) -> int:
    """The sum of a field over all lines of a reason."""
    values = [fields.get(field, default) for _, fields in log.told if fields["reason"] == reason]
    return sum(value for value in values if isinstance(value, int))


VISITS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["peer-left", "shutdown"]), st.integers(0, 9)))


@given(visits=VISITS, of_one=st.integers(1, 3), in_all=st.integers(1, 8), ends=st.sets(st.integers(0, 60)))
def test_iso_6_of_any_storm_the_lines_are_few_and_their_sums_are_whole(
    visits: list[tuple[int, str, int]], of_one: int, in_all: int, ends: set[int]
) -> None:
    log = MemoryLog()
    told = ClientLines(log, "info", of_one_client=of_one, in_all=in_all)
    intervals = 1
    for number, (pid, reason, frames) in enumerate(visits):
        told.tell("closed", client(pid), reason, {"pid": pid}, {"frames": frames})
        if number in ends:
            log.timers.elapse()
            intervals += 1
    told.flush()
    expected = Counter(reason for _, reason, _ in visits)
    assert Counter({reason: total(log, reason, "repeated", 1) for reason in expected}) == expected
    for reason in expected:
        assert total(log, reason, "frames", 0) == sum(frames for _, why, frames in visits if why == reason)
    assert len(log.told) <= intervals * (in_all + 10 + 2)
    assert len(log.timers.waiting) <= 1


def test_conn_5_each_refused_client_is_told_at_once_and_then_counted_by_reason(log: EventLog, tmp_path: Path) -> None:
    log.later = timers = Timers()
    told = ClientLines(log, "warning", of_one_client=1, in_all=10)
    for _ in range(1000):
        for pid in (7, 8):
            told.tell("connection refused: not-allowed", client(pid), None, {"pid": pid}, {})
    told.tell("connection refused: max-connections", client(7), None, {"pid": 7}, {})
    assert [line[23:] for line in lines(tmp_path)] == [
        " WARNING torq.signal: connection refused: not-allowed pid=7",
        " WARNING torq.signal: connection refused: not-allowed pid=8",
        " WARNING torq.signal: connection refused: max-connections pid=7",
    ]
    timers.elapse()
    assert [line.partition("refused: ")[2] for line in lines(tmp_path)[3:]] == [
        f"not-allowed pid={pid} uid=1000 gid=1000 program=strategy repeated=999" for pid in (7, 8)
    ]
    assert timers.waiting == []


def test_res_2_no_number_of_clients_costs_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    told = ClientLines(log, "info", of_one_client=1, in_all=1)
    for pid in range(1, 1002):
        told.tell("closed", client(pid), "peer-left", {}, {})
    assert len(told._held) == client_lines._MOST_CLIENTS
    told.flush()
    assert len(log.told) == 1 + 10 + 1
    assert log.told[-1] == ("closed", {"reason": "peer-left", "repeated": 1000 - 10})
    assert not told._held
    assert not told._written
    assert not told._rest


def test_an_interval_of_0_writes_the_line_of_every_connection() -> None:
    log = MemoryLog(repeat_interval=0.0)
    told = ClientLines(log, "info", of_one_client=1, in_all=1)
    for number in range(100):
        told.tell("closed", client(1), "peer-left", {"connection": number}, {})
    assert [fields["connection"] for _, fields in log.told] == [*range(100)]


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([FULL, FORBIDDEN]))))
def test_conn_5_sec_2_refusals_by_client_and_reason_add_up_and_the_last_clients_are_kept(
    visits: list[tuple[int, CloseReason]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refused_clients, "_MOST_CLIENTS", 4)
        refusals = RefusalsByClient()
        for pid, reason in visits:
            refusals.refused(reason, client(pid))
        page = refusals.page()
    last = list(dict.fromkeys(reversed(visits)))[:4]
    assert {(one.pid, one.reason) for one in page.clients} == {(pid, reason.label) for pid, reason in last}
    found = Counter(page.others)
    for one in page.clients:
        assert (one.uid, one.gid, one.program, one.seconds_ago >= 0) == (1000, 1000, "strategy", True)
        found[one.reason] += one.times
    assert found == Counter(reason.label for _, reason in visits)
    assert [one.times for one in page.clients] == sorted((one.times for one in page.clients), reverse=True)
    clients, others = refusals.export()
    successor = RefusalsByClient()
    successor.restore(LogState(refused=clients, refused_others=others))
    assert successor.export() == (clients, others)


def test_life_4_a_reason_that_this_build_does_not_know_is_refused() -> None:
    unknown = LogState(refused=[RefusedState(1, 1, 1, "", 10_000, 1, 0.0)])
    with pytest.raises(StateError, match="for a reason 10000"):
        RefusalsByClient().restore(unknown)


async def test_conn_5_who_was_refused_and_why_is_in_the_log_in_ctl_and_in_metrics() -> None:
    async with operating(text="max_connections = 1\nlog_format = 'json'\n" + CONTROL + UNIX) as running:
        await running.join()
        for _ in range(25):
            assert await (await running.connect()).end() == b""
        [line] = said(running, "connection refused: max-connections")
        assert (line["level"], line["pid"], line["program"]) == ("warning", os.getpid(), program_of(os.getpid()))
        page = json.loads((await ctl(running, "refused", "--json")).output)
        assert page["others"] == {}
        [one] = page["clients"]
        assert (one["pid"], one["uid"], one["reason"], one["times"]) == (
            os.getpid(),
            os.getuid(),
            "max-connections",
            25,
        )
        shown = (await ctl(running, "refused")).output
        assert "1 refused clients" in shown
        assert shown.splitlines()[-2].split()[-6:-2] == [str(os.getuid()), str(os.getgid()), "max-connections", "25"]
        found = await samples(running)
        assert found["torq_relay_connections_closed_total{max-connections}"] == 25
        running.service.end()
        await running.service.ended.wait()
        assert [line.get("repeated") for line in said(running, "connection refused")] == [None, 24]


async def test_a_client_that_reconnects_in_a_loop_is_some_lines_and_a_count_with_all_that_passed() -> None:
    async with operating(text="log_format = 'json'\n") as running:
        hub = running.service.server.hub
        for number in range(200):
            visitor = await running.join()
            await visitor.send(frame(sequence=number))
            visitor.close()
            await happened(lambda: not hub.connections)
        closed = said(running, "connection closed")
        assert len(closed) == 20
        running.service.end()
        await running.service.ended.wait()
        *_, counted = closed = said(running, "connection closed")
        assert len(closed) == 21
        assert (counted["repeated"], counted["reason"], counted["pid"]) == (180, "peer-left", os.getpid())
        assert sum(int(str(line["frames_in"])) for line in closed) == 200
