"""``torq_bench takeover-faults``: takeovers one after the other under traffic, a fault in each (LIFE-3, LIFE-4).

Facts:
- real processes: the relay of market data, its successors, and one process of clients. A *life* is one relay and all
  that came after it; it ends with a fault that no relay can survive, or with the run;
- which fault, where and when are drawn from the seed. The first takeover of a life meets none: it shows which calls
  there are to meet one at;
- a client may be disconnected only where the process that owned it was killed: a predecessor before its successor was
  prepared, or a successor that served already. Everything else is a fault of ours, and ends the run with exit code 1;
- a stopped process goes on after a while, as one does that waited for a core.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from torq_engine.errors import RelayError
from torq_engine.operations.control_client import ControlClient
from torq_engine.operations.status import Status
from torq_engine.operations.takeovers import TakeoverReport

from .faulty_handover import (
    DAMAGE,
    DESCRIPTORS,
    FUTURE,
    KILL,
    PREDECESSOR,
    ROOM,
    STOP,
    SUCCESSOR,
    Call,
    Fault,
    Struck,
    applicable,
    command,
)
from .handover_traffic import CONNECTIONS, Traffic
from .relays import allow_descriptors, resident_bytes
from .takeover_page import AROUND, PICTURE, Outcome, Tally, written
from .takeover_plot import drawn

_LIMIT = 30.0
_WARM_FRAMES = 3000
_CLOSE_SECONDS = 2.0
_NONE, _TWO = "none", "two at once"
_KINDS = (
    (_NONE, 10),
    (_TWO, 5),
    (KILL, 30),
    (STOP, 20),
    (DESCRIPTORS, 15),
    (ROOM, 5),
    (DAMAGE, 5),
    (FUTURE, 5),
)
"""What is met, and how often in a hundred."""
_QUEUES = ("--queue-frames", "10000000", "--queue-bytes", "500000000", "--total-queue-bytes", "1000000000")
_STOPPED_SECONDS = (0.01, 2.5)
_MARK = "LIFE_OF_A_BENCH"
_OWNED = ("SERVING",)
_SURVIVED = {"COMMITTED", "RECLAIMING", "LEFT"}


class Life:
    """One relay with its successors, and the clients that stay with it."""

    def __init__(self, seed: int, outcome: Outcome) -> None:
        self._rng = random.Random(seed)
        self._outcome = outcome
        self._directory = Path(tempfile.mkdtemp(prefix="torq-bench-"))
        self._control = str(self._directory / "ctl")
        path = str(self._directory / "s")
        flags = ["--socket", path, "--control-socket", self._control, "--no-echo", "--log-level", "critical", *_QUEUES]
        words, marked = command(self._directory, *flags), {**os.environ, _MARK: path}
        self._first = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=marked)
        self.owner = self._first.pid
        self._mark = f"{_MARK}={path}".encode()
        self.chain = 0
        self._calls: dict[str, list[Call]] = {}
        self._await_owner()
        self.traffic = Traffic(path, seed)
        self._await_connections()
        self.traffic.start()
        self._moments: list[float] = []
        while sum(sender.sent for sender in self.traffic.senders) < _WARM_FRAMES:
            time.sleep(0.01)
        self._first_facts = self._facts()

    # One takeover

    def take_over(self, *, faultless: bool) -> bool:
        """One takeover, with a fault or without; False when the life is over."""
        kind, fault = (_NONE, None) if faultless or not self._calls else self._draw()
        tally = self._outcome.tallies.setdefault(kind, Tally())
        tally.tried += 1
        for name in ("struck", "fault"):
            (self._directory / name).unlink(missing_ok=True)
        if fault is not None:
            (self._directory / "fault").write_bytes(msgspec.json.encode(fault))
        before = self.owner
        asked = threading.Event()
        watcher = threading.Thread(target=self._resume_if_stopped, args=(asked,))
        watcher.start()
        report = self._asked(twice=kind == _TWO)
        asked.set()
        watcher.join()
        struck = self._struck()
        (self._directory / "fault").unlink(missing_ok=True)
        tally.struck += struck is not None or kind in (_NONE, _TWO)
        serves = self._await_owner()
        if serves and self.owner != before:
            tally.taken += 1
            self.chain += 1
            self._outcome.longest_chain = max(self._outcome.longest_chain, self.chain)
            if report is not None and report.taken and kind in (_NONE, _TWO):
                self._outcome.frozen.append(report.frozen)
                self._moments.append(time.time() - report.frozen)
        elif serves:
            tally.served_on += 1
        else:
            tally.clients_lost += 1
        wrong = self._judged(kind, struck, serves, report)
        if kind == _NONE and serves:
            self._learn_calls()
        self._outcome.wrong += wrong
        return serves and not wrong

    def _draw(self) -> tuple[str, Fault | None]:
        kind = self._rng.choices([name for name, _ in _KINDS], [weight for _, weight in _KINDS])[0]
        if kind in (_NONE, _TWO):
            return kind, None
        places: dict[tuple[str, Call], list[int]] = {}
        for role, calls in self._calls.items():
            for place, call in enumerate(calls):
                if applicable(kind, role, call):
                    places.setdefault((role, call), []).append(place)
        role, call = self._rng.choice(list(places))  # as often where one call is made as where hundreds are
        return kind, Fault(role, self._rng.choice(places[role, call]), kind)

    def _learn_calls(self) -> None:
        for role in (PREDECESSOR, SUCCESSOR):
            with suppress(OSError, msgspec.MsgspecError):
                self._calls[role] = msgspec.json.decode(
                    (self._directory / f"calls.{role}").read_bytes(), type=list[Call]
                )

    def _asked(self, *, twice: bool) -> TakeoverReport | None:
        """What the relay says of its takeover; None where it does not come to say anything."""
        others: list[TakeoverReport | None] = []
        second = threading.Thread(target=lambda: others.append(self._ask()))
        if twice:
            second.start()
        report = self._ask()
        if twice:
            second.join()
            if report is None or not report.taken:
                report = others[0] or report
        return report

    def _ask(self) -> TakeoverReport | None:
        try:
            client = ControlClient(self._control)
        except RelayError:
            return None
        try:
            return msgspec.json.decode(client.ask("takeover"), type=TakeoverReport)
        except RelayError:
            return None
        finally:
            client.close()

    def _resume_if_stopped(self, asked: threading.Event) -> None:
        while (struck := self._struck()) is None and not asked.wait(0.002):
            pass
        if struck is not None and struck.fault.what == STOP:
            time.sleep(self._rng.uniform(*_STOPPED_SECONDS))
            with suppress(ProcessLookupError):
                os.kill(struck.pid, signal.SIGCONT)

    def _struck(self) -> Struck | None:
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self._directory / "struck").read_bytes(), type=Struck)
        return None

    # What is seen from outside

    def _judged(self, kind: str, struck: Struck | None, serves: bool, report: TakeoverReport | None) -> list[str]:
        """What may not be: of the clients, of who serves, of what the relay says."""
        met = f"{kind} ({_told(struck)})" if struck else kind
        wrong = [f"{met}: {fault}" for fault in self.traffic.faults()]
        if not serves:
            if not _may_end_all(struck):
                wrong.append(f"{met}: nobody serves")
            self._outcome.disconnected[_told(struck) if struck else kind] += CONNECTIONS
            return wrong
        wrong += [f"{met}: {gone}" for gone in self.traffic.gone()]
        if struck is not None and struck.fault.what == KILL and self.owner == struck.pid:
            wrong.append(f"{met}: {self.owner} answers, and was killed")
        if struck is not None and struck.fault.what in (ROOM, DAMAGE) and report is not None and report.taken:
            wrong.append(f"{met}: taken over all the same")
        if struck is None and (report is None or not report.taken):
            wrong.append(f"{met}: not taken over, {report.reason if report else 'and no answer'}")
        if report is not None and report.taken and report.pid != self.owner:
            wrong.append(f"{met}: process {report.pid} took over, {self.owner} serves")
        return wrong

    def _await_owner(self) -> bool:
        """Wait until a relay answers, or none is there any more; whether one does."""
        limit = time.monotonic() + _LIMIT
        while time.monotonic() < limit:
            found = self._status()
            if found is not None:
                self.owner = found.pid
                return True
            if not self._processes():
                return False
            time.sleep(0.005)
        return False

    def _status(self) -> Status | None:
        with suppress(RelayError, msgspec.MsgspecError):
            client = ControlClient(self._control)
            try:
                return msgspec.json.decode(client.ask("status"), type=Status)
            finally:
                client.close()
        return None

    def _await_connections(self) -> None:
        limit = time.monotonic() + _LIMIT
        while time.monotonic() < limit:
            found = self._status()
            if found is not None and found.connections == CONNECTIONS:
                return
            time.sleep(0.005)
        raise RelayError("the clients were not admitted")

    def _processes(self) -> list[int]:
        """The living processes of this life, in any order."""
        found = [self._first.pid] if self._first.poll() is None else []  # one that begins shows no environment yet
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and self._mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return sorted({*found})

    def _facts(self) -> tuple[int, int]:
        """Descriptors and resident bytes of the owner."""
        return len(os.listdir(f"/proc/{self.owner}/fd")), resident_bytes(self.owner)

    # How it ends

    def end(self, *, served: bool) -> None:
        """Let everybody have everything, if somebody serves; one process may be left, and none in the end."""
        outcome, traffic = self._outcome, self.traffic
        if served:
            outcome.wrong += traffic.finish()
            self._await_connections()
            last = self._facts()
            limit = time.monotonic() + _CLOSE_SECONDS
            while last[0] > self._first_facts[0] and time.monotonic() < limit:  # it may be about to close an operator
                time.sleep(0.01)
                last = self._facts()
            outcome.descriptors, outcome.resident = _pairs(self._first_facts, last)
        traffic.abandon()
        outcome.lives += 1
        outcome.frames += sum(sender.sent for sender in traffic.senders)
        outcome.delivered += sum(sum(client.next.values()) for client in traffic.clients)
        outcome.visitors += traffic.visitors
        outcome.latencies += _around(traffic.latencies, self._moments)
        if served:
            self._leave_one()
            with suppress(ProcessLookupError):
                os.kill(self.owner, signal.SIGTERM)
        if outcome.wrong:
            self._kill(self._processes())
        elif left := self._await_end(0):
            outcome.wrong.append(f"processes {left} do not end")
            self._kill(left)
        self._first.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _kill(self, processes: list[int]) -> None:
        for number in processes:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def _leave_one(self) -> None:
        left = self._await_end(1)
        if left != [self.owner]:
            self._outcome.wrong.append(f"processes {left} are left where {self.owner} serves")

    def _await_end(self, most: int) -> list[int]:
        limit = time.monotonic() + _LIMIT
        while len(left := self._processes()) > most and time.monotonic() < limit:
            time.sleep(0.02)
        return left


def _may_end_all(struck: Struck | None) -> bool:
    """Whether nobody can serve any more: who owned the clients was killed."""
    if struck is None or struck.fault.what != KILL:
        return False
    if struck.fault.role == SUCCESSOR:
        return struck.call.state in _OWNED
    return struck.call.state not in _SURVIVED


def _told(struck: Struck) -> str:
    return f"{struck.fault.role} {struck.fault.what} in {struck.call.state} before {struck.call.name}"


def _pairs(first: tuple[int, int], last: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (first[0], last[0]), (first[1], last[1])


def _around(latencies: list[tuple[float, float]], moments: list[float]) -> list[tuple[float, float]]:
    """The latencies within :data:`AROUND` seconds of a moment, by how far from it the frame was sent."""
    found = []
    place = 0
    for moment in moments:
        while place < len(latencies) and latencies[place][0] < moment - AROUND:
            place += 1
        for sent, latency in latencies[place:]:
            if sent > moment + AROUND:
                break
            found.append((sent - moment, latency))
    return found


@click.command(name="takeover-faults")
@click.option("--times", default=1000, show_default=True, type=click.IntRange(1), help="takeovers to try")
@click.option("--chain", default=50, show_default=True, type=click.IntRange(0), help="of them first, without a fault")
@click.option("--seed", type=int, help="Repeats which faults are drawn.  [default: another one each time]")
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was seen as a page, and the picture beside it.",
)
def takeover_faults(times: int, chain: int, seed: int | None, page: Path | None) -> None:
    """Take a relay over again and again, with a fault in each; exit code 1 if a client notices what it should not."""
    allow_descriptors()
    seed = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    outcome = Outcome()
    began = time.monotonic()
    while outcome.takeovers < times and not outcome.wrong:
        life = Life(seed + outcome.lives, outcome)
        served = True
        try:
            while served and outcome.takeovers < times and not outcome.wrong:
                nth = outcome.takeovers + 1
                served = life.take_over(faultless=nth <= chain or nth == times)
                if sys.stderr.isatty():
                    click.echo(f"\r{outcome.takeovers} of {times}, life {outcome.lives + 1}  ", err=True, nl=False)
        finally:
            life.end(served=served and not outcome.wrong)
    text = written(outcome, seed, time.monotonic() - began)
    click.echo(text)
    if page is not None:
        page.write_text(text, "utf-8")
        picture = page.parent / PICTURE
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(drawn(outcome.latencies), "utf-8")
    sys.exit(1 if outcome.wrong else 0)
