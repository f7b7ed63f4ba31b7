"""What was learnt of relay A and takes long to learn: its limits, kept in a folder from one comparison to the next.

Facts:
- probing a relay takes some 0.2 s, and its limits (queues, connections) 5 s more: only these are kept. What the copy of
  A showed is not, for each comparison plays other programs;
- they are those of the same files, suite, machine and domain, or they are learnt anew. Of a script its own file is
  known, and not what it imports: so everything else about A is probed each time, and has to be as it was;
- a relay that runs already may be any build: nothing is kept of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import resource
from importlib.metadata import version
from pathlib import Path

import msgspec

from .. import files
from ..learning.learned_profile import probe_limits
from ..learning.probing import Learned, Probe, Setting
from ..replay.record import folder_name
from ..reports.build import machine
from ..reports.judged_files import judged_files
from ..reports.writer import now

KEY_DIGITS = 16


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of a relay, when they were learnt, and what else was seen of it then."""

    learnt: str
    seen: dict[str, Setting]
    limits: tuple[Learned, ...]


class Remembered:
    """The limits of a relay in the folder of ``--cache``; ``since`` is when they were learnt, "" for just now."""

    def __init__(self, folder: Path, command: str) -> None:
        self._folder = folder
        self._command = command
        self.since = ""

    def learn(self, probe: Probe) -> None:
        """Give a probe the limits of its relay: those that are kept, else what probing shows, which is kept then.

        Raises UsageError where they cannot be kept.
        """
        path = self._path(probe)
        seen = {each.key: each.value for each in probe.learned}
        kept = _read(path)
        if kept is not None and kept.seen == seen:
            self.since = kept.learnt
            probe.learned += kept.limits
            return
        before = len(probe.learned)
        probe_limits(probe)
        files.make_folder(self._folder, "choose another folder with --cache")
        files.replace(path, files.json_text(_Kept(now(), seen, tuple(probe.learned[before:]))))

    def _path(self, probe: Probe) -> Path:
        digests = judged_files(self._command)
        about = (version("torq"), machine(), resource.getrlimit(resource.RLIMIT_NOFILE), probe.domain, self._command)
        key = hashlib.sha256(msgspec.json.encode((about, sorted(digests.items())))).hexdigest()[:KEY_DIGITS]
        return self._folder / f"{folder_name(self._command)}-{key}.json"


def _read(path: Path) -> _Kept | None:
    """What a file holds; None where there is none, or it is none of ours."""
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    return None
