"""The audit log: every frame is in it, whatever happens to the relay (SEC-3)."""

import json
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_domains.execution import ExecutionLogic
from torq_domains.market_data import MarketDataLogic
from torq_engine.accounting import REFUSED_BY_LOGIC
from torq_engine.operations.audit import AuditLog
from torq_engine.operations.audit_chain import FORMAT, AuditError, packed_frames, seal_path, unpacked_frames
from torq_engine.operations.audit_observer import judged_by_logic
from torq_engine.operations.configuration import ConfigError, RelayConfig
from torq_engine.operations.resolving import audit_directory, audit_key
from torq_protocol.errors import ErrorKind
from torq_protocol.policy import FramePolicy
from torq_protocol.records import recorded_frames
from torq_protocol.scanner import FrameScanner, frame_records

from ..daemons import daemon, receive, run
from ..frames import EXECUTION, frame, tlv
from ..relays import happened
from .audit_logs import check, copy_of_format_1, logs, records, write
from .services import operating


def test_sec_3_a_record_says_sequence_size_checksum_and_verdict_of_each_frame_in_order() -> None:
    logic = ExecutionLogic()
    good, bad = frame(domain=EXECUTION, sequence=(1 << 64) - 1), bytearray(frame(domain=EXECUTION, sequence=8))
    bad[28] ^= 1
    data = good + bytes(bad) + good + frame(tlv(1), domain=EXECUTION, sequence=9)
    scan = FrameScanner(logic.policy(logic.level)).scan(data)
    found = list(unpacked_frames(json.loads(packed_frames(frame_records(data, scan.runs, scan.refused)))))
    checksum = int.from_bytes(good[28:32], "little")
    assert found[0] == found[2] == (1, (1 << 64) - 1, 0, checksum)
    assert found[1] == (1, 8, 0, int.from_bytes(bad[28:32], "little"), "bad-checksum")
    assert found[3][1:3] == (9, 2)
    assert found[3][4] == "type-out-of-range"


@given(
    parts=st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 5), st.integers(0, 40)), min_size=1),
    divisor=st.integers(1, 4),
)
def test_sec_3_what_a_logic_refuses_is_recorded_as_refused(parts: list[tuple[int, int, int]], divisor: int) -> None:
    data = b"".join(frame(bytes(size), domain=domain, sequence=sequence) for domain, sequence, size in parts)
    scan = FrameScanner(FramePolicy(1)).scan(data)
    records = frame_records(data, *judged_by_logic(data, scan, lambda header: header.sequence % divisor != 0))
    refused = {True: REFUSED_BY_LOGIC, False: 0}
    assert [(found.sequence, found.payload_size, found.refused) for found in recorded_frames(records)] == [
        (sequence, size, refused[sequence % divisor == 0] if domain == 1 else ErrorKind.BAD_DOMAIN)
        for domain, sequence, size in parts
    ]


@pytest.mark.parametrize("fsync", ["never", "interval", "always"])
async def test_sec_3_execution_records_connections_frames_and_ends_by_default(fsync: str) -> None:
    async with operating(
        "execution", f"audit_fsync = '{fsync}'\naudit_fsync_interval = 0.001\necho = false\n"
    ) as running:
        first, second = await running.join(), await running.join()
        await first.send(frame(domain=EXECUTION, sequence=5) + frame(sequence=6))
        assert await second.frames(1) == [frame(domain=EXECUTION, sequence=5)]
        directory = running.directory / "s.audit"
        if fsync == "always":
            assert "frames" in [record["event"] for record in records(directory)]
        first.close()
        await happened(lambda: len(running.service.server.hub.connections) == 1)
        running.service.reload()
        await happened(lambda: "reloaded" in [record["event"] for record in records(directory)])
        found = records(directory)
        assert [record["event"] for record in found][:5] == ["file", "started", "joined", "joined", "frames"]
        assert found[4]["receivers"] == 1
        assert found[4]["uid"] == os.geteuid()
        assert [frame[1] for frame in unpacked_frames(found[4]["frames"])] == [5, 6]
        assert "closed" in [record["event"] for record in found]
        await second.send(frame(sequence=7))
        await happened(lambda: records(directory)[-1]["event"] == "frames")
        assert records(directory)[-1]["receivers"] == 0  # nothing of it was for anybody
        assert check(directory).problems == []


async def test_sec_3_refused_connections_are_recorded() -> None:
    async with operating("execution", "allow_uids = [4242]\n") as running:
        refused = await running.connect()
        assert await refused.end() == b""
        directory = running.directory / "s.audit"
        await happened(lambda: records(directory)[-1]["event"] == "refused")
        assert records(directory)[-1]["reason"] == "not-allowed"


async def test_sec_3_what_cannot_be_recorded_is_not_forwarded_and_recording_resumes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with operating("execution", "audit_fsync = 'always'\n") as running:
        sender, receiver = await running.join(), await running.join()
        audit = running.service.audit
        assert audit is not None

        def full(descriptor: int, data: bytes, write: Callable[[int, bytes], int] = os.write) -> int:
            if descriptor != audit._file:
                return write(descriptor, data)
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("torq_engine.operations.audit.os.write", full)
            await sender.send(frame(domain=EXECUTION, sequence=1))
            assert await sender.end() == b""
            assert "audit log cannot be written: No space left" in running.service.ready()
            with pytest.raises(AuditError, match="cannot be written: No space left"):
                audit.next_file()
            running.service.reopen()
            another = await running.join()
            await another.send(frame(domain=EXECUTION, sequence=2))
            assert await another.end() == b""
        audit.flush()
        assert running.service.ready() == ""
        said = running.log()
        assert 'the audit log cannot be written: nothing is forwarded error="No space left on device"' in said
        assert 'log not reopened; going on in the old one error="the audit log cannot be written: No space' in said
        assert "INFO torq.execution: the audit log is written again" in said
        assert 'frames not forwarded connection=1 error="the audit log cannot be written: No space left' in said
        assert "Traceback" not in said
        third = await running.join()
        await third.send(frame(domain=EXECUTION, sequence=3))
        assert await receiver.frames(1) == [frame(domain=EXECUTION, sequence=3)]


def test_sec_3_while_the_disk_refuses_a_bounded_part_is_held_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    log = AuditLog(tmp_path, "execution", RelayConfig())
    monkeypatch.setattr("torq_engine.operations.audit._MOST_HELD", 4_000)
    with monkeypatch.context() as patched:
        patched.setattr("torq_engine.operations.audit.os.write", full)
        for connection in range(500):
            log.event("joined", {"connection": connection})
            log.flush()
    log.close()
    assert check(tmp_path).problems == []
    written = records(tmp_path)
    held = [record["connection"] for record in written if record["event"] == "joined"]
    assert held == list(range(len(held)))
    assert [(record["event"], record.get("events")) for record in written[-2:]] == [
        ("stopped", None),
        ("left-out", 500 - len(held)),
    ]


def restarted(path: Path) -> None:
    """Run another relay there, for one frame."""
    with daemon("execution", path=path) as again:
        client = again.connect()
        client.sendall(frame(domain=EXECUTION))
        assert receive(client, 32) == frame(domain=EXECUTION)
        again.signal()
        assert again.ends() == 0


def test_sec_3_after_kill_9_the_chain_goes_on() -> None:
    with daemon("execution") as relay:
        directory = Path(f"{relay.path}.audit")
        client = relay.connect()
        client.sendall(frame(domain=EXECUTION))
        assert receive(client, 32) == frame(domain=EXECUTION)
        relay.signal(signal.SIGKILL)
        relay.ends()
        assert check(directory).problems == []
        restarted(relay.path)
        assert check(directory).problems == []
        assert [record["event"] for record in records(directory)].count("started") == 2


def test_sec_3_records_behind_the_seal_are_taken_over_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, 3)
    sealed = seal_path(logs(tmp_path)[0]).read_bytes()
    write(tmp_path, 3)
    seal_path(logs(tmp_path)[0]).write_bytes(sealed)  # as if killed before it sealed again
    assert [note for note in check(tmp_path).notes if "behind the seal" in note]
    with logs(tmp_path)[-1].open("ab") as file:
        file.write(b'{"n":99,"time')
    write(tmp_path, 1)
    assert check(tmp_path).problems == []
    started = [record for record in records(tmp_path) if record["event"] == "started"]
    assert started[-1]["torn_bytes"] == 13
    assert started[-1]["recovered_records"] == 5


@pytest.mark.parametrize("damage", ["seal gone", "seal changed", "end cut", "appended", "file gone", "edited"])
def test_sec_3_a_relay_does_not_go_on_in_a_log_that_was_tampered_with(tmp_path: Path, damage: str) -> None:
    write(tmp_path, 3)
    file, seal = logs(tmp_path)[-1], tmp_path / "execution.seal"
    if damage == "seal gone":
        seal.unlink()
    elif damage == "seal changed":
        seal.write_bytes(seal.read_bytes().replace(b"0", b"1"))
    elif damage == "end cut":
        file.write_bytes(file.read_bytes()[:-5])
    elif damage == "appended":
        file.write_bytes(file.read_bytes() + b'{"event":"forged"}\n')
    elif damage == "edited":
        file.write_bytes(file.read_bytes().replace(b'"uid":1000', b'"uid":1001', 1))
    else:
        file.unlink()
    with pytest.raises(AuditError, match=r"use another --audit-directory|the seal was changed"):
        AuditLog(tmp_path, "execution", RelayConfig())


def test_sec_3_a_start_checks_the_last_files_only_so_that_it_is_soon_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is older is for `torq-audit verify`, and may be archived elsewhere."""
    write(tmp_path, 40)
    first, second = logs(tmp_path)[:2]
    second.write_bytes(second.read_bytes().replace(b'"uid":1000', b'"uid":1001', 1))
    with pytest.raises(AuditError, match="is not as written"):
        AuditLog(tmp_path, "execution", RelayConfig())
    monkeypatch.setattr("torq_engine.operations.audit._CHECKED_AT_START", second.stat().st_size)
    write(tmp_path, 1)
    first.unlink()
    write(tmp_path, 1)
    assert [problem for problem in check(tmp_path).problems if second.name in problem]


def test_sec_3_killed_before_the_first_seal_a_log_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "execution.seal").touch()
    (tmp_path / "execution-00000001.jsonl").write_bytes(b'{"n":1,')
    write(tmp_path, 1)
    assert check(tmp_path).problems == []


def test_sec_3_one_log_has_one_writer_and_the_second_says_so(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "execution", RelayConfig())
    with pytest.raises(AuditError, match="another relay writes there"):
        AuditLog(tmp_path, "execution", RelayConfig())
    log.close()
    ended = run("execution", "--socket", tmp_path / "s", "--audit-directory", "/dev/null/x", "--shared-directory")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "cannot open the audit log" in ended.stderr


def test_sec_3_files_are_ours_alone_and_rotated_on_request(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "new", "execution", RelayConfig())
    log.next_file()
    log.close()
    assert [file.name for file in logs(tmp_path / "new")] == ["execution-00000001.jsonl", "execution-00000002.jsonl"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}
    assert check(tmp_path / "new").problems == []


def test_sec_3_a_log_of_format_1_goes_on_in_the_next_file_and_is_one_chain(tmp_path: Path) -> None:
    directory = copy_of_format_1(tmp_path / "log")
    before = {file.name: file.read_bytes() for file in logs(directory)}
    write(directory, 3)
    write(directory, 3)
    assert check(directory).problems == []
    assert {file.name: file.read_bytes() for file in logs(directory)[: len(before)]} == before
    starts = [record["format"] for record in records(directory) if record["event"] == "file"]
    assert starts == [1] * len(before) + [FORMAT]
    assert [record["n"] for record in records(directory)] == list(range(1, len(records(directory)) + 1))


def test_sec_3_a_torn_line_of_format_1_is_cut_off(tmp_path: Path) -> None:
    directory = copy_of_format_1(tmp_path / "log")
    last = logs(directory)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole + b'{"n":39,"time_ns":1,"event":"frames","fra')
    write(directory, 1)
    assert check(directory).problems == []
    assert last.read_bytes() == whole
    assert [record.get("torn_bytes") for record in records(directory) if record["event"] == "started"][-1] == 41


def test_sec_3_a_directory_that_was_moved_away_takes_the_log_with_it(tmp_path: Path) -> None:
    """What is recorded meanwhile stands beside the seal, wherever the directory is now."""
    log = AuditLog(tmp_path / "log", "execution", RelayConfig())
    (tmp_path / "log").rename(tmp_path / "moved")
    log.next_file()
    (tmp_path / "moved").rename(tmp_path / "log")
    log.event("joined", {"connection": 1})
    log.close()
    write(tmp_path / "log", 1)
    assert check(tmp_path / "log").problems == []
    assert [record["connection"] for record in records(tmp_path / "log") if record["event"] == "joined"] == [1]


def test_sec_3_when_no_file_can_be_begun_the_log_goes_on_in_the_present_one(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "execution", RelayConfig())
    obstacle = tmp_path / "execution-00000002.jsonl"
    obstacle.symlink_to("elsewhere")
    with pytest.raises(OSError, match=obstacle.name):
        log.next_file()
    obstacle.unlink()
    log.close()
    write(tmp_path, 1)
    assert check(tmp_path).problems == []


async def test_sec_3_when_no_file_can_be_begun_at_its_size_frames_are_forwarded_and_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with operating("execution", "audit_fsync = 'always'\naudit_file_bytes = 4096\n") as running:
        sender, directory = await running.join(), running.directory / "s.audit"
        obstacle = directory / "execution-00000002.jsonl"
        obstacle.write_bytes(b"of somebody else")

        async def pass_frames(first: int) -> None:
            for sequence in range(first, first + 20):
                await sender.send(frame(domain=EXECUTION, sequence=sequence))
                assert await sender.frames(1) == [frame(domain=EXECUTION, sequence=sequence)]

        await pass_frames(0)
        assert running.service.ready() == ""
        assert running.log().count("no audit file can be begun: going on in the present one error=") == 1
        assert obstacle.read_bytes() == b"of somebody else"
        obstacle.unlink()
        monkeypatch.setattr("torq_engine.operations.audit._RETRY_INTERVAL", 0)
        assert running.service.audit is not None
        running.service.audit._next_file_after = 0
        await pass_frames(20)
        assert obstacle.exists()
        assert check(directory).problems == []


def test_sec_3_what_is_written_is_sealed_when_its_time_is_over_though_nothing_more_comes(tmp_path: Path) -> None:
    timers: list[tuple[float, Callable[[], None]]] = []
    log = AuditLog(tmp_path, "execution", RelayConfig(audit_fsync_interval=0.001))
    log.later = lambda delay, act: timers.append((delay, act))
    log._synced = float("inf")  # just now, whenever that is
    log.event("joined", {"connection": 1})
    [(delay, write_out)] = timers
    write_out()
    assert [note for note in check(tmp_path).notes if "behind the seal" in note]
    log.event("joined", {"connection": 2})
    assert [delay for delay, _ in timers] == [delay, 0.001, delay]
    log._synced = float("-inf")
    timers[1][1]()
    assert (check(tmp_path).notes, check(tmp_path).problems) == ([], [])
    log.close()


def test_sec_3_after_an_fsync_that_failed_nothing_is_recorded_until_the_relay_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    log = AuditLog(tmp_path, "execution", RelayConfig(audit_fsync="always"))
    with monkeypatch.context() as patched:
        patched.setattr("torq_engine.operations.audit.os.fsync", failing)
        log.event("joined", {"connection": 1})
        log.flush()
    log.flush()
    assert log.failure == "Input/output error: what the disk holds is not known; start the relay again"
    log.close()
    write(tmp_path, 1)
    assert check(tmp_path).problems == []


def test_sec_3_a_disk_that_is_full_at_the_start_is_one_line(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        write(tmp_path / "begun", 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        log = AuditLog(tmp_path / "begun", "execution", RelayConfig())
        assert log.failure == "File too large"
        with pytest.raises(AuditError, match=r"execution.seal: cannot write the audit log: No space left on device"):
            AuditLog(tmp_path / "new", "execution", RelayConfig())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    log.close()
    write(tmp_path / "new", 1)
    assert check(tmp_path / "begun").problems == check(tmp_path / "new").problems == []


@pytest.mark.usefixtures("unmeasured_processes")  # a tracer's own files would be limited too
def test_sec_3_a_disk_that_is_full_to_the_end_is_told_and_is_no_tampering() -> None:
    """What was cut off in mid-line is no edit: verification says so, and the next relay goes on behind it."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, 20_000))
    with daemon("execution", preexec_fn=limit) as relay:
        directory = Path(f"{relay.path}.audit")
        client, sequence = relay.connect(), 0
        with suppress(ConnectionError):
            while receive(client, 32) if sequence else True:
                client.sendall(frame(domain=EXECUTION, sequence=sequence))
                sequence += 1
        relay.signal()
        said = relay.log()
        assert relay.ends() == 1
        assert "the last audit records are lost" in said
        assert "File too large" in said
        finding = check(directory)
        assert finding.problems == []
        assert [note for note in finding.notes if "torn" in note]
        restarted(relay.path)
        assert check(directory).problems == []
        assert check(directory).notes == []


def test_sec_3_where_the_log_goes_and_whether_there_is_one(tmp_path: Path) -> None:
    logic = ExecutionLogic()
    state = {"STATE_DIRECTORY": f"{tmp_path}/state:/other"}
    assert audit_directory(RelayConfig(), logic, state) == tmp_path / "state" / "audit"
    assert audit_directory(RelayConfig(socket="/x/s"), logic, {}) == Path("/x/s.audit")
    assert audit_directory(RelayConfig(audit_directory="/y"), logic, state) == Path("/y")
    assert audit_directory(RelayConfig(audit=False), logic, state) is None
    assert audit_directory(RelayConfig(), MarketDataLogic(), state) is None
    with pytest.raises(ConfigError, match=r"audit_key_file: .* cannot be read"):
        audit_key(RelayConfig(audit_key_file=f"{tmp_path}/gone"))
    (tmp_path / "key").touch()
    with pytest.raises(ConfigError, match=r"audit_key_file: .* is empty"):
        audit_key(RelayConfig(audit_key_file=f"{tmp_path}/key"))
    (tmp_path / "key").write_bytes(b"secret")
    assert audit_key(RelayConfig(audit_key_file=f"{tmp_path}/key")) == b"secret"
    assert audit_key(RelayConfig()) == b""
