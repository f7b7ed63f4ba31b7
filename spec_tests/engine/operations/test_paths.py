"""Paths of any bytes that the system takes: every command works with them, and what it prints is UTF-8 and JSON."""

import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from torq_engine.operations.systemd import Notifier
from torq_engine.printable import printable

from ..relays import short_directory
from .invoked import Invoked, torq_relay
from .services import operating
from .test_operators import http

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & set(b"\0/") and name.strip(b".") != b"")


async def ctl(path: str, *words: str) -> str:
    result: Invoked = await asyncio.to_thread(torq_relay, "ctl", "--socket", path, *words)
    assert result.exit_code == 0, result.output
    result.output.encode()
    return result.output


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(b"\xff")
@example("größe".encode())
@given(NAMES)
def test_every_command_and_page_of_a_relay_shows_a_path_of_any_bytes(name: bytes) -> None:
    with short_directory() as directory:
        relay, control, metrics, log = (f"{directory}/{kind}{os.fsdecode(name)}" for kind in "scml")
        flags = {"socket": relay, "control_socket": control, "metrics": f"unix:{metrics}", "log_file": log}
        asyncio.run(shown_in_whole(flags))
        for line in Path(log).read_bytes().splitlines():
            assert json.loads(line)["relay"] == "market_data"
            assert b"\\udc" not in line
        gone = torq_relay("ctl", "--socket", control, "status")
        assert (gone.exit_code, printable(control) in gone.output) == (1, True)


async def shown_in_whole(flags: dict[str, str]) -> None:
    relay, control = flags["socket"], flags["control_socket"]
    async with operating(flags={**flags, "log_format": "json"}) as running:
        status = json.loads(await ctl(control, "status", "--json"))
        assert status["sockets"] == [printable(relay)]
        assert status["config"]["control_socket"] == printable(control)
        assert json.loads(await ctl(control, "connections", "--json")) == []
        assert json.loads(await ctl(control, "refused", "--json")) == {"clients": [], "others": {}}
        for words in (("status",), ("connections",), ("refused",), ("top", "--looks", "1"), ("log-level", "debug")):
            await ctl(control, *words)
        unknown = await asyncio.to_thread(torq_relay, "ctl", "--socket", control, "kill", relay)
        assert (unknown.exit_code, printable(relay) in unknown.output) == (1, True)
        for page in ("/metrics", "/connections", "/readyz"):
            head, _ = await http(running, f"GET {page} HTTP/1.1\r\nHost: x\r\n\r\n", name=flags["metrics"][5:])
            assert head.startswith("HTTP/1.1 200 "), head
        await running.connect(relay)
        assert "drained" in await ctl(control, "drain")


def test_systemd_is_told_a_path_of_any_bytes() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{directory}/n")
        Notifier({"NOTIFY_SOCKET": f"{directory}/n"}).send("READY=1", "STATUS=listening at \udcff")
        assert systemd.recv(100) == b"READY=1\nSTATUS=listening at \\xff"


def test_life_3_a_successor_is_named_and_takes_over_at_paths_of_any_bytes() -> None:
    with short_directory() as directory:
        relay, control = (f"{directory}/{kind}\udcff" for kind in "sc")
        flags = ["--socket", relay, "--no-alias", "--control-socket", control]
        words = ["-m", "torq_domains.command", "run", "--relay", "signal", *flags]
        with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE) as process:
            try:
                assert process.stderr is not None
                while b"listening" not in process.stderr.readline():
                    assert process.poll() is None
                command = shlex.join([sys.executable, *words])
                result = torq_relay("ctl", "--socket", control, "takeover", "--exec", command)
                assert (result.exit_code, "took over" in result.output) == (0, True), result.output
                elsewhere = command.replace("\udcff", "\udcfe")
                result = torq_relay("ctl", "--socket", control, "takeover", "--exec", elsewhere)
                assert (result.exit_code, "\\xff here and" in result.output) == (1, True), result.output
            finally:
                torq_relay("ctl", "--socket", control, "drain")
