"""When two relays did the same with a program: observations that leave out what may legally differ.

Facts:
- two histories are compared receiver by receiver: which frames came and how often, the order within each sender,
  whether the stream is still cut into frames, whether the relay closed the connection; and, within each relay alone,
  whether its receivers agree on one order. The cut of the bytes and the order between senders are left out: races
  decide them;
- a frame that a race decides about (its sender was reset, its receiver had not joined, ...) on either side is left out;
- which frames a queue drops that overflows is a race too: of a receiver that did not read, and lacks frames on both
  relays, only this is compared: whether the newest frame came, and whether more than half as many came;
- what one history alone shows to be wrong, by the rules of A, is a difference where the other does not show it;
- one fault hides others: nothing is compared after a torn stream or the end of a connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from torq_protocol.constants import MAGIC_BYTES

from ..model.findings import Finding
from ..model.frames import connection_name
from ..model.history import History, Peer, Sent
from ..model.legality import Fate
from ..model.owed import is_decided
from ..model.rules import Rules
from ..oracles import isolation
from ..oracles import traffic as oracles
from .causes import CAUSES, FAULTY, class_of

ALIKE = 0.5
"""Where a queue overflows on both relays, one keeps fewer frames if it keeps less than this share of the other's."""

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
    "answers-first": "relay B delivers a reply before what it replies to{cause}; relay A does not",
    "answers-in-order": "relay A delivers a reply before what it replies to{cause}; relay B does not",
    "replays": "relay B delivers frames to a client that joined after they were delivered{cause}; relay A does not",
    "replays-not": "relay A delivers frames to a client that joined after they were delivered{cause}; relay B does not",
    "holds-back": "relay B delivers a frame only when something follows it{cause}; relay A delivers it at once",
    "hands-on": "relay A delivers a frame only when something follows it{cause}; relay B delivers it at once",
    "delays": "relay B delays the traffic of others{cause}; relay A does not",
    "is-prompt": "relay A delays the traffic of others{cause}; relay B does not",
    "drops-newest": "relay B drops the newest frames of a queue that overflows{cause}; relay A keeps them",
    "keeps-newest": "relay A drops the newest frames of a queue that overflows{cause}; relay B keeps them",
    "queues-less": "relay B keeps far fewer frames for a client that does not read{cause}",
    "queues-more": "relay B keeps far more frames for a client that does not read{cause}",
    "costs": "relay B needs more {cause} than the bound allows",
    "breaks": "relay B does not keep {cause}; relay A does",
    "honours": "relay B keeps {cause}; relay A does not",
}
"""Every way in which B can differ from A, as the sentence that names it."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A difference as such, wherever it shows: what B does, and to which class of frames ("" if to none)."""

    effect: str
    frames: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference in one pair of histories: its signature, what each relay did, and where.

    ``conn`` is the connection at which it shows, ``frame`` the name of the frame and ``number`` its number in the
    program; None and "" for everywhere. Where one history shows it alone, ``finding`` is what it shows.
    """

    signature: Signature
    in_a: str
    in_b: str
    conn: int | None = None
    frame: str = ""
    finding: Finding | None = None
    number: int | None = None

    @property
    def place(self) -> str:
        """Where it shows, in words that keep a client apart from a relay of the same letter; "" for everywhere."""
        client = "" if self.conn is None else f"client {connection_name(self.conn)}"
        return f"frame {self.frame} at {client}" if self.frame else client


ALONE: tuple[tuple[oracles.Oracle, str, str, tuple[str, str]], ...] = (
    (oracles.causality_broken, "answers-first", "answers-in-order", ("causes before replies", "a reply came first")),
    (oracles.replayed, "replays", "replays-not", ("nothing of the past", "frames of the past")),
    (oracles.held_back, "holds-back", "hands-on", ("frames come at once", "a frame waits for the next")),
    (isolation.delayed, "delays", "is-prompt", ("others are served as before", "others are served late")),
)
"""What one history shows alone: its oracle, the effects where B or A shows it, the words for neither and for either."""
TIMED = frozenset(
    (*(effect for _, *effects, _ in ALONE[-2:] for effect in effects), "serves-not", "serves", "stalls", "reads-on")
)
"""Effects that a busy machine can feign for once."""

_NUMBER = attrgetter("number")
"""The number of a frame that came: whole streams are looked through in this way, many times for each program."""


class Comparison:
    """Compares histories of one program, played by the rules of A.

    ``strictest`` are rules under which every fault of a frame has a name. ``norm`` are what A promises by what it does:
    they say what races may decide.
    """

    def __init__(self, strictest: Rules, norm: Rules | None = None) -> None:
        self._strictest = strictest
        self._norm = norm or strictest

    def differences(self, a: History, b: History) -> list[Difference]:
        """In what B did other than A, the gravest first: of all frames with one signature, the first."""
        first: dict[tuple[Signature, bool], Difference] = {}
        found = self.occurrences(a, b)
        return [each for each in found if not each.frame or first.setdefault((each.signature, True), each) is each]

    def occurrences(self, a: History, b: History) -> list[Difference]:
        """The same, frame by frame and receiver by receiver."""
        found = list(self._ends(a, b)) or list(self._served(a, b))
        if found:
            return found
        streams = list(self._streams(a, b))
        skipped = {each.conn for each in streams}
        return [*streams, *self._frames(a, b, skipped), *self._orders(a, b, skipped), *self._alone(a, b)]

    def _alone(self, a: History, b: History) -> Iterator[Difference]:
        """What one history shows alone, and the other does not."""
        for oracle, shown, hidden, words in ALONE:
            in_a, in_b = (next(iter(oracle(history, self._norm)), None) for history in (a, b))
            for found in filter(None, (in_a, in_b)):
                words = (words[0], found.seen)
            yield from _either(in_a is not None, in_b is not None, shown, hidden, words, finding=in_a or in_b)

    def _ends(self, a: History, b: History) -> Iterator[Difference]:
        yield from _either(bool(a.crash), bool(b.crash), "crashes", "survives", ("it goes on", a.crash or b.crash))
        yield from _either(bool(a.stuck), bool(b.stuck), "stalls", "reads-on", ("it reads on", a.stuck or b.stuck))

    def _served(self, a: History, b: History) -> Iterator[Difference]:
        """Who is served by one relay alone; a stream that is torn before its first frame is compared as a stream."""
        for left, right in _pairs(a, b):
            if left.open and right.open and not (_damaged(left) or _damaged(right)):
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
            if not (left.reads and right.reads):  # who never reads has not waited for the rest
                continue
            parts = ("no part of a frame", "a part of a frame")
            yield from _either(bool(left.rest), bool(right.rest), "leaks-part", "withholds-part", parts, left.conn)

    def _frames(self, a: History, b: History, skipped: set[int | None]) -> Iterator[Difference]:
        overflowed: set[int | None] = set()
        for left, right in _pairs(a, b):
            if left.stalls and left.conn not in skipped and _readable(left) and _readable(right):
                found = self._behind(a, b, left, right)
                if found is not None:
                    overflowed.add(left.conn)
                    yield from found
        skipped = skipped | overflowed
        pairs = [
            (left, right, _counts(left), _counts(right))
            for left, right in _pairs(a, b)
            if left.conn not in skipped and _readable(left) and _readable(right)
        ]
        unlike = {
            number
            for _, _, counts_a, counts_b in pairs
            if counts_a != counts_b
            for number in counts_a.keys() | counts_b.keys()
            if number is not None and counts_a[number] != counts_b[number]
        }
        if not unlike:
            return
        in_a, in_b = a.by_number(), b.by_number()
        senders: dict[bytes, set[int]] = {}
        for sent in a.sent:
            senders.setdefault(sent.data, set()).add(sent.conn)
        for number in sorted(in_a.keys() & in_b.keys() & unlike):
            sent = in_a[number]
            if sent.conn in skipped - overflowed or len(senders[sent.data]) > 1:  # whose it is, nobody can tell
                continue
            counts = {
                left.conn: (counts_a[number], counts_b[number])
                for left, right, counts_a, counts_b in pairs
                if self._decided(sent, left, a) and self._decided(in_b[number], right, b)
            }
            if any(x != y for x, y in counts.values()):
                yield from self._unlike(sent, counts)

    def _decided(self, sent: Sent, receiver: Peer, history: History) -> bool:
        """Whether no race decides what becomes of a frame at a receiver.

        Of a sender whose framing errors are stepped over, valid frames alone are compared: where others end is open.
        """
        stepped_over = sent.conn in history.broken and self._norm.on_framing_error != "close"
        may_be_bent = stepped_over and sent.fate is not Fate.FORWARD
        return not may_be_bent and is_decided(sent, receiver, history, self._norm)

    def _behind(self, a: History, b: History, left: Peer, right: Peer) -> list[Difference] | None:
        """How a receiver fared that did not read for a while; None where its queue did not overflow on both relays.

        Which frames are dropped then is a race. Where only one relay drops any, they are compared one by one.
        """
        waited = [
            {
                sent.number
                for sent in history.sent
                if sent.fate is Fate.FORWARD
                and self._decided(sent, peer, history)
                and any(sent.tick >= each.begun and not 0 < each.ended < sent.begun for each in peer.stalls)
            }
            for history, peer in ((a, left), (b, right))
        ]
        common = waited[0] & waited[1]
        came_a, came_b = (common & _counts(peer).keys() for peer in (left, right))
        if not common or common in (came_a, came_b):
            return None
        newest = max(common)
        ends = ("its newest frame came", "its newest frame never came")
        found = list(
            _either(newest not in came_a, newest not in came_b, "drops-newest", "keeps-newest", ends, left.conn)
        )
        fewer, more = sorted((len(came_a), len(came_b)))
        if fewer < more * ALIKE:
            effect = "queues-less" if len(came_b) == fewer else "queues-more"
            in_a, in_b = (f"{len(each)} of {len(common)} frames came" for each in (came_a, came_b))
            found.append(Difference(Signature(effect), in_a, in_b, left.conn))
        return found

    def _unlike(self, sent: Sent, counts: dict[int, tuple[int, int]]) -> Iterator[Difference]:
        """The differences in how often one frame came to each receiver, in A and in B."""
        alike_elsewhere = all(x == y for conn, (x, y) in counts.items() if conn != sent.conn)
        wrong = class_of(sent.frame, self._strictest)
        for conn, (x, y) in counts.items():
            if x != y:
                effect = _frame_effect(x, y, wrong, echo=conn == sent.conn and alike_elsewhere)
                yield Difference(Signature(effect, wrong), _times(x), _times(y), conn, str(sent), number=sent.number)

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
                finding=found_a or found_b,
            )


def _pairs(a: History, b: History) -> Iterator[tuple[Peer, Peer]]:
    for conn in a.peers.keys() & b.peers.keys():
        if conn >= 0:
            yield a.peers[conn], b.peers[conn]


def _either(
    in_a: bool,
    in_b: bool,
    broken: str,
    kept: str,
    words: tuple[str, str],
    conn: int | None = None,
    finding: Finding | None = None,
) -> Iterator[Difference]:
    """A difference where one relay did something that the other did not; ``words`` for not doing and for doing it."""
    if in_a != in_b:
        effect = broken if in_b else kept
        yield Difference(Signature(effect), words[in_a], words[in_b], conn, finding=finding)


def _has_unsent(peer: Peer) -> bool:
    return None in map(_NUMBER, peer.received)


def _damaged(peer: Peer) -> bool:
    """Whether the stream of a receiver is torn, or has a frame with the beginning of another one inside it."""
    return peer.torn or (
        _has_unsent(peer)
        and any(received.number is None and received.data.find(MAGIC_BYTES, 1) > 0 for received in peer.received)
    )


def _readable(peer: Peer) -> bool:
    return peer.open and not _damaged(peer) and not _has_unsent(peer)


def _counts(peer: Peer) -> Counter[int | None]:
    """How often each frame of the program came."""
    return Counter(map(_NUMBER, peer.received))


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


def sentence(effect: str, cause: str) -> str:
    """A difference as a sentence, such as ``relay B forwards frames of another domain that relay A refuses``."""
    words = FAULTY.get(cause, cause) if effect in ("forwards", "refuses") else CAUSES.get(cause, cause)
    return EFFECTS[effect].format(cause=words)
