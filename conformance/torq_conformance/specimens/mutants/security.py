"""SEC-1: sockets and directories that other users can reach."""

import os

from torq_conformance.specimens.correct.doorway import Doorway
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
