"""What fixed checks work with: relays of their own, plain clients, and a record of each act.

Facts: each check starts its own relays from the target's command, so no check disturbs another; it records its acts in
words, with the first frame of each size, so that a person can read and repeat a failure.
"""

from __future__ import annotations

import array
import fcntl
import select
import shlex
import socket
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import msgspec

from torq_protocol.constants import EXTENDED_TLV_HEADER_SIZE, HEADER_SIZE

from ..counting import counted
from ..errors import TargetError
from ..impediments import tell
from ..model.findings import Finding
from ..model.frames import MAX_VALUE, Frame, Tlv, encode_frame
from ..model.legality import free_type
from ..model.operation import Metrics, Settable, composed
from ..model.profile import Profile
from ..model.rules import Rules
from ..model.timing import DEFAULT, Timing
from ..play.address import shows
from ..play.limit import Limit
from ..play.metrics import Samples, read_samples
from ..play.target import SpawnedTarget, free_port, succeeding
from .levels import pid_of

PROBE_VALUE_BYTES = 8
"""Bytes of the one TLV in the frames that show which clients the relay serves."""
SHOWN_BYTES = 64
"""Bytes of a frame that a report shows; it counts the rest."""


class UnsupportedCheckError(Exception):
    """This target does not allow the check; the message says why."""


class Client:
    """A plain client. It waits for ``prompt_seconds`` unless a call names other ``seconds``."""

    def __init__(self, target: SpawnedTarget, sock: socket.socket | None = None) -> None:
        self._prompt_seconds = target.timing.prompt_seconds
        self._limit = target.limit
        self.sock = sock or target.connect()
        self.buffer = bytearray()
        self.closed = False

    def send(self, data: bytes, seconds: float | None = None) -> bool:
        """Write ``data`` within some seconds; False when the socket does not take all of it."""
        deadline = self._deadline(seconds)
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                if not shows(self.sock, select.POLLOUT, deadline - time.monotonic()):
                    return False
            except OSError as error:
                tell(error, "to send")
                self.closed = True
                return False
        return True

    def read(self, seconds: float = 0.0) -> bool:
        """Read what has arrived, or arrives within some seconds; False when nothing did, or the relay has closed.

        Raises CutShortError when no time is left.
        """
        self._limit.check()
        if not shows(self.sock, select.POLLIN, min(seconds, self._limit.moment - time.monotonic())):
            self._limit.check()
            return False
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError as error:
            tell(error, "to receive")
            data = b""
        self.closed = self.closed or not data
        self.buffer += data
        return bool(data)

    def forget(self) -> None:
        """Read what has come, and keep nothing of it, nor of what came before."""
        self.buffer.clear()
        while self.read():
            self.buffer.clear()

    def gets(self, data: bytes, seconds: float | None = None) -> bool:
        """Whether ``data`` arrives within some seconds; the client forgets everything up to its end."""
        deadline = self._deadline(seconds)
        while (place := self.buffer.find(data)) < 0:
            if self.closed or (not self.read(deadline - time.monotonic()) and time.monotonic() > deadline):
                return False
        del self.buffer[: place + len(data)]
        return True

    def is_closed(self, seconds: float | None = None) -> bool:
        """Whether the relay closes the connection within some seconds; the client keeps what arrives meanwhile."""
        deadline = self._deadline(seconds)
        while not self.closed and time.monotonic() < deadline:
            self.read(deadline - time.monotonic())
        return self.closed

    def is_taken(self, seconds: float | None = None) -> bool:
        """Whether the relay reads all that the client has written, or closes, within some seconds."""
        deadline = self._deadline(seconds)
        unread = array.array("i", [1])
        while unread[0] and not self.closed and time.monotonic() < deadline:
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, unread)
            self.read(0.001 if unread[0] else 0.0)
        return not unread[0] or self.closed

    def _deadline(self, seconds: float | None) -> float:
        return time.monotonic() + (self._prompt_seconds if seconds is None else seconds)

    def close(self) -> None:
        """Leave."""
        self.sock.close()


@dataclass(slots=True)
class Bench:
    """What a check works with: the relay's command, its profile and rules, and the acts so far.

    ``environment`` is what that of its relays has besides the suite's. At its ``limit`` the check is cut short.
    """

    command: str
    profile: Profile
    rules: Rules
    timing: Timing = DEFAULT
    acts: list[str] = field(default_factory=list)
    evidence: Counter[str] = field(default_factory=Counter)
    sequence: int = 0
    shown: set[int] = field(default_factory=set)
    clients: list[Client] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    forms: tuple[str, ...] = ()
    metrics_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    limit: Limit = field(default_factory=Limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()

    def act(self, text: str) -> None:
        """Record an act, in words."""
        self.acts.append(text)

    def leave_out(self, reason: str) -> None:
        """Record a part of the requirement that this check cannot judge here, and why."""
        self.left_out.append(reason)

    def signals(self, target: SpawnedTarget) -> int:
        """The process that gets a signal meant for the relay. Where that is another, no failure is the relay's."""
        if target.stand_in:
            self.stand_ins.append(target.stand_in)
        return pid_of(target)

    @contextmanager
    def relay(self) -> Iterator[SpawnedTarget]:
        """A fresh relay in a folder of its own."""
        with (
            tempfile.TemporaryDirectory(prefix="torq-settings-") as folder,
            self.started(self._spawned_as_told(Path(folder))) as target,
        ):
            yield target

    def _spawned_as_told(self, folder: Path) -> SpawnedTarget:
        """A relay that is told all that this bench tells it, as its successors are."""
        self.metrics_port = free_port()
        succeeded = succeeding(self.command, self.profile.successor)
        return self.spawned(
            self._composed(self.command, folder), successor=self._composed(succeeded, folder) if succeeded else ""
        )

    def spawned(
        self, command: str = "", *, domain: str = "", folder: Path | None = None, successor: str = ""
    ) -> SpawnedTarget:
        """A relay that is not started yet: of this bench's command and domain unless others are given."""
        return SpawnedTarget(
            command or self.command,
            domain or self.rules.domain,
            folder=folder,
            timing=self.timing,
            environment=self.environment,
            limit=self.limit,
            successor=successor,
        )

    @contextmanager
    def started(self, target: SpawnedTarget) -> Iterator[SpawnedTarget]:
        """A relay that is started here, and ended."""
        with target:
            self.evidence["relays started"] += 1
            self.act(f"start the relay: {target.command_line}")
            yield target

    def _composed(self, command: str, folder: Path) -> str:
        """A command whose relay is told all that this bench tells it."""
        forms = [form.replace("{metrics_port}", str(self.metrics_port)) for form in self.forms]
        return composed(command, forms, self.profile.settings_file, folder)

    def under(self, values: Mapping[Settable, str | float]) -> Bench:
        """A bench whose relays are started with these settings, and are held to them.

        Raises UnsupportedCheckError where the profile does not say how one is set.
        """
        known = self.profile.settings
        for name in values:
            if name not in known:
                raise UnsupportedCheckError(
                    f'the profile does not say how {name} is set: [settings] {name} = "--{name.replace("_", "-")} '
                    '{value}"'
                )
        forms = [known[name].replace("{value}", shlex.quote(_word(value))) for name, value in values.items()]

        def told(fields: tuple[str, ...]) -> dict[str, str | float]:
            return {name: value for name, value in values.items() if name in fields}

        profile = msgspec.structs.replace(self.profile, **told(Profile.__struct_fields__))
        rules = msgspec.structs.replace(self.rules, **told(Rules.__struct_fields__))
        return self.telling(*forms, profile=profile, rules=rules)

    def counting(self, *names: str) -> Bench:
        """A bench whose relays show their counters. Raises UnsupportedCheckError where the profile names not all."""
        metrics = self.profile.metrics
        if metrics is None:
            raise UnsupportedCheckError(f"the profile does not say where counters are seen: [metrics] at, {names[0]}")
        if missing := [name for name in names if not getattr(metrics, name)]:
            raise UnsupportedCheckError(f"the profile names no counter of what is {missing[0]}: [metrics] {missing[0]}")
        return self.telling(metrics.start)

    def counters(self, target: SpawnedTarget) -> tuple[Metrics, Samples]:
        """What the counters of a relay are called, and what they show now. Raises TargetError."""
        metrics = self.profile.metrics
        assert metrics is not None, "counting() gave this bench"
        at = metrics.at.replace("{metrics_port}", str(self.metrics_port)).replace("{socket}", target.address.path)
        try:
            return metrics, read_samples(at, self.timing.prompt_seconds)
        except (OSError, ValueError) as error:
            raise TargetError(f"the counters cannot be read at {at}: {error}", target.last_output()) from error

    def telling(self, *forms: str, profile: Profile | None = None, rules: Rules | None = None) -> Bench:
        """A bench whose relays are told some forms more, "" for none, and are held to another profile and its rules."""
        more = tuple(filter(None, forms))
        return replace(self, forms=(*self.forms, *more), profile=profile or self.profile, rules=rules or self.rules)

    def frame(self, size: int = PROBE_VALUE_BYTES) -> bytes:
        """A valid frame, unlike all others of the check; its one TLV has a value of ``size`` bytes, or of what fits."""
        size = min(size, self._room)
        self.sequence += 1
        self.evidence["frames"] += 1
        frame = Frame(self.rules.number, (Tlv(free_type(self.rules), size),))
        data = encode_frame(frame, conn=0, number=self.sequence, sequence=self.sequence)
        if size not in self.shown:
            self.shown.add(size)
            purpose = ", sent to see who is served," if size == PROBE_VALUE_BYTES else ""
            more = f" ... {len(data) - SHOWN_BYTES} more" if len(data) > SHOWN_BYTES else ""
            self.act(
                f"(frames of {counted(len(data), 'byte')}{purpose} are valid, like this one with another sequence, "
                f"timestamp, label and checksum: {data[:SHOWN_BYTES].hex()}{more})"
            )
        return data

    def refused(self, size: int) -> bytes:
        """A frame to refuse, with ``size`` bytes of values or what fits; b"" where the profile refuses none."""
        rules = self.rules
        count = max(1, size // MAX_VALUE)
        room = (self._room + EXTENDED_TLV_HEADER_SIZE) // count - EXTENDED_TLV_HEADER_SIZE
        tlvs = (Tlv(free_type(rules), min(size, room, MAX_VALUE)),) * count
        if rules.domain_filter:
            frame = Frame(rules.number % 3 + 1, tlvs)
        elif rules.checksum:
            frame = Frame(rules.number, tlvs, checksum="inverted")
        else:
            return b""
        return self.encoded(frame)

    def encoded(self, frame: Frame) -> bytes:
        """The bytes of a frame to refuse, unlike all others of the check."""
        self.sequence += 1
        self.evidence["refused frames"] += 1
        return encode_frame(frame, conn=0, number=self.sequence, sequence=self.sequence)

    def size_of(self, size: int) -> int:
        """Bytes on the wire of a frame of the check whose value has ``size`` bytes, or what fits."""
        return Frame(self.rules.number, (Tlv(free_type(self.rules), min(size, self._room)),)).size

    @property
    def _room(self) -> int:
        """Bytes of the largest value of one TLV in a frame that the relay takes."""
        return self.rules.max_message_size - HEADER_SIZE - EXTENDED_TLV_HEADER_SIZE

    def connect(self, target: SpawnedTarget) -> Client:
        """A new client. Raises TargetError when it cannot connect."""
        try:
            return self.admit(Client(target))
        except OSError as error:
            tell(error, "to connect a client")
            raise TargetError(f"client {len(self.clients) + 1} cannot connect: {error.strerror or error}") from error

    def admit(self, client: Client) -> Client:
        """The client itself, which is closed with the bench."""
        self.evidence["clients"] += 1
        self.clients.append(client)
        return client

    def joined(self, target: SpawnedTarget, count: int) -> list[Client]:
        """New clients that have each received a frame. Raises TargetError where one does not."""
        clients = [self.connect(target) for _ in range(count)]
        if not self.rules.forwards:
            if any(client.is_closed(self.timing.kept_open_seconds) for client in clients):
                raise TargetError("a client is closed at once")
            return clients
        witness = self.connect(target)
        for client in clients:
            if not self.reaches(witness, [client]):
                raise TargetError("a client is not served within the time that a relay gets")
        witness.close()
        return clients

    def reaches(
        self, sender: Client, receivers: list[Client], seconds: float | None = None, *, size: int = PROBE_VALUE_BYTES
    ) -> bool:
        """Whether a frame of the sender reaches every receiver. It sends again and again, because joining takes time.

        Where the profile forwards nothing: whether the relay takes the frame, and closes no client.
        """
        if not self.rules.forwards:
            return sender.send(self.frame()) and not any(each.is_closed(0.0) for each in (sender, *receivers))
        prompt = self.timing.prompt_seconds
        deadline = time.monotonic() + (prompt if seconds is None else seconds)
        left = [each for each in receivers if self.rules.echo or each is not sender]
        hopeless = time.monotonic() + prompt
        wait = 0.01
        while left and time.monotonic() < min(deadline, hopeless):
            frame = self.frame(size)
            if not sender.send(frame):
                return False
            sender.read()
            until = time.monotonic() + wait
            missing = [each for each in left if not each.gets(frame, until - time.monotonic())]
            if len(missing) < len(left):
                hopeless = time.monotonic() + prompt
            left = missing
            if any(each.closed for each in left):
                return False
            wait = min(wait * 2, 0.5)
        return not left


def _word(value: str | float) -> str:
    """A value of a setting as a word."""
    return f"{value:g}" if isinstance(value, float) else str(value)


Check = Callable[[Bench], Iterator[Finding]]
