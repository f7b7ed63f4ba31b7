"""SEC-1 to SEC-3: who can reach the relay, who is admitted, and what is recorded."""

import os
import socket
import struct
from contextlib import suppress

from torq_conformance.specimens.correct.audit import Audit, Record
from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.relay import READ_BYTES, Relay
from torq_conformance.specimens.mutants.table import mutant, replacing


@mutant("socket-open-to-all", "SEC-1", "lets every user connect to its socket")
class SocketOpenToAll(Doorway):
    socket_mode = 0o666


@mutant("created-directory-open", "SEC-1", "creates its directory open to every user")
class CreatedDirectoryOpen(Doorway):
    def prepare_directory(self, directory: str) -> None:
        created = not os.path.isdir(directory)
        super().prepare_directory(directory)
        if created:
            os.chmod(directory, 0o777)  # noqa: S103 (the fault itself)


@mutant("foreign-directory-accepted", "SEC-1", "starts in a directory of another user", needs_root=True)
class ForeignDirectoryAccepted(Doorway):
    def prepare_directory(self, directory: str) -> None:
        os.makedirs(directory, mode=self.directory_mode, exist_ok=True)
        if os.stat(directory).st_mode & 0o022:
            super().prepare_directory(directory)


mutant("open-directory-accepted", "SEC-1", "starts in a directory that others may write")(
    replacing(
        Doorway.prepare_directory,
        lambda doorway, directory: os.makedirs(directory, mode=doorway.directory_mode, exist_ok=True),
    )
)

mutant("allow-list-ignored", "SEC-2", "admits everybody, whatever its allow lists say", needs_root=True)(
    replacing(Relay.may_connect, lambda relay, sock: True)
)


@mutant("allow-list-late", "SEC-2", "closes who is not on its allow list after it has read", needs_root=True)
class AllowListLate(Relay):
    def may_connect(self, sock: socket.socket) -> bool:
        if super().may_connect(sock):
            return True
        sock.settimeout(0.5)
        with suppress(OSError):
            data = sock.recv(READ_BYTES)
            for connection in list(self.connections.values())[:1]:
                self.received(connection, data)
                self.write_all()
        return False


@mutant("allow-list-fatal", "SEC-2", "ends when somebody connects who is not on its allow list", needs_root=True)
class AllowListFatal(Relay):
    def may_connect(self, sock: socket.socket) -> bool:
        if super().may_connect(sock):
            return True
        os._exit(1)


@mutant("allow-list-of-groups-unread", "SEC-2", "closes the members of a group on its list", needs_root=True)
class AllowListOfGroupsUnread(Relay):
    def may_connect(self, sock: socket.socket) -> bool:
        if not self.settings.allow_gids:
            return super().may_connect(sock)
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return str(uid) in self.settings.allow_uids.split(",")


@mutant("refused-unrecorded", "SEC-3", "records forwarded frames only", domains="execution")
class RefusedUnrecorded(Audit):
    def record(self, connection: int, frame: bytes, refused: str | None) -> None:
        if refused is None:
            super().record(connection, frame, refused)


@mutant("recorded-as-forwarded", "SEC-3", "records refused frames as forwarded", domains="execution")
class RecordedAsForwarded(Audit):
    def record(self, connection: int, frame: bytes, refused: str | None) -> None:
        super().record(connection, frame, None)


@mutant("log-begun-anew", "SEC-3", "begins its audit log anew at each start", domains="execution")
class LogBegunAnew(Audit):
    def __init__(self, directory: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, "log"))
        super().__init__(directory)


@mutant("log-unchained", "SEC-3", "keeps an audit log that anybody may change", domains="execution")
class LogUnchained(Audit):
    chained = False


@mutant("log-unsealed", "SEC-3", "leaves its audit log without the end that verification asks for", domains="execution")
class LogUnsealed(Audit):
    def write(self, record: Record) -> None:
        super().write(record)
        self.last = self.last.upper()
