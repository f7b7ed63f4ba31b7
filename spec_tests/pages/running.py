"""A page at work: its blocks one after the other, in a folder like a clone, as in one terminal.

What a page starts and leaves running (``&``, or a comment that says Ctrl-C) is done when all that the page shows of it
has come, and stays for the blocks below. What a command prints is compared with what the page shows; so is what those
that go on print meanwhile.
"""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # its stubs are not installed

from .matching import matches
from .reading import ROOT, Block, Command, blocks, commands, name_of

QUICK_SECONDS = 60.0
"""Most that a command of ``make test`` may take on a machine that is busy with the other tests."""
OTHERS_SECONDS = 10.0
"""How long what a command brings about elsewhere may take to be printed there."""
PATIENCE = 4
"""How many times as long as a page says a block may take, for the same reason."""
_POLL_SECONDS = 0.02
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_SHELL = """set -o pipefail
. "$STATE/env"; cd "$(cat "$STATE/folder")" || exit
eval "$1"
code=$?
export -p > "$STATE/env"; pwd > "$STATE/folder"
exit $code"""


class PageFailedError(Exception):
    """A block that does not do what its page says: where, which command, why, and what was printed."""


@dataclass
class Job:
    """A command that runs or ran, the file that it prints into, and up to where the page has shown that."""

    command: Command
    process: subprocess.Popen[bytes]
    output: Path
    read: int = 0

    def printed(self) -> str:
        return self.output.read_bytes()[self.read :].decode("utf-8", "replace")


@dataclass
class Run:
    """What one page did: how many of its blocks ran, why others did not, and those that take longer."""

    page: Path
    ran: int = 0
    not_run: list[str] = field(default_factory=list)
    left: int = 0
    seconds: float = 0.0


class Terminal:
    """A reader's terminal in ``folder``: the folder and the variables of one command are those of the next."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder / "clone"
        self._prefix = prefix
        self._state = folder / "state"
        self._jobs: list[Job] = []
        self._count = 0
        for each in (self.folder, self._state):
            each.mkdir()
        for entry in ROOT.iterdir():
            if not entry.name.startswith(".") or entry.name in {".venv", ".github", ".ci"}:
                (self.folder / entry.name).symlink_to(entry)
        (self._state / "env").write_text("")
        (self._state / "folder").write_text(f"{self.folder}\n")

    def save(self, name: str, text: str) -> None:
        (Path((self._state / "folder").read_text().rstrip("\n")) / name).write_text(self._here(text), encoding="utf-8")

    def run(self, command: Command, seconds: float) -> None:
        """Run ``command`` to its end, or until all that the page shows of it has come if it goes on."""
        job = self._start(command)
        until = time.monotonic() + seconds
        self._jobs.append(job)
        while not self._is_done(job):
            if job.process.poll() not in {None, 0, command.exit_code}:
                break
            if time.monotonic() > until:
                raise PageFailedError(
                    self._why(
                        job, f"has not {'printed what is shown' if command.goes_on else 'ended'} in {seconds:g} s"
                    )
                )
            time.sleep(_POLL_SECONDS)
        if job.process.poll() not in {command.exit_code, None}:
            raise PageFailedError(self._why(job, f"ended with {job.process.returncode}, not {command.exit_code}"))
        until = time.monotonic() + OTHERS_SECONDS
        while not (command.goes_on or self._is_shown(job)):
            if time.monotonic() > until or len(self._jobs) == 1:
                raise PageFailedError(self._why(job, "printed something else"))
            time.sleep(_POLL_SECONDS)
        if not command.goes_on:
            self._jobs.remove(job)

    def end(self) -> None:
        """Press Ctrl-C in what still runs: it ends as it should."""
        for job in self._jobs:
            if job.process.poll() is None:
                self._interrupt(job)
                if job.process.returncode not in {0, 130, -signal.SIGINT}:
                    raise PageFailedError(self._why(job, f"ended with {job.process.returncode} after Ctrl-C"))

    def kill(self) -> None:
        """End whatever is left, in any case."""
        for job in self._jobs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGKILL)

    def _start(self, command: Command) -> Job:
        self._count += 1
        output = self._state / f"output-{self._count}"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {
            **os.environ,
            "PATH": path,
            "STATE": str(self._state),
            "COLUMNS": "80",
            "TERM": "xterm",
            "PYTHONUNBUFFERED": "1",
        }
        screen, side = os.openpty() if command.is_watched else (-1, -1)
        with output.open("wb", buffering=0) as file:
            process = subprocess.Popen(
                ("bash", "--norc", "-c", _SHELL, "bash", self._here(command.in_front)),
                env={
                    name: value
                    for name, value in given.items()
                    if not name.startswith(("PYTEST", "COV_", "MAKE", "MFLAGS"))
                },
                stdin=subprocess.DEVNULL,
                stdout=side if command.is_watched else file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if command.is_watched:
            os.close(side)
            threading.Thread(target=_copy, args=(screen, output), daemon=True).start()
        return Job(command, process, output)

    def _is_done(self, job: Job) -> bool:
        if job.command.goes_on:
            return bool(job.printed()) and self._is_shown(job)
        return job.process.poll() is not None

    def _is_shown(self, job: Job) -> bool:
        """Whether what the page shows has been printed, by the command or by one that goes on; then it is read."""
        shown = self._here(job.command.shown)
        if not shown:
            return True
        size = job.output.stat().st_size
        if matches(shown, job.printed(), whole=not job.command.goes_on):
            job.read = size
            return True
        for other in self._jobs:
            printed = job.printed() + other.printed()
            if other is not job and matches(shown, printed, whole=True):
                other.read = other.output.stat().st_size
                return True
        return False

    def _interrupt(self, job: Job) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.process.pid, signal.SIGINT)
        try:
            job.process.wait(QUICK_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()

    def _here(self, text: str) -> str:
        return (
            text if not self._prefix else text.replace("/tmp/", f"{self._prefix}/").replace("/run/", f"{self._prefix}/")
        )

    def _why(self, job: Job, why: str) -> str:
        shown = f"\nthe page shows:\n{job.command.shown}" if job.command.shown else ""
        others = "".join(
            f"\n{each.command.text} has printed:\n{_end_of(each.printed())}" for each in self._jobs if each is not job
        )
        return f"{job.command.line}: {job.command.text}\n{why}; it printed:\n{job.printed()}{shown}{others}"


def _end_of(text: str) -> str:
    return "\n".join(text.splitlines()[-5:])


def _copy(screen: int, output: Path) -> None:
    """Keep what a terminal shows, without its colours and movements, until nobody writes there any more."""
    with output.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while data := os.read(screen, 65536):
            file.write(_ESCAPE.sub(b"", data).replace(b"\r\n", b"\n"))
    os.close(screen)


def run_page(page: Path, folder: Path, *, quick: bool, prefix: str = "") -> Run:
    """Run the blocks of ``page`` in ``folder``; ``quick`` leaves out those that the page gives a time.

    Raises `PageFailedError`, with the page and the line in front.
    """
    run, began = Run(page), time.monotonic()
    terminal = Terminal(folder, prefix)
    found = blocks(page)
    try:
        for block in found:
            if reason := block.not_run or _lacking(block):
                run.not_run.append(reason)
            elif quick and block.takes:
                run.left += 1
            else:
                run.ran += _run_block(block, terminal, found)
        terminal.end()
    except PageFailedError as failed:
        raise PageFailedError(f"{name_of(page)}:{failed}") from None
    finally:
        terminal.kill()
    run.seconds = time.monotonic() - began
    return run


def _lacking(block: Block) -> str:
    return f"{block.needs} is not installed" if block.needs and shutil.which(block.needs) is None else ""


def _run_block(block: Block, terminal: Terminal, all_blocks: list[Block]) -> bool:
    """Do what a reader does with ``block``; False if that is to look at it."""
    seconds = block.takes * PATIENCE or QUICK_SECONDS
    if block.language in {"console", "sh", "given"}:
        for command in commands(block):
            terminal.run(command, seconds)
    elif block.is_session:
        if block == next(each for each in all_blocks if each.is_session):
            _run_session(block.page)
    elif block.name:
        _must_parse(block)
        terminal.save(block.name, block.text)
        used = [command.text for each in all_blocks if each.line > block.line for command in _commands_of(each)]
        if not any(block.name in text for text in used):
            raise PageFailedError(f"{block.line - 1}: {block.name} is used by no command below it")
    elif block.language == "python":
        name = f"block_{block.line}.py"
        terminal.save(name, block.text)
        terminal.run(Command(block.line, f"python {name}"), seconds)
    elif block.language == "toml":
        raise PageFailedError(f"{block.line - 1}: a file without a name; write it behind the word toml")
    else:
        _must_parse(block)
        return block.language not in {"text", "mermaid"}
    return True


def _commands_of(block: Block) -> list[Command]:
    return commands(block) if block.language in {"console", "sh", "given"} else []


def _must_parse(block: Block) -> None:
    parse = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}.get(block.language, lambda _: None)
    try:
        parse(block.text)
    except (ValueError, yaml.YAMLError) as error:
        raise PageFailedError(f"{block.line}: {error}") from None


def _run_session(page: Path) -> None:
    """All ``>>>`` examples of the page, as one session."""
    output = "".join(_session_failures(page))
    if output:
        raise PageFailedError(f"{output}")


def _session_failures(page: Path) -> Iterator[str]:
    name = str(page)
    test = doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {"__name__": "__main__"}, name, name, 0)
    written: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=written.append)
    if result.failed:
        first = next(each for each in written if each.strip())
        line = next((part.split(",")[0] for part in first.split("line ")[1:]), "?")
        yield f"{line}: {''.join(written)}"
