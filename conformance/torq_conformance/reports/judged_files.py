"""Which build was judged: the files that a command names, by their digests.

Facts: a report that says "my_relay passes" is worth little once my_relay has been built again; a digest tells the two
builds apart. Of a relay that runs already nothing is known. What a script starts in turn is not looked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

DIGITS = 16
"""Hexadecimal digits of a SHA-256 digest that are kept: enough to tell builds apart."""


@cache
def judged_files(command: str) -> dict[str, str]:
    """The digest of each file that a command names, by the word that names it; read once for each run."""
    digests: dict[str, str] = {}
    with contextlib.suppress(ValueError):
        for place, word in enumerate(shlex.split(command)):
            path = _program(word) if place == 0 else Path(word)
            with contextlib.suppress(OSError, ValueError):
                if path.is_file():
                    with path.open("rb") as file:
                        digests[word] = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    return digests


def _program(word: str) -> Path:
    """The file that starts as this program: on PATH, or installed beside this interpreter."""
    return Path(shutil.which(word) or shutil.which(word, path=str(Path(sys.executable).parent)) or word)
