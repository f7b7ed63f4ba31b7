"""A foreign relay: written in C++ from ``docs/spec`` alone, to keep the suite honest.

That it accuses nobody who is right, and finds who is wrong, its own relays cannot show: its authors have built them.
This one shares neither code nor shape with them (two blocking threads for each connection), and makes real mistakes on
request. ``python -m spec_tests.foreign`` judges it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("relay.cc")
PROFILE = Path(__file__).with_name("profile.toml")
DOMAINS = ("execution", "market_data", "signal")
_FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-pthread")
_COMPILERS = ("g++", "c++", "clang++")
_REASONS = (
    "bad-domain",
    "bad-version",
    "unknown-source",
    "bad-checksum",
    "truncated-tlv-header",
    "bad-reserved-byte",
    "bad-extended-type",
    "truncated-tlv",
    "type-out-of-range",
    "bad-tlv-size",
)


Settings = Mapping[str, bool | int | float | str]
"""Keys of a profile; the relay has an option of the same name for each."""
RIGHT_BUILDS: tuple[Settings, ...] = (
    {},
    {"echo": False},
    {"on_framing_error": "resync"},
    {"queue_frames": 64},
    {"overflow": "disconnect", "queue_bytes": 3_000_000},
    {"overflow": "backpressure", "queue_bytes": 3_000_000},
    {"max_message_size": 4096, "queue_bytes": 100_000, "checksum": True},
    {"queue_frames": 16, "max_connections": 8, "partial_frame_timeout": 1.0, "drain_timeout": 1.0},
)
"""Settings that the right build is judged with; their number has no divisor in common with that of the domains."""


class CompilerError(Exception):
    """There is no C++ compiler, or it refused the relay; the message says which and why."""


class Fault(NamedTuple):
    """One mistake that the relay makes on request: the word of ``--fault``, and what it does wrong."""

    word: str
    meaning: str


@functools.cache
def program() -> Path:
    """The compiled relay, kept in the user's temporary folder under the digest of its source; raises CompilerError."""
    compiler = _compiler()
    digest = hashlib.sha256(repr((compiler, _FLAGS)).encode() + SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"torq-foreign-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise CompilerError(f"{folder}: belongs to another user; remove it, or set TMPDIR")
    made = folder / f"relay-{digest}"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            new = Path(scratch) / "relay"
            try:
                run = subprocess.run([*compiler, *_FLAGS, "-o", str(new), str(SOURCE)], capture_output=True, text=True)
            except OSError as error:
                raise CompilerError(f"{compiler[0]}: cannot be run: {error.strerror}; set CXX") from None
            if run.returncode:
                raise CompilerError(f"{shlex.join(compiler)}: {SOURCE}:\n{run.stderr}")
            new.replace(made)  # at once: others may be compiling it too
    return made


def command(*faults: str, **settings: bool | int | float | str) -> str:
    """What ``torq-conformance --exec`` starts: the right relay, or one with faults (``"all"``: every one)."""
    words = [word for fault in faults for word in (["--faults-all"] if fault == "all" else ["--fault", fault])]
    for key, value in settings.items():
        words += ["--" + key.replace("_", "-"), str(value).lower()]
    return shlex.join([str(program()), "--domain", "{domain}", "--socket", "{socket}", *words])


def faults() -> list[Fault]:
    """Every fault, in the relay's order; the search behind a refused frame once for each reason of refusal."""
    listed = subprocess.run([program(), "--list-faults"], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listed.splitlines():
        name, _, meaning = line.split("\t")
        values = [f"{name}={reason}" for reason in _REASONS] if name == "search-after" else [name]
        found += [Fault(word, meaning) for word in values]
    return found


def _compiler() -> list[str]:
    if wanted := os.environ.get("CXX"):
        return shlex.split(wanted)
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise CompilerError(f"no C++ compiler ({', '.join(_COMPILERS)}) on the PATH; install one, or set CXX")
