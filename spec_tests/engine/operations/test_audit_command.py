"""``torq-audit``: verdicts, exit codes, and the log as one line a frame (SEC-3)."""

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest

from torq_engine.accounting import REFUSAL_LABELS
from torq_engine.operations import audit_chain, audit_command
from torq_engine.operations.audit import AuditLog
from torq_engine.operations.audit_chain import AuditError, read_seal, seal_path
from torq_engine.operations.audit_command import main
from torq_engine.operations.configuration import RelayConfig
from torq_protocol.scanner import frame_records
from torq_protocol.schema import build_message

from ..frames import frame
from .audit_logs import FORMAT_1, copy_of_format_1, logs, write
from .invoked import Invoked, invoke


def command(*words: object) -> Invoked:
    return invoke(main, words)


def test_sec_3_a_check_that_ends_before_its_verdict_is_no_tampering(tmp_path: Path) -> None:
    write(tmp_path, 1)
    unreadable = command("verify", tmp_path, "--key-file", "/proc/self/mem")
    assert unreadable == (2, "torq-audit: /proc/self/mem: cannot be read: Input/output error\n")
    with (
        suppress(OSError),  # it cannot be flushed at its end either
        open("/dev/full", "w", encoding="utf-8") as full,
        redirect_stdout(full),
        pytest.raises(SystemExit) as end,
    ):
        main(["verify", str(tmp_path)])
    assert end.value.code == 2


def test_sec_3_command_verifies_with_exit_codes_0_1_and_2(tmp_path: Path) -> None:
    log, copy, key = tmp_path / "log", tmp_path / "copy", tmp_path / "key"
    key.write_bytes(b"secret")
    write(log, 40, key=b"secret")
    whole = command("verify", log, "--key-file", key)
    assert whole.exit_code == 0
    assert ": whole, " in whole.output
    assert command("verify", *logs(log), "--key-file", key).exit_code == 0
    wrong_key = command("verify", log)
    assert (wrong_key.exit_code, "the seal was changed, or sealed with another key" in wrong_key.output) == (1, True)
    shutil.copytree(log, copy)
    middle = logs(copy)[1]
    middle.write_bytes(middle.read_bytes().replace(b'"frames":"A', b'"frames":"B', 1))
    edited = command("verify", copy, "--key-file", key)
    assert edited.exit_code == 1
    assert f"TAMPERED {middle}: line " in edited.output
    assert "NOT WHOLE" in edited.output
    assert command("verify", logs(log)[1], "--key-file", key).exit_code == 1
    assert command("verify", logs(log)[1], "--partial", "--key-file", key).exit_code == 0
    (log / "execution.seal").rename(tmp_path / "seal")
    assert command("verify", log, "--key-file", key).exit_code == 1
    assert command("verify", log, "--key-file", key, "--seal", tmp_path / "seal").exit_code == 0
    assert command("verify", log, "--key-file", key, "--partial").exit_code == 0
    assert command("verify", tmp_path / "nothing").exit_code == 2
    (tmp_path / "no key").touch()
    empty_key = command("verify", log, "--partial", "--key-file", tmp_path / "no key")
    assert (empty_key.exit_code, "the key is empty" in empty_key.output) == (2, True)
    assert command("verify", tmp_path / "key").exit_code == 1
    (tmp_path / "empty").mkdir()
    assert command("verify", tmp_path / "empty").exit_code == 2
    directory = tmp_path / "odd-00000001.jsonl"
    directory.mkdir()
    (directory / "x-00000001.jsonl").mkdir()
    assert command("verify", directory, "--partial").exit_code == 2


def test_sec_3_command_shows_one_line_a_frame(tmp_path: Path) -> None:
    write(tmp_path, 2)
    shown = [json.loads(line) for line in command("show", tmp_path).output.splitlines()]
    assert [line["event"] for line in shown] == ["file", "started", "frame", "frame", "frame", "frame", "stopped"]
    checksum = int.from_bytes(frame()[28:32], "little")
    assert (shown[2]["sequence"], shown[2]["checksum"], shown[2]["receivers"]) == (0, checksum, 2)
    assert [line["receivers"] for line in shown[2:6]] == [2, 0, 2, 0]  # a refused frame has none
    refused = [json.loads(line) for line in command("show", "--refused", tmp_path).output.splitlines()]
    assert [line["refused"] for line in refused] == ["bad-checksum", "bad-checksum"]


def test_sec_3_command_shows_both_formats_alike(tmp_path: Path) -> None:
    directory = copy_of_format_1(tmp_path / "log")
    printed = (FORMAT_1 / "shown.txt").read_text("utf-8").splitlines(keepends=True)
    shown = "".join(map(received_by_nobody_if_refused, printed))
    assert command("show", directory).output == shown
    assert command("verify", directory).output == f"{directory}/execution: whole, 38 records, 3 file(s)\n"
    refused = [line for line in shown.splitlines() if '"refused": "' in line or '"event": "refused"' in line]
    assert command("show", "--refused", directory).output.splitlines() == refused
    again = AuditLog(tmp_path / "again", "execution", RelayConfig())
    for line in (line for file in logs(directory) for line in file.read_bytes().splitlines()):
        record = json.loads(line)
        if record["event"] == "frames":
            again.frames(1, 1000, 2, records_of(record["frames"]))
    again.close()
    frames = [told_of_frame(line) for line in shown.splitlines() if '"event": "frame"' in line]
    lines = command("show", tmp_path / "again").output.splitlines()
    assert [told_of_frame(line) for line in lines if '"event": "frame"' in line] == frames


def received_by_nobody_if_refused(line: str) -> str:
    """A line that torq 0.1.0 printed: it said of a refused frame how many would have received it."""
    return re.sub(r'"receivers": \d+', '"receivers": 0', line) if '"refused": "' in line else line


def records_of(frames: list[tuple[int, int, int, int] | tuple[int, int, int, int, str]]) -> bytes:
    """Records of frames with the values of format 1."""
    kinds = {label: kind for kind, label in REFUSAL_LABELS.items()}
    data, runs, refused = b"", [], []
    for values in frames:
        source, sequence, size, checksum = values[:4]
        start = len(data)
        data += build_message(bytes(size), source=source, sequence=sequence, checksum=checksum)
        if len(values) == 5:
            refused.append((start, len(data), kinds[values[4]]))
        else:
            runs.append((start, len(data), 1))
    return frame_records(data, runs, refused)


def told_of_frame(line: str) -> str:
    """A line of `show` without the number and the time of its record."""
    return line[line.index('"event"') :]


def test_sec_3_command_names_the_log_whose_files_are_gone(tmp_path: Path) -> None:
    """Another relay's log in the same directory does not hide it."""
    write(tmp_path, 3)
    log = AuditLog(tmp_path, "signal", RelayConfig())
    log.close()
    assert command("verify", tmp_path).exit_code == 0
    for file in tmp_path.glob("execution-*.jsonl"):
        file.unlink()
    both = command("verify", tmp_path)
    assert both.exit_code == 1
    assert "TAMPERED the end is missing: 6 records up to execution-00000001.jsonl were sealed" in both.output
    assert f"{tmp_path}/execution: NOT WHOLE, 0 records" in both.output
    assert f"{tmp_path}/signal: whole, 3 records" in both.output
    os.truncate(tmp_path / "execution.seal", 0)
    emptied = command("verify", tmp_path)
    assert (emptied.exit_code, "execution.seal: empty: " in emptied.output) == (2, True)
    write(tmp_path / "again", 3)
    shutil.copy(tmp_path / "again" / "execution.seal", tmp_path)
    for file in tmp_path.glob("signal*"):
        file.unlink()
    assert command("verify", tmp_path).exit_code == 1
    assert command("show", tmp_path).output == ""


def test_sec_3_command_takes_a_log_for_whole_that_goes_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two looks of the command at the directory the relay begins its next file and seals it."""
    log = AuditLog(tmp_path, "execution", RelayConfig(audit_fsync="always"))

    def rotated(look: Callable[..., object]) -> Callable[..., object]:
        def after(*given: object) -> object:
            log.next_file()
            found = look(*given)
            log.next_file()
            return found

        return after

    monkeypatch.setattr(audit_command, "read_seal", rotated(audit_chain.read_seal))
    monkeypatch.setattr(audit_command, "files_of", rotated(audit_chain.files_of))
    for paths in ([tmp_path], logs(tmp_path)):
        verified = command("verify", *paths)
        assert (verified.exit_code, ": whole, " in verified.output) == (0, True), verified.output
    log.close()


def test_sec_3_command_reads_a_seal_again_that_was_being_written(tmp_path: Path) -> None:
    write(tmp_path, 3)
    path = tmp_path / "execution.seal"
    whole = path.read_bytes()

    class BeingWritten(type(path)):  # type: ignore[misc]  # the class of paths is chosen when pathlib is imported
        reads = 0

        def read_bytes(self) -> bytes:
            BeingWritten.reads += 1
            return whole if BeingWritten.reads == 2 else whole[:100].replace(b"0", b"1") + whole[100:]

    assert read_seal(BeingWritten(path), b"").records == 6
    with pytest.raises(AuditError, match="the seal was changed"):
        read_seal(BeingWritten(path), b"other")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'{"event":"frames","frames":[1]}',
        b'{"event":"frames","frames":1}',
        b'{"event":"frames","frames":null}',
        b'{"event":"frames","frames":"AAAA"}',
        b'{"event":"frames","frames":"A*AA"}',
        b"[" * 30_000,
        b"\xff",
    ],
    ids=["nonsense", "no object", "no frame", "no frames", "null", "part of a frame", "no base64", "deep", "no text"],
)
def test_sec_3_command_says_which_line_is_no_record(line: bytes, tmp_path: Path) -> None:
    write(tmp_path, 2)
    logs(tmp_path)[0].write_bytes(line + b"\n")
    shown, verified = command("show", tmp_path), command("verify", tmp_path)
    assert (shown.exit_code, "not an audit record" in shown.output) == (2, True)
    assert (verified.exit_code, "NOT WHOLE" in verified.output) == (1, True)


@pytest.mark.parametrize("size", ["Infinity", "[]", "-1", '"x"', "9" * 5000])
def test_sec_3_command_takes_no_seal_for_one_that_is_none(size: str, tmp_path: Path) -> None:
    write(tmp_path, 2)
    seal = seal_path(logs(tmp_path)[0])
    seal.write_text(f'{{"file":3,"size":{size},"records":1,"last":7,"hash":"x"}}\n', encoding="utf-8")
    verified = command("verify", tmp_path)
    assert verified.exit_code == 1
    assert f"TAMPERED {seal}: " in verified.output
