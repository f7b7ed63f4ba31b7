"""In what the hand-written market data relay differs from the reference relay, by its source: point by point.

``docs/equivalence_matrix.md`` holds what a comparison found against it. The ids are those where the hand-written relay
is B; where it is A, the same difference has the opposite effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

NAME = "legacy-market-data"
OPPOSITES = {
    "breaks": "honours",
    "closes": "keeps",
    "forwards": "refuses",
    "loses": "delivers",
    "queues-less": "queues-more",
    "tears": "mends",
}
"""Effects, and what the same is called where A does it and B does not."""


class Prediction(NamedTuple):
    """What the source says of the relay, and the differences that follow; none where both relays do the same.

    ``excluded`` are ids that a comparison would show if the relays did not do the same after all.
    """

    words: str
    ids: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


PREDICTIONS = (
    Prediction(
        "unlinks whatever stands at its path, a live relay's socket too",
        ("breaks:CONN-2-stolen", "breaks:CONN-9-stolen"),
    ),
    Prediction(
        "has no graceful stop: a signal kills it, its socket file stays, what waits is gone",
        (
            "breaks:LIFE-1-status",
            "breaks:LIFE-1-left-behind",
            "breaks:LIFE-1-lost",
            "breaks:LIFE-5-status",
            "breaks:LIFE-5-stuck",
        ),
    ),
    Prediction("sets no permissions and looks at no directory", ("breaks:SEC-1-open", "breaks:SEC-1-started")),
    Prediction("filters no domain", ("forwards:foreign-domain",)),
    Prediction("looks at no header: garbage reaches everybody", ("tears:garbage", "keeps:garbage")),
    Prediction("has no max_message_size", ("tears:oversize", "keeps:oversize")),
    Prediction("forwards reads: those of two senders mix within a frame", ("tears:interleaved", "tears:incomplete")),
    Prediction(
        "slow consumers: keeps 16 384 reads; small ones beyond that are lost, the oldest first", ("loses:late-reader",)
    ),
    Prediction(
        "slow consumers: keeps up to 1 GiB in large reads, four times what the reference relay keeps",
        ("delivers:late-reader", "breaks:ISO-2-unbounded"),
    ),
    Prediction("slow consumers: loses whole reads, and lands within a frame", ("tears:late-reader",)),
    Prediction("accepts without a pause while there is no descriptor", ("breaks:CONN-10-costly",)),
    Prediction("has a read buffer of 64 KiB for each connection, and no other", excluded=("breaks:RES-1-costly",)),
    Prediction("gives senders their own frames", excluded=("echoes-not:plain",)),
    Prediction(
        "forwards wrong checksums and malformed TLVs, as every market data relay",
        excluded=("refuses:wrong-checksum", "refuses:malformed-tlvs"),
    ),
    Prediction(
        "keeps split, coalesced and large frames of one sender whole",
        excluded=("tears:cut", "tears:coalesced", "tears:above-a-read", "tears:plain"),
    ),
    Prediction("forwards what a client sent before it left", excluded=("loses:left",)),
    Prediction(
        "goes on sending to who has shut down his sending side", excluded=("closes:half-closed", "loses:half-closed")
    ),
    Prediction(
        "serves a thousand connections",
        excluded=("breaks:CONN-4-lost", "closes:many-clients", "serves-not:many-clients"),
    ),
)


def opposite(identifier: str) -> str:
    """The id of the same difference where the relays change places."""
    effect, _, cause = identifier.partition(":")
    other = {**OPPOSITES, **{value: key for key, value in OPPOSITES.items()}}.get(effect, effect)
    return f"{other}:{cause}"


def table(seen_as_b: set[str], seen_as_a: set[str]) -> Iterator[str]:
    """The table, with what was seen where the relay is B and where it is A; behind it what nobody predicted."""
    turned = {opposite(each) for each in seen_as_a}
    yield from ("| the hand-written relay | predicted | as B | as A |", "|-|-|-|-|")
    for each in PREDICTIONS:
        words = ", ".join(each.ids) or "no difference"
        yield f"| {each.words} | {words} | {_seen(each, seen_as_b)} | {_seen(each, turned)} |"
    predicted = {name for each in PREDICTIONS for name in each.ids}
    beyond = sorted((seen_as_b | turned) - predicted)
    yield from ("", f"Not predicted: {', '.join(beyond) or 'nothing that was seen'}.")


def _seen(prediction: Prediction, seen: set[str]) -> str:
    if not prediction.ids:
        wrong = sorted(seen & set(prediction.excluded))
        return f"**differs**: {', '.join(wrong)}" if wrong else "none"
    missing = [each for each in prediction.ids if each not in seen]
    if not missing:
        return "seen"
    return "**not seen**" if len(missing) == len(prediction.ids) else f"seen, but not {', '.join(missing)}"
