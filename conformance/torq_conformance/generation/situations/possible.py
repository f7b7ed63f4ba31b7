"""Which values of two dimensions go together, under the rules of a relay; each that does not has its reason.

Facts:
- a value stands alone only where its own program could not be written or would not mean what its name says;
- nothing is forbidden for three values that is not forbidden for two of them: what is possible can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from ...model.rules import Rules
from .dimensions import Dimension, Situation, Value, dimensions, plain

TLV_DEFECTS = (
    "other type",
    "other type, extended",
    "inner type 0 or 255",
    "value one short",
    "extended value one short",
    "TLV header cut",
    "reserved byte",
    "size of a type",
)
"""Defects of one TLV: the frame has a payload."""
PLACED_DEFECTS = ("other type", "other type, extended", "inner type 0 or 255", "reserved byte", "size of a type")
"""Those of them that may stand before other TLVs."""
FRAMING_ERRORS = (
    "announces one too many",
    "announces a high bit more",
    "announces 2^32 - 32",
    "announces 2^32 - 1",
    "wrong magic",
    "text",
)
"""Defects behind which no frame begins."""
LEAST_WITH_TLV_DEFECT = 128
"""The class of the smallest frames that have room for a defect among other TLVs, in bytes."""
BESIDE_A_FORM = 40
"""Bytes that a frame has besides the TLVs of its form: the defect and its neighbours."""
GREATEST_AGE = 50_000
"""Frames of a stream that only one program has."""
OF_THE_FRAME = ("size", "edge", "TLVs", "place", "company", "cut")
"""Dimensions that change one write, and no client."""
MOST_IN_SMALL_PIECES = 1_024
MANY_CLIENTS = 66
MOST_DELIVERED = 9_000_000
"""Bytes of one frame to so many clients, all together."""
MOST_TALKING = 5
"""Sender, receiver and who talks beside several clients in the same state."""
CROWD = 131
"""Clients from which on nothing large goes to all of them."""
LARGEST_OF_A_CROWD = 600
MOST_REPEATED = 10_000
"""Frames that all connections together send, or get, by repeats."""
MANY_REPEATS = 100
MOST_WITH_OTHERS = 2_000
"""Repeats from which on nobody else joins or leaves with each."""
MOST_CARRIED = 3_400
"""Frames that all connections together get before a situation."""
JOINING = 4
"""Clients besides those of the dimension: the witness, one that leaves, one that joins, a bystander."""
NOT_READING = (
    "stalls",
    "is at the brim",
    "has a backlog",
    "reads in sips",
    "reads again",
    "half-closed with a backlog",
)
FLOODED = NOT_READING[1:]
"""States of a receiver for which much is sent to everybody."""
UNREAD = (*NOT_READING, "never reads")
GONE = ("half-closes behind it", "closes behind it", "resets behind it")
"""States of a sender that sends nothing more."""


def excluded(rules: Rules, unpromised: frozenset[str], dimension: Dimension, value: Value) -> str:
    """Why no situation has a value under these rules; "" where some do."""
    if value.about and unpromised.issuperset(value.about) and value != dimension.values[0]:
        return "not promised"
    match dimension.name, value.name:
        case "size", _ if value.number > rules.max_message_size:
            return "above the limit for frames"
        case "defect", name if name in FRAMING_ERRORS and rules.on_framing_error != "close":
            return "what follows a framing error is not defined"
        case "connections", _ if rules.max_connections and value.number + JOINING > rules.max_connections:
            return "above the limit for connections"
        case "likewise", _ if value.number and value.number + MOST_TALKING > _most_clients(rules):
            return "above the limit for connections"
        case "senders", _ if value.number >= max(_most_clients(rules), 2):
            return "above the limit for connections"
        case ("receiver", name) if rules.overflow == "backpressure" and name in UNREAD:
            return "under backpressure whoever does not read holds up everybody"
        case ("sender", "does not read" | "only sends") | ("bystander", "another stalls") if (
            rules.overflow == "backpressure"
        ):
            return "under backpressure whoever does not read holds up everybody"
        case _ if rules.granularity == "reads" and _mixes(dimension.name, value.name):
            return "where reads are forwarded, the bytes of two senders may mix"
    return ""


def _most_clients(rules: Rules) -> int:
    """The most clients of a situation that the limit for connections leaves room for."""
    numbers = (value.number for each in dimensions() if each.name == "connections" for value in each.values)
    return max((each for each in numbers if each + JOINING <= (rules.max_connections or each + JOINING)), default=0)


def _mixes(dimension: str, value: str) -> bool:
    match dimension:
        case "senders":
            return value != "1"
        case "cut":
            return value.startswith("pause") or value == "small send buffer"
        case "leaver":
            return " in " in value
        case "receiver":
            return value == "is within a frame"
        case "sender":
            return value == "paused before"
        case "bystander":
            return value == "relay frozen"
    return False


def apart(rules: Rules, one: tuple[str, Value], other: tuple[str, Value]) -> str:
    """Why two values of different dimensions do not go together; "" where they do."""
    given = dict((one, other))
    if "age" in given and given["age"].dear:
        (name, value), *_ = (each for each in given.items() if each[0] != "age")
        return _apart_from_great_age(given["age"], name, value)
    match given:
        case {"size": size, "edge": edge}:
            return _size_and_edge(rules, size, edge)
        case {"size": size, "TLVs": tlvs} if tlvs.number and size.number - 33 < tlvs.number + BESIDE_A_FORM:
            return "no room for these TLVs"
        case {"size": size, "defect": defect} if defect.name in TLV_DEFECTS and size.number < LEAST_WITH_TLV_DEFECT:
            return "no room for the defect"
        case {"size": size, "place": place} if place.name != "anywhere" and size.number < LEAST_WITH_TLV_DEFECT:
            return "no room for the defect"
        case {"size": size, "defect": Value(name="payload bit")} if size.number == 32:
            return "no payload"
        case {"size": size, "cut": cut} if size.number == 32 and (
            cut.number >= 32 or cut.name in ("in the middle", "pause in payload")
        ):
            return "no payload to cut"
        case {"size": size, "cut": Value(name="in 7 bytes")} if size.number > MOST_IN_SMALL_PIECES:
            return "too many writes"
        case {"size": size, "connections": clients} if (
            clients.number >= MANY_CLIENTS and size.number * clients.number > MOST_DELIVERED
        ):
            return "too many bytes"
        case {"connections": many, "age": age} | {"senders": many, "age": age} if (
            many.number * age.number > MOST_CARRIED
        ):
            return "too many frames"
        case {"company": company, "cut": Value(name="in 7 bytes")} if company.number:
            return "too many writes"
        case {"defect": Value(name="text"), "TLVs": tlvs} if tlvs.number:
            return "text has no TLVs"
        case {"defect": defect, "place": place} if place.name != "anywhere" and defect.name not in PLACED_DEFECTS:
            return "the defect has no place among TLVs"
        case {"defect": defect, "cut": cut} if defect.name in FRAMING_ERRORS and cut.name == "pause in payload":
            return "the relay closes behind the header"
        case {"cut": cut, "bystander": Value(name="relay frozen")} if cut.name != "whole":
            return "a frozen relay reads no parts"
        case {"connections": clients, "senders": senders} if senders.number >= max(clients.number, 2):
            return "fewer clients than senders"
        case {"connections": Value(name="2"), "receiver": Value(name="never reads")}:
            return "nobody would receive"
        case {"age": age, "sender": Value(name="came late")} if age.number:
            return "who came late has carried nothing"
    if reason := _apart_in_a_crowd(given):
        return reason
    if "repeats" in given and given["repeats"].number > 1:
        (name, value), *_ = (each for each in given.items() if each[0] != "repeats")
        return _apart_from_repeats(given["repeats"], name, value)
    return ""


def _apart_in_a_crowd(given: dict[str, Value]) -> str:
    """Several clients in one state leave few to talk; nothing large goes to very many."""
    match given:
        case {"connections": clients, "likewise": others} if (
            others.number and clients.number < others.number + MOST_TALKING
        ):
            return "fewer clients than that"
        case {"age": age, "likewise": others} if others.number and (
            age.number * (2 * others.number + MOST_TALKING) > MOST_CARRIED
        ):
            return "too many frames"
        case {"senders": senders, "likewise": others} if others.number and senders.number > MOST_TALKING - 1:
            return "who talks is in no such state"
        case {"connections": crowd, "company": others} if crowd.number >= CROWD and others.number > LARGEST_OF_A_CROWD:
            return "too many bytes"
        case {"connections": crowd, "receiver": late} if crowd.number >= CROWD and late.name in FLOODED:
            return "too many bytes"
        case {"connections": crowd, "bystander": late} if crowd.number >= CROWD and late.number:
            return "too many bytes"
    return ""


def _apart_from_repeats(repeats: Value, name: str, value: Value) -> str:
    """What ends the sender's stream is not repeated; what is repeated often is small, and few see it."""
    match name:
        case "sender" if value.name in GONE:
            return "who is gone sends nothing more"
        case "defect" if value.name in FRAMING_ERRORS:
            return "the relay closes at the first"
        case "connections" | "senders" | "age" if value.number * repeats.number > MOST_REPEATED:
            return "too many frames"
        case "size" | "edge" | "TLVs" | "place" if value != plain(name) and repeats.number >= MANY_REPEATS:
            return "takes too long for every frame"
        case "company" | "receiver" | "bystander" if value.number and repeats.number >= MANY_REPEATS:
            return "too many bytes"
        case "cut" if value != plain(name) and repeats.number >= MANY_REPEATS:
            return "too many waits"
        case "leaver" | "bystander" | "likewise" if value != plain(name) and repeats.number >= MOST_WITH_OTHERS:
            return "too many clients"
    return ""


def _apart_from_great_age(age: Value, name: str, value: Value) -> str:
    """Situations of a great age share one stream: they differ in the frame alone, and of the greatest none ends it."""
    if name == "defect":
        lasts = value.name not in FRAMING_ERRORS or age.number < GREATEST_AGE
        return "" if lasts else "the next would need as long a stream"
    if name in OF_THE_FRAME or value == plain(name):
        return ""
    return "takes too long for every run"


def _size_and_edge(rules: Rules, size: Value, edge: Value) -> str:
    if size.number == 32 and edge.name != "exact":
        return "a header has one size"
    if size.number >= rules.max_message_size and edge.name in ("one above", "between"):
        return "above the limit for frames"
    return ""


class Possible:
    """What is possible under the rules of a relay that does not promise some requirements; values have their places.

    Deep values are possible in a ``deep`` run.
    ``choices`` are the possible values of each dimension. ``lacks`` names the values that are not, with their reasons.
    """

    def __init__(self, rules: Rules, unpromised: frozenset[str] = frozenset(), *, deep: bool = False) -> None:
        self.choices: list[list[int]] = []
        self.lacks: dict[str, str] = {}
        for dimension in dimensions():
            reasons = [
                "with --depth 3" if value.deep and not deep else excluded(rules, unpromised, dimension, value)
                for value in dimension.values
            ]
            self.choices.append([place for place, reason in enumerate(reasons) if not reason])
            self.lacks.update(
                (f"{dimension.name}: {value.name}", reason)
                for value, reason in zip(dimension.values, reasons, strict=True)
                if reason
            )
        self._apart = {
            (first, place, second, other)
            for (first, one), (second, two) in combinations(enumerate(dimensions()), 2)
            for place in self.choices[first]
            for other in self.choices[second]
            if apart(rules, (one.name, one.values[place]), (two.name, two.values[other]))
        }

    def goes_with(self, dimension: int, place: int, others: Iterable[tuple[int, int]]) -> bool:
        """Whether a value goes with values of other dimensions, each as (dimension, place)."""
        return not any(
            (each, other, dimension, place) in self._apart or (dimension, place, each, other) in self._apart
            for each, other in others
        )

    def plainer(self, situation: Situation) -> Iterator[Situation]:
        """The same situation with a plainer value of one more dimension, where that goes with the others."""
        for dimension, place in enumerate(situation.places):
            others = [(each, other) for each, other in enumerate(situation.places) if each != dimension]
            for plainer in range(place if dimensions()[dimension].ordered else min(place, 1)):
                if plainer in self.choices[dimension] and self.goes_with(dimension, plainer, others):
                    yield Situation((*situation.places[:dimension], plainer, *situation.places[dimension + 1 :]))

    def partners(self, dimension: int, place: int) -> Iterator[tuple[int, int]]:
        """The values of other dimensions that go with a value, each as (dimension, place)."""
        for other, places in enumerate(self.choices):
            if other != dimension:
                yield from ((other, each) for each in places if self.goes_with(dimension, place, [(other, each)]))
