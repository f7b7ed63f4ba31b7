"""What operators see and do: metrics, health, the control socket and its command."""

import asyncio
import json
import os
import re
import socket
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from torq_engine.accounting import CloseReason
from torq_engine.endpoint import EndpointError
from torq_engine.operations import control, service
from torq_engine.operations.latencies import BUCKETS
from torq_engine.operations.metrics import RelayCollector
from torq_engine.port import program_of

from ..frames import frame
from ..relays import LIMIT, happened, short_directory
from .invoked import Invoked, torq_relay
from .services import Running, operating

UNIX = "metrics = 'unix:DIR/m'\n"
CONTROL = "control_socket = 'DIR/c'\n"


async def http(running: Running, request: str, *, name: str = "m") -> tuple[str, str]:
    """The head and the body of an answer; both empty when there is none."""
    client = await running.connect(name)
    await client.send(request.encode())
    head, _, body = (await client.end()).decode().partition("\r\n\r\n")
    return head, body


async def get(running: Running, path: str) -> tuple[int, str]:
    head, body = await http(running, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    return int(head.split()[1]), body


async def samples(running: Running) -> dict[str, float]:
    status, page = await get(running, "/metrics")
    assert status == 200
    return {
        sample.name + "".join(f"{{{value}}}" for name, value in sample.labels.items() if name != "relay"): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def test_val_7_iso_6_metrics_count_what_happened_by_reason() -> None:
    async with operating(text=UNIX) as running:
        first, second = await running.join(), await running.join()
        await first.send(frame(sequence=1) + frame(domain=2) + frame(sequence=2))
        await second.frames(2)
        found = await samples(running)
        assert found["torq_relay_received_frames_total"] == 3
        assert found["torq_relay_offered_frames_total"] == found["torq_relay_delivered_frames_total"] == 4
        assert found["torq_relay_refused_frames_total{bad-domain}"] == 1
        assert found["torq_relay_refused_frames_total{bad-checksum}"] == 0
        assert found["torq_relay_dropped_frames_total{queue-full}"] == 0
        assert found["torq_relay_connections"] == 2
        assert found["torq_relay_forwarding_seconds_count"] == 1
        assert found["torq_relay_forwarding_seconds_bucket{+Inf}"] == 1
        assert found["torq_relay_ready"] == 1
        assert found["torq_relay_resident_bytes"] > 1_000_000
        assert found["torq_relay_slow_consumers"] == found["torq_relay_oldest_queued_seconds"] == 0
        assert found["torq_relay_max_held_bytes"] == running.service.config.total_queue_bytes
        assert found["torq_relay_start_time_seconds"] <= time.time() < found["torq_relay_start_time_seconds"] + LIMIT
        running.service.log.lines_lost += 3
        assert (await samples(running))["torq_relay_log_lines_lost_total"] == 3
        assert "torq_relay_audit_records_total" not in found


async def test_metric_names_follow_the_conventions_and_no_label_is_a_connection() -> None:
    async with operating("execution", UNIX) as running:
        for family in RelayCollector(running.service).collect():
            assert re.fullmatch(r"torq_relay_[a-z_]+", family.name)
            assert family.documentation
            for sample in family.samples:
                assert set(sample.labels) <= {"reason", "le", "relay", "version"}
                assert sample.labels["relay"] == "execution"
        assert (await samples(running))["torq_relay_audit_records_total"] >= 2


async def test_the_dashboard_asks_for_exported_metrics_only() -> None:
    text = (Path(__file__).parents[3] / "docs" / "grafana" / "torq-relay.json").read_text("utf-8")
    dashboard = json.loads(text)
    asked = set(re.findall(r"torq_relay_\w+", "".join(_expressions(dashboard))))
    async with operating("execution", UNIX) as running:
        exported = {name.partition("{")[0] for name in await samples(running)}
    assert asked
    assert asked <= exported
    assert {panel["title"] for panel in dashboard["panels"]}


def _expressions(dashboard: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[str]:
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = [str(variable["query"]) for variable in dashboard["templating"]["list"]]  # type: ignore[call-overload]  # JSON
    return panels + variables


async def test_latency_is_timed_only_while_metrics_are_on() -> None:
    async with operating() as running:
        timers = [running.service.server.turn_timer]
        collector = RelayCollector(running.service)
        assert timers == [None]
        assert running.service.server.turn_timer == collector._latencies.observe
        for seconds in (1e-6, 1e-5, 3e-5, 9.0):
            collector._latencies.observe(seconds)
        counts = collector._latencies.cumulative()
        assert [count for _, count in counts][:3] == [1, 2, 2]
        assert counts[-1] == ("+Inf", 4.0)
        assert len(counts) == len(BUCKETS) + 1


async def test_readyz_fails_while_draining_and_livez_does_not() -> None:
    async with operating(text=UNIX) as running:
        assert await get(running, "/livez") == (200, "alive\n")
        assert await get(running, "/readyz") == (200, "ready\n")
        reader = await running.join()
        await reader.send(
            b"".join(frame(bytes(60_000), sequence=n) for n in range(20))
        )  # unread: it keeps the drain up
        await happened(lambda: running.service.server.hub.totals().queued_frames > 0)
        running.service.end()
        await happened(lambda: running.service.draining)
        assert await get(running, "/readyz") == (503, "draining\n")
        assert await get(running, "/livez") == (200, "alive\n")
        await reader.end()


async def test_readyz_fails_while_nothing_is_accepted_or_recorded() -> None:
    async with operating("execution", UNIX) as running:
        running.service.server._pause_accepting()
        assert await get(running, "/readyz") == (503, "not accepting connections\n")
        running.service.server._resume_accepting()
        assert running.service.audit is not None
        running.service.audit.failure = "No space left on device"
        assert (await get(running, "/readyz"))[1] == "the audit log cannot be written: No space left on device\n"
        running.service.audit.failure = ""


@pytest.mark.parametrize(
    ("request_text", "status", "body"),
    [
        ("HEAD /livez HTTP/1.1\r\n\r\n", "200 OK", ""),
        ("GET /livez?verbose HTTP/1.0\r\n\r\n", "200 OK", "alive\n"),
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found", "use /metrics, /connections, /livez or /readyz\n"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "use GET or HEAD\n"),
        ("nonsense\r\n\r\n", "400 Bad Request", "use HTTP/1.1\n"),
    ],
)
async def test_http_answers_what_probes_ask(request_text: str, status: str, body: str) -> None:
    async with operating(text=UNIX) as running:
        head, answer = await http(running, request_text)
        assert head.startswith(f"HTTP/1.1 {status}\r\n")
        assert "Connection: close" in head
        assert answer == body


async def test_connections_are_json_in_pages_of_a_bounded_size_in_any_order() -> None:
    async with operating(text=UNIX) as running:
        clients = [await running.join() for _ in range(5)]
        for number, client in enumerate(clients):
            for _ in range(number % 3):
                await client.send(frame(domain=2))
        hub = running.service.server.hub
        await happened(lambda: hub.totals().received_frames == 4)

        async def page(query: str) -> dict[str, Any]:
            status, body = await get(running, f"/connections{query}")
            assert status == 200
            found: dict[str, Any] = json.loads(body)
            return found

        whole = await page("")
        assert {key: whole[key] for key in ("relay", "total", "offset", "limit", "sort")} == {
            "relay": "market_data",
            "total": 5,
            "offset": 0,
            "limit": 100,
            "sort": "joined",
        }
        assert [one["id"] for one in whole["connections"]] == [1, 2, 3, 4, 5]
        assert {one["pid"] for one in whole["connections"]} == {os.getpid()}
        assert {one["program"] for one in whole["connections"]} == {program_of(os.getpid())}
        by_refused = [(await page(f"?sort=refused&limit=2&offset={at}"))["connections"] for at in (0, 2, 4, 6)]
        assert [[one["id"] for one in some] for some in by_refused] == [[3, 2], [5, 1], [4], []]
        assert by_refused[0][0]["refused_by"] == {"bad-domain": 2}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "sort=name",
        "sort=",
        "cursor=1",
        "sort=%ff%00",
        "sort=age%0a",
        "limit",
    ],
)
async def test_a_page_of_connections_that_cannot_be_had_is_one_line(query: str) -> None:
    async with operating(text=UNIX) as running:
        status, body = await get(running, f"/connections?{query}")
        assert status == 400
        assert body.count("\n") == 1
        assert "use sort=joined|traffic|" in body


async def test_while_many_connections_are_listed_others_have_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_STATUSES_PER_TURN", 2)
    async with operating() as running:
        for _ in range(7):
            await running.join()
        listing = asyncio.create_task(running.service.connections())
        turns = 0
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 3
        assert [one.id for one in listing.result()] == [1, 2, 3, 4, 5, 6, 7]


async def test_http_request_without_an_end_is_bounded_and_disturbs_nobody() -> None:
    async with operating(text=UNIX) as running:
        assert await http(running, "x" * 20_000) == ("", "")
        gone = await running.connect("m")
        await gone.send(b"GET /liv")
        gone.close()
        assert (await get(running, "/livez"))[0] == 200


async def test_metrics_on_a_loopback_port() -> None:
    async with operating(text="metrics = '127.0.0.1:0'\n") as running:
        [listener] = _listening_tcp()
        reader, writer = await asyncio.open_connection("127.0.0.1", listener)
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"alive\n")
        writer.close()
        del running


def _listening_tcp() -> list[int]:
    """Ports that this process listens at."""
    ports = []
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.family == socket.AF_INET and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    ports.append(sock.getsockname()[1])
        except OSError:
            continue
    return ports


async def test_a_taken_metrics_address_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EndpointError, match=f"metrics: cannot listen at 127.0.0.1:{port}: Address already in use"):
            async with operating(text=f"metrics = '127.0.0.1:{port}'\n"):
                pass


async def test_sec_1_checklist_14_control_and_metrics_sockets_are_ours_alone_and_leave_nothing() -> None:
    async with operating(text=UNIX + CONTROL) as running:
        for name in ("m", "c"):
            assert stat.S_IMODE(os.lstat(running.directory / name).st_mode) == 0o600
        with pytest.raises(EndpointError, match="live relay"):
            async with operating(text=f"control_socket = '{running.directory}/c'\n"):
                pass


async def test_sec_2_checklist_14_control_socket_answers_its_own_user_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_is_own_user", lambda peer: False)
    async with operating(text=CONTROL) as running:
        result = await ctl(running, "status")
        assert result.exit_code == 1
        assert "answers its own user only" in result.output


async def ctl(running: Running, *words: str) -> Invoked:
    """The command, in a thread, as the relay turns in this one."""
    line = ["ctl", "--socket", str(running.directory / "c"), *words]
    async with asyncio.timeout(LIMIT):
        return await asyncio.to_thread(torq_relay, *line)


async def test_ctl_status_connections_and_top_show_the_relay() -> None:
    async with operating("execution", CONTROL + "log_level = 'warning'\n") as running:
        first, second = await running.join(), await running.join()
        await first.send(frame(domain=3) + frame(domain=1))
        await second.frames(1)
        shown = await ctl(running, "status")
        assert shown.exit_code == 0, shown.output
        assert "execution relay: serving" in shown.output
        assert "bad-domain 1" in shown.output
        status = json.loads((await ctl(running, "status", "--json")).output)
        assert status["connections"] == 2
        assert status["received_frames"] == 2
        assert status["config"]["log_level"] == "warning"
        assert status["audit"].endswith("s.audit")
        listed = json.loads((await ctl(running, "connections", "--json")).output)
        assert [(one["id"], one["frames_in"], one["refused"], one["frames_out"]) for one in listed] == [
            (1, 2, 1, 1),
            (2, 0, 0, 1),
        ]
        assert listed[0]["pid"] == os.getpid()
        assert (listed[0]["program"], listed[0]["refused_by"]) == (program_of(os.getpid()), {"bad-domain": 1})
        table = (await ctl(running, "connections")).output
        assert "2 connections" in table
        assert "bad-domain 1" in table
        first_by_traffic = await ctl(running, "connections", "--sort", "traffic", "--limit", "1")
        assert "1 of 2 connections by traffic" in first_by_traffic.output
        top = await ctl(running, "top", "--looks", "2", "--interval", "0.1")
        assert top.exit_code == 0, top.output
        assert "IN/S" in top.output
        assert "2 of 2 connections by traffic" in top.output
        assert "by behind" in (await ctl(running, "top", "--looks", "1", "--sort", "behind")).output


async def test_ctl_kill_closes_that_connection_and_says_when_there_is_none() -> None:
    async with operating(text=CONTROL) as running:
        first, second = await running.join(), await running.join()
        assert (await ctl(running, "kill", "1")).output == "connection 1 closed\n"
        assert await first.end() == b""
        assert running.service.server.hub.totals().closed[CloseReason.OPERATOR] == 1
        missing = await ctl(running, "kill", "1")
        assert missing.exit_code == 1
        assert "no connection 1; 'connections' lists them" in missing.output
        await second.send(frame())
        assert await second.frames(1) == [frame()]


async def test_ctl_log_level_holds_until_the_configured_level_changes() -> None:
    async with operating(text=CONTROL) as running:
        assert (await ctl(running, "log-level", "debug")).output == "logging debug and above\n"
        await running.join()
        assert "connection joined" in running.log()
        running.write(CONTROL.replace("DIR", str(running.directory)) + "echo = false\n")
        assert (await ctl(running, "reload")).output == "reloaded\n"
        levels = [running.service.log.level]
        running.write(CONTROL.replace("DIR", str(running.directory)) + "log_level = 'error'\n")
        await ctl(running, "reload")
        assert [*levels, running.service.log.level] == ["debug", "error"]
        running.write("nonsense = 1\n")
        refused = await ctl(running, "reload")
        assert refused.exit_code == 1
        assert "nothing has changed" in refused.output


async def test_life_1_ctl_drain_delivers_and_ends() -> None:
    async with operating(text=CONTROL) as running:
        client, other = await running.join(), await running.join()
        await client.send(frame())
        assert await other.frames(1) == [frame()]
        drained = await ctl(running, "drain")
        assert drained.output == "drained; 2 frames delivered in all\n"
        assert running.service.ended.is_set()
        assert await other.end() == b""


async def test_control_socket_refuses_what_it_does_not_know_and_serves_on() -> None:
    async with operating(text=CONTROL) as running:
        client = await running.connect("c")
        for request in (b"nonsense\n", b'{"command":"fly"}\n', b'{"command":"log-level","argument":"loud"}\n'):
            await client.send(request)
            assert "error" in msgspec.json.decode(await client.receive())
        await client.send(b"x" * 5000)
        assert await client.end() == b""
        gone = await running.connect("c")
        await gone.send(b'{"command":"status"}\n')
        gone.close()
        assert (await ctl(running, "status", "--json")).exit_code == 0


async def test_ctl_without_a_relay_is_one_line_and_exit_1() -> None:
    with short_directory() as directory:
        result = torq_relay("ctl", "--socket", f"{directory}/c", "status")
    assert result.exit_code == 1
    assert f"{directory}/c: cannot connect: No such file or directory; is a relay running" in result.output
