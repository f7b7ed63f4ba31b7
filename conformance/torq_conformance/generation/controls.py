"""Controls: a program without the thing that its requirement demands. A failing control clears the requirement.

Facts: a control keeps the sizes of frames, for relays lose frames by their sizes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torq_protocol.constants import HEADER_SIZE, MAX_STANDARD_VALUE, STANDARD_TLV_HEADER_SIZE

from ..model.frames import Frame, Tlv
from ..model.legality import free_type
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.steps import (
    Close,
    Connect,
    FailedTakeover,
    Finish,
    Freeze,
    Resume,
    Sip,
    Stall,
    Step,
    Takeover,
    Thaw,
    Write,
)
from .machine import sized_frame


def sequential_writes(program: Program) -> Program:
    """The same writes, each finished before the next begins."""
    steps: list[Step] = []
    for step in program.steps:
        if not isinstance(step, Finish):
            steps.append(step)
        if isinstance(step, Write) and step.stop is not None:
            steps.append(Finish(step.conn))
    return Program(program.domain, tuple(steps))


def one_frame_per_write(program: Program) -> Program:
    """The same frames, a write for each; the relay has read one write before the next."""
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Write) and step.stop is None:
            steps += [Write(step.conn, (item,)) for item in step.items]
        elif not isinstance(step, Freeze | Thaw):
            steps.append(step)
    return Program(program.domain, tuple(steps))


def only_valid_frames(program: Program) -> Program:
    """The same program with a valid frame of the same size in the place of each frame."""
    return _replaced(program, sized_frame)


def in_standard_tlvs(program: Program) -> Program:
    """The same program with a frame of one type, as large, in as few TLVs in standard form as that takes."""

    def standard(domain: int, kind: int, size: int) -> Frame:
        whole, rest = divmod(size - HEADER_SIZE, STANDARD_TLV_HEADER_SIZE + MAX_STANDARD_VALUE)
        sizes = [MAX_STANDARD_VALUE] * whole + [rest - STANDARD_TLV_HEADER_SIZE] * (rest > 0)
        if rest == 1:  # no TLV has one byte
            sizes[-2:] = [MAX_STANDARD_VALUE - 1, 0]
        return Frame(domain, tuple(Tlv(kind, value) for value in sizes))

    return _replaced(program, standard)


def _replaced(program: Program, of_size: Callable[[int, int, int], Frame]) -> Program:
    """A program in which ``of_size(domain, type, size)`` replaces each frame by another of the same size."""
    rules = rules_for(Profile(name="any"), program.domain)
    return with_frames(program, lambda frame: of_size(rules.number, free_type(rules), frame.size))


def with_frames(program: Program, change: Callable[[Frame], Frame]) -> Program:
    """The same program with each frame of its writes changed."""
    steps = (
        msgspec.structs.replace(
            step, items=tuple(change(item) if isinstance(item, Frame) else item for item in step.items)
        )
        if isinstance(step, Write)
        else step
        for step in program.steps
    )
    return Program(program.domain, tuple(steps))


def without_disconnects(program: Program) -> Program:
    """The same program, every client staying connected."""
    return Program(program.domain, tuple(step for step in program.steps if not isinstance(step, Close)))


def without_takeovers(program: Program) -> Program:
    """The same program on a relay that nobody replaces: where one was to be halted, it is stopped."""
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Takeover) and step.halted:
            steps.append(Freeze())
        elif not isinstance(step, Takeover | FailedTakeover):
            steps.append(step)
    return Program(program.domain, tuple(steps))


def without_stalls(program: Program) -> Program:
    """The same program, every client reading all the time."""
    steps = (msgspec.structs.replace(step, reads=True) if isinstance(step, Connect) else step for step in program.steps)
    return Program(program.domain, tuple(step for step in steps if not isinstance(step, Stall | Sip | Resume)))
