"""Learning what a relay does by watching it: the settings of its profile, each with the evidence.

Facts:
- the programs here are played under rules that promise nothing, so that no setting is taken for granted;
- a setting is what the relay did, not what it should do: whether that is right is for a run to judge;
- limits need many bytes or connections and raw sockets: ``limits`` in its own module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import msgspec

from torq_protocol.constants import MAX_MESSAGE_SIZE

from ..generation.machine import sized_frame
from ..model.frames import Frame, Item, Raw, Tlv
from ..model.history import History
from ..model.legality import FIXED_SIZES, free_type
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.rules import Domain, Rules
from ..model.steps import Connect, Finish, HalfClose, Idle, Step, Sync, Write
from ..play.executor import Executor
from ..play.state import Patience
from ..play.target import Target

Setting = bool | int | str
LARGEST = 16 * 1_048_576
"""The largest max_message_size that a relay may be configured with (D10)."""
UNPROMISING = Profile(name="probe", echo=False, on_framing_error="forward", max_message_size=LARGEST + 65_536)

BASICS: dict[str, Setting] = {"forwards": True, "echo": False, "granularity": "frames"}
"""The settings that decide what a program can show, with their values until they are learned."""


@dataclass(frozen=True, slots=True)
class Learned:
    """One setting of a profile as it was seen, what showed it in a few words, and the details of that."""

    key: str
    value: Setting
    shown_by: str
    details: str = ""

    @property
    def evidence(self) -> str:
        """All that showed it."""
        return self.shown_by + self.details


@dataclass(slots=True)
class Probe:
    """Plays small programs against one relay and reads its settings off what happens."""

    target: Target
    domain: Domain
    learned: list[Learned] = field(default_factory=list)
    patience: Patience = field(default_factory=partial(Patience, holding=0.0))
    """No wait for frames that the relay may hold back: what it refuses looks the same."""

    def play(self, *steps: Step) -> History:
        """The history of a program under the rules that were seen; a relay that died is started again."""
        return self._played(self.seen, steps)

    def play_silently(self, *steps: Step) -> History:
        """The history of a program in which no client is fenced: nothing is written but what the steps say."""
        return self._played(msgspec.structs.replace(rules_for(UNPROMISING, self.domain), forwards=False), steps)

    def _played(self, rules: Rules, steps: tuple[Step, ...]) -> History:
        history = Executor(self.target, rules, self.patience).play(Program(self.domain, steps))
        if history.crash:
            self.target.restart()
        return history

    def value(self, key: str, default: Setting) -> Setting:
        """What was learned for a key, else the default."""
        return next((each.value for each in self.learned if each.key == key), default)

    def learn(self, key: str, value: Setting, shown_by: str, details: str = "") -> None:
        """Keep what was seen."""
        self.learned.append(Learned(key, value, shown_by, details))

    @property
    def seen(self) -> Rules:
        """Rules that promise nothing, but with the forwarding that was learned so far."""
        known = {key: self.value(key, default) for key, default in BASICS.items()}
        return msgspec.structs.replace(rules_for(UNPROMISING, self.domain), **known)

    @property
    def rules(self) -> Rules:
        """The rules of the relay's own domain, strict in everything: where frames are taken from."""
        return rules_for(Profile(name="probe", strict=True), self.domain)

    def own(self, size: int = 8) -> Frame:
        """A valid frame with one TLV."""
        return Frame(self.rules.number, (self.padding(size),))

    def padding(self, size: int = 8) -> Tlv:
        """A TLV of the relay's own range whose size no rule fixes."""
        return Tlv(free_type(self.rules), size)


def probe_basics(target: Target, domain: Domain) -> Probe:
    """What every further question needs to know: does the relay forward, echo, and forward frames or reads."""
    probe = Probe(target, domain)
    history = probe.play(Connect(0), Connect(1), Write(0, (probe.own(),)), Sync(), Write(1, (probe.own(),)))
    at_other = _arrived(history, 0, 1) or _arrived(history, 1, 0)
    at_sender = _arrived(history, 0, 0) or _arrived(history, 1, 1)
    if not (at_other or at_sender) and _heard_at_once(probe):
        probe.learn(
            "forwards",
            True,
            "a frame reached a client that had been silent only when its sender wrote at once on connecting; a frame "
            "of each of two clients that waited reached nobody: roles are guessed from timing (CONN-3)",
        )
        probe.learn(
            "roles_by_timing", True, "nothing else was probed: what a client gets depends on when it first wrote"
        )
        return probe
    probe.learn(
        "forwards",
        at_other or at_sender,
        "a valid frame reached the other client" if at_other else "a valid frame of each of two clients reached nobody",
    )
    came = "came" if at_sender else "did not come"
    probe.learn("echo", at_sender, f"a sender's own frame {came} back to it")
    if at_other:
        history = probe.play(Connect(0), Connect(1), Write(0, (probe.own(40),), stop=50))
        partial = any(peer.torn or peer.rest for peer in history.peers.values())
        probe.learn(
            "granularity",
            "reads" if partial else "frames",
            f"the first 50 of {probe.own(40).size} bytes of a frame {'reached' if partial else 'reached nobody, not'} "
            f"{'the other client' if partial else 'in part'}",
        )
    return probe


def _heard_at_once(probe: Probe) -> bool:
    """Whether a frame that is written at once on connecting reaches a client that has long been silent."""
    silence = Idle(round(probe.target.timing.role_seconds * 1000))
    history = probe.play_silently(Connect(1), silence, Connect(0), Write(0, (probe.own(),)), silence)
    return _arrived(history, 0, 1)


def probe_filters(probe: Probe) -> None:
    """What the relay looks at in a frame: domain, TLV types, checksum, TLV structure, and the security level."""
    rules = probe.rules
    own = probe.own()
    _learn_refusal(
        probe,
        "domain_filter",
        "foreign domains",
        {
            f"domain {number}": Frame(number, own.tlvs)
            for number in (0, 1, 2, 3, 4, 5, 127, 255)
            if number != rules.number
        },
    )
    foreign = [number for number in (1, 19, 20, 39, 40, 79, 80, 119, 120, 254) if number not in rules.types]
    foreign_tlvs = [Tlv(number, FIXED_SIZES.get(number, 8)) for number in foreign]
    frames = {f"type {tlv.type}": Frame(rules.number, (tlv,)) for tlv in foreign_tlvs}
    frames |= {f"type {tlv.type} behind another": Frame(rules.number, (*own.tlvs, tlv)) for tlv in foreign_tlvs[:2]}
    extended = msgspec.structs.replace(foreign_tlvs[0], extended=True)
    frames[f"type {extended.type} in extended form"] = Frame(rules.number, (extended,))
    _learn_refusal(probe, "type_filter", "TLV types of other ranges", frames)
    _learn_refusal(
        probe,
        "checksum",
        "wrong checksums",
        {kind: msgspec.structs.replace(own, checksum=kind) for kind in ("inverted", "off-by-one", "with-field")},
    )
    if probe.value("checksum", False):
        _learn_zero_checksum(probe)
    kind = own.tlvs[0].type
    tails = {
        "a lone type byte": bytes((kind,)),
        "a value cut short": bytes((kind, 9)) + bytes(8),
        "a reserved byte of 1": bytes((255, 1, kind, 4, 0)) + bytes(4),
        "an extended value cut short": bytes((255, 0, kind, 9, 0)) + bytes(8),
        "inner type 255": bytes((255, 0, 255, 4, 0)) + bytes(4),
    }
    _learn_refusal(
        probe,
        "check_tlvs",
        "malformed TLVs",
        {name: Frame(rules.number, (), tail.hex()) for name, tail in tails.items()},
    )
    fixed = next(number for number in rules.types if number in FIXED_SIZES)
    _learn_refusal(
        probe,
        "strict",
        "frames that only the security level refuses",
        {
            "version 2": msgspec.structs.replace(own, version=2),
            "source 255": msgspec.structs.replace(own, source=255),
            f"type {fixed} with a byte too many": Frame(rules.number, (Tlv(fixed, FIXED_SIZES[fixed] + 1),)),
        },
    )


def _learn_zero_checksum(probe: Probe) -> None:
    """What becomes of a frame whose checksum field says that none was computed, where checksums are verified (D9)."""
    history = probe.play(Connect(0), Connect(1), Write(0, (msgspec.structs.replace(probe.own(), checksum="zero"),)))
    accepted = _arrived(history, 0, 1)
    came = "came out" if accepted else "did not come out"
    probe.learn("zero_checksum", "accept" if accepted else "refuse", f"a frame whose checksum field is 0 {came}")


def _learn_refusal(probe: Probe, key: str, what: str, frames: dict[str, Frame]) -> None:
    """Send each frame in a write of its own between valid ones: the setting is on if none of them comes out."""
    writes = [Write(0, (item,)) for frame in frames.values() for item in (frame, probe.own())]
    history = probe.play(Connect(0), Connect(1), *writes)
    passed = [name for index, name in enumerate(frames) if _arrived(history, 2 * index, 1)]
    unharmed = sum(_arrived(history, 2 * index + 1, 1) for index in range(len(frames)))
    details = f" ({', '.join(frames)})"
    if not passed:
        evidence = f"none of {len(frames)} {what} came out"
    elif len(passed) == len(frames):
        evidence = f"all of {len(frames)} {what} came out"
    else:
        evidence, details = f"only some {what} are refused; these came out: {', '.join(passed)}", ""
    if unharmed < len(frames):
        details += f"; of {len(frames)} valid frames between them {unharmed} came out"
    probe.learn(key, not passed, evidence, details)


def probe_framing_error(probe: Probe) -> None:
    """What follows bytes that begin no frame."""
    garbage = b"hello, relay! this line is no frame at all, and says so.\n"
    steps: tuple[Step, ...] = (Connect(0), Connect(1), Write(0, (Raw(garbage.hex()),)), Write(0, (probe.own(),)))
    history = probe.play(*steps)
    receiver, sender = history.peers[1], history.peers[0]
    if receiver.torn or receiver.rest:
        answer, evidence = "forward", f"{len(garbage)} bytes of text reached the other client"
    elif sender.closed:
        answer, evidence = "close", f"the client that sent text was disconnected ({sender.closed})"
    elif _arrived(history, 0, 1):
        answer, evidence = "resync", "text was dropped, and the next frame of the same client came out"
    else:
        answer, evidence = "resync", "text was dropped, its sender stays connected, but its next frame did not come out"
    probe.learn("on_framing_error", answer, evidence)


def probe_half_close(probe: Probe) -> None:
    """Whether a client that shuts down its sending side goes on receiving (CONN-7)."""
    history = probe.play(Connect(0), Connect(1), HalfClose(1), Write(0, (probe.own(),)))
    goes_on = _arrived(history, 0, 1)
    probe.learn(
        "half_close",
        "receives" if goes_on else "ends",
        "a client that had shut down its sending side got the next frame"
        if goes_on
        else f"a client that shut down its sending side got nothing more ({history.peers[1].closed or 'silence'})",
    )


def probe_max_message_size(probe: Probe) -> None:
    """The largest frame that comes out, found by halving between what does and what does not."""
    passes, fails = 65_536, LARGEST + 1
    refused = ""
    for size in (*_usual_edges(), 0):
        size = size or (passes + fails) // 2
        while passes < size < fails:
            outcome = _forwarded_whole(probe, size)
            passes, fails, refused = (passes, size, outcome) if outcome else (size, fails, refused)
            size = (passes + fails) // 2 if fails - passes > 1 and size not in _usual_edges() else 0
    if fails > LARGEST:
        limit, evidence = LARGEST, f"a frame of {LARGEST} bytes, the largest there may be, came out"
    elif refused == "torn":
        limit = MAX_MESSAGE_SIZE
        evidence = (
            f"the usual one, for none was seen: a frame of {fails} bytes is torn, one of {passes} is not, and that is "
            "no limit but a fault (FWD-7)"
        )
    else:
        limit, evidence = passes, f"a frame of {passes} bytes came out, one of {fails} did not ({refused})"
    probe.learn("max_message_size", limit, evidence)


def _usual_edges() -> Iterable[int]:
    return (MAX_MESSAGE_SIZE, MAX_MESSAGE_SIZE + 1, LARGEST, 65_537, 2 * MAX_MESSAGE_SIZE, 4 * MAX_MESSAGE_SIZE)


def _forwarded_whole(probe: Probe, size: int) -> Literal["", "torn", "its sender was disconnected", "nothing came"]:
    """ "" when a frame of this size comes out; else what happens instead."""
    kind = probe.padding().type
    items: tuple[Item, ...] = (sized_frame(probe.rules.number, kind, size),)
    history = probe.play(Connect(0), Connect(1), Write(0, items))
    if _arrived(history, 0, 1):
        return ""
    if history.peers[1].torn or history.peers[1].rest:
        return "torn"
    return "its sender was disconnected" if history.peers[0].closed else "nothing came"


def probe_cuts(probe: Probe) -> None:
    """Whether a frame survives being cut over two writes (FRAME-1)."""
    steps: list[Step] = [Connect(0), Connect(1)]
    for stop in (1, 16, 32, 40):
        steps += [Write(0, (probe.own(),), stop=stop), Finish(0)]
    history = probe.play(*steps)
    came = sum(_arrived(history, number, 1) for number in range(4))
    probe.learn("cut_frames", came == 4, f"{came} of 4 frames cut over two writes came out whole")


def _arrived(history: History, number: int, conn: int) -> bool:
    peer = history.peers.get(conn)
    return peer is not None and any(received.number == number for received in peer.received)


def probe_all(target: Target, domain: Domain) -> Probe:
    """Everything that programs can learn about a relay, its limits aside. Raises TargetError if it is not there."""
    probe = probe_basics(target, domain)
    if probe.value("forwards", True) and not probe.value("roles_by_timing", False):
        probe_filters(probe)
        probe_framing_error(probe)
        probe_half_close(probe)
        probe_cuts(probe)
        probe_max_message_size(probe)
    return probe
