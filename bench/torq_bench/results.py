"""The figures of a run, as ``torq_bench relay`` writes them to a JSON file and ``relay-report`` reads them."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from torq_protocol.build_info import build_info

from .compiler import CompilerError, compiler_version


class ResultsError(Exception):
    """There are no figures in a file, or not in this version's form; says which file, and what writes it."""


class Figure(msgspec.Struct, frozen=True):
    """A metric of a subject in a case: the median of its samples, one a round.

    ``ratio``: the median of the ratios to the subject ``beside`` in the same round. ``must`` and ``aim`` bound the
    ratio, or the median if ``absolute``; ``met`` is the farther that is reached, ``no``, or empty where none is set or
    the ratio is unknown.
    """

    metric: str
    unit: str
    median: float
    samples: list[float]
    beside: str = ""
    ratio: float | None = None
    must: float | None = None
    aim: float | None = None
    absolute: bool = False
    met: str = ""


class Run(msgspec.Struct, frozen=True):
    """A subject in a case: frames lost in all rounds, that or disorder in words, and why it could not be measured.

    ``client_bound``: the subject waited for the client, so the figures say what the client can do.
    """

    case: str
    subject: str
    lost: int
    fault: str
    error: str
    client_bound: bool
    figures: list[Figure]


class Machine(msgspec.Struct, frozen=True):
    """Where and with what a run was made; ``client``: the language of the client's loops."""

    date: str
    torq: str
    python: str
    uvloop: str
    compiler: str
    client: str
    system: str
    cores: int
    load_before: float
    load_after: float = 0.0


class Results(msgspec.Struct, frozen=True):
    """A whole run. ``scale``: the part of the load that was used; ``missing``: sentences on what was left out.

    ``added``: the commands of subjects that were added; others are the same everywhere but for this machine's paths.
    """

    machine: Machine
    rounds: int
    scale: float
    missing: list[str]
    added: dict[str, str]
    runs: list[Run]
    stages: dict[str, dict[str, float]]

    def write(self, path: Path) -> None:
        """Write the figures to a file whose folder is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def read_results(path: Path) -> Results:
    """The figures of a file; raises ResultsError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ResultsError(f"{path}: {reason}; `python -m torq_bench relay` writes such a file") from None


def this_machine(client: str) -> Machine:
    """This machine and what is installed on it."""
    try:
        compiler = compiler_version()
    except CompilerError:
        compiler = "no C compiler"
    return Machine(
        date=time.strftime("%Y-%m-%d"),
        torq=str(build_info()),
        python=platform.python_version(),
        uvloop=version("uvloop"),
        compiler=compiler,
        client=client,
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        cores=os.cpu_count() or 1,
        load_before=load(),
    )


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 1)
