"""Fixed programs: what an engineer would try by hand first, a line for each, in the order of the requirements.

Every run of a requirement begins with its fixed programs; the tables of :mod:`.features` and random programs follow.

To add one, add a line: the requirement, what happens in plain words, and the steps. ``explain`` shows the words, and a
test plays the program on a correct relay of every domain that the requirement binds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ..model.frames import Frame, Raw, Tlv
from ..model.legality import free_type
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import (
    Close,
    Connect,
    FailedTakeover,
    Finish,
    Flood,
    HalfClose,
    Idle,
    Kill,
    Resume,
    Sip,
    Stall,
    Step,
    Sync,
    Takeover,
    Thaw,
    Write,
)
from .features.tables import empty_tlvs, own, sized
from .features.takeovers import backlog_of

PAIR: tuple[Step, ...] = (Connect(0), Connect(1))
"""A sends in most programs, B receives."""
TRIO: tuple[Step, ...] = (*PAIR, Connect(2))
READ_BUFFER_BYTES = 65_536
"""The read buffer of the original relays."""
BACKLOG_FRAMES = 400
"""Frames of 1.4 kB: more than a socket holds, far fewer than a queue."""


@dataclass(frozen=True, slots=True)
class FixedProgram:
    """One program of a requirement: ``title`` says what happens, ``steps`` gives it for the rules of a relay."""

    requirement: str
    title: str
    steps: Callable[[Rules], tuple[Step, ...]]

    def program(self, rules: Rules) -> Program:
        """The program for a relay of these rules."""
        return Program(rules.domain, self.steps(rules))


def _changed(rules: Rules, **fields: object) -> Frame:
    """A frame of the relay's own with other fields."""
    return msgspec.structs.replace(own(rules), **fields)


def _foreign(rules: Rules) -> Frame:
    """A frame of another domain."""
    return _changed(rules, domain=rules.number % 3 + 1)


def _of_types(rules: Rules, *types: int) -> Frame:
    return Frame(rules.number, tuple(Tlv(number, 8) for number in types))


def _around(rules: Rules, frame: Frame | Raw) -> tuple[Step, ...]:
    """A valid frame, another one, and a valid frame, in one write."""
    return (*PAIR, Write(0, (own(rules), frame, own(rules))))


def _largest(rules: Rules, size: int) -> Frame:
    return sized(rules, min(size, rules.max_message_size))


def _each_sends(rules: Rules) -> tuple[Step, ...]:
    """A frame of A, and one of B."""
    return tuple(Write(conn, (own(rules),)) for conn in (0, 1))


FIXED_PROGRAMS = (
    FixedProgram("CONN-3", "a client that was silent sends", lambda r: (*PAIR, Idle(300), Write(1, (own(r),)))),
    FixedProgram(
        "CONN-3", "both clients send, in turn", lambda r: (*PAIR, *(Write(conn, (own(r),)) for conn in (0, 1, 0, 1)))
    ),
    FixedProgram(
        "CONN-6",
        "a client leaves within a header",
        lambda r: (*TRIO, Write(2, (own(r),), stop=10), Close(2), Write(0, (own(r),))),
    ),
    FixedProgram(
        "CONN-6",
        "a client resets its connection within a payload",
        lambda r: (*TRIO, Write(2, (own(r),), stop=36), Close(2, reset=True), Write(0, (own(r),))),
    ),
    FixedProgram(
        "CONN-6",
        "a client sends a frame and leaves at once",
        lambda r: (*TRIO, Write(2, (own(r),), settle=False), Close(2), Write(0, (own(r),))),
    ),
    FixedProgram("CONN-7", "a half-closed client receives", lambda r: (*PAIR, HalfClose(1), Write(0, (own(r),)))),
    FixedProgram(
        "CONN-7",
        "a client half-closes right after a frame",
        lambda r: (*PAIR, Write(0, (own(r),), settle=False), HalfClose(0), Write(1, (own(r),))),
    ),
    FixedProgram("FWD-1", "one frame", lambda r: (*PAIR, Write(0, (own(r),)))),
    FixedProgram(
        "FWD-1", "each of three clients sends", lambda r: (*TRIO, *(Write(conn, (own(r),)) for conn in range(3)))
    ),
    FixedProgram("FWD-2", "ten frames for two receivers", lambda r: (*TRIO, *(Write(0, (own(r),)),) * 10)),
    FixedProgram("FWD-3", "all flags set", lambda r: (*PAIR, Write(0, (_changed(r, flags=255),)))),
    FixedProgram(
        "FWD-3",
        "sequence and timestamp 0, and the largest",
        lambda r: (*PAIR, *(Write(0, (_changed(r, sequence=n, timestamp=n),)) for n in (0, 2**64 - 1))),
    ),
    FixedProgram("FWD-4", "a sender, with one receiver", lambda r: (*PAIR, Write(0, (own(r),)))),
    FixedProgram(
        "FWD-5",
        "a client joins after a frame has arrived",
        lambda r: (*PAIR, Write(0, (own(r),)), Sync(), Connect(2), Write(0, (own(r),))),
    ),
    FixedProgram("FWD-6", "a header-only frame alone", lambda r: (*PAIR, Write(0, (Frame(r.number),)))),
    FixedProgram("FWD-6", "a header-only frame between two others", lambda r: _around(r, Frame(r.number))),
    FixedProgram(
        "FWD-7",
        "frames about the size of a read buffer",
        lambda r: (*PAIR, *(Write(0, (_largest(r, READ_BUFFER_BYTES + off),)) for off in (-1, 0, 1))),
    ),
    FixedProgram(
        "FWD-7",
        "a frame of four read buffers between two small ones",
        lambda r: _around(r, _largest(r, 4 * READ_BUFFER_BYTES)),
    ),
    FixedProgram("FWD-8", "300 TLVs", lambda r: (*PAIR, Write(0, (Frame(r.number, empty_tlvs(r, 300)),)))),
    FixedProgram(
        "FWD-8",
        "a TLV in extended form between two standard ones",
        lambda r: (*PAIR, Write(0, (Frame(r.number, (*own(r).tlvs, Tlv(free_type(r), 300), *own(r).tlvs)),))),
    ),
    FixedProgram("FRAME-1", "a frame byte by byte", lambda r: (*PAIR, Write(0, (own(r),), every=1))),
    FixedProgram(
        "FRAME-1",
        "a frame cut just before and just after the end of its header",
        lambda r: (*PAIR, Write(0, (own(r),), cuts=(31, 33))),
    ),
    FixedProgram("FRAME-2", "three frames in one write", lambda r: (*PAIR, Write(0, (own(r),) * 3))),
    FixedProgram(
        "FRAME-2",
        "a frame and a half, then the other half and a frame",
        lambda r: (*PAIR, Write(0, (own(r),) * 3, cuts=(own(r).size * 3 // 2,))),
    ),
    FixedProgram(
        "FRAME-3",
        "B sends while A is within a frame",
        lambda r: (*PAIR, Write(0, (own(r),), stop=20), Write(1, (own(r),)), Finish(0)),
    ),
    FixedProgram(
        "FRAME-4",
        "A never ends its frame, B sends",
        lambda r: (*TRIO, Write(0, (own(r),), stop=36), Write(1, (own(r),))),
    ),
    FixedProgram("ORD-1", "twenty frames at once", lambda r: (*PAIR, *(Write(0, (own(r),), settle=False),) * 20)),
    FixedProgram(
        "ORD-2",
        "two senders at once, two receivers",
        lambda r: (*TRIO, Connect(3), *(Write(n % 2, (own(r),), settle=False) for n in range(20))),
    ),
    FixedProgram(
        "ORD-3",
        "B answers what A has sent",
        lambda r: (*TRIO, *(Write(0, (own(r),)), Sync(), Write(1, (own(r),)), Sync()) * 3),
    ),
    FixedProgram("DOM-1", "a frame of another domain between two valid ones", lambda r: _around(r, _foreign(r))),
    FixedProgram(
        "DOM-2",
        "a foreign type after one of the relay's own",
        lambda r: _around(r, _of_types(r, free_type(r), r.first_type - 1)),
    ),
    FixedProgram("DOM-3", "types of every domain", lambda r: (*PAIR, Write(0, (_of_types(r, 4, 30, 46, 100),)))),
    FixedProgram(
        "DOM-4",
        "types at both edges of the range, inside and outside",
        lambda r: (
            *PAIR,
            *(
                Write(0, (Frame(r.number, (Tlv(number, 256),)), own(r)))
                for edge in (r.first_type, r.last_type + 1)
                for number in (edge - 1, edge)
                if number
            ),
        ),
    ),
    FixedProgram("VAL-1", "one wrong bit of the checksum", lambda r: _around(r, _changed(r, checksum="one-bit"))),
    FixedProgram("VAL-1", "a wrong bit of the payload", lambda r: _around(r, _changed(r, checksum="payload-flipped"))),
    FixedProgram(
        "VAL-2", "a wrong checksum, unverified", lambda r: (*PAIR, Write(0, (_changed(r, checksum="inverted"),)))
    ),
    FixedProgram("VAL-3", "a TLV longer than the payload", lambda r: _around(r, Frame(r.number, tail="1eff00"))),
    FixedProgram("VAL-4", "an unknown version", lambda r: _around(r, _changed(r, version=2))),
    FixedProgram("VAL-4", "an unknown source", lambda r: _around(r, _changed(r, source=99))),
    FixedProgram(
        "VAL-5",
        "text instead of a frame",
        lambda r: (*TRIO, Write(2, (own(r), Raw(b"hello".ljust(64, b"!").hex()))), Write(0, (own(r),))),
    ),
    FixedProgram(
        "VAL-5",
        "a header that announces 4 GiB",
        lambda r: (*TRIO, Write(2, (_changed(r, claim=2**32 - 1),)), Write(0, (own(r),))),
    ),
    FixedProgram(
        "VAL-6",
        "zeros from one client, frames from another",
        lambda r: (*TRIO, Write(2, (Raw(bytes(4096).hex()),)), Write(0, (own(r),))),
    ),
    FixedProgram(
        "ISO-1",
        "A sends while B does not read and C does",
        lambda r: (*TRIO, Stall(1), Flood(0, own(r, 1_400), BACKLOG_FRAMES), Sync()),
    ),
    FixedProgram(
        "ISO-5",
        "B reads again and gets what waited for it",
        lambda r: (*TRIO, Stall(1), Flood(0, own(r, 1_400), BACKLOG_FRAMES), Resume(1), Sync(), Write(0, (own(r),))),
    ),
    FixedProgram(
        "LIFE-2",
        "the relay is killed and started again, and clients come back",
        lambda r: (*PAIR, Write(0, (own(r),)), Kill(), Connect(2), Connect(3), Write(2, (own(r),))),
    ),
    FixedProgram(
        "LIFE-3",
        "a successor takes over between frames, and a client joins",
        lambda r: (*PAIR, *_each_sends(r), Takeover(), *_each_sends(r), Connect(2), Write(2, (own(r),))),
    ),
    FixedProgram(
        "LIFE-3",
        "a successor takes over while A is within a frame, and B is within a large one",
        lambda r: (
            *TRIO,
            Write(0, (own(r),), stop=20),
            Write(1, (_largest(r, 200_000),), stop=_largest(r, 200_000).size * 3 // 4),
            Takeover(),
            Finish(0),
            Finish(1),
        ),
    ),
    FixedProgram(
        "LIFE-3",
        "B, and C that sends no more, read what waited for them when a successor took over",
        lambda r: (
            *TRIO,
            Stall(1),
            HalfClose(2),
            Stall(2),
            Flood(0, own(r, 1_400), backlog_of(r)),
            Sip(1, 1_000),
            Takeover(),
            Resume(1),
            Resume(2),
        ),
    ),
    FixedProgram(
        "LIFE-3",
        "a client that never reads sends before and after a takeover",
        lambda r: (
            *PAIR,
            Connect(2, reads=False),
            Write(2, (own(r),)),
            Flood(0, own(r, 1_400), backlog_of(r)),
            Takeover(),
            Write(2, (own(r),)),
            Write(0, (own(r),)),
        ),
    ),
    FixedProgram(
        "LIFE-3",
        "clients send, half-close, leave and join within a takeover",
        lambda r: (
            *TRIO,
            Connect(3),
            Takeover(halted=True),
            *(Write(conn, (own(r),), settle=False) for conn in (0, 1, 3)),
            HalfClose(1),
            Close(2),
            Close(3, reset=True),
            Connect(4),
            Thaw(),
            Sync(),
            *(Write(conn, (own(r),)) for conn in (0, 4)),
        ),
    ),
    FixedProgram(
        "LIFE-3",
        "B reads again within a takeover",
        lambda r: (
            *TRIO,
            Stall(1),
            Flood(0, own(r, 1_400), backlog_of(r)),
            Takeover(halted=True),
            Resume(1),
            Idle(5),
            Thaw(),
        ),
    ),
    FixedProgram(
        "LIFE-3",
        "a second successor takes over from the first",
        lambda r: (*PAIR, Takeover(), *_each_sends(r), Takeover(), *_each_sends(r)),
    ),
    FixedProgram(
        "LIFE-4",
        "a successor is killed at once",
        lambda r: (*PAIR, FailedTakeover(), *_each_sends(r), Connect(2), Write(2, (own(r),))),
    ),
    FixedProgram(
        "LIFE-4",
        "a successor is killed within a takeover",
        lambda r: (*PAIR, FailedTakeover(holds=True), *_each_sends(r), Connect(2), Write(2, (own(r),))),
    ),
    FixedProgram(
        "LIFE-4",
        "a successor is killed within a takeover while A is within a frame, and B has a backlog",
        lambda r: (
            *TRIO,
            Stall(1),
            Flood(0, own(r, 1_400), backlog_of(r)),
            Write(2, (own(r),), stop=20),
            FailedTakeover(holds=True),
            Finish(2),
            Resume(1),
        ),
    ),
    FixedProgram(
        "LIFE-4",
        "a successor takes over after one that was killed",
        lambda r: (*PAIR, FailedTakeover(), *_each_sends(r), Takeover(), *_each_sends(r)),
    ),
)


def fixed_programs(requirement: str) -> tuple[FixedProgram, ...]:
    """The fixed programs of a requirement, in the order of the list."""
    return tuple(each for each in FIXED_PROGRAMS if each.requirement == requirement)
