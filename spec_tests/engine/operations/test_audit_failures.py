"""Whatever step of the audit log fails, and wherever process or machine die, the log is whole and goes on (SEC-3).

Exhaustive: each life of a log below is lived once for each of its steps and each fault at that step; what may be left
then is verified, gone on with, and verified again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from torq_engine.operations import audit
from torq_engine.operations.audit import AuditLog
from torq_engine.operations.audit_chain import AuditError, read_seal, seal_path
from torq_engine.operations.configuration import RelayConfig
from torq_protocol.scanner import frame_records

from ..frames import frame
from .audit_logs import check, copy_of_format_1, logs, records, write
from .failing_disk import Death, FailingDisk, Fault, contents, left_behind

SETTINGS = {
    "never": RelayConfig(audit_fsync="never", audit_file_bytes=4096),
    "interval": RelayConfig(audit_fsync="interval", audit_fsync_interval=1e-9, audit_file_bytes=4096),
    "interval not over": RelayConfig(audit_fsync="interval", audit_file_bytes=4096),
    "always": RelayConfig(audit_fsync="always", audit_file_bytes=4096),
}
ONE = frame()
FRAMES = frame_records(ONE, [(0, len(ONE), 1)], [])


class Life:
    """One life of a log: start, records, a file begun on request, one for its size, stop. Failures are lived with.

    ``acknowledged`` are the connections of frames that were recorded as asked for: written, and on the disk with
    ``always``.
    """

    def __init__(self, directory: Path, settings: RelayConfig) -> None:
        self._directory = directory
        self._settings = settings
        self.acknowledged: list[int] = []

    def live(self) -> None:
        try:
            log = AuditLog(self._directory, "execution", self._settings)
        except AuditError:
            return
        self._frames(log, 1)
        with suppress(AuditError, OSError):
            log.next_file()
        self._frames(log, 2)
        log.event("reloaded", {"changed": "x" * 4096})
        log.flush()
        self._frames(log, 3)
        log.close()
        log.close()

    def _frames(self, log: AuditLog, connection: int) -> None:
        try:
            log.frames(connection, 1000, 1, FRAMES)
            log.flush()
        except AuditError:
            return
        if not log.failure:
            self.acknowledged.append(connection)


def begun_nothing(directory: Path) -> None:
    """No log is there yet."""


def begun_torn(directory: Path) -> None:
    """A log whose last line is torn, with records behind its seal."""
    write(directory, 2)
    sealed = seal_path(logs(directory)[0]).read_bytes()
    write(directory, 2)
    seal_path(logs(directory)[0]).write_bytes(sealed)
    with logs(directory)[-1].open("ab") as file:
        file.write(b'{"n":99,"ti')


def begun_in_format_1(directory: Path) -> None:
    """A log of torq 0.1.0."""
    copy_of_format_1(directory)


def lived(directory: Path, settings: RelayConfig, disk: FailingDisk) -> Life:
    """A life on a disk, to its end or to its death."""
    life = Life(directory, settings)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(audit, "os", disk)
        try:
            with suppress(Death):
                life.live()
        finally:
            disk.give_back()
    return life


def is_empty(directory: Path) -> bool:
    """Whether there is no log at all: the command then finds nothing to check."""
    return not any(contents(directory).values())


def goes_on(directory: Path, told: str) -> list[int]:
    """Verify a log, go on with it, and verify it again; the connections of the frames that are in it."""
    if not is_empty(directory):
        assert check(directory).problems == [], told
    write(directory, 1)
    finding = check(directory)
    assert (finding.problems, [note for note in finding.notes if "nothing is in it" not in note]) == ([], []), told
    return [record["connection"] for record in records(directory) if record["event"] == "frames"]  # type: ignore[misc]  # JSON


def each_fault(
    tmp_path: Path, begun: Callable[[Path], None], settings: RelayConfig, faults: list[Fault]
) -> Iterator[tuple[Path, dict[str, bytes], FailingDisk, Life, str]]:
    """The life with each fault at each step."""
    rehearsal = FailingDisk()
    begun(tmp_path / "rehearsal")
    lived(tmp_path / "rehearsal", settings, rehearsal)
    assert {"open", "write", "pwrite", "close"} <= set(rehearsal.steps)
    for step, kind in enumerate(rehearsal.steps):
        for fault in faults:
            if kind != "write" and fault in (Fault.SHORT, Fault.WITHIN):
                continue
            directory = tmp_path / f"{step} {fault.name}"
            begun(directory)
            disk = FailingDisk(fault, step)
            before = contents(directory)
            life = lived(directory, settings, disk)
            yield directory, before, disk, life, f"step {step}, {kind}: {fault.value}; in {directory}"


EACH = pytest.mark.parametrize("settings", SETTINGS)
BEGUN = pytest.mark.parametrize("begun", [begun_nothing, begun_torn, begun_in_format_1])
ENDS = [Fault.BEFORE, Fault.AFTER, Fault.WITHIN]
ERRORS = [Fault.ERROR, Fault.ERRORS, Fault.SHORT]


@EACH
@BEGUN
def test_sec_3_a_process_that_dies_at_any_step_leaves_a_log_that_is_whole_and_goes_on(
    tmp_path: Path, begun: Callable[[Path], None], settings: str
) -> None:
    for directory, _, _, life, told in each_fault(tmp_path, begun, SETTINGS[settings], ENDS):
        assert set(life.acknowledged) <= set(goes_on(directory, told)), told


@EACH
@BEGUN
def test_sec_3_a_step_that_fails_leaves_a_log_that_is_whole_and_goes_on(
    tmp_path: Path, begun: Callable[[Path], None], settings: str
) -> None:
    for directory, _, disk, life, told in each_fault(tmp_path, begun, SETTINGS[settings], ERRORS):
        assert not disk.died, told
        assert set(life.acknowledged) <= set(goes_on(directory, told)), told


@pytest.mark.parametrize("settings", [name for name in SETTINGS if name != "never"])
@pytest.mark.parametrize("begun", [begun_nothing, begun_torn])
def test_sec_3_a_machine_that_dies_at_any_step_leaves_a_log_that_is_whole_and_goes_on(
    tmp_path: Path, begun: Callable[[Path], None], settings: str
) -> None:
    """With ``always`` it keeps what was acknowledged, too. What a failing fsync has lost is never sealed."""
    seen = set()
    faults = [Fault.BEFORE, Fault.AFTER, Fault.ERROR]
    for directory, before, disk, life, told in each_fault(tmp_path, begun, SETTINGS[settings], faults):
        for number, files in enumerate(disk.remains()):
            whole = {**before, **files}
            owed = tuple(life.acknowledged) if settings == "always" else ()
            state = (tuple(sorted(structure(whole).items())), owed)
            if state in seen:
                continue
            seen.add(state)
            left = left_behind(tmp_path / "left" / f"{directory.name} {number}", whole)
            assert set(owed) <= set(goes_on(left, f"{told}: {left}"))
    assert len(seen) > 20


def structure(files: dict[str, bytes]) -> dict[str, tuple[object, ...]]:
    """What files are like but for times and hashes: two alike are not tried twice."""
    return {
        name: (len(data), data.count(b"\n"), data.count(b"\0")) if name.endswith("jsonl") else (len(data), data[:130])
        for name, data in files.items()
    }


@EACH
def test_sec_3_a_log_on_a_good_disk_holds_all_and_every_kind_of_step_is_among_its_steps(
    tmp_path: Path, settings: str
) -> None:
    disk = FailingDisk()
    life = lived(tmp_path / "log", SETTINGS[settings], disk)
    assert life.acknowledged == [1, 2, 3]
    assert len(logs(tmp_path / "log")) == 3
    assert ("fsync" in disk.steps) == (settings != "never")
    last = logs(tmp_path / "log")[-1]
    assert json.loads(last.read_bytes().splitlines()[-1])["event"] == "stopped"
    assert read_seal(seal_path(last), b"").size == last.stat().st_size
