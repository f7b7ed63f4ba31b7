"""Waiting times and addresses: what is decided without a socket."""

from __future__ import annotations

import errno
import os
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_protocol import SOCKET_PATHS, RelayDomain
from torq_protocol.client import (
    AddressError,
    Backoff,
    ClientSettings,
    TcpAddress,
    UnixAddress,
    domain_of,
    parse_address,
)
from torq_protocol.client.sockets import cannot_connect


@settings(max_examples=60)
@given(draws=st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_by_default_a_relay_that_is_back_is_found_within_five_seconds(draws: list[float]) -> None:
    given_draws = iter(draws)
    delays = list(islice(Backoff().delays(lambda: next(given_draws)), 12))
    assert delays[0] <= 0.02, "the first retry is quick"
    assert sum(delays[:6]) < 1.3
    longest_wait = max(delays) + ClientSettings().connect_timeout_seconds
    assert longest_wait < 5, "a wait and an attempt that hangs"
    assert sum(delays) > 0


@settings(max_examples=60)
@given(
    first=st.floats(0.001, 1),
    factor=st.floats(1, 4),
    longest=st.floats(1, 60),
    jitter=st.floats(0, 1),
    draws=st.lists(st.floats(0, 1), min_size=10, max_size=10),
)
def test_delays_grow_up_to_the_longest_and_jitter_only_shortens(
    first: float, factor: float, longest: float, jitter: float, draws: list[float]
) -> None:
    backoff = Backoff(first_seconds=first, factor=factor, longest_seconds=longest, jitter=jitter)
    full = list(islice(backoff.delays(lambda: 0.0), 10))
    given_draws = iter(draws)
    drawn = list(islice(backoff.delays(lambda: next(given_draws)), 10))
    assert full == sorted(full)
    assert full[0] == first
    assert max(full) <= longest
    assert all(most * (1 - jitter) - 1e-12 <= delay <= most for delay, most in zip(drawn, full, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_message_size": 31},
        {"consumer_id": -1},
        {"consumer_id": 2**32},
        {"connect_timeout_seconds": 0},
        {"wait_for_relay_seconds": -1},
        {"send_timeout_seconds": 0},
        {"give_up_after_seconds": -1},
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClientSettings(**wrong)  # type: ignore[arg-type]  # a table of wrong values


def test_waiting_times_that_cannot_be_are_refused() -> None:
    for wrong in ({"first_seconds": 0.0}, {"first_seconds": 2.0}, {"factor": 0.5}, {"jitter": 1.5}):
        with pytest.raises(ValueError, match="first_seconds"):
            Backoff(**wrong)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/tmp/torq/signal.sock", UnixAddress(Path("/tmp/torq/signal.sock"))),
        ("unix:/run/x", UnixAddress(Path("/run/x"))),
        ("unix:relative", UnixAddress(Path("relative"))),
        ("tcp:localhost:7411", TcpAddress("localhost", 7411)),
        ("tcp:[::1]:7411", TcpAddress("::1", 7411)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: UnixAddress | TcpAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
    assert parse_address(address) is address


@pytest.mark.parametrize(
    "text", ["", "unix:", "@abstract", "\0x", "tcp:host", "tcp::1", "tcp:h:0", "tcp:h:65536", "tcp:h:x"]
)
def test_texts_that_are_no_address_are_refused_with_the_right_forms(text: str) -> None:
    with pytest.raises(AddressError, match=r"tcp:host:port"):
        parse_address(text)


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    with pytest.raises(AddressError, match="at most 107"):
        parse_address("/" + "x" * 107)
    assert isinstance(parse_address("/" + "x" * 106), UnixAddress)


def test_d16_a_domain_stands_for_its_socket_and_the_socket_for_its_domain() -> None:
    for domain, path in SOCKET_PATHS.items():
        assert parse_address(domain) == UnixAddress(Path(path))
        assert domain_of(parse_address(path)) is domain
    assert domain_of(parse_address("/tmp/torq/signals.sock")) is RelayDomain.SIGNAL
    assert domain_of(parse_address("/elsewhere")) is None
    assert domain_of(parse_address("tcp:h:1")) is None
    with pytest.raises(AddressError, match="system"):
        parse_address(RelayDomain.SYSTEM)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOENT, "no such socket"),
        (errno.ECONNREFUSED, "nobody listens"),
        (errno.EAGAIN, "queue of connections is full"),
        (errno.EACCES, "may not connect; see the modes"),
        (errno.ETIMEDOUT, "no answer in time"),
        (errno.ENETUNREACH, "Network is unreachable"),
    ],
)
def test_why_nobody_could_be_connected_to_is_said_with_what_to_look_at(code: int, said: str) -> None:
    error = cannot_connect(parse_address("/x"), OSError(code, os.strerror(code)))
    assert str(error).startswith("unix:/x: cannot connect: ")
    assert said in str(error)
