"""How each requirement is tested: the features its programs are made of, and the oracles that judge them.

Reading this table is reading the test plan. A requirement without a scenario cannot be judged by programs; ``UNJUDGED``
says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..generation import controls as c
from ..generation import features as f
from ..generation.machine import ProgramMachine
from ..model.history import History
from ..model.legality import Fate
from ..model.profile import Rules
from ..model.program import Close, Connect, Finish, Flood, HalfClose, Kill, Program, Resume, Stall, Step, Sync, Write
from ..oracles import isolation as i
from ..oracles import traffic as o

Feature = type[ProgramMachine]
Control = Callable[[Program], Program]
Need = Callable[[Program, History, Rules], bool]
First = Callable[[Rules], tuple[Program, ...]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Programs for one requirement: ``features`` write them, ``oracles`` judge them, ``steps`` is their length.

    ``needs`` says whether a run was about the requirement at all; one that was not neither counts nor fails.
    ``control`` gives the same program without what the requirement is about: where that fails too, the failure belongs
    to another requirement, unless it is of one of the kinds ``own``. ``cost`` says how many programs of other
    requirements one of these is worth; ``spawned`` that the suite must have started the relay itself. ``first`` gives
    programs that every run begins with, because chance would seldom write them.
    """

    features: tuple[Feature, ...]
    oracles: tuple[o.Oracle, ...]
    steps: int = 12
    needs: Need | None = None
    control: Control | None = None
    own: tuple[str, ...] = ()
    cost: int = 1
    spawned: bool = False
    first: First | None = None

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

    def judge(self, history: History, rules: Rules) -> list[o.Finding]:
        """Everything in a history that contradicts the requirement."""
        return [finding for oracle in (o.crashed, o.stuck, *self.oracles) for finding in oracle(history, rules)]


def _writes(program: Program) -> list[Write]:
    return [step for step in program.steps if isinstance(step, Write)]


def cuts(program: Program, _: History, __: Rules) -> bool:
    """A write was cut."""
    return any(len(write.pieces()) > 1 for write in _writes(program))


def coalesces(program: Program, _: History, __: Rules) -> bool:
    """Several frames went out in one write."""
    return any(len(write.items) > 1 for write in _writes(program))


def interleaves(program: Program, _: History, __: Rules) -> bool:
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


def leaves_open(program: Program, _: History, __: Rules) -> bool:
    """A frame was begun and never finished."""
    return any(write.stop is not None for write in _writes(program)) and not any(
        isinstance(step, Finish) for step in program.steps
    )


def has(kind: type[Step]) -> Need:
    """A step of some kind was played."""
    return lambda program, _, __: any(isinstance(step, kind) for step in program.steps)


def fate(wanted: Fate) -> Need:
    """A frame of some fate was sent."""
    return lambda _, history, __: any(sent.fate is wanted for sent in history.sent)


def breaks_framing(_: Program, history: History, __: Rules) -> bool:
    """A client sent what begins no frame."""
    return bool(history.broken)


def joins_late(program: Program, _: History, __: Rules) -> bool:
    """A client connected after frames had been sent."""
    kinds = [type(step) for step in program.steps]
    return Write in kinds and Connect in kinds[kinds.index(Write) :]


def overflows(program: Program, _: History, rules: Rules) -> bool:
    """More was sent behind a client that did not read than its queue holds, whether or not the relay took it all."""
    return any(count > rules.queue_frames or size > rules.queue_bytes for count, size in _behind_silence(program))


def waits(program: Program, _: History, rules: Rules) -> bool:
    """More than a hundred frames were sent behind a client that did not read, or more bytes than its socket holds."""
    sent = list(_behind_silence(program))
    return sum(count for count, _ in sent) > 100 or sum(size for _, size in sent) > rules.socket_bytes


def _behind_silence(program: Program) -> Iterator[tuple[int, int]]:
    """How many frames, and bytes, each step sent while a client did not read."""
    silent: set[int] = set()
    for step in program.steps:
        if isinstance(step, Stall) or (isinstance(step, Connect) and not step.reads):
            silent.add(step.conn)
        elif isinstance(step, Resume):
            silent.discard(step.conn)
        elif isinstance(step, Flood) and silent:
            yield step.count, step.count * step.frame.size
        elif isinstance(step, Write) and silent:
            yield len(step.items), step.size


WHOLE = (o.lost, o.held_back, o.torn, o.altered, o.closed_unexpectedly)
REFUSED = (o.lost, o.held_back, o.torn, o.leaked, o.closed_unexpectedly)


def _all(*tables: First) -> First:
    """The programs of several tables."""
    return lambda rules: tuple(program for table in tables for program in table(rules))


SCENARIOS: dict[str, Scenario] = {
    "CONN-3": Scenario(
        (f.Traffic, f.Joins, f.Idles, f.Streams),
        (o.unserved, o.lost, o.closed_unexpectedly),
        steps=8,
        first=f.silence_and_speech,
    ),
    "CONN-6": Scenario(
        (f.Traffic, f.Joins, f.Leaves, f.Interleaving),
        (o.unserved, o.lost, o.held_back, o.torn, o.closed_unexpectedly),
        needs=has(Close),
        control=c.nobody_leaves,
        first=_all(f.leaves_within_what_others_do, f.leaves_at_once, f.leaves_frames_behind, f.joins_behind_who_left),
    ),
    "CONN-7": Scenario(
        (f.Traffic, f.Joins, f.HalfCloses),
        (o.lost, o.held_back, o.closed_unexpectedly),
        needs=has(HalfClose),
        first=f.half_closes,
    ),
    "FWD-1": Scenario(
        (f.Traffic, f.Joins, f.Visitors, f.Streams, f.ZeroChecksums),
        (o.unserved, o.lost, o.held_back),
        first=f.whatever_is_valid,
    ),
    "FWD-2": Scenario((f.Traffic, f.Rush, f.Joins), (o.duplicated,), first=_all(f.repeats, f.ends_of_short_writes)),
    "FWD-3": Scenario((f.UnusualHeaders,), (o.lost, o.altered), first=f.every_header),
    "FWD-4": Scenario((f.Traffic, f.Joins, f.Streams), (o.echo_lost, o.echoed_wrongly), first=f.long_stream),
    "FWD-5": Scenario(
        (f.Traffic, f.LateJoins, f.Silences),
        (o.replayed, o.torn),
        needs=joins_late,
        first=_all(f.joins_behind_who_left, f.joins_behind_who_was_closed),
    ),
    "FWD-6": Scenario((f.HeaderOnly,), WHOLE, first=f.header_only_ends),
    "FWD-7": Scenario(
        (f.BigFrames, f.TinyBuffers), WHOLE, steps=6, first=_all(f.every_size, f.more_than_a_queue_holds)
    ),
    "FWD-8": Scenario((f.ManyTlvs,), WHOLE, control=c.in_standard_tlvs, first=f.every_count),
    "FRAME-1": Scenario((f.Cuts,), (*WHOLE, o.duplicated), needs=cuts, first=f.every_cut),
    "FRAME-2": Scenario(
        (f.Batches, f.Freezes, f.TinyBuffers),
        (*WHOLE, o.duplicated),
        steps=6,
        needs=coalesces,
        control=c.each_in_its_own_write,
        first=f.every_full_read,
    ),
    "FRAME-3": Scenario(
        (f.Traffic, f.Joins, f.Interleaving),
        (o.mixed, *WHOLE),
        needs=interleaves,
        control=c.one_after_the_other,
        own=("mixed",),
        first=f.all_within_a_frame,
    ),
    "FRAME-4": Scenario((f.Traffic, f.Incomplete, f.Joins), (o.torn, o.altered, o.leaked), needs=leaves_open),
    "ORD-1": Scenario((f.Traffic, f.Rush), (o.reordered_within_sender,), first=f.large_before_small),
    "ORD-2": Scenario((f.Rush, f.Joins, f.Freezes), (o.reordered_between_receivers,)),
    "ORD-3": Scenario((f.Replies, f.Joins), (o.causality_broken,), steps=8, needs=has(Sync)),
    "DOM-1": Scenario(
        (f.Foreign,), REFUSED, needs=fate(Fate.REFUSE), control=c.all_valid, own=("leaked",), first=f.every_domain
    ),
    "DOM-2": Scenario(
        (f.Traffic, f.ForeignTypes),
        REFUSED,
        needs=fate(Fate.REFUSE),
        control=c.all_valid,
        own=("leaked",),
        first=f.foreign_types,
    ),
    "DOM-3": Scenario((f.ForeignTypes, f.Malformed), (o.lost, o.torn)),
    "DOM-4": Scenario((f.EdgeTypes,), REFUSED, first=f.every_type),
    "VAL-1": Scenario(
        (f.Traffic, f.Checksums),
        REFUSED,
        needs=fate(Fate.REFUSE),
        control=c.all_valid,
        own=("leaked",),
        first=f.every_wrong_bit,
    ),
    "VAL-2": Scenario((f.Checksums,), (o.lost, o.torn, o.closed_unexpectedly)),
    "VAL-3": Scenario(
        (f.Traffic, f.Malformed),
        REFUSED,
        needs=fate(Fate.REFUSE),
        control=c.all_valid,
        own=("leaked",),
        first=f.every_reserved_byte,
    ),
    "VAL-4": Scenario(
        (f.Traffic, f.Strictness),
        REFUSED,
        needs=fate(Fate.REFUSE),
        control=c.all_valid,
        own=("leaked",),
        first=f.every_strange_field,
    ),
    "VAL-5": Scenario(
        (f.Traffic, f.Garbage),
        (o.lost, o.held_back, o.torn, o.altered, o.leaked, o.framing_error_ignored, o.closed_unexpectedly),
        steps=8,
        needs=breaks_framing,
        first=f.every_cut_around_garbage,
    ),
    "VAL-6": Scenario((f.Traffic, f.Hostility, f.Malformed), (o.unserved, o.lost), steps=8, first=f.garbage_of_many),
    "ISO-1": Scenario(
        (f.Traffic, f.Joins, f.ComparedStalls),
        (o.lost, o.torn, o.reordered_within_sender, o.closed_unexpectedly, i.delayed),
        steps=6,
        needs=waits,
        control=c.everybody_reads,
        own=("delayed",),
        cost=10,
        first=f.others_of_two_that_stall,
    ),
    "ISO-2": Scenario((f.Stalls,), (i.unbounded,), steps=4, needs=overflows, cost=20, first=f.overflows_in_bytes),
    "ISO-3": Scenario(
        (f.Stalls,), (i.overflow_policy_broken,), steps=6, needs=overflows, cost=10, first=f.overflows_for_long
    ),
    "ISO-4": Scenario(
        (f.Stalls,),
        (o.torn, o.altered),
        steps=8,
        needs=overflows,
        control=c.everybody_reads,
        cost=10,
        first=f.overflows_twice,
    ),
    "ISO-5": Scenario(
        (f.Stalls,),
        (o.lost, o.reordered_within_sender, o.reordered_between_receivers, i.not_resumed),
        steps=6,
        needs=waits,
        control=c.everybody_reads,
        cost=10,
        first=_all(f.behind_a_stall, f.ends_of_short_writes, f.fills_to_the_brim),
    ),
    "ISO-7": Scenario(
        (f.Traffic, f.SendOnly),
        (o.lost, o.closed_unexpectedly),
        steps=6,
        needs=overflows,
        control=c.everybody_reads,
        cost=10,
    ),
    "LIFE-2": Scenario(
        (f.Traffic, f.Joins, f.Kills), (o.unserved, o.lost), steps=4, needs=has(Kill), cost=10, spawned=True
    ),
}

UNJUDGED: dict[str, str] = {
    "VAL-7": "counters are not visible from outside",
    "ISO-6": "counters are not visible from outside",
    "SEC-2": "needs clients of several users",
    "SEC-3": "the log is not visible from outside",
    "LIFE-3": "the target offers no takeover to the suite yet",
    "LIFE-4": "the target offers no takeover to the suite yet",
}
"""Requirements that a black box cannot judge, with the reason."""
