"""Claiming a socket path: CONN-1, CONN-2, SEC-1 and the checklist of a daemon under /tmp."""

import errno
import fcntl
import os
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torq_engine.endpoint import Endpoint, EndpointError, claim
from torq_engine.handover.state import EndpointState
from torq_engine.settings import ListenSettings

from .relays import short_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    with short_directory() as path:
        yield path


def claimed(path: Path, **settings: Any) -> Endpoint:
    return claim(path, replace(ListenSettings((path,)), **settings))


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_conn_1_checklist_2_creates_the_directory_for_its_own_user(directory: Path) -> None:
    endpoint = claimed(directory / "torq" / "s")
    assert stat.S_IMODE((directory / "torq").stat().st_mode) == 0o700
    assert answers(endpoint.path)
    endpoint.release()


def test_conn_1_replaces_a_stale_socket(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(directory / "s"))
    endpoint = claimed(directory / "s")
    assert answers(endpoint.path)
    endpoint.release()


def test_conn_2_checklist_4_refuses_the_path_of_a_live_relay_and_leaves_it_alone(directory: Path) -> None:
    endpoint = claimed(directory / "s")
    inode = os.lstat(endpoint.path).st_ino
    with pytest.raises(EndpointError, match="live relay holds it"):
        claimed(directory / "s")
    assert os.lstat(endpoint.path).st_ino == inode
    assert answers(endpoint.path)
    endpoint.release()


def test_conn_2_refuses_the_path_of_a_live_relay_that_knows_no_lock(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(directory / "s"))
        other.listen()
        with pytest.raises(EndpointError, match="live relay answers there"):
            claimed(directory / "s")
        assert answers(directory / "s")
    assert not (directory / "s.lock").exists()


def test_conn_2_of_many_claims_at_once_exactly_one_wins(directory: Path) -> None:
    won: list[Endpoint] = []
    lost: list[EndpointError] = []
    start = threading.Barrier(8)

    def compete() -> None:
        start.wait()
        try:
            won.append(claimed(directory / "s"))
        except EndpointError as error:
            lost.append(error)

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert answers(directory / "s")
    won[0].release()


def test_sec_1_checklist_5_mode_is_set_before_it_listens(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    class Watched(socket.socket):
        def listen(self, *arguments: int) -> None:
            modes.append(stat.S_IMODE(os.lstat(directory / "s").st_mode))
            super().listen(*arguments)

    monkeypatch.setattr("torq_engine.endpoint.socket.socket", Watched)
    claimed(directory / "s").release()
    claimed(directory / "s", socket_mode=0o660).release()
    assert modes == [0o600, 0o660]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
def test_sec_1_checklist_2_directory_of_another_user_is_refused(directory: Path) -> None:
    (directory / "foreign").mkdir()
    os.chown(directory / "foreign", 12345, 12345)
    with pytest.raises(EndpointError, match="belongs to user 12345"):
        claimed(directory / "foreign" / "s")
    claimed(directory / "foreign" / "s", own_directory=False).release()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_sec_1_checklist_2_directory_that_others_may_write_to_is_refused(directory: Path, mode: int) -> None:
    directory.chmod(mode)
    with pytest.raises(EndpointError, match="others may write"):
        claimed(directory / "s")
    assert os.listdir(directory) == []


def test_sec_1_directory_of_an_original_relay_is_fine(directory: Path) -> None:
    directory.chmod(0o755)
    claimed(directory / "s").release()


def test_sec_1_checklist_3_symbolic_link_as_directory_is_refused(directory: Path) -> None:
    (directory / "real").mkdir()
    (directory / "link").symlink_to(directory / "real")
    with pytest.raises(EndpointError, match="symbolic links"):
        claimed(directory / "link" / "s")


def test_sec_1_checklist_4_symbolic_link_as_lock_is_not_followed(directory: Path) -> None:
    (directory / "s.lock").symlink_to(directory / "victim")
    with pytest.raises(EndpointError):
        claimed(directory / "s")
    assert not (directory / "victim").exists()


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_sec_1_checklist_4_what_is_no_socket_is_never_unlinked(directory: Path, kind: str) -> None:
    path = directory / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(directory / "elsewhere")
    with pytest.raises(EndpointError, match="not a socket"):
        claimed(path)
    assert os.path.lexists(path)


def test_sec_1_checklist_7_release_removes_only_what_is_ours(directory: Path) -> None:
    endpoint = claimed(directory / "s")
    os.unlink(endpoint.path)
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(directory / "s"))
        endpoint.release()
        assert (directory / "s").exists()
    assert not (directory / "s.lock").exists()


def test_sec_1_release_leaves_an_empty_directory_and_may_be_repeated(directory: Path) -> None:
    endpoint = claimed(directory / "s")
    endpoint.release()
    endpoint.release()
    assert os.listdir(directory) == []


def test_sec_1_checklist_7_a_lock_that_another_relay_took_anew_is_left_to_it(directory: Path) -> None:
    endpoint = claimed(directory / "s")
    (directory / "s").unlink()
    endpoint.lock_path.unlink()  # somebody cleaned up
    successor = claimed(directory / "s")
    endpoint.release()
    assert successor.lock_path.exists()
    assert answers(directory / "s")
    shutil.rmtree(directory)
    successor.release()


def test_conn_1_a_path_that_names_no_socket_is_refused() -> None:
    for path in ("/", ".", "/tmp/.."):
        with pytest.raises(EndpointError, match="ends in the name of the socket"):
            claimed(Path(path))


def test_sec_1_checklist_8_path_too_long_for_a_socket_is_refused_before_anything_is_made(directory: Path) -> None:
    path = directory / ("d" * 20) / ("x" * 107)
    with pytest.raises(EndpointError, match="at most 107"):
        claimed(path)
    assert os.listdir(directory) == []


def test_sec_1_a_path_that_cannot_be_made_is_refused_with_its_reason(directory: Path) -> None:
    (directory / "file").write_text("")
    with pytest.raises(EndpointError, match="file"):
        claimed(directory / "file" / "s")


def test_sec_1_checklist_9_cleaners_of_temporary_files_see_the_directory_locked(directory: Path) -> None:
    endpoint = claimed(directory / "s")
    cleaner = os.open(directory, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second = claimed(directory / "t")
    endpoint.release()
    second.release()
    fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(cleaner)


def test_sec_1_checklist_12_abstract_sockets_are_never_used() -> None:
    with pytest.raises(EndpointError, match="abstract"):
        claimed(Path("\0torq"))


def test_conn_1_a_path_that_cannot_be_listened_at_is_given_back_whole(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(socket.socket):
        def listen(self, *arguments: int) -> None:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    with monkeypatch.context() as patched:
        patched.setattr("torq_engine.endpoint.socket.socket", Refusing)
        with pytest.raises(EndpointError, match="cannot listen: No buffer space"):
            claimed(directory / "s")
    assert not (directory / "s.lock").exists()
    claimed(directory / "s").release()


def test_conn_2_a_lock_whose_file_its_holder_removed_meanwhile_is_taken_anew(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our open and our lock the relay before us ended: what we hold is no lock of the path any more."""
    removed: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and not removed:
            removed.append(descriptor)
            os.unlink(directory / "s.lock")
        real(descriptor, operation)

    real = fcntl.flock
    monkeypatch.setattr("torq_engine.endpoint.fcntl.flock", flock)
    endpoint = claimed(directory / "s")
    assert endpoint.lock_path.exists()
    with pytest.raises(EndpointError, match="live relay holds it"):
        claimed(directory / "s")
    endpoint.release()


def test_life_3_an_endpoint_goes_on_in_another_process_whatever_bytes_its_path_has() -> None:
    with short_directory() as directory:
        path = Path(os.fsdecode(os.fsencode(directory) + b"/\xff"))
        ours = claim(path, ListenSettings((path,)))
        state, descriptors = ours.export()
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=EndpointState)
        theirs = Endpoint.restore(sent, {purpose: os.dup(number) for purpose, number in descriptors.items()})
        ours.leave()
        ours.release()
        assert theirs.owns_path()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        with pytest.raises(EndpointError, match="a live relay holds it"):  # the lock was never free
            claim(path, ListenSettings((path,)))
        theirs.release()
        assert os.listdir(directory) == []
