"""When two relays did the same with a program: observations that leave out what may legally differ.

Facts:
- two histories are compared receiver by receiver: which frames came and how often, the order within each sender,
  whether the stream is still cut into frames, whether the relay closed the connection; and, within each relay alone,
  whether its receivers agree on one order. Bytes, times and the order between senders are left out: races decide them;
- a frame that may legally be missing (its sender left, its receiver had not joined, ...) on either side is left out;
- one fault hides others: nothing is compared after a torn stream or the end of a connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES

from ..model.frames import Frame, Raw, connection_name
from ..model.history import History, Peer, Sent
from ..model.legality import fate_of
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Close, Connect, Finish, HalfClose, Write
from ..oracles import traffic as oracles

ABOVE_A_READ = 65_536

EFFECTS: dict[str, str] = {
    "crashes": "relay B crashes where relay A goes on{cause}",
    "survives": "relay B goes on where relay A crashes{cause}",
    "stalls": "relay B stops reading from a client{cause}; relay A goes on",
    "reads-on": "relay B goes on reading from a client{cause}; relay A stops",
    "serves-not": "relay B delivers nothing at all to a connection that relay A serves{cause}",
    "serves": "relay B serves a connection to which relay A delivers nothing at all{cause}",
    "tears": "relay B leaves its receivers a stream that cannot be cut into frames{cause}; relay A keeps it whole",
    "mends": "relay B keeps the stream of its receivers whole{cause}; relay A tears it",
    "closes": "relay B closes a connection that relay A keeps{cause}",
    "keeps": "relay B keeps a connection that relay A closes{cause}",
    "alters": "relay B delivers frames that nobody sent{cause}; relay A does not",
    "alters-not": "relay A delivers frames that nobody sent{cause}; relay B does not",
    "leaks-part": "relay B forwards a part of a frame that never became whole{cause}; relay A does not",
    "withholds-part": "relay A forwards a part of a frame that never became whole{cause}; relay B does not",
    "forwards": "relay B forwards {cause} that relay A refuses",
    "refuses": "relay B refuses {cause} that relay A forwards",
    "loses": "relay B loses a valid frame{cause}; relay A forwards it",
    "delivers": "relay B forwards a valid frame{cause}; relay A loses it",
    "echoes": "relay B gives senders their own frames back{cause}; relay A does not",
    "echoes-not": "relay B does not give senders their own frames back{cause}; relay A does",
    "duplicates": "relay B delivers a frame more often than relay A{cause}",
    "delivers-fewer": "relay B delivers a frame fewer times than relay A{cause}, but at least once",
    "reorders": "relay B delivers frames of one sender in another order than sent{cause}; relay A does not",
    "reorders-not": "relay A delivers frames of one sender in another order than sent{cause}; relay B does not",
    "disagrees": "receivers of relay B disagree on the order of frames{cause}; those of relay A agree",
    "agrees": "receivers of relay A disagree on the order of frames{cause}; those of relay B agree",
    "stops-hard": "relay B ends on SIGTERM without {cause}; relay A does it",
    "stops-gently": "relay B does {cause} on SIGTERM; relay A does not",
    "takes-over": "relay B takes {cause} of a relay that runs; relay A refuses to start",
    "gives-way": "relay B refuses to start on {cause} of a relay that runs; relay A takes it",
    "opens": "relay B leaves {cause} open to other users; relay A does not",
    "protects": "relay B keeps {cause} from other users; relay A does not",
}
"""Every way in which B can differ from A, as the sentence that names it."""

CAUSES: dict[str, str] = {
    "garbage": " when a client sends bytes that begin no frame",
    "oversize": " when a header announces more than max_message_size",
    "wrong-claim": " when a header announces another size than the frame has",
    "foreign-domain": " next to a frame of another domain",
    "wrong-checksum": " next to a frame with a wrong checksum",
    "malformed-tlvs": " next to a frame with malformed TLVs",
    "foreign-type": " next to a frame with a TLV type of another range",
    "version": " next to a frame of another version",
    "unknown-source": " next to a frame of an unknown source",
    "wrong-size": " next to a fixed-size TLV of another size",
    "interleaved": " when others send while a frame is unfinished",
    "incomplete": " when a frame is begun and never finished",
    "above-a-read": " when a frame is larger than 64 KiB",
    "cut": " when a frame is cut over several writes",
    "half-closed": " when a client shuts down its sending side",
    "left": " when a client leaves",
    "coalesced": " when several frames are in one write",
    "header-only": " when a frame has no TLV",
    "late-join": " when a client joins late",
    "plain": "",
}
"""What about a program may bring a difference about, the most particular first."""

FAULTY: dict[str, str] = {
    "foreign-domain": "frames of another domain",
    "version": "frames of another version",
    "unknown-source": "frames of an unknown source",
    "wrong-checksum": "frames with a wrong checksum",
    "malformed-tlvs": "frames with malformed TLVs",
    "foreign-type": "frames with a TLV type of another range",
    "wrong-size": "frames with a fixed-size TLV of another size",
    "oversize": "frames above max_message_size",
    "wrong-claim": "frames that announce another size than they have",
}
"""What can be wrong with a frame, as the frames are called in sentences."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A difference as such, wherever it shows: what B does, and to which class of frames ("" if to none)."""

    effect: str
    frames: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference in one pair of histories: its signature, what each relay did, and where.

    ``conn`` is the connection at which it shows, ``frame`` the name of the frame; None and "" for everywhere.
    """

    signature: Signature
    in_a: str
    in_b: str
    conn: int | None = None
    frame: str = ""

    @property
    def place(self) -> str:
        """Where it shows, in words that keep a client apart from a relay of the same letter; "" for everywhere."""
        client = "" if self.conn is None else f"client {connection_name(self.conn)}"
        return f"frame {self.frame} at {client}" if self.frame else client


def class_of(frame: Frame, rules: Rules) -> str:
    """What is wrong with a frame by the strictest reading of the wire format; "" if nothing.

    ``rules`` are those of :func:`.arms.refused_by_either`.
    """
    _, reason = fate_of(frame, rules)
    return reason.name if reason else ""


class Comparison:
    """Compares histories of one program; ``strictest`` are rules under which every fault of a frame has a name."""

    def __init__(self, strictest: Rules) -> None:
        self._strictest = strictest

    def differences(self, a: History, b: History) -> list[Difference]:
        """In what B did other than A, the gravest first: of all frames with one signature, the first."""
        found = list(self._ends(a, b)) or list(self._served(a, b))
        if found:
            return found
        streams = list(self._streams(a, b))
        skipped = {each.conn for each in streams}
        of_frames: dict[Signature, Difference] = {}
        for each in self._frames(a, b, skipped):
            of_frames.setdefault(each.signature, each)
        return [*streams, *of_frames.values(), *self._orders(a, b, skipped)]

    def _ends(self, a: History, b: History) -> Iterator[Difference]:
        yield from _either(bool(a.crash), bool(b.crash), "crashes", "survives", ("it goes on", a.crash or b.crash))
        yield from _either(bool(a.stuck), bool(b.stuck), "stalls", "reads-on", ("it reads on", a.stuck or b.stuck))

    def _served(self, a: History, b: History) -> Iterator[Difference]:
        for left, right in _pairs(a, b):
            if left.open and right.open:
                words = ("it gets what others send", "it gets nothing at all")
                yield from _either(left.joined is None, right.joined is None, "serves-not", "serves", words, left.conn)

    def _streams(self, a: History, b: History) -> Iterator[Difference]:
        for left, right in _pairs(a, b):
            if left.left or right.left:
                continue
            cut = ("only whole frames", "a torn stream")
            yield from _either(_damaged(left), _damaged(right), "tears", "mends", cut, left.conn)
            ends = ("stays connected", f"is disconnected ({left.closed or right.closed})")
            yield from _either(bool(left.closed), bool(right.closed), "closes", "keeps", ends, left.conn)
            if _damaged(left) or _damaged(right) or left.closed or right.closed:
                continue
            yield from _either(
                _has_unsent(left),
                _has_unsent(right),
                "alters",
                "alters-not",
                ("only frames that were sent", "a frame that nobody sent"),
                left.conn,
            )
            parts = ("no part of a frame", "a part of a frame")
            yield from _either(bool(left.rest), bool(right.rest), "leaks-part", "withholds-part", parts, left.conn)

    def _frames(self, a: History, b: History, skipped: set[int | None]) -> Iterator[Difference]:
        pairs = [
            (left, right, _counts(left), _counts(right))
            for left, right in _pairs(a, b)
            if left.conn not in skipped and _readable(left) and _readable(right)
        ]
        in_a, in_b = a.by_number(), b.by_number()
        for number in sorted(in_a.keys() & in_b.keys()):
            sent = in_a[number]
            if sent.conn in skipped:
                continue
            counts = {
                left.conn: (counts_a[number], counts_b[number])
                for left, right, counts_a, counts_b in pairs
                if _comparable(sent, left, a) and _comparable(in_b[number], right, b)
            }
            if any(x != y for x, y in counts.values()):
                yield from self._unlike(sent, counts)

    def _unlike(self, sent: Sent, counts: dict[int, tuple[int, int]]) -> Iterator[Difference]:
        """The differences in how often one frame came to each receiver, in A and in B."""
        alike_elsewhere = any(x == y > 0 for conn, (x, y) in counts.items() if conn != sent.conn)
        wrong = class_of(sent.frame, self._strictest)
        for conn, (x, y) in counts.items():
            if x != y:
                effect = _frame_effect(x, y, wrong, echo=conn == sent.conn and alike_elsewhere)
                yield Difference(Signature(effect, wrong), _times(x), _times(y), conn, str(sent))

    def _orders(self, a: History, b: History, skipped: set[int | None]) -> Iterator[Difference]:
        for oracle, broken, kept in (
            (oracles.reordered_within_sender, "reorders", "reorders-not"),
            (oracles.reordered_between_receivers, "disagrees", "agrees"),
        ):
            if skipped:
                continue
            found_a, found_b = (next(iter(oracle(history, self._strictest)), None) for history in (a, b))
            yield from _either(
                found_a is not None,
                found_b is not None,
                broken,
                kept,
                ("in order", "".join(found.seen for found in (found_a or found_b,) if found)),
            )


def _pairs(a: History, b: History) -> Iterator[tuple[Peer, Peer]]:
    for conn in a.peers.keys() & b.peers.keys():
        if conn >= 0:
            yield a.peers[conn], b.peers[conn]


def _either(
    in_a: bool, in_b: bool, broken: str, kept: str, words: tuple[str, str], conn: int | None = None
) -> Iterator[Difference]:
    """A difference where one relay did something that the other did not; ``words`` for not doing and for doing it."""
    if in_a != in_b:
        yield Difference(Signature(broken if in_b else kept), words[in_a], words[in_b], conn)


def _has_unsent(peer: Peer) -> bool:
    return any(received.number is None for received in peer.received)


def _damaged(peer: Peer) -> bool:
    """Whether the stream of a receiver is torn, or has a frame with the beginning of another one inside it."""
    return peer.torn or any(
        received.number is None and received.data.find(MAGIC_BYTES, 1) > 0 for received in peer.received
    )


def _readable(peer: Peer) -> bool:
    return peer.open and not _damaged(peer) and not _has_unsent(peer)


def _comparable(sent: Sent, receiver: Peer, history: History) -> bool:
    """Whether this frame has one legal end at this receiver, whatever the relay's profile."""
    sender = history.peers[sent.conn]
    return (
        sent.certain
        and sender.open
        and not sender.half_closed
        and sent.conn not in history.broken
        and receiver.joined is not None
        and receiver.joined <= sent.begun
    )


def _counts(peer: Peer) -> Counter[int | None]:
    """How often each frame of the program came."""
    return Counter(received.number for received in peer.received)


def _times(count: int) -> str:
    return {0: "never came", 1: "came once"}.get(count, f"came {count} times")


def _frame_effect(count_a: int, count_b: int, wrong: str, *, echo: bool) -> str:
    """What the counts of one frame at one receiver say; ``echo`` if it is its sender and the others got it alike."""
    if count_a and count_b:
        return "duplicates" if count_b > count_a else "delivers-fewer"
    if echo:
        return "echoes" if count_b else "echoes-not"
    if wrong:
        return "forwards" if count_b else "refuses"
    return "delivers" if count_b else "loses"


def causes_at(program: Program, difference: Difference, rules: Rules) -> list[str]:
    """What may have brought one difference about: a connection is closed or kept for its own bytes alone."""
    if difference.signature.effect in ("closes", "keeps"):
        own = tuple(step for step in program.steps if step.connection == difference.conn)
        return causes_in(Program(program.domain, own), rules)
    return causes_in(program, rules)


def causes_in(program: Program, rules: Rules) -> list[str]:
    """What about a program may bring a difference about, the most particular first; ``plain`` when nothing does."""
    found = {"plain"}
    unfinished: set[int] = set()
    wrote = False
    for step in program.steps:
        if isinstance(step, Write):
            found |= _causes_of_write(step, rules)
            if unfinished - {step.conn}:
                found.add("interleaved")
            if step.stop is not None:
                unfinished.add(step.conn)
            wrote = True
        elif isinstance(step, Finish):
            unfinished.discard(step.conn)
            found.add("cut")
        elif isinstance(step, Connect):
            found |= {name for name, holds in (("late-join", wrote), ("interleaved", bool(unfinished))) if holds}
        elif isinstance(step, HalfClose):
            found.add("half-closed")
        elif isinstance(step, Close):
            found.add("left")
    if unfinished:
        found.add("incomplete")
    return [name for name in CAUSES if name in found]


def _causes_of_write(write: Write, rules: Rules) -> set[str]:
    found: set[str] = set()
    if len(write.pieces()) > 1:
        found.add("cut")
    if len(write.items) > 1:
        found.add("coalesced")
    for item in write.items:
        if isinstance(item, Raw):
            found.add(class_of_raw(bytes.fromhex(item.bytes), rules.max_message_size))
            continue
        wrong = class_of(item, rules)
        if wrong:
            found.add(wrong)
        if item.size > ABOVE_A_READ:
            found.add("above-a-read")
        if not item.tlvs and not item.tail:
            found.add("header-only")
    return found


def class_of_raw(data: bytes, limit: int) -> str:
    """What bytes that are no frame of a program are to a relay: garbage, oversize, or an incomplete frame."""
    if not data.startswith(MAGIC_BYTES[: len(data)]):
        return "garbage"
    if len(data) < CHECKSUM_OFFSET:
        return "incomplete"
    size = HEADER_SIZE + int.from_bytes(data[24:28], "little")
    if size > limit:
        return "oversize"
    return "incomplete" if size > len(data) else "garbage"


def sentence(effect: str, cause: str) -> str:
    """A difference as a sentence, such as ``relay B forwards frames of another domain that relay A refuses``."""
    words = FAULTY.get(cause, cause) if effect in ("forwards", "refuses") else CAUSES.get(cause, cause)
    return EFFECTS[effect].format(cause=words)
