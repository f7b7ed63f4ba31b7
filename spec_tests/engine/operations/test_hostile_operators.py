"""Whatever comes over the sockets for operators, the relay serves on."""

import socket
from pathlib import Path

import pytest
from anyio.abc import SocketListener

from torq_engine.operations import control_client
from torq_engine.operations.health import HealthServer

from ..frames import frame
from ..relays import happened, short_directory
from .invoked import torq_relay
from .services import Running, operating

BOTH = "metrics = 'unix:DIR/m'\ncontrol_socket = 'DIR/c'\n"


async def serves(running: Running) -> None:
    client = await running.join()
    await client.send(frame())
    assert await client.frames(1) == [frame()]
    for name, request, answer in (
        ("c", b'{"command":"status"}\n', b'"result"'),
        ("m", b"GET /livez HTTP/1.1\r\n\r\n", b"alive"),
    ):
        operator = await running.connect(name)
        await operator.send(request)
        assert answer in await operator.receive()
        operator.close()


@pytest.mark.parametrize(
    "request_line",
    [
        b'{"command":"status","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"x":' * 9_000,
        b'{"command":"kill","argument":"' + b"9" * 5_000 + b'"}',
        b'{"command":"\\ud800"}',
        b"\xff\xfe",
        b"",
    ],
    ids=["deep", "deep and cut", "thousands of digits", "half a character", "no text", "empty"],
)
async def test_a_control_request_however_odd_is_answered_with_an_error(request_line: bytes) -> None:
    async with operating(text=BOTH) as running:
        operator = await running.connect("c")
        await operator.send(request_line + b"\n")
        assert (await operator.receive()).startswith(b'{"error":')
        await serves(running)


async def test_val_6_an_error_while_answering_closes_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("a fault of ours")

    async with operating(text=BOTH) as running:
        with monkeypatch.context() as patched:
            patched.setattr(HealthServer, "_response", fail)
            operator = await running.connect("m")
            await operator.send(b"GET /livez HTTP/1.1\r\n\r\n")
            assert await operator.end() == b""
        assert "internal error while answering an operator" in running.log()
        await serves(running)


@pytest.mark.parametrize("name", ["c", "m"])
async def test_conn_8_crowds_of_silent_operators_cost_no_descriptors_and_keep_nobody_waiting(name: str) -> None:
    async with operating(text=BOTH) as running:
        before = descriptors()
        crowd = [await running.connect(name) for _ in range(60)]
        await serves(running)
        for operator in crowd[: 60 - 16]:
            assert await operator.end() == b""
        assert descriptors() - before <= 60 + 16 + 2
        for operator in crowd:
            operator.close()
        await happened(lambda: descriptors() <= before + 2)
        await serves(running)


async def test_an_operator_who_goes_on_asking_outlasts_any_number_of_silent_ones() -> None:
    async with operating(text=BOTH) as running:
        asking = await running.connect("c")
        for _ in range(10):
            await asking.send(b'{"command":"status"}\n')
            assert b'"result"' in await asking.receive(1 << 20)
            crowd = [await running.connect("c") for _ in range(15)]
            await crowd[-1].send(b"{}\n")
            assert b'"error"' in await crowd[-1].receive()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def serves_frames(running: Running) -> None:
    client = await running.join()
    await client.send(frame())
    assert await client.frames(1) == [frame()]


async def test_without_descriptors_operators_are_accepted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with operating(text=BOTH) as running:
        errors = [OSError(24, "Too many open files")] * 2
        with socket.socket(socket.AF_UNIX) as unused:
            unused.setblocking(False)
            unused.bind(str(running.directory / "unused"))
            listener = type(await SocketListener.from_socket(unused))  # the loop's own, in whose class accept is
        real = listener.accept

        async def refuse(self: SocketListener) -> object:
            if errors:
                raise errors.pop()
            return await real(self)

        monkeypatch.setattr(listener, "accept", refuse)
        await serves(running)
        await serves(running)
        await happened(lambda: not errors)
        assert "cannot accept an operator for now" in running.log()


def test_ctl_says_when_what_answers_is_no_control_socket_or_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "_TIME_LIMIT", 0.05)
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "c"))
        listener.listen()
        silent = torq_relay("ctl", "--socket", f"{directory}/c", "status")
        assert silent.exit_code == 1
        assert f"{directory}/c: no answer within 0.05 s; is the relay stopped" in silent.output
        listener.accept()[0].close()
        for answer, said in ((b"HTTP/1.1 400 Bad Request\n", "no relay's control socket"), (b"x", "hung up")):
            client = control_client.ControlClient(f"{directory}/c")
            server, _ = listener.accept()
            server.sendall(answer)
            server.shutdown(socket.SHUT_WR)
            with pytest.raises(control_client.ControlError, match=said):
                client.ask("status")
            client.close()
            server.close()


@pytest.mark.parametrize(
    "words",
    [
        ["ctl", "--socket", "/nowhere", "top", "--interval", "1e300"],
        ["ctl", "--socket", "/nowhere", "top", "--interval", "nan"],
        ["run", "--all", "--pause", "-1"],
        ["run", "--all", "--pause", "nan"],
        ["run", "--all", "--failures", "-1"],
    ],
    ids=" ".join,
)
def test_numbers_that_make_no_sense_are_wrong_usage(words: list[str]) -> None:
    result = torq_relay(*words)
    assert result.exit_code == 2
    assert "is not allowed; use" in result.output
