"""Counterexamples as files: a versioned, semantic JSON that can be replayed years later."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from .. import files
from ..checks import CHECKS
from ..counting import counted
from ..errors import UsageError
from ..generation.search import plays_for
from ..judging.plan import Observer, Plan
from ..judging.scenarios import SCENARIOS
from ..judging.search import MISS_RATE
from ..judging.verdict import Counterexample, Result
from ..model.frames import MAX_VALUE, Frame, Item, encode_frame
from ..model.profile import Profile, rules_for
from ..model.program import FORMAT_VERSION, Program
from ..model.rules import Rules
from ..printable import encodable
from ..reports.model import Contradiction

Stored = TypeVar("Stored", bound=msgspec.Struct)
MIN_PASSES = 10
"""Passes that a fix takes at least, however steadily the failure showed."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program that showed a requirement broken, the profile it was judged by, and how often it failed.

    ``served_before`` is what the relay had served when it first did.
    """

    requirement: str
    profile: Profile
    program: Program
    findings: tuple[Contradiction, ...]
    failures: int
    runs: int
    seed: int
    target: str
    served_before: str = ""
    format: Literal["torq-conformance counterexample"] = "torq-conformance counterexample"
    version: int = FORMAT_VERSION

    @property
    def rules(self) -> Rules:
        """What the relay has to do, for the oracles."""
        return rules_for(self.profile, self.program.domain)

    @property
    def started(self) -> bool:
        """Whether the suite had started the relay that showed it: its target is a command then, and no address."""
        return is_command(self.target)


def is_command(target: str) -> bool:
    """Whether a target as it was recorded is a command that the suite started, and no address."""
    return not target.startswith(("unix:", "tcp:"))


def folder_name(target: str) -> str:
    """A name for the counterexamples of a target, so that those of two relays never replace each other.

    ``./my_relay --listen {socket}`` gives ``my_relay``, ``unix:/tmp/torq/signal.sock`` gives ``tmp-torq-signal.sock``.
    """
    words = target.removeprefix("unix:").split()
    kept = [word.rpartition("/")[2] if len(words) > 1 else word for word in words if "{" not in word and word[0] != "-"]
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(kept)).strip("-.")[:60] or "relay"


ADVICE = "choose another folder with --failures"


class FailureKeeper(Observer):
    """Saves each counterexample at once when it is found, and every smaller one over it, in a folder of the target."""

    def __init__(self, plan: Plan, target: str, folder: Path) -> None:
        self._plan = plan
        self._target = target
        self._parent = folder
        self._folder = folder / folder_name(target)
        self.unsaved = ""
        """Why the last counterexample was not saved, if it was not."""

    def failed(self, counterexample: Counterexample) -> None:
        self.unsaved = ""
        try:
            self.save(counterexample)
        except UsageError as error:  # a failure is told whether there is room for its file or not
            self.unsaved = str(error)

    def finished(self, result: Result) -> None:
        if result.counterexample is not None:
            self.failed(result.counterexample)

    def save(self, counterexample: Counterexample) -> Path:
        """Write a counterexample to the file of its requirement. Raises UsageError if that fails."""
        record = Record(
            requirement=counterexample.requirement,
            profile=self._plan.profile,
            program=counterexample.program,
            findings=tuple(map(Contradiction.of, counterexample.findings)),
            failures=counterexample.failures,
            runs=counterexample.runs,
            seed=self._plan.seed,
            target=encodable(self._target),
            served_before=counterexample.served_before,
        )
        path = self.path(counterexample.requirement)
        for folder in (self._parent, self._folder):
            files.make_folder(folder, ADVICE)
        files.replace(path, files.json_text(record), advice=ADVICE)
        return path

    def path(self, requirement: str) -> Path:
        """The file of a requirement's counterexample."""
        profile = re.sub(r"[^a-z0-9]+", "-", self._plan.profile.name.lower())
        return self._folder / f"{requirement}-{self._plan.domain}-{profile}.json"


def passes_that_prove(failures: int, runs: int, least: int = MIN_PASSES) -> int | None:
    """How many passes make it unlikely (below 1 in 1000) that what showed at some rate is merely not showing.

    None where it never showed again after it was found: its rate is unknown, so passes prove nothing.
    """
    if not failures:
        return None
    return max(least, plays_for((failures + 1) / (runs + 2), MISS_RATE))


def runs_that_prove_a_fix(record: Record) -> int | None:
    """How many passes prove that a failure of the recorded rate is fixed; None where no number does."""
    return passes_that_prove(record.failures, record.runs)


def runs_worth_playing(record: Record) -> int:
    """How often a replay plays the program: until a fix is proven, else as often as the run that recorded it did."""
    return runs_that_prove_a_fix(record) or max(MIN_PASSES, record.runs)


def read_stored(path: Path, kind: type[Stored], what: str) -> Stored:
    """Read a file of ``what`` that the suite has written. Raises UsageError with what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no {what} of this suite: {error}") from error


def load(path: Path) -> Record:
    """Read a counterexample. Raises UsageError with what is wrong with the file."""
    record = read_stored(path, Record, "counterexample")
    if record.version != FORMAT_VERSION:
        raise UsageError(f"{path} has format version {record.version}; this suite reads {FORMAT_VERSION}")
    if record.requirement not in SCENARIOS and not (record.program.in_words and record.requirement in CHECKS):
        raise UsageError(f"{path}: requirement {record.requirement!r} has no oracle in this suite")
    check_playable(record.program, record.failures, record.runs, path)
    return record


def check_playable(program: Program, failures: int, runs: int, path: Path) -> None:
    """Raises UsageError for a connection that is never opened, bytes that cannot be, a rate above 1."""
    if not 0 <= failures <= runs:
        raise UsageError(f"{path}: {counted(failures, 'failure')} of {counted(runs, 'run')} cannot be")
    opened = program.connections
    for number, step in enumerate(program.steps, 1):
        conn = step.connection
        if conn is not None and (conn not in opened or conn < 0):
            raise UsageError(f"{path}: step {number} uses connection {conn}, which no step opens")
        for item in dict.fromkeys(step.content):
            try:
                _bytes_of(item)
            except (ValueError, struct.error) as error:
                raise UsageError(f"{path}: step {number} cannot be written as bytes: {error}") from error


def _bytes_of(item: Item) -> bytes:
    if isinstance(item, Frame) and any(not 0 <= tlv.size <= MAX_VALUE for tlv in item.tlvs):
        raise ValueError(f"a TLV has 0 to {MAX_VALUE} bytes")
    return encode_frame(item, conn=0, number=0, sequence=0) if isinstance(item, Frame) else bytes.fromhex(item.bytes)
