"""What a client may be told, with its defaults."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Final, TypedDict, Unpack

from ..constants import HEADER_SIZE, LARGEST_MESSAGE_SIZE_LIMIT, MAX_MESSAGE_SIZE, U32_MAX
from ..decoder import OnFault

_MOST_KEEPALIVE: Final = 32_767
"""Seconds that the kernel takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waiting times between attempts: each ``factor`` times the one before, then shortened by up to ``jitter`` of
    itself at random, so that clients of a relay that died do not come back in step.

    By default attempts follow after at most 0.02, 0.04, ... 0.64 s, then each second: a relay that is back has its
    clients within 1 s, and the first six retries take less than 1.3 s in all.
    """

    first_seconds: float = 0.02
    factor: float = 2.0
    longest_seconds: float = 1.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        for each in fields(self):
            check_kind(each.name, getattr(self, each.name), each.type)
        if not 0 < self.first_seconds <= self.longest_seconds or self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ValueError(f"{self}: use 0 < first_seconds <= longest_seconds, factor >= 1, 0 <= jitter <= 1")

    def delays(self, draw: Callable[[], float] = random.random) -> Iterator[float]:
        """Seconds to wait before each attempt, without end; ``draw`` gives numbers from 0 to 1."""
        delay = self.first_seconds
        while True:
            yield self.shortened(delay, draw)
            delay = self.longer(delay)

    def shortened(self, delay: float, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait in place of ``delay``; ``draw`` gives numbers from 0 to 1."""
        return delay * (1 - self.jitter * draw())

    def longer(self, delay: float) -> float:
        """The delay that follows ``delay``, before it is shortened."""
        return min(delay * self.factor, self.longest_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How a client behaves; every default suits an ordinary producer or consumer.

    Raises :class:`TypeError` for a value of another type, :class:`ValueError` for one out of range.
    """

    reconnect: bool = True
    """Whether a lost connection is replaced by a new one; without it calls raise once the connection is lost."""
    backoff: Backoff = field(default_factory=Backoff)
    """The waiting times between attempts to reconnect."""
    give_up_after_seconds: float | None = None
    """How long to go on trying to reconnect; None for ever."""
    wait_for_relay_seconds: float = 0.0
    """How long the first connection may be tried for; 0 is one attempt."""
    connect_timeout_seconds: float = 2.0
    """How long one attempt may take."""
    send_timeout_seconds: float | None = 5.0
    """How long a relay may take no bytes while a message waits to be sent; None for ever."""
    max_message_size: int = MAX_MESSAGE_SIZE
    """The largest message to send or receive, in bytes, header included (D10)."""
    verify_checksum: bool | None = None
    """Whether to verify checksums of what is received; None: unless the domain is market data (VAL-2)."""
    accept_zero_checksum: bool = True
    """Whether a received checksum of 0 passes where they are verified: it says that none was computed (D9)."""
    on_fault: OnFault = OnFault.SKIP
    """What to do about messages that are wrong; the framing of the stream is whole. SKIP tells it as an event, RAISE
    raises it out of the receiving call, RESYNC also finds the next message behind bytes that start none."""
    check_outgoing: bool = True
    """Whether what is sent must pass the checks of the domain's relay; without it, only its framing is checked."""
    track_sequences: bool = False
    """Whether to follow the sequence numbers of every source and tell gaps as events."""
    consumer_id: int = 0
    """Who asks, in the RecoveryRequest that a gap's event suggests."""
    check_directory: bool = False
    """Whether to connect only where nobody else could have put the socket: its directory belongs to this user, or to
    one of ``trusted_owners``, and neither group nor others may write to it."""
    trusted_owners: frozenset[int] = frozenset()
    """User ids beside our own that may own the socket's directory."""

    keepalive_seconds: int | None = 10
    """After how many silent seconds of a TCP connection its peer is asked whether it is still there; one that answers
    none of three questions, ``keepalive_interval_seconds`` apart, is lost. None never asks."""
    keepalive_interval_seconds: int = 4
    """How long each question of a TCP connection may remain unanswered."""
    user_timeout_seconds: float | None = 20.0
    """How long what was sent on a TCP connection may remain unacknowledged, or untaken by a relay that reads nothing,
    before the connection is lost; None leaves it to the kernel, which takes a quarter of an hour."""

    def __post_init__(self) -> None:
        for each in fields(self):
            check_kind(each.name, getattr(self, each.name), each.type)
        if self.keepalive_seconds is not None and not 1 <= self.keepalive_seconds <= _MOST_KEEPALIVE:
            raise ValueError(
                f"keepalive_seconds {self.keepalive_seconds}: use 1 to {_MOST_KEEPALIVE}, or None for never"
            )
        if not 1 <= self.keepalive_interval_seconds <= _MOST_KEEPALIVE:
            raise ValueError(
                f"keepalive_interval_seconds {self.keepalive_interval_seconds}: use 1 to {_MOST_KEEPALIVE}"
            )
        if not HEADER_SIZE <= self.max_message_size <= LARGEST_MESSAGE_SIZE_LIMIT:
            raise ValueError(
                f"max_message_size {self.max_message_size}: use {HEADER_SIZE} to {LARGEST_MESSAGE_SIZE_LIMIT} bytes"
            )
        if not 0 <= self.consumer_id <= U32_MAX:
            raise ValueError(f"consumer_id {self.consumer_id}: use 0 to {U32_MAX}")
        if self.connect_timeout_seconds <= 0 or self.wait_for_relay_seconds < 0:
            raise ValueError("connect_timeout_seconds must be above 0, wait_for_relay_seconds 0 or more")
        for name in ("give_up_after_seconds", "send_timeout_seconds", "user_timeout_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise ValueError(f"{name} {seconds}: use more than 0, or None for ever")


class ClientOptions(TypedDict, total=False):
    """The fields of :class:`ClientSettings` as keywords of ``connect`` and ``connect_blocking``."""

    reconnect: bool
    backoff: Backoff
    give_up_after_seconds: float | None
    wait_for_relay_seconds: float
    connect_timeout_seconds: float
    send_timeout_seconds: float | None
    max_message_size: int
    verify_checksum: bool | None
    accept_zero_checksum: bool
    on_fault: OnFault
    check_outgoing: bool
    track_sequences: bool
    consumer_id: int
    check_directory: bool
    trusted_owners: frozenset[int]
    keepalive_seconds: int | None
    keepalive_interval_seconds: int
    user_timeout_seconds: float | None


def settings_of(settings: ClientSettings | None, **options: Unpack[ClientOptions]) -> ClientSettings:
    """The settings with some replaced by keywords. Raises as :class:`ClientSettings`."""
    if settings is not None and not isinstance(settings, ClientSettings):
        raise TypeError(f"settings {settings!r:.60}: use ClientSettings(...), or give its fields as keywords")
    known = [each.name for each in fields(ClientSettings)]
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, 1) or get_close_matches(f"{name}_seconds", known, 1)
            raise TypeError(f"there is no setting {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    return replace(settings or ClientSettings(), **options)


_KINDS: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "bool": ((bool,), "True or False"),
    "int": ((int,), "an integer"),
    "float": ((int, float), "a number"),
    "OnFault": ((OnFault,), "a member of OnFault"),
    "Backoff": ((Backoff,), "a Backoff"),
    "frozenset[int]": ((frozenset,), "a frozenset of user ids"),
}


def check_kind(name: str, value: object, annotation: object) -> None:
    """Raises :class:`TypeError` for a value that its field is not annotated with, :class:`ValueError` for a NaN."""
    kind, optional, _ = str(annotation).partition(" | None")
    if optional and value is None:
        return
    types, words = _KINDS[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
        raise TypeError(f"{name} {value!r:.60}: use {words}" + (", or None" if optional else ""))
    if value != value:
        raise ValueError(f"{name} {value!r}: use {words}")
