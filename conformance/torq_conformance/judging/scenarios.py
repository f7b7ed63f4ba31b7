"""How each requirement is tested: the features its programs are made of, and the oracles that judge them.

Reading this table is reading the test plan. What programs cannot show is judged by the fixed checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..counting import counted
from ..generation import controls as c
from ..generation import features as f
from ..generation.machine import ProgramMachine
from ..model.findings import Finding, Kind
from ..model.history import History
from ..model.legality import Fate
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import (
    Close,
    Connect,
    Finish,
    HalfClose,
    Kill,
    Resume,
    Stall,
    Step,
    Sync,
    Takeover,
    Write,
)
from ..oracles import isolation as i
from ..oracles import traffic as o

Feature = type[ProgramMachine]
Control = Callable[[Program], Program]
Need = Callable[[Program, History, Rules], bool]
First = Callable[[Rules], tuple[Program, ...]]


LITTLE = 28_000_000
"""A queue that takes this to overflow, in bytes, makes programs dear."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Programs for one requirement: ``features`` write them, ``oracles`` judge them, ``steps`` is their length.

    ``needs`` says whether a run was about the requirement. A run that was not neither counts nor fails.
    ``control`` gives the same program without what the requirement is about: where that fails too, the failure belongs
    to another requirement, unless it is of one of the kinds ``own``. ``cost`` says how many programs of other
    requirements one of these is worth where a queue holds little; with ``overflows`` it grows with what a queue holds.
    ``spawned`` says that the suite must have started the relay itself, ``replaced`` that it must know how to start a
    successor of it. ``first`` gives programs that every run begins
    with, because chance would seldom write them.
    """

    features: tuple[Feature, ...]
    oracles: tuple[o.Oracle, ...]
    steps: int = 12
    needs: Need | None = None
    control: Control | None = None
    own: tuple[Kind, ...] = ()
    cost: int = 1
    overflows: bool = False
    spawned: bool = False
    replaced: bool = False
    first: First | None = None

    def cost_under(self, rules: Rules) -> int:
        """How many programs of other requirements one of these is worth."""
        dear = self.overflows and f.is_fillable(rules)
        return self.cost * (1 + f.cost_of_overflow(rules) // LITTLE if dear else 1)

    def random_programs(self, effort: int, rules: Rules, *, beside_tables: bool) -> int:
        """How many random programs an effort is worth: beside tables that overflow, not one overflow more than that."""
        programs = effort / self.cost_under(rules)
        return math.floor(programs) if beside_tables and self.overflows else math.ceil(programs)

    def unfit_for(self, rules: Rules) -> str:
        """Why no program can be about the requirement under these rules; "" where one can."""
        if self.needs is not exceeds_a_queue or f.is_fillable(rules):
            return ""
        held, filled = counted(rules.most_bytes, "byte"), counted(f.MOST_QUEUE_BYTES, "byte")
        return f"the queue of a consumer holds {held}, and the suite fills {filled} at most"

    def exercised(self, program: Program, history: History, rules: Rules) -> bool:
        """Whether the run tested the requirement: frames were sent, somebody was served, and ``needs`` holds."""
        served = any(peer.joined is not None for peer in history.peers.values())
        return (
            bool(history.sent)
            and (served or o.unserved in self.oracles)
            and (self.needs is None or self.needs(program, history, rules))
        )

    @property
    def cells(self) -> set[str]:
        """What its programs can bring about, by the names of the evidence."""
        return {cell for feature in self.features for kind in feature.__mro__ for cell in vars(kind).get("cells", ())}

    def judge(self, history: History, rules: Rules) -> list[Finding]:
        """Everything in a history that contradicts the requirement."""
        return [finding for oracle in self.judges for finding in oracle(history, rules)]

    @property
    def judges(self) -> tuple[o.Oracle, ...]:
        """All oracles that a history is shown to: a relay that dies or takes nothing breaks every requirement."""
        return (o.crashed, o.stuck, *self.oracles)


def _writes(program: Program) -> list[Write]:
    return [step for step in program.steps if isinstance(step, Write)]


def has_split_write(program: Program, _: History, __: Rules) -> bool:
    """A write was cut."""
    return any(len(write.pieces()) > 1 for write in _writes(program))


def has_coalesced_frames(program: Program, _: History, __: Rules) -> bool:
    """Several frames went out in one write."""
    return any(len(write.items) > 1 for write in _writes(program))


def has_interleaved_write(program: Program, _: History, __: Rules) -> bool:
    """A frame was begun, another client wrote, and the frame was finished."""
    begun: dict[int, bool] = {}
    for step in program.steps:
        if isinstance(step, Write):
            begun = {conn: True for conn in begun if conn != step.conn}
            if step.stop is not None:
                begun[step.conn] = False
        elif isinstance(step, Finish) and begun.get(step.conn):
            return True
    return False


def leaves_a_frame_unfinished(program: Program, _: History, __: Rules) -> bool:
    """A frame was begun and never finished."""
    return any(write.stop is not None for write in _writes(program)) and not any(
        isinstance(step, Finish) for step in program.steps
    )


def has(kind: type[Step]) -> Need:
    """A step of some kind was played."""
    return lambda program, _, __: any(isinstance(step, kind) for step in program.steps)


def kills_a_successor(_: Program, history: History, __: Rules) -> bool:
    """A successor was killed, or ended by itself, and the relay was left alone."""
    return history.successors_killed > 0 or bool(history.not_replaced)


def fate(wanted: Fate) -> Need:
    """A frame of some fate was sent."""
    return lambda _, history, __: any(sent.fate is wanted for sent in history.sent)


def breaks_framing(_: Program, history: History, __: Rules) -> bool:
    """A client sent what begins no frame."""
    return bool(history.broken)


def has_late_join(program: Program, _: History, __: Rules) -> bool:
    """A client connected after frames had been sent."""
    kinds = [type(step) for step in program.steps]
    return Write in kinds and Connect in kinds[kinds.index(Write) :]


def exceeds_a_queue(program: Program, _: History, rules: Rules) -> bool:
    """While a client did not read, more was sent than its queue holds, whether or not the relay took it all."""
    return any(count > rules.most_frames or size > rules.most_bytes for count, size in _sent_during_stalls(program))


def exceeds_a_queue_if_possible(program: Program, history: History, rules: Rules) -> bool:
    """The same where the suite can fill a queue, else a backlog."""
    return (exceeds_a_queue if f.is_fillable(rules) else builds_a_backlog)(program, history, rules)


def builds_a_backlog(program: Program, _: History, rules: Rules) -> bool:
    """While a client did not read, over a hundred frames were sent, or more bytes than its socket holds."""
    sent = list(_sent_during_stalls(program))
    return sum(count for count, _ in sent) > 100 or sum(size for _, size in sent) > rules.socket_bytes


def _sent_during_stalls(program: Program) -> Iterator[tuple[int, int]]:
    """How many frames, and bytes, each step sent while a client did not read."""
    silent: set[int] = set()
    for step in program.steps:
        if isinstance(step, Stall) or (isinstance(step, Connect) and not step.reads):
            silent.add(step.conn)
        elif isinstance(step, Resume):
            silent.discard(step.conn)
        elif step.content and silent:
            yield len(step.content), step.weight.bytes


WHOLE = (o.lost, o.held_back, o.torn, o.altered, o.closed_unexpectedly)
TRANSPARENT = (
    o.unserved,
    *WHOLE,
    o.duplicated,
    o.mixed,
    o.leaked,
    o.echoed_wrongly,
    o.replayed,
    o.reordered_within_sender,
    o.reordered_between_receivers,
    o.causality_broken,
)
"""All that traffic shows of a relay that did not serve as it should."""
REFUSED = (o.lost, o.held_back, o.torn, o.leaked, o.closed_unexpectedly)


def _all(*tables: First) -> First:
    """The programs of several tables."""
    return lambda rules: tuple(program for table in tables for program in table(rules))


def _refuses(*features: Feature, first: First) -> Scenario:
    """Frames that the relay must refuse, among others. A failure without them is of another requirement."""
    needs = fate(Fate.REFUSE)
    return Scenario(
        features, (*REFUSED, o.altered), needs=needs, control=c.only_valid_frames, own=(Kind.LEAKED,), first=first
    )


SCENARIOS: dict[str, Scenario] = {
    "CONN-3": Scenario(
        (f.Traffic, f.Joins, f.IdlePeriods, f.Streams),
        (o.unserved, o.lost, o.closed_unexpectedly),
        steps=8,
        first=f.idle_then_send,
    ),
    "CONN-6": Scenario(
        (f.Traffic, f.Joins, f.Disconnects, f.InterleavedWrites),
        (o.unserved, o.lost, o.held_back, o.torn, o.closed_unexpectedly),
        needs=has(Close),
        control=c.without_disconnects,
        first=_all(
            f.disconnects_with_frames_in_flight,
            f.join_after_backlogged_leave,
        ),
    ),
    "CONN-7": Scenario(
        (f.Traffic, f.Joins, f.HalfCloses),
        (o.lost, o.held_back, o.closed_unexpectedly),
        needs=has(HalfClose),
        first=f.half_close_edges,
    ),
    "FWD-1": Scenario(
        (f.Traffic, f.Joins, f.ShortLivedClients, f.Streams, f.ZeroChecksums),
        (o.unserved, o.lost, o.held_back),
        first=f.valid_frame_edges,
    ),
    "FWD-2": Scenario(
        (f.Traffic, f.ConcurrentWrites, f.Joins),
        (o.duplicated,),
        first=_all(f.identical_frames, f.frames_at_short_write_ends),
    ),
    "FWD-3": Scenario((f.UnusualHeaders,), (o.lost, o.altered), first=f.header_field_values),
    "FWD-4": Scenario((f.Traffic, f.Joins, f.Streams), (o.echo_lost, o.echoed_wrongly)),
    "FWD-5": Scenario(
        (f.Traffic, f.LateJoins, f.SyncPoints),
        (o.replayed, o.joined_within_a_frame),
        needs=has_late_join,
        first=_all(f.join_after_backlogged_leave, f.join_after_backlogged_close),
    ),
    "FWD-6": Scenario((f.HeaderOnlyFrames,), WHOLE, first=f.header_only_last),
    "FWD-7": Scenario(
        (f.LargeFrames, f.SmallSendBuffers), WHOLE, steps=6, first=_all(f.frame_sizes, f.stream_beyond_queue_bound)
    ),
    "FWD-8": Scenario((f.ManyTlvs,), WHOLE, control=c.in_standard_tlvs, first=f.tlv_counts),
    "FRAME-1": Scenario((f.SplitWrites,), (*WHOLE, o.duplicated), needs=has_split_write, first=f.split_at_every_byte),
    "FRAME-2": Scenario(
        (f.CoalescedFrames, f.Freezes, f.SmallSendBuffers),
        (*WHOLE, o.duplicated),
        steps=6,
        needs=has_coalesced_frames,
        control=c.one_frame_per_write,
        first=f.reads_filled_exactly,
    ),
    "FRAME-3": Scenario(
        (f.Traffic, f.Joins, f.InterleavedWrites),
        (o.mixed, *WHOLE),
        needs=has_interleaved_write,
        control=c.sequential_writes,
        own=(Kind.MIXED,),
    ),
    "FRAME-4": Scenario(
        (f.Traffic, f.UnfinishedFrames, f.Joins), (o.torn, o.altered, o.leaked), needs=leaves_a_frame_unfinished
    ),
    "ORD-1": Scenario((f.Traffic, f.ConcurrentWrites), (o.reordered_within_sender,)),
    "ORD-2": Scenario((f.ConcurrentWrites, f.Joins, f.Freezes), (o.reordered_between_receivers,)),
    "ORD-3": Scenario((f.CausalReplies, f.Joins), (o.causality_broken,), steps=8, needs=has(Sync)),
    "DOM-1": _refuses(f.ForeignDomains, first=f.foreign_domain_values),
    "DOM-2": _refuses(f.Traffic, f.ForeignTypes, first=f.foreign_type_values),
    "DOM-3": Scenario((f.ForeignTypes, f.MalformedTlvs), (o.lost, o.torn)),
    "DOM-4": Scenario((f.BoundaryTypes,), REFUSED, first=f.tlv_type_values),
    "VAL-1": _refuses(f.Traffic, f.WrongChecksums, first=f.single_bit_checksum_errors),
    "VAL-2": Scenario((f.WrongChecksums,), (o.lost, o.torn, o.closed_unexpectedly)),
    "VAL-3": _refuses(f.Traffic, f.MalformedTlvs, first=f.extended_reserved_values),
    "VAL-4": _refuses(f.Traffic, f.StrictFieldFaults, first=f.strict_field_values),
    "VAL-5": Scenario(
        (f.Traffic, f.Garbage),
        (o.lost, o.held_back, o.torn, o.altered, o.leaked, o.framing_error_ignored, o.closed_unexpectedly),
        steps=8,
        needs=breaks_framing,
        first=f.garbage_split_at_every_byte,
    ),
    "VAL-6": Scenario(
        (f.Traffic, f.HostileBytes, f.MalformedTlvs), (o.unserved, o.lost), steps=8, first=f.garbage_from_many_clients
    ),
    "ISO-1": Scenario(
        (f.Traffic, f.Joins, f.StallsAgainstBaseline),
        (o.lost, o.torn, o.reordered_within_sender, o.closed_unexpectedly, i.delayed),
        steps=6,
        needs=builds_a_backlog,
        control=c.without_stalls,
        own=(Kind.DELAYED,),
        cost=10,
        first=f.two_stalled_consumers,
    ),
    "ISO-2": Scenario(
        (f.Stalls,),
        (i.unbounded,),
        steps=4,
        needs=exceeds_a_queue,
        cost=20,
        overflows=True,
        first=f.byte_bound_overflow,
    ),
    "ISO-3": Scenario(
        (f.Stalls,),
        (i.overflow_policy_broken,),
        steps=6,
        needs=exceeds_a_queue,
        cost=15,
        overflows=True,
        first=f.sustained_overflow,
    ),
    "ISO-4": Scenario(
        (f.Stalls,),
        (o.torn, o.altered),
        steps=8,
        needs=exceeds_a_queue,
        control=c.without_stalls,
        cost=15,
        overflows=True,
        first=f.repeated_overflow,
    ),
    "ISO-5": Scenario(
        (f.Backlogs,),
        (o.lost, o.reordered_within_sender, o.reordered_between_receivers, i.not_resumed),
        steps=6,
        needs=builds_a_backlog,
        control=c.without_stalls,
        cost=10,
        first=_all(f.backlog_delivery, f.frames_at_short_write_ends, f.queue_filled_to_bound, f.single_overflow),
    ),
    "ISO-7": Scenario(
        (f.Traffic, f.SendOnlyClients),
        (o.lost, o.closed_unexpectedly),
        steps=6,
        needs=exceeds_a_queue_if_possible,
        control=c.without_stalls,
        cost=10,
        overflows=True,
    ),
    "LIFE-2": Scenario(
        (f.Traffic, f.Joins, f.Kills), (o.unserved, o.lost), steps=4, needs=has(Kill), cost=10, spawned=True
    ),
    "LIFE-3": Scenario(
        (f.Traffic, f.Joins, f.InterleavedWrites, f.HalfCloses, f.Takeovers),
        (o.not_replaced, *TRANSPARENT),
        steps=6,
        needs=has(Takeover),
        control=c.without_takeovers,
        own=(Kind.NOT_REPLACED,),
        cost=10,
        spawned=True,
        replaced=True,
    ),
    "LIFE-4": Scenario(
        (f.Traffic, f.Joins, f.InterleavedWrites, f.HalfCloses, f.SmallBacklogs, f.FailedTakeovers),
        (o.not_replaced, *TRANSPARENT),
        steps=6,
        needs=kills_a_successor,
        control=c.without_takeovers,
        own=(Kind.NOT_REPLACED,),
        cost=10,
        spawned=True,
        replaced=True,
    ),
}
