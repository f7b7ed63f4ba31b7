"""systemd restarts a relay without one disconnected client: its side played, and systemd itself where it runs."""

import array
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from torq_engine.handover.blob import opened, packed, sealed, unpacked
from torq_engine.handover.state import RelayState, StateError
from torq_engine.operations.descriptor_store import DescriptorStore, taken_back
from torq_engine.operations.systemd import CLIENTS, STATE, Notifier

from ..daemons import Daemon, command, listening, receive
from ..frames import SIGNAL, frame
from ..relays import LIMIT, short_directory

DOMAINS = {"signal": SIGNAL}


class Manager:
    """systemd's side: keeps descriptors by name, lets go of them when told to, and closes what a barrier sends."""

    def __init__(self, directory: Path) -> None:
        self.kept: list[tuple[str, int]] = []
        self.told: list[str] = []
        self.emptied = threading.Event()
        self.answers_barriers = True
        self._path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def environment(self, most: int = 100) -> dict[str, str]:
        return {**os.environ, "NOTIFY_SOCKET": str(self._path), "FDSTORE": str(most)}

    def _hear(self) -> None:
        while True:
            data, passed, _, _ = self._socket.recvmsg(65_536, socket.CMSG_SPACE(253 * 4))
            descriptors = array.array("i")
            for _, _, content in passed:
                descriptors.frombytes(content)
            lines = data.decode().split("\n")
            self.told += lines
            names = [line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")]
            if "FDSTORE=1" in lines:
                self.kept += [(names[0], number) for number in descriptors]
            elif "FDSTOREREMOVE=1" in lines:
                self.forget(names[0])
                if not self.kept:
                    self.emptied.set()
            elif self.answers_barriers:
                for number in descriptors:
                    os.close(number)
            if lines == ["END"]:
                return

    def forget(self, name: str) -> None:
        for kept, number in self.kept:
            if kept == name:
                os.close(number)
        self.kept = [each for each in self.kept if each[0] != name]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"END", str(self._path))
        self._thread.join(LIMIT)
        for name in (STATE, CLIENTS):
            self.forget(name)
        self._socket.close()


@contextmanager
def manager() -> Iterator[tuple[Path, Manager]]:
    with short_directory() as directory:
        one = Manager(directory)
        try:
            yield directory, one
        finally:
            one.close()


@contextmanager
def service(directory: Path, one: Manager, domain: str = "signal", *flags: str) -> Iterator[Daemon]:
    """A relay as systemd starts it, with what is kept as descriptors from 3 on."""
    words = command(domain, "--socket", directory / "s", "--no-alias", *flags)
    code = (
        "import fcntl, os, sys; given = sys.argv[1].split(':') if sys.argv[1] else [];"
        "high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 500) for number in given];"
        "[os.dup2(number, 3 + place) for place, number in enumerate(high)];"
        "[os.close(number) for number in high];"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given))) if given else None;"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    kept = list(one.kept)
    numbers = ":".join(str(number) for _, number in kept)
    environment = {**one.environment(), "LISTEN_FDNAMES": ":".join(name for name, _ in kept)}
    one.emptied.clear()
    starter = [sys.executable, "-c", code, numbers, *words]
    passed = [number for _, number in kept]
    with listening(starter, directory / "s", env=environment, pass_fds=passed) as relay:
        yield relay


def outliving(relay: Daemon) -> socket.socket:
    """A client that is not closed with its relay."""
    client = relay.connect()
    relay.connections.remove(client)
    return client


def _inherited_by_children(relay: Daemon) -> list[int]:
    found = []
    for each in Path(f"/proc/{relay.process.pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # the relay serves, and has closed it since
            flags = int(each.read_text("ascii").split("flags:")[1].split()[0], 8)
            if int(each.name) > 2 and not flags & os.O_CLOEXEC:
                found.append(int(each.name))
    return found


def test_a_restart_disconnects_nobody_and_goes_on_with_every_byte() -> None:
    flags = "--control-socket", "CTL", "--drain-timeout", "0.2"
    with manager() as (directory, one), ExitStack() as clients:
        given = [word.replace("CTL", str(directory / "c")) for word in flags]
        with service(directory, one, "signal", *given) as relay:
            torn, half, reader, stalled = (clients.enter_context(outliving(relay)) for _ in range(4))
            torn.sendall(frame(domain=SIGNAL))
            for client in (torn, half, reader, stalled):
                assert receive(client, 32) == frame(domain=SIGNAL)
            half.shutdown(socket.SHUT_WR)
            large = frame(domain=SIGNAL, payload=bytes((32, 200)) + bytes(200)) * 100
            for _ in range(100):  # more than the stalled client's socket takes
                torn.sendall(large)
                for client in (torn, half, reader):
                    assert receive(client, len(large)) == large
            torn.sendall(frame(domain=SIGNAL, sequence=2)[:20])
            relay.signal()
            assert relay.ends() == 0
        assert [name for name, _ in one.kept] == [STATE, CLIENTS]
        with service(directory, one, "signal", *given) as relay:
            assert one.emptied.wait(LIMIT)
            assert not _inherited_by_children(relay)
            torn.sendall(frame(domain=SIGNAL, sequence=2)[20:])
            for client in (torn, half, reader):
                assert receive(client, 32) == frame(domain=SIGNAL, sequence=2)
            assert receive(stalled, 100 * len(large) + 32) == 100 * large + frame(domain=SIGNAL, sequence=2)
            late = relay.connect()
            late.sendall(frame(domain=SIGNAL, sequence=3))
            for client in (torn, half, reader, stalled, late):
                assert receive(client, 32) == frame(domain=SIGNAL, sequence=3)
            reader.close()
            torn.sendall(frame(domain=SIGNAL, sequence=4))
            assert receive(half, 32) == frame(domain=SIGNAL, sequence=4)


def test_life_1_what_receivers_take_is_delivered_before_systemd_lets_go() -> None:
    with manager() as (directory, one), service(directory, one) as relay:
        sender, slow = relay.connect(), relay.connect()
        sender.sendall(frame(domain=SIGNAL))
        receive(slow, 32)
        data = frame(domain=SIGNAL, payload=bytes((32, 200)) + bytes(200)) * 100
        for _ in range(50):
            sender.sendall(data)
            receive(sender, len(data) if _ else len(data) + 32)
        relay.signal()
        assert receive(slow, 50 * len(data)) == 50 * data
        assert relay.ends() == 0
        one.forget(STATE)
        one.forget(CLIENTS)
        assert receive(slow, 1) == receive(sender, 1) == b""


def _other_domain(one: Manager) -> str:
    return "execution"


def _without_state(one: Manager) -> str:
    one.forget(STATE)
    return "signal"


def _without_a_client(one: Manager) -> str:
    name, number = one.kept.pop()
    with socket.socket(fileno=number) as queue:
        clients = socket.recv_fds(queue, 1, 253)[1]
    filling, queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with filling:
        socket.send_fds(filling, [b"."], clients[1:])
    for each in clients:
        os.close(each)
    one.kept.append((name, queue.detach()))
    return "signal"


def _without_all_clients(one: Manager) -> str:
    one.forget(CLIENTS)
    return "signal"


def _with_another_file(one: Manager) -> str:
    one.forget(CLIENTS)
    one.kept.append((CLIENTS, os.open(os.devnull, os.O_RDONLY)))
    return "signal"


@pytest.mark.parametrize(
    "damage", [_other_domain, _without_state, _without_a_client, _without_all_clients, _with_another_file]
)
def test_what_a_relay_cannot_go_on_with_is_closed_and_told_and_it_serves(damage: Callable[[Manager], str]) -> None:
    with manager() as (directory, one):
        with service(directory, one) as relay:
            clients = [outliving(relay) for _ in range(3)]
            clients[0].sendall(frame(domain=SIGNAL))
            assert receive(clients[1], 32) == frame(domain=SIGNAL)
            relay.signal()
            assert relay.ends() == 0
        domain = damage(one)
        with service(directory, one, domain) as relay:
            assert one.emptied.wait(LIMIT)
            for client in clients:
                client.settimeout(LIMIT)
                while client.recv(64):
                    pass
                client.close()
            relay.signal()
            assert relay.ends() == 0
            assert "the connections that systemd kept are lost" in relay.log()


def test_a_state_that_cannot_be_restored_is_not_tried_again_and_again() -> None:
    with manager() as (directory, one):
        with service(directory, one) as relay:
            client = outliving(relay)
            client.sendall(frame(domain=SIGNAL))
            assert receive(client, 32) == frame(domain=SIGNAL)
            relay.signal()
            assert relay.ends() == 0
        state, data = unpacked(opened(one.kept[0][1]), RelayState)
        rows = [msgspec.structs.replace(row, watch=99) for row in state.server.clients]
        server = msgspec.structs.replace(state.server, clients=rows)
        os.close(one.kept[0][1])
        one.kept[0] = STATE, sealed(packed(msgspec.structs.replace(state, server=server), [data]))
        with service(directory, one) as relay:
            assert relay.ends() == 1
        assert not one.kept
        with client, service(directory, one) as relay:
            assert receive(client, 1) == b""
            client = relay.connect()
            client.sendall(frame(domain=SIGNAL))
            assert receive(client, 32) == frame(domain=SIGNAL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_kept_where_there_is_no_room_or_somebody_else_ends_the_relay(number: int) -> None:
    with manager() as (directory, one):
        few = one.environment(most=1 if number == signal.SIGTERM else 100)
        words = command("signal", "--socket", directory / "s", "--no-alias")
        with listening(words, directory / "s", env=few) as relay:
            clients = [relay.connect() for _ in range(3)]
            clients[0].sendall(frame(domain=SIGNAL))
            assert receive(clients[1], 32) == frame(domain=SIGNAL)
            relay.signal(number)
            assert receive(clients[1], 1) == b""
            assert relay.ends() == 0
        assert not one.kept


def test_a_manager_that_does_not_answer_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torq_engine.operations.descriptor_store._SECONDS", 0.1)
    with manager() as (_, one):
        one.answers_barriers = False
        store = DescriptorStore(Notifier(one.environment()), one.environment())
        assert store.has_room
        with pytest.raises(TimeoutError):
            store.keep([b"state"], [0])
        assert one.emptied.wait(LIMIT)
    assert not DescriptorStore(Notifier({}), {"FDSTORE": "100"}).has_room
    for few in ("", "0", "1", "no", "-5", "9" * 5000):
        assert not DescriptorStore(Notifier({"NOTIFY_SOCKET": "/n"}), {"FDSTORE": few}).has_room


def test_a_manager_that_goes_away_has_the_relay_drain_after_all() -> None:
    with manager() as (directory, one), service(directory, one) as relay:
        sender, half, gone = relay.connect(), relay.connect(), relay.connect()
        sender.sendall(frame(domain=SIGNAL))
        for client in (sender, half, gone):
            assert receive(client, 32) == frame(domain=SIGNAL)
        half.shutdown(socket.SHUT_WR)
        sender.sendall(frame(domain=SIGNAL, sequence=2))  # the relay has read the end of the other before
        for client in (sender, half, gone):
            assert receive(client, 32) == frame(domain=SIGNAL, sequence=2)
        os.rename(directory / "notify", directory / "away")
        sender.sendall(frame(domain=SIGNAL, sequence=3))
        relay.signal()
        for client in (sender, half, gone):
            assert receive(client, 33) == frame(domain=SIGNAL, sequence=3)
        assert relay.ends() == 0
        assert "systemd keeps no connections: draining" in relay.log()
        os.rename(directory / "away", directory / "notify")
        assert not one.kept


def test_systemd_forgets_what_it_still_had_before_it_is_given_more() -> None:
    with manager() as (directory, one):
        one.kept = [(STATE, os.open("/dev/null", os.O_RDONLY)), (CLIENTS, os.open("/dev/null", os.O_RDONLY))]
        words = command("signal", "--socket", directory / "s", "--no-alias")
        with listening(words, directory / "s", env=one.environment()) as relay:
            client = relay.connect()
            client.sendall(frame(domain=SIGNAL))
            assert receive(client, 32) == frame(domain=SIGNAL)
            relay.signal()
            assert relay.ends() == 0
            assert [name for name, _ in one.kept] == [STATE, CLIENTS]
            relay.connections.remove(client)
        with client, service(directory, one) as relay:
            assert one.emptied.wait(LIMIT)
            client.sendall(frame(domain=SIGNAL, sequence=2))
            assert receive(client, 32) == frame(domain=SIGNAL, sequence=2)


def test_nothing_is_sent_before_systemd_has_let_go() -> None:
    with manager() as (directory, one):
        with service(directory, one) as relay:
            client = outliving(relay)
            client.sendall(frame(domain=SIGNAL))
            assert receive(client, 32) == frame(domain=SIGNAL)
            relay.signal()
            assert relay.ends() == 0
        client.sendall(frame(domain=SIGNAL, sequence=2))
        with service(directory, one), client:
            assert receive(client, 32) == frame(domain=SIGNAL, sequence=2)
            assert not one.kept


def test_thousands_of_connections_are_two_descriptors_to_systemd() -> None:
    many = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)  # a user may have so many on their way
    number = os.open(os.devnull, os.O_RDONLY)
    with manager() as (_, one):
        DescriptorStore(Notifier(one.environment()), one.environment()).keep([b"state"], [number] * many)
        assert [name for name, _ in one.kept] == [STATE, CLIENTS]
        with socket.socket(fileno=os.dup(one.kept[1][1])) as queue:
            found = 0
            while passed := socket.recv_fds(queue, 1, 253)[1]:
                found += len(passed)
                for each in passed:
                    os.close(each)
        assert found == many
    os.close(number)


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(StateError, match="0 states and 0 queues"):
        taken_back({}, {})


UNIT = """[Service]
Type=notify
ExecStart={python} -c "from torq_domains.signal import main; main()" --socket /run/relay/s --no-alias
FileDescriptorStoreMax=2
Environment=FDSTORE=2
"""
SCRIPT = """set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/relay; chmod 700 /run/relay
export XDG_RUNTIME_DIR=/run/relay XDG_CONFIG_HOME={directory}
/lib/systemd/systemd --user --log-target=null & manager=$!
trap 'kill -KILL $manager; systemctl --user kill -s KILL relay || true' EXIT
while ! systemctl --user start relay 2>{directory}/why; do kill -0 $manager; sleep 0.1; done
{python} -c '{client}'
systemctl --user stop relay
systemctl --user exit
"""
CLIENT_OF_SYSTEMD = """
import socket, subprocess
one, other = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
for sock in (one, other):
    sock.connect("/run/relay/s"); sock.settimeout(30)
data = bytes.fromhex("FRAME")
for _ in range(3):
    one.sendall(data[:9])
    subprocess.run(["systemctl", "--user", "restart", "relay"], check=True)
    one.sendall(data[9:])
    assert one.recv(99) == other.recv(99) == data
subprocess.run(["systemctl", "--user", "stop", "relay"], check=True)
assert one.recv(99) == other.recv(99) == b""
print("done")
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists() or shutil.which("unshare") is None,
    reason="systemd is not here, or cannot be run",
)
def test_systemd_itself_restarts_a_relay_without_a_disconnected_client(tmp_path: Path) -> None:
    units = tmp_path / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "relay.service").write_text(UNIT.format(python=sys.executable), "utf-8")
    client = CLIENT_OF_SYSTEMD.replace("FRAME", frame(domain=SIGNAL).hex())
    script = SCRIPT.format(directory=tmp_path, python=sys.executable, client=client.replace("'", '"'))
    words = ["unshare", "--mount", "--propagation", "private", "bash", "-c", script]
    run = subprocess.run(words, capture_output=True, text=True, timeout=2 * LIMIT, check=False)
    if "Operation not permitted" in run.stderr:
        pytest.skip("no namespaces here")
    assert run.stdout == "done\n", run.stderr
