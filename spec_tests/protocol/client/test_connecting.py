"""How the blocking client reaches a relay: paths, addresses, directories, and nobody there."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spec_tests.engine.relays import short_directory
from spec_tests.protocol.client.fake_relays import (
    LIMIT,
    FakeRelay,
    fake_relay,
    in_thread,
    pair,
    read_all,
    signal,
)
from torq_protocol import RelayDomain
from torq_protocol.client import (
    BlockingRelay,
    ClientSettings,
    ConnectError,
    UnsafeDirectoryError,
    connect_blocking,
)

ONCE = ClientSettings(reconnect=False)
SIGNAL = RelayDomain.SIGNAL


def test_a_relay_whose_queue_of_connections_is_full_is_said_to_be() -> None:
    with fake_relay() as relay:
        relay.listener.listen(0)
        with connect_blocking(relay.path), pytest.raises(ConnectError, match="queue of connections is full"):
            connect_blocking(relay.path)


def test_nobody_there_is_said_with_what_to_do() -> None:
    with short_directory() as directory:
        with pytest.raises(ConnectError, match="no such socket; is the relay running"):
            connect_blocking(directory / "s")
        relay = FakeRelay(directory / "s")
        relay.close()
        with pytest.raises(ConnectError, match="nobody listens there"):
            connect_blocking(directory / "s")


def test_a_client_can_wait_for_a_relay_that_starts_later() -> None:
    with short_directory() as directory:
        relays: list[FakeRelay] = []

        def start() -> None:
            relays.append(FakeRelay(directory / "s"))
            relays[0].accept()

        with in_thread(start), connect_blocking(directory / "s", settings=ClientSettings(wait_for_relay_seconds=LIMIT)):
            pass
        relays[0].close()


def test_the_client_works_over_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connect_blocking(f"tcp:127.0.0.1:{port}", settings=ONCE) as client:
            connection, _ = listener.accept()
            with connection:
                client.send(signal(1))
                client.end_sending()
                data = read_all(connection)
                connection.sendall(data)
            assert [message.to_bytes() for message in client] == [data]
    with pytest.raises(ConnectError, match="nobody listens there"):
        connect_blocking(f"tcp:127.0.0.1:{port}")


class TestDirectory:
    """Nothing is connected to where somebody else could have put the socket."""

    checked = ClientSettings(check_directory=True)

    def connect(self, path: Path) -> BlockingRelay:
        return connect_blocking(path, settings=self.checked)

    def test_a_directory_of_our_own_is_fine(self) -> None:
        with fake_relay() as relay, pair(relay, settings=self.checked) as (client, connection):
            connection.sendall(signal(1))
            assert client.receive().header.sequence == 1

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
    def test_a_directory_that_others_may_write_to_is_refused(self, mode: int) -> None:
        with fake_relay() as relay:
            relay.path.parent.chmod(mode)
            with pytest.raises(UnsafeDirectoryError, match=r"others may write to it.*chmod go-w"):
                self.connect(relay.path)

    def test_a_link_to_a_directory_is_refused(self, tmp_path: Path) -> None:
        with fake_relay() as relay:
            (tmp_path / "link").symlink_to(relay.path.parent)
            with pytest.raises(UnsafeDirectoryError, match="without a link"):
                self.connect(tmp_path / "link" / relay.path.name)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
    def test_a_directory_of_another_user_is_refused_unless_that_user_is_trusted(self) -> None:
        with fake_relay() as relay:
            os.chown(relay.path.parent, 12_345, -1)
            with pytest.raises(UnsafeDirectoryError, match=r"belongs to user 12345.*trusted_owners"):
                self.connect(relay.path)
            trusting = replace(self.checked, trusted_owners=frozenset({12_345}))
            connect_blocking(relay.path, settings=trusting).close()

    def test_a_missing_directory_is_a_relay_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectError, match="no such socket"):
            self.connect(tmp_path / "none" / "s")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="not Linux")
def test_a_tcp_connection_asks_a_silent_peer_whether_it_is_there() -> None:
    """A peer that vanished is noticed within 30 s by who only reads, and by who has sent something."""
    given = {"keepalive_seconds": 3, "keepalive_interval_seconds": 2, "user_timeout_seconds": 1.5}
    cases: list[tuple[dict[str, Any], tuple[int | None, ...]]] = [
        ({}, (1, 10, 4, 3, 20_000)),
        (given, (1, 3, 2, 3, 1500)),
        ({"keepalive_seconds": None, "user_timeout_seconds": None}, (0, None, None, None, 0)),
        ({"user_timeout_seconds": 1e12}, (1, 10, 4, 3, 2**31 - 1)),
        ({"user_timeout_seconds": 1e-9}, (1, 10, 4, 3, 1)),
    ]
    for options, expected in cases:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            connect_blocking(
                f"tcp:127.0.0.1:{listener.getsockname()[1]}", settings=ClientSettings(**options)
            ) as client,
        ):
            link = client._session.link
            assert link is not None
            tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            found = [link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
            found += [link.socket.getsockopt(socket.IPPROTO_TCP, option) for option in tcp]
            assert all(wanted in (None, seen) for wanted, seen in zip(expected, found, strict=True)), options
    default = ClientSettings()
    assert default.keepalive_seconds is not None
    assert default.keepalive_seconds + 3 * default.keepalive_interval_seconds < 30
    for wrong in (0, 40_000):
        with pytest.raises(ValueError, match="keepalive_seconds"):
            ClientSettings(keepalive_seconds=wrong)
