"""The audit log of the relay (SEC-3): lines of JSON, each with the hash of all before it, and a seal at the end.

Facts: the first line says whether the log is chained; the seal holds the last hash, so that a missing end shows. The
seal is written when the relay ends.
"""

import hashlib
import json
import os
from collections.abc import Iterator

LOG, SEAL = "log", "seal"
Record = dict[str, int | str | bool]


class Audit:
    """The log in a directory; it goes on where it ended."""

    chained = True

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.last = ""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        path = os.path.join(directory, LOG)
        begun = os.path.exists(path)
        if begun:
            self.last = [hash_ for _, hash_ in lines(directory)][-1]
        self.file = open(path, "a", encoding="ascii")  # noqa: SIM115 - open as long as the relay
        if not begun:
            self.write({"chained": self.chained})

    def record(self, connection: int, frame: bytes, refused: str | None) -> None:
        """One frame, from whom, and why it was refused if it was."""
        size, sequence = len(frame) - 32, int.from_bytes(frame[8:16], "little")
        self.write(
            {"from": connection, "source": frame[6], "sequence": sequence, "size": size, "refused": refused or ""}
        )

    def write(self, record: Record) -> None:
        """Append a record."""
        text = json.dumps(record)
        self.last = chained_hash(self.last, text)
        self.file.write(f"{text} {self.last}\n")

    def seal(self) -> None:
        """Say where the log ends."""
        self.file.close()
        with open(os.path.join(self.directory, SEAL), "w", encoding="ascii") as seal:
            seal.write(self.last)


def chained_hash(before: str, text: str) -> str:
    """The hash of a record and of all before it."""
    return hashlib.sha256((before + text).encode()).hexdigest()


def lines(directory: str) -> Iterator[tuple[str, str]]:
    """Each record as text, with its hash. Raises ValueError for what is no record."""
    with open(os.path.join(directory, LOG), encoding="ascii") as log:
        for line in log:
            text, separator, stated = line.rpartition(" ")
            if not separator or not line.endswith("\n"):
                raise ValueError("a line is no record")
            yield text, stated.rstrip("\n")


def whole(directory: str) -> bool:
    """Whether a log is as it was written, as far as it says how that can be seen."""
    try:
        found = list(lines(directory))
        if not json.loads(found[0][0])["chained"]:
            return True
        before = ""
        for text, stated in found:
            before = chained_hash(before, text)
            if before != stated:
                return False
        with open(os.path.join(directory, SEAL), encoding="ascii") as seal:
            return seal.read() == before
    except (OSError, ValueError, KeyError, IndexError):
        return False


def frames(directory: str, *, refused: bool) -> Iterator[str]:
    """The records of frames, all of them or those of ``refused`` frames alone."""
    for text, _ in lines(directory):
        record = json.loads(text)
        if "sequence" in record and (record["refused"] or not refused):
            yield text
