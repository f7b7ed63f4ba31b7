"""The check of the audit log: it holds every frame, goes on after a restart, and shows tampering (SEC-3).

Facts: the suite knows no format. It tells each frame by a sequence number that nothing else in a log is likely to hold,
and changes copies of the largest file in ways that no record of any format survives.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..counting import counted, grouped
from ..errors import TargetError
from ..model.findings import Finding, Kind
from ..model.operation import Audit
from ..play.target import SpawnedTarget, installed_beside
from .bench import Bench, UnsupportedCheckError
from .connections import socket_path

FIRST_SEQUENCE = 6_418_725_309_000_000_000
FRAMES, REFUSED = 20, 5
"""Frames of each life of the relay that are forwarded, and that are refused, where the profile refuses any."""
CHANGED_BYTES = 8
"""Places in a log where a byte is changed."""
COMMAND_SECONDS = 30.0
"""A command that looks at a log ends within this time."""


def records_every_frame(bench: Bench) -> Iterator[Finding]:
    """Two lives of a relay with one log: what the commands say of it, and of changed copies (SEC-3)."""
    audit = bench.profile.audit
    if audit is None:
        raise UnsupportedCheckError("the profile does not say where the audit log is: [audit] directory, verify, list")
    bench = bench.telling(audit.start)
    bench.sequence = FIRST_SEQUENCE
    accepted: set[int] = set()
    refused: set[int] = set()
    with bench.relay() as target:
        log = _Log(audit, Path(audit.directory.replace("{socket}", socket_path(target))))
        for life in ("first", "second"):
            if life == "second":
                bench.act("start it again")
                target.start_again()
            if not _traffic(bench, target, accepted, refused):
                yield Finding(Kind.LOST, "frames to be served while they are recorded", "they are not")
                return
            bench.act(f"end it; then: {log.line(audit.verify)}; {log.line(audit.list)}")
            target.end()
            when = f"after the {life} life of the relay"
            if status := log.verified():
                yield Finding(Kind.UNRECORDED, f"a whole log {when}", f"verify ends with status {status}")
                return
            yield from _missing(log, accepted, refused, when)
        yield from _unnoticed(bench, log)


def _traffic(bench: Bench, target: SpawnedTarget, accepted: set[int], refused: set[int]) -> bool:
    """Send frames to forward and frames to refuse, and note their sequences; False where they are not served."""
    first = bench.sequence + 1
    sender, receiver = bench.joined(target, 2)
    served = sender.send(b"".join(bench.frame() for _ in range(FRAMES)))
    last = bench.sequence
    data = [bench.refused(8) for _ in range(REFUSED)]
    refused |= set(range(last + 1, bench.sequence + 1))
    accepted |= set(range(first, last + 1))
    bench.act(f"a client sends {counted(FRAMES, 'frame')}, then {counted(len(refused), 'frame')} to refuse")
    served = served and sender.send(b"".join(data))
    last = bench.sequence
    served = served and bench.reaches(sender, [receiver])
    accepted |= set(range(last + 1, bench.sequence + 1))
    return served


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of a relay, and the commands that look at it."""

    audit: Audit
    directory: Path

    def line(self, command: str) -> str:
        """A command for this log, to be typed."""
        return command.replace("{directory}", shlex.quote(str(self.directory)))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command. Raises UnsupportedCheckError where it cannot run, TargetError where it does not end."""
        program, *words = shlex.split(self.line(command))
        try:
            return subprocess.run(  # noqa: S603 - the profile names the command
                [installed_beside(program), *words], capture_output=True, text=True, timeout=COMMAND_SECONDS
            )
        except OSError as error:
            raise UnsupportedCheckError(f"[audit] names {program!r}, which does not run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise TargetError(f"{self.line(command)} does not end within {COMMAND_SECONDS:.0f} s") from error

    def verified(self) -> int:
        """The exit status of the command that verifies."""
        return self.run(self.audit.verify).returncode

    def sequences(self, command: str) -> set[int]:
        """The sequence numbers of the suite that a command prints."""
        return {int(number) for number in re.findall(r"\d+", self.run(command).stdout)}


def _missing(log: _Log, accepted: set[int], refused: set[int], when: str) -> Iterator[Finding]:
    """What the records lack."""
    listed = log.sequences(log.audit.list)
    for what, frames in (("forwarded", accepted), ("refused", refused)):
        if missing := frames - listed:
            owed = f"each of {counted(len(frames), f'{what} frame')} in the log {when}"
            yield Finding(Kind.UNRECORDED, owed, f"{grouped(len(missing))} are not in it")
    if log.audit.refused:
        shown = log.sequences(log.audit.refused) & (accepted | refused)
        if shown != refused:
            owed = f"{counted(len(refused), 'frame')} recorded as refused {when}"
            yield Finding(
                Kind.UNRECORDED,
                owed,
                f"{grouped(len(refused - shown))} are not, and {grouped(len(shown - refused))} others are",
            )


Change = Callable[[bytes], bytes]


def _changed_at(place: int) -> Change:
    def change(data: bytes) -> bytes:
        at = len(data) * place // CHANGED_BYTES
        return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]

    return change


CHANGES: dict[str, Change] = {
    **{f"one bit at {place}/{CHANGED_BYTES} of it changed": _changed_at(place) for place in range(CHANGED_BYTES)},
    "its middle third cut out": lambda data: data[: len(data) // 3] + data[len(data) * 2 // 3 :],
    "its last half cut off": lambda data: data[: len(data) // 2],
    "its halves exchanged": lambda data: data[len(data) // 2 :] + data[: len(data) // 2],
    "its last third there twice": lambda data: data + data[len(data) * 2 // 3 :],
}
"""What is done to the largest file of a log, in words."""


def _unnoticed(bench: Bench, log: _Log) -> Iterator[Finding]:
    """Changes of a copy that the command which verifies does not see."""
    bench.act("change the largest file of the log, in each way once, and verify it again")
    with tempfile.TemporaryDirectory(prefix="torq-log-") as folder:
        for number, (what, change) in enumerate(CHANGES.items()):
            copy = _Log(log.audit, Path(folder) / str(number))
            shutil.copytree(log.directory, copy.directory)
            file = max(
                (each for each in copy.directory.rglob("*") if each.is_file()), key=lambda each: each.stat().st_size
            )
            file.write_bytes(change(file.read_bytes()))
            if copy.verified() == 0:
                yield Finding(Kind.UNNOTICED, f"a log with {what} to be refused", "verify finds it whole")
