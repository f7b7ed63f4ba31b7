"""The options ``--coverage`` and ``--coverage-of`` of a run, made ready, with what is wrong told before any verdict."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import ImpededError, UsageError
from ..grey_box.feedback import KINDS, MAP, GreyBox, Kind
from ..grey_box.gcov import gcov_command, reached_by_gcov
from ..play.target import SpawnedTarget, Target

SILENT: dict[Kind, str] = {
    "python": "is it a Python program? -I, -E and -S keep it from looking at PYTHONPATH; files in site-packages, and "
    "compiled modules, do not count unless --coverage-of names them, or the folder of their source",
    "map": f"it sets bytes of the file that {MAP} names: build it with sanitizer coverage and link torq_coverage.c "
    "(torq-conformance coverage-runtime)",
}
"""What to look at where a relay tells nothing."""


def kinds_of(text: str) -> tuple[Kind, ...]:
    """``python``, ``map``, ``gcov`` or several with commas between. Raises UsageError for anything else."""
    names = list(dict.fromkeys(each.strip() for each in text.split(",")))
    found = tuple(kind for kind in KINDS if kind in names)
    if len(found) != len(names):
        raise UsageError(f"--coverage {text!r}: write {', '.join(KINDS)}, or several with commas between")
    return found


@contextmanager
def opened_grey_box(kinds: tuple[Kind, ...], of: Sequence[Path], *, running: bool) -> Iterator[GreyBox | None]:
    """What the relays of a run tell by, for as long as the run lasts; None where they are not asked to.

    Raises UsageError for options that do not go together, and where a relay that runs already cannot tell.
    """
    if not kinds:
        if of:
            raise UsageError("--coverage-of says what of the relay's code counts for --coverage: give that too")
        yield None
        return
    given = os.environ.get(MAP) if running else None
    if running and (kinds != ("map",) or given is None):
        raise UsageError(
            "--coverage needs a relay that the suite starts: give --exec 'CMD {socket}'; or start the relay, and this "
            f"run with --coverage map, with {MAP} in their environment, the name of a file of 65536 zero bytes or more"
        )
    if given is not None and not (Path(given).is_file() and Path(given).stat().st_size):
        raise UsageError(f"{MAP}={given}: there is no such file, or it is empty; make it, and start the relay anew")
    if "gcov" in kinds:
        gcov_command()
    try:
        folder = tempfile.TemporaryDirectory(prefix="torq-reached-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ImpededError(f"cannot make a folder for what the relay reaches: {error.strerror}; set TMPDIR") from error
    with folder as path:
        box = GreyBox(Path(path), kinds, tuple(of), Path(given) if given else None)
        box.prepare()
        yield box


def check_told(box: GreyBox, target: Target) -> None:
    """Raises UsageError where the relay, which has just come to serve, tells nothing of what it has reached."""
    if box.guides and not box.feedback().touched:
        kind = box.kinds[0]
        raise UsageError(f"--coverage {kind}: the relay has told nothing of what it reached; {SILENT[kind]}")
    if "gcov" in box.kinds and isinstance(target, SpawnedTarget):
        target.end()
        reached = reached_by_gcov(box)
        if reached.problem or not any(share.of for share in reached.things.values()):
            problem = reached.problem or "no .gcno file stands where the relay was built, or no source counts"
            raise UsageError(f"--coverage gcov: {problem}")
        target.start()
