"""What happens in a history, as a list of events that is drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from torq_engine.settings import Overflow, ServerSettings

from .kernel import Fault

CLIENTS = 6
_ACTS = {
    "join": 2.0,
    "send": 12.0,
    "garbage": 0.3,
    "read": 7.0,
    "half-close": 1.0,
    "leave": 1.0,
    "wait": 1.0,
    "takeover": 8.0,
    "exhaust": 0.4,
    "relent": 0.4,
}
"""What may happen, and how often beside the others."""
_OF_A_CLIENT = ("join", "send", "garbage", "read", "half-close", "leave")
_SIZES = (0, 1, 8, 40, 200, 200, 1000, 5000, 5000, 40_000)
_FAULTS = (
    ("kill", "new"),
    ("kill", "new"),
    ("kill", "old"),
    ("kill", "old"),
    ("stop", "new"),
    ("stop", "old"),
    ("EMFILE", "new"),
    ("EMFILE", "old"),
    ("ENOSPC", "old"),
    ("ENOMEM", "new"),
    ("ETOOMANYREFS", "old"),
    ("EAGAIN", "old"),
    ("EAGAIN", "new"),
    ("damage", "old"),
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens, and for how many turns processes run after it.

    ``act`` is one of

    - ``join``, ``half-close``, ``leave``: of ``client``;
    - ``send``: it sends frames with payloads of ``sizes``, and holds back the last ``kept`` bytes of them;
    - ``garbage``: it sends what begins no frame;
    - ``read``: it reads ``size`` bytes, of -1 everything;
    - ``wait``: so many ``seconds`` pass;
    - ``takeover``: a successor starts, with a ``form`` of the hub; the ``faults`` befall it, or who serves;
    - ``exhaust``, ``relent``: whoever serves gets no more descriptors, and gets them again.

    ``choices`` is where the order of calls and the small faults meanwhile come from.
    """

    act: str
    turns: int = 0
    choices: int = 0
    client: int = 0
    sizes: tuple[int, ...] = ()
    kept: int = 0
    size: int = -1
    seconds: float = 0.0
    form: str = "installed"
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        default = Event(self.act)
        words = [
            f"{name}={value!r}" if name != "faults" else f"faults=({', '.join(map(_fault_text, self.faults))})"
            for name in self.__slots__
            if (value := getattr(self, name)) != getattr(default, name) and name not in ("act", "choices")
        ]
        return " ".join([self.act, *words])


def _fault_text(fault: Fault) -> str:
    standing = f" for {fault.seconds:g} s" if fault.kind == "stop" else ""
    return f"{fault.kind} {fault.who} at call {fault.at}+{fault.after}{standing}"


@dataclass(frozen=True, slots=True)
class Program:
    """A relay with its settings and buffers, and all that happens to it."""

    events: tuple[Event, ...]
    form: str = "installed"
    overflow: str = "drop_oldest"
    echo: bool = True
    queue_bytes: int = 1 << 24
    total_bytes: int = 1 << 30
    read_bytes: int = 65_536
    capacity: int = 4000
    grace: float = 1e6
    noise: bool = True

    def settings(self) -> ServerSettings:
        """What the relays run with: nothing is lost or closed for lack of time."""
        return ServerSettings(
            echo=self.echo,
            overflow=Overflow(self.overflow),
            queue_bytes=self.queue_bytes,
            total_queue_bytes=self.total_bytes,
            read_bytes=self.read_bytes,
            stall_timeout=1e6,
            first_read_grace=self.grace,
            partial_frame_timeout=0,
        )

    @property
    def may_drop(self) -> bool:
        """Whether more may wait for a receiver than its queue holds, or one may count as one that only sends."""
        return min(self.queue_bytes, self.total_bytes) < 1 << 20 or self.grace < 1e6

    def __str__(self) -> str:
        given = (
            f"{self.overflow}, echo {'on' if self.echo else 'off'}, queue {self.queue_bytes} of {self.total_bytes}, "
        )
        given += f"read {self.read_bytes}, buffer {self.capacity}, grace {self.grace:g} s, hub {self.form}"
        given += "" if self.noise else ", no noise"
        return "\n".join([f"relay: {given}", *(f"{place + 1:4} {event}" for place, event in enumerate(self.events))])


def program_of(seed: int) -> Program:
    """The program of a seed."""
    draw = random.Random(seed)
    stalling = draw.random() < 0.2  # receivers that read no more hold up all others
    acts = {**_ACTS, "read": 1.0} if stalling else _ACTS
    clients = range(draw.randint(2, 4))
    events = [_join(draw, client) for client in clients]
    if stalling or draw.random() < 0.5:  # all are seen to read: for others, what is past the bound is dropped (ISO-7)
        for _ in range(2):
            events.append(Event("send", 20, draw.randrange(1 << 30), sizes=(8,)))
            events += [Event("read", 1, draw.randrange(1 << 30), client) for client in clients]
    events += [_event(draw, acts) for _ in range(draw.randint(10, 40))]
    program = Program(
        tuple(events),
        form=draw.choice(("installed", "interpreted")),
        overflow=draw.choice(("drop_oldest", "drop_oldest", "disconnect", "backpressure")),
        echo=draw.random() < 0.5,
        queue_bytes=draw.choice((300, 2000, 20_000)) if draw.random() < 0.4 else 1 << 24,
        total_bytes=draw.choice((1000, 8000, 100_000)) if draw.random() < 0.1 else 1 << 30,
        read_bytes=draw.choice((64, 300, 4096, 65_536)),
        capacity=draw.choice((100, 700, 2000, 10_000)),
        grace=5.0 if draw.random() < 0.1 else 1e6,
    )
    if stalling:
        return replace(program, overflow="backpressure", queue_bytes=draw.choice((300, 2000)), capacity=300)
    return program


def in_form(program: Program, form: str) -> Program:
    """The same with the hub in one form everywhere."""
    return replace(program, form=form, events=tuple(replace(event, form=form) for event in program.events))


def _join(draw: random.Random, client: int) -> Event:
    return Event("join", client=client, turns=draw.choice((0, 4, 20)), choices=draw.randrange(1 << 30))


def _event(draw: random.Random, acts: dict[str, float]) -> Event:
    act = draw.choices(list(acts), list(acts.values()))[0]
    event = Event(act, draw.choice((0, 1, 4, 8, 20, 20, 60)), draw.randrange(1 << 30))
    if act in _OF_A_CLIENT:
        event = replace(event, client=min(draw.randrange(CLIENTS), draw.randrange(CLIENTS)))
    match act:
        case "send":
            sizes = tuple(draw.choice(_SIZES) for _ in range(draw.randint(1, 4)))
            return replace(event, sizes=sizes, kept=draw.choice((0, 0, 0, 1, 10, 100)))
        case "read":
            return replace(event, size=draw.choice((-1, -1, 1, 50, 1000)))
        case "wait":
            return replace(event, seconds=draw.choice((0.002, 0.2, 3.0, 20.0)))
        case "takeover":
            turns, form = draw.choice((0, 5, 20, 60, 60, 150)), draw.choice(("installed", "interpreted"))
            return replace(event, turns=turns, form=form, faults=_faults(draw))
        case _:
            return event


def _faults(draw: random.Random) -> tuple[Fault, ...]:
    """One at most for each side."""
    count = draw.choices((0, 1, 2), (7, 10, 3))[0]
    drawn = {who: (kind, who) for kind, who in (draw.choice(_FAULTS) for _ in range(count))}
    return tuple(_fault(draw, kind, who) for kind, who in drawn.values())


def _fault(draw: random.Random, kind: str, who: str) -> Fault:
    at = draw.randrange(30) if kind in ("kill", "stop") else draw.randrange(12)
    seconds = draw.choice((0.01, 1.5, 4.0, 8.0, 70.0)) if kind == "stop" else 0.0
    return Fault(kind, who, at, draw.choice((0, 0, 1, 2, 5)), seconds)
