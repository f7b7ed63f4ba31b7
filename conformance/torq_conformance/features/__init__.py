"""What programs are made of: one class of rules for each thing that clients do; scenarios mix them.

Facts: a feature knows nothing of the others; those about valid frames write nothing that a relay may refuse.
"""

from ..machine import PICK, SHAPE, SMALL_SIZES, Shape
from .clients import (
    HalfCloses,
    Idles,
    Incomplete,
    Interleaving,
    Joins,
    LateJoins,
    Leaves,
    Replies,
    Silences,
    Visitors,
)
from .faults import Floods, Freezes, Kills, SendOnly, Stalls, silence
from .frames import (
    Batches,
    BigFrames,
    Cuts,
    HeaderOnly,
    ManyTlvs,
    Rush,
    Streams,
    Traffic,
    UnusualHeaders,
    ZeroChecksums,
    every_cut,
)
from .refused import Checksums, EdgeTypes, Foreign, ForeignTypes, Garbage, Hostility, Malformed, Strictness

__all__ = [
    "PICK",
    "SHAPE",
    "SMALL_SIZES",
    "Batches",
    "BigFrames",
    "Checksums",
    "Cuts",
    "EdgeTypes",
    "Floods",
    "Foreign",
    "ForeignTypes",
    "Freezes",
    "Garbage",
    "HalfCloses",
    "HeaderOnly",
    "Hostility",
    "Idles",
    "Incomplete",
    "Interleaving",
    "Joins",
    "Kills",
    "LateJoins",
    "Leaves",
    "Malformed",
    "ManyTlvs",
    "Replies",
    "Rush",
    "SendOnly",
    "Shape",
    "Silences",
    "Stalls",
    "Streams",
    "Strictness",
    "Traffic",
    "UnusualHeaders",
    "Visitors",
    "ZeroChecksums",
    "every_cut",
    "silence",
]
