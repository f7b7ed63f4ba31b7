"""How a relay is operated besides its socket: how it takes its settings, and how it shows what it counts and records.

Facts:
- a *form* says how something is told to a relay: words for its command line (``--queue-bytes {value}``), ``env:`` and a
  variable (``env:QUEUE_BYTES={value}``), or ``file:`` and a line of its settings file (``file:queue_bytes = {value}``);
- in words and addresses ``{socket}`` is the path of the relay's socket, so that what belongs to one relay can stand
  beside it, and ``{metrics_port}`` a free port.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

VARIABLE, LINE = "env:", "file:"
Settable = Literal[
    "max_connections",
    "partial_frame_timeout",
    "overflow",
    "queue_bytes",
    "total_queue_bytes",
    "drain_timeout",
    "allow_uids",
    "allow_gids",
]
"""The settings that the suite changes where a profile says how."""


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a relay shows its counters in Prometheus's text format, and what each counter is called.

    ``at`` is ``unix:PATH`` or ``http://HOST:PORT/PATH``, ``start`` the form that turns it on. ``received`` are whole
    frames of any fate, ``refused`` those that reach nobody, by the label ``reason``; ``delivered``, ``dropped`` (by
    the same label) and ``queued`` count each frame once for each receiver. A name left out is not judged.
    """

    at: str
    start: str = ""
    received: str = ""
    delivered: str = ""
    dropped: str = ""
    queued: str = ""
    refused: str = ""
    reason: str = "reason"


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a relay keeps its audit log, and the commands that look at it; ``{directory}`` stands for the log.

    ``verify`` exits 0 for a whole log alone. ``list`` prints its records, with the sequence number of every frame in
    decimal; ``refused``, where there is such a command, prints the refused frames alone. ``start`` is the form that
    turns the log on.
    """

    directory: str
    verify: str
    list: str
    refused: str = ""
    start: str = ""


def composed(command: str, forms: Sequence[str], settings_file: str, folder: Path) -> str:
    """The command of a relay that is told these forms; a file of settings is written to the folder."""
    variables = [form.removeprefix(VARIABLE) for form in forms if form.startswith(VARIABLE)]
    lines = [form.removeprefix(LINE) for form in forms if form.startswith(LINE)]
    words = [form for form in forms if not form.startswith((VARIABLE, LINE))]
    if lines:
        file = folder / "settings"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        words.append(settings_file.replace("{file}", shlex.quote(str(file))))
    prefix = ("env", *map(shlex.quote, variables)) if variables else ()
    return " ".join((*prefix, command, *words))
