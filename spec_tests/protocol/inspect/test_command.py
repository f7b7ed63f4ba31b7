"""The command as its users run it: what it writes, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal as signals
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from spec_tests.engine.daemons import daemon
from spec_tests.protocol.generate.captures import ETHERNET, USER0, tcp_segments, write_pcapng
from torq_protocol import REGISTRY, ErrorKind, Message, encode_message
from torq_protocol.client import connect_blocking
from torq_protocol.inspect.cli import main
from torq_protocol.inspect.hexdump import hexdump, spans

VECTORS = json.loads((Path(__file__).parents[3] / "docs" / "vectors" / "messages.json").read_text("utf-8"))["vectors"]
FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS]
TRADE = FRAMES[1]
ORDER_STATUS = REGISTRY.size_rule(41).minimum
LIMIT = 10.0
Output = pytest.CaptureFixture[str]


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    path = tmp_path / "all.bin"
    path.write_bytes(b"".join(FRAMES))
    return path


def numbered(sequence: int) -> bytes:
    return encode_message(2, 20, [(20, bytes(16))], sequence=sequence, timestamp=1)


def test_a_message_is_a_line_with_names_and_exact_decimals(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x").write_bytes(TRADE)
    assert main([str(tmp_path / "x")]) == 0
    assert capsys.readouterr().out == (
        "         0  2023-11-14T22:13:20.000000000Z  market_data BinanceCollector #1"
        "  Trade BTC@Kraken sell 0.12345678 at 45123.50000000\n"
    )


def test_every_vector_is_one_line_with_the_names_of_its_types(everything: Path, capsys: Output) -> None:
    assert main([str(everything), "--checksum", "always"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(VECTORS)
    for line, vector in zip(lines, VECTORS, strict=True):
        for tlv in vector["tlvs"]:
            assert tlv.get("payload", "") in line


def test_json_gives_every_vector_back(everything: Path, capsys: Output) -> None:
    assert main([str(everything), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    offset = 0
    for line, vector, frame in zip(lines, VECTORS, FRAMES, strict=True):
        assert (line["offset"], line["size"]) == (offset, len(frame))
        assert line["header"] == vector["header"]
        assert line["checksum_right"] is (None if vector["name"] == "checksum-not-computed" else True)
        shared = ("type", "extended", "offset", "value")
        assert [[tlv[key] for key in shared] for tlv in line["tlvs"]] == [
            [tlv[key] for key in shared] for tlv in vector["tlvs"]
        ]
        assert [tlv.get("fields") for tlv in line["tlvs"]] == [tlv.get("fields") for tlv in vector["tlvs"]]
        offset += len(frame)
    assert lines[1]["tlvs"][0]["decimals"] == {"price": "45123.50000000", "volume": "0.12345678"}


def test_verbose_shows_all_fields_with_what_they_mean(everything: Path, capsys: Output) -> None:
    assert main([str(everything), "-v"]) == 0
    out = capsys.readouterr().out
    for vector in VECTORS:
        for tlv in vector["tlvs"]:
            for name, value in (tlv.get("fields") or {}).items():
                assert name in out
                assert isinstance(value, (list, dict)) or str(value) in out
    for words in ("45123.50000000", "Kraken", "Coin", "sell", "(right)", "checksum 0x00000000 (not computed)"):
        assert words in out


def test_the_fields_of_a_hexdump_cover_every_byte_once() -> None:
    for frame in FRAMES:
        found = spans(Message(frame))
        assert [span.start for span in found] == [0, *(span.stop for span in found)][:-1]
        assert found[-1].stop == len(frame)
        shown = [line[10:57] for line in hexdump(frame, found, first=0, colour=False)]
        assert bytes.fromhex("".join(shown)) == frame


def test_a_hexdump_is_coloured_by_field_where_wanted(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x").write_bytes(TRADE)
    assert main([str(tmp_path / "x"), "--hexdump", "--color", "always"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "magic relay_domain version source flags sequence" in lines[1]
    assert lines[1].count("\x1b[36mef") == 1
    assert main([str(tmp_path / "x"), "--hexdump"]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "sequences"),
    [
        (["--sequence", "2-4"], [2, 3, 4]),
        (["--sequence=-1,5-"], [1, 5, 6]),
        (["--sequence", "2", "--sequence", "3"], [2, 3]),
        (["--domain", "market-data"], [5]),
        (["--domain", "1,3"], [5, 6]),
        (["--source", "KrakenCollector"], [5]),
        (["--type", "trade"], [5]),
        (["--type", "20-39", "--sequence", "3-"], [3, 4]),
        (["-n", "2"], [1, 2]),
        (["--type", "orderstatus,Quote"], [6]),
    ],
)
def test_filters_choose_by_number_name_and_range(
    tmp_path: Path, capsys: Output, flags: list[str], sequences: list[int]
) -> None:
    others = encode_message(1, 2, [(1, bytes(40))], sequence=5, timestamp=1) + encode_message(
        3, 40, [(41, bytes(ORDER_STATUS))], sequence=6, timestamp=1
    )
    (tmp_path / "x").write_bytes(b"".join(numbered(number) for number in range(1, 5)) + others)
    assert main([str(tmp_path / "x"), "--json", *flags]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [int(line["header"]["sequence"]) for line in lines] == sequences


def test_a_break_is_told_with_offset_expected_got_and_bytes(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x").write_bytes(TRADE + b"noise!" + TRADE)
    assert main([str(tmp_path / "x")]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    for words in (
        "the stream breaks at byte 74: bad-magic",
        "begins at byte 74 (0x4a)",
        "expected  efbeadde",
        "got       6e6f6973",
        "6e 6f 69 73 65 21 ef be ad de",
        "^^ here",
        "--resync goes on",
        "1 message, 74 bytes, 1 break",
    ):
        assert words in captured.err
    assert main([str(tmp_path / "x"), "--resync"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_torn_end_is_told_with_where_its_message_begins(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x").write_bytes(TRADE + TRADE[:60])
    assert main([str(tmp_path / "x"), "--json"]) == 1
    broken = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (broken["begins"], broken["offset"], broken["fault"]["kind"]) == (74, 134, "truncated-payload")
    assert (broken["fault"]["expected"], broken["fault"]["got"]) == ("42", "28")


def test_resync_finds_the_messages_behind_a_size_that_reaches_over_the_end(tmp_path: Path, capsys: Output) -> None:
    damaged = bytearray(TRADE * 4)
    damaged[74 + 24 : 74 + 28] = (8192).to_bytes(4, "little")
    (tmp_path / "x").write_bytes(damaged + TRADE[:40])
    assert main([str(tmp_path / "x"), "--resync"]) == 1
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["0", "148", "222"]
    assert "the message begins at byte 74 " in captured.err
    assert "the message begins at byte 296 " in captured.err
    assert "3 messages, 222 bytes, 2 breaks" in captured.err
    assert main([str(tmp_path / "x")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_wrong_message_is_told_in_its_place_and_reading_goes_on(tmp_path: Path, capsys: Output) -> None:
    wrong_domain = TRADE[:4] + b"\x09" + TRADE[5:]
    wrong_checksum = numbered(1)[:28] + b"\x01\x02\x03\x04" + numbered(1)[32:]
    (tmp_path / "x").write_bytes(wrong_domain + wrong_checksum + TRADE)
    assert main([str(tmp_path / "x")]) == 1
    captured = capsys.readouterr()
    first, second, third = captured.out.splitlines()
    assert "not a message, bad-domain at byte 4" in first
    assert "[bad-checksum at byte 102:" in second
    assert "Trade" in third
    assert "2 messages, 124 bytes, 1 bad-checksum, 1 bad-domain" in captured.err
    assert main([str(tmp_path / "x"), "--checksum", "never", "--domain", "signal", "--json"]) == 1
    faulty, shown = map(json.loads, capsys.readouterr().out.splitlines())
    assert faulty["fault"]["kind"] == ErrorKind.BAD_DOMAIN.label
    assert shown["checksum_right"] is False


def test_gaps_and_counts_are_told(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x").write_bytes(numbered(1) + numbered(5))
    assert main([str(tmp_path / "x"), "--summary"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].endswith("[gap: 3 missing after #1]")
    assert "2 messages, 100 bytes, 1 gap (3 missing)" in captured.err
    assert "2 SignalIdentity" in captured.err


@pytest.mark.parametrize("form", [[], ["-v"], ["--json"]])
def test_the_widest_gap_is_told(tmp_path: Path, capsys: Output, form: list[str]) -> None:
    (tmp_path / "x").write_bytes(numbered(0) + numbered(2**64 - 1) + numbered(2**63))
    assert main([str(tmp_path / "x"), "--summary", *form]) == 0
    captured = capsys.readouterr()
    assert str(2**64 - 2) in captured.out
    assert f"1 gap ({2**64 - 2} missing)" in captured.err


def test_captures_are_read_and_quiet_says_only_what_is_wrong(tmp_path: Path, capsys: Output) -> None:
    stream = b"".join(FRAMES)
    segments = tcp_segments(stream, range(100, len(stream), 333), port=7411)
    write_pcapng(tmp_path / "unix.pcapng", USER0, FRAMES)
    write_pcapng(tmp_path / "tcp.pcapng", ETHERNET, segments)
    write_pcapng(tmp_path / "lost.pcapng", ETHERNET, segments[:3] + segments[4:])
    for name in ("unix", "tcp"):
        assert main([str(tmp_path / f"{name}.pcapng"), "-q"]) == 0
        assert f"{len(FRAMES)} messages, {len(stream)} bytes" in capsys.readouterr().err
    assert main([str(tmp_path / "lost.pcapng"), "-q"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "40000 > 127.0.0.1:7411: the stream breaks at byte" in captured.err
    assert "333 bytes are missing in the capture" in captured.err
    whole = (tmp_path / "unix.pcapng").read_bytes()
    (tmp_path / "cut.pcapng").write_bytes(whole[:-5])
    assert main([str(tmp_path / "cut.pcapng"), "-q"]) == 1
    assert f"the capture ends at byte {len(whole) - 5}, inside a block" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere/x"], "/nowhere/x: No such file or directory"),
        (["/"], "Is a directory"),
        (["unix:/nowhere/x"], "there is no such socket; is the relay running"),
        (["tcp:x"], "use tcp:host:port"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(arguments: list[str], said: str, capsys: Output) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--type", "nonsense"], "'nonsense' is no number, no range such as 5-9 and no name"),
        (["--sequence", "9-5"], "ends before it begins"),
        (["--sequence", "trade"], "is no number and no range"),
        (["-n", "0"], "no number from 1 on"),
        (["--max-message-size", "3"], "use 32 to"),
    ],
)
def test_wrong_usage_says_why(flags: list[str], said: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(flags)
    assert exit_code.value.code == 2
    assert said in capsys.readouterr().err


class Running(NamedTuple):
    """A command that runs, and what it writes."""

    process: subprocess.Popen[str]
    stdout: IO[str]
    stderr: IO[str]


@contextmanager
def running(*arguments: object, stdin: int = subprocess.DEVNULL) -> Iterator[Running]:
    command = [sys.executable, "-m", "torq_protocol.inspect", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield Running(process, process.stdout, process.stderr)
    finally:
        process.kill()
        process.communicate()


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(TRADE * 20_000)
    with running(tmp_path / "x") as command:
        assert "Trade" in command.stdout.readline()
        command.stdout.close()
        assert command.process.wait(LIMIT) == 2, "not all was written"
        assert command.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_output_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(TRADE * 1000)
    command = [sys.executable, "-m", "torq_protocol.inspect", str(tmp_path / "x")]
    with open("/dev/full", "wb") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=LIMIT)
    assert run.returncode == 2
    assert run.stderr.startswith("torq-inspect: cannot write: No space left on device")
    assert len(run.stderr.splitlines()) == 1


def test_bytes_behind_a_break_are_shown_however_they_came() -> None:
    with running("-", stdin=subprocess.PIPE) as command:
        _, err = command.process.communicate("no message begins like this", timeout=LIMIT)
    assert "6e 6f 20 6d 65 73 73 61 67 65" in err


def test_standard_input_is_read_and_a_terminal_refused() -> None:
    with running("-", "--json", stdin=subprocess.PIPE) as command:
        out, err = command.process.communicate(timeout=LIMIT)
        assert (command.process.returncode, out, err) == (0, "", "")
    terminal, end = pty.openpty()
    with running(stdin=end) as command:
        assert command.process.wait(LIMIT) == 2
        assert "give a file" in command.stderr.read()
    os.close(terminal)
    os.close(end)


def test_a_growing_file_is_followed_until_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(TRADE[:50])
    with running("--follow", path) as command:
        with path.open("ab") as file:
            file.write(TRADE[50:] + TRADE)
        assert "Trade" in command.stdout.readline()
        assert command.stdout.readline().split()[0] == "74"
        command.process.send_signal(signals.SIGINT)
        assert command.process.wait(LIMIT) == 0
        assert "2 messages, 148 bytes" in command.stderr.read()


def test_counters_stay_in_place_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(TRADE + numbered(1) + numbered(5))
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "torq_protocol.inspect", "--follow", str(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end) as process:
        seen = b""
        while b"\r\x1b[K" not in seen:
            seen += os.read(terminal, 1000)
        process.send_signal(signals.SIGINT)
        assert process.wait(LIMIT) == 0
    assert b"s: 3 messages, 174 bytes, 1 gap (3 missing), " in seen
    os.close(terminal)
    os.close(end)


def test_with_all_its_bytes_a_faulty_frame_and_an_unknown_type_are_shown(tmp_path: Path, capsys: Output) -> None:
    unknown = encode_message(2, 99, [(38, b"\x01\x02"), (254, b"")], sequence=1, timestamp=1)
    wrong_value = encode_message(1, 1, [(1, bytes(36) + b"\x09\0\0\0")], sequence=1, timestamp=1)
    (tmp_path / "x").write_bytes(TRADE[:4] + b"\x09" + TRADE[5:] + unknown + wrong_value)
    for flags in (["-v", "--hexdump"], ["--json"]):
        assert main([str(tmp_path / "x"), *flags]) == 1
        out = capsys.readouterr().out
        for words in ("bad-domain", "bad-value", "source 99", "type 38", "use 0 buy, 1 sell"):
            assert words in out
        assert "01 02" in out or "0102" in out


def test_what_was_not_captured_to_the_end_is_no_break(tmp_path: Path, capsys: Output) -> None:
    write_pcapng(tmp_path / "x.pcapng", ETHERNET, tcp_segments(TRADE + TRADE[:40], [], port=7411))
    assert main([str(tmp_path / "x.pcapng")]) == 0
    assert "40 bytes of a message; the capture ends here" in capsys.readouterr().err
    assert main([str(tmp_path / "x.pcapng"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["incomplete"] == 40


def test_missing_bytes_are_a_break_in_json_too(tmp_path: Path, capsys: Output) -> None:
    segments = tcp_segments(TRADE * 3, [74, 100], port=7411)
    write_pcapng(tmp_path / "x.pcapng", ETHERNET, [segments[0], segments[2]])
    assert main([str(tmp_path / "x.pcapng"), "--json", "--resync"]) == 1
    first, broken, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (broken["begins"], broken["offset"], broken["break"]) == (74, 74, "26 bytes are missing in the capture")
    assert (first["offset"], last["offset"]) == (0, 148)


def replaced(path: Path, data: bytes) -> None:
    """Another file takes the place at once, as a rotation or an editor does it."""
    other = path.with_name("other")
    other.write_bytes(data)
    other.rename(path)


def removed_and_new(path: Path, data: bytes) -> None:
    path.unlink()
    replaced(path, data)


def cut(path: Path, data: bytes) -> None:
    """The same file, shorter: as ``copytruncate`` does it."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)


@pytest.mark.parametrize(
    ("change", "told"),
    [(replaced, "was replaced"), (removed_and_new, "was re"), (cut, "was cut to")],
)
@pytest.mark.parametrize("capture", [False, True])
def test_a_followed_file_that_is_no_longer_the_same_goes_on_as_the_new_one(
    tmp_path: Path, change: Callable[[Path, bytes], None], told: str, capture: bool
) -> None:
    path, made = tmp_path / "x", tmp_path / "made"

    def content(frames: bytes) -> bytes:
        if capture:
            write_pcapng(made, USER0, [frames])
        return made.read_bytes() if capture else frames

    path.write_bytes(content(numbered(1) + numbered(2) + numbered(3)[:20]))
    with running("--follow", path) as command:
        assert [command.stdout.readline().split()[-2:] for _ in range(2)]
        change(path, content(numbered(7)))
        line = command.stdout.readline()
        assert "file 2" in line
        assert "#7" in line
        command.process.send_signal(signals.SIGINT)
        assert command.process.wait(LIMIT) == 0
        said = command.stderr.read()
        assert told in said
        assert "20 bytes of a message" in said
        assert "breaks" not in said


def test_a_followed_file_that_is_removed_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(numbered(1))
    with running("--follow", path) as command:
        assert "#1" in command.stdout.readline()
        path.unlink()
        assert "was removed: waiting for a new one" in command.stderr.readline()
        path.write_bytes(numbered(2))
        assert "#2" in command.stdout.readline()
        command.process.send_signal(signals.SIGINT)
        assert command.process.wait(LIMIT) == 0


def test_a_relay_is_read_as_a_consumer_and_followed_over_its_restart() -> None:
    with daemon("market_data", "--log-level", "error") as first, running("-f", first.path, "-n", 2) as command:
        assert "connected to" in command.stderr.readline()
        with connect_blocking(first.path) as producer:
            producer.send(TRADE)
            assert command.stdout.readline().split()[0] == "0"
            first.signal(signals.SIGKILL)
            first.ends()
            assert "connecting again" in command.stderr.readline()
            with daemon("market_data", "--log-level", "error", path=first.path):
                assert "connected to" in command.stderr.readline()
                producer.send(TRADE)
                # A busy machine may lose a connection that the new relay had not accepted yet: the next one counts.
                assert re.match(r"connection [2-9]:", command.stdout.readline())
                assert command.process.wait(LIMIT) == 0


def test_without_follow_it_ends_with_the_relay_and_tells_a_torn_stream(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # noqa: SIM117 - the second needs the first
        with running(f"tcp:127.0.0.1:{listener.getsockname()[1]}") as command:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(TRADE + TRADE[:33])
            out, err = command.process.communicate(timeout=LIMIT)
    assert command.process.returncode == 1
    assert len(out.splitlines()) == 1
    assert "the stream breaks at byte 107: truncated-payload" in err
