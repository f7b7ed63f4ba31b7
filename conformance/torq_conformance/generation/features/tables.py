"""Programs that every run begins with: whole tables of small differences, and states too rare for chance.

Facts: each program is small, so that a failing one shrinks fast; none overflows a queue, and none waits but for an
idle client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import msgspec

from ...model.frames import Frame, Tlv, encode_frame
from ...model.legality import free_type
from ...model.program import Program
from ...model.rules import Rules
from ...model.steps import Buffer, Connect, Flood, Freeze, Idle, Step, Thaw, Write
from ...model.wire import tlv
from ..machine import sized_frame

WRITES_PER_PROGRAM = 40
"""Writes of one program."""
PROGRAM_BYTES = 2_000_000
"""Bytes of one program: far below any queue bound, so that no legal drop looks like a loss."""
FRAMES_PER_WRITE = 8
"""Frames of a write with several."""
ABOVE_A_READ_BYTES = 70_000
"""Bytes of a frame larger than one read."""
SMALL_FRAME_SIZES = range(34, 601)
"""Sizes in bytes of frames that have a write each."""
TLV_COUNTS = (2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1_000, 1_024, 4_096)
"""TLVs of a frame: counts about the sizes that lists and buffers may have."""
HUGE_TLV_COUNTS = (65_535, 65_536, 65_537)
"""The same for a counter of two bytes."""
CLIENTS = 12
"""Clients of one program that all send the same."""
MIDDLE_FRAME_SIZES = range(601, 4_200)
"""Sizes in bytes of frames that share a write."""
SIZE_STEP = 1.02
"""Factor between the sizes of larger frames: a relay that loses a range of sizes wider than that is found."""
BUFFER_SIZES = tuple(2**power for power in range(10, 21))
"""Sizes in bytes that buffers may have: programs send frames about these sizes, and fill reads of exactly these."""
LEAST_BUFFER = 1
"""Bytes of a send buffer that asks for the kernel's least, some 4 kB."""
CUTS_OF_LARGE = (1, 4, 20, 24, 28, 31, 32, 33, 40_000)
"""Offsets in bytes at which a frame larger than one read is cut."""
HEADERS_OF_A_READ = 2_048
"""Header-only frames that fill 64 KiB: as many as one read ever holds."""
HEADERS = 3_000
"""Header-only frames of one write: more than a system call takes buffers, and more than a read of 64 KiB holds."""
SEQUENCES = (0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
SHORT_SILENCE_MS = 1_150
"""Milliseconds after which a hasty relay takes an idle client for dead."""
SILENCE_FACTOR = 3
"""Factor between one silence and the next: a short silence may show the fault already."""
LONG_STREAM = 2**16 + 400
"""Frames of one client: more than a counter of two bytes counts."""


def own(rules: Rules, size: int = 8) -> Frame:
    return Frame(rules.number, (Tlv(free_type(rules), size),))


def empty_tlvs(rules: Rules, count: int) -> tuple[Tlv, ...]:
    return (Tlv(free_type(rules)),) * count


def sized(rules: Rules, size: int) -> Frame:
    return sized_frame(rules.number, free_type(rules), size)


def programs_of(rules: Rules, writes: Iterable[Write]) -> tuple[Program, ...]:
    """Programs with the writes in their order; two clients are connected from the beginning."""
    groups: list[list[Write]] = [[]]
    for write in writes:
        if len(groups[-1]) == WRITES_PER_PROGRAM or sum(each.size for each in groups[-1]) + write.size > PROGRAM_BYTES:
            groups.append([])
        groups[-1].append(write)
    return tuple(Program(rules.domain, (Connect(0), Connect(1), *group)) for group in groups)


# --- frames that must be forwarded ----------------------------------------------------------------------------------


def silences_ms(rules: Rules) -> list[int]:
    """Silences up to that of the profile, the shortest first."""
    silences = [round(rules.idle_seconds * 1000)]
    while silences[-1] > SILENCE_FACTOR * SHORT_SILENCE_MS:
        silences.append(silences[-1] // SILENCE_FACTOR)
    if silences[-1] > SHORT_SILENCE_MS:
        silences.append(SHORT_SILENCE_MS)
    return silences[::-1]


def idle_then_send(rules: Rules) -> tuple[Program, ...]:
    """Clients that are idle for more than a second, before or after they send, and one very long stream (CONN-3)."""
    one, other, third = (Write(conn, (own(rules),)) for conn in range(3))
    silences: list[tuple[Step, ...]] = [
        (one, third, Idle(milliseconds), other, one, third) for milliseconds in silences_ms(rules)
    ]
    speech = Program(rules.domain, (Connect(0), Connect(1), Flood(0, own(rules), LONG_STREAM), one, other))
    return (*(Program(rules.domain, (*map(Connect, range(3)), *steps)) for steps in silences), speech)


def header_field_values(rules: Rules) -> tuple[Program, ...]:
    """Every value of the flags; the edges of sequence and timestamp, twice from A and once from B (FWD-3)."""
    frame = msgspec.structs.replace
    one = own(rules)
    flags = [Write(0, (frame(one, flags=value),)) for value in range(256)]
    sequences = [Write(conn, (frame(one, sequence=value),)) for value in SEQUENCES for conn in (0, 0, 1)]
    times = [Write(conn, (frame(one, timestamp=value),)) for value in SEQUENCES for conn in (0, 0, 1)]
    sources = [Write(conn, (frame(one, source=20),)) for conn in (0, 1, 1, 0)]
    return programs_of(rules, (*flags, *sequences, *times, *sources))


def identical_frames(rules: Rules) -> tuple[Program, ...]:
    """Frames that are equal byte for byte, each of which is forwarded: a relay remembers none (FWD-2).

    With echo also equal frames of two senders: without it a receiver's own frames could not be told apart.
    """
    same = Frame(rules.number, tail=tlv(free_type(rules), b"the same").hex(), sequence=1, timestamp=1)
    writes = [Write(conn, (same,) * count) for count in (3, 1, 1) for conn in (0, 1)]
    if rules.echo:
        of_both = msgspec.structs.replace(same, source=20)
        writes += [Write(conn, (of_both,)) for conn in (0, 1, 1, 0, 0, 1)]
    return programs_of(rules, writes)


def _ends(rules: Rules, before: Iterable[Frame], last: Iterable[Frame]) -> tuple[Program, ...]:
    """A last frame of each kind after a frame of each kind from another client: no frame follows."""
    return tuple(
        Program(rules.domain, (Connect(0), Connect(1), Write(0, (one,)), Write(1, (other,))))
        for one, other in product(before, last)
    )


def last_frame_kinds(rules: Rules) -> tuple[Program, ...]:
    """A small or a larger frame as the last (FWD-1)."""
    kinds = (own(rules), own(rules, 5_000))
    return _ends(rules, kinds, kinds)


def header_only_last(rules: Rules) -> tuple[Program, ...]:
    """A header-only frame as the last, or the last but one (FWD-6)."""
    header_only = Frame(rules.number)
    kinds = (own(rules), own(rules, 5_000))
    return (*_ends(rules, (header_only, *kinds), (header_only,)), *_ends(rules, (header_only,), kinds))


def valid_frame_edges(rules: Rules) -> tuple[Program, ...]:
    """Header field values, identical frames, and each kind of last frame (FWD-1)."""
    return (*header_field_values(rules), *identical_frames(rules), *last_frame_kinds(rules))


def _large_sizes(most: int) -> Iterator[int]:
    size = float(MIDDLE_FRAME_SIZES.stop)
    while size <= most:
        yield int(size)
        size *= SIZE_STEP


def frame_sizes(rules: Rules) -> tuple[Program, ...]:
    """Frames of every size up to 4 kB, then in steps of 2 %, about buffer sizes, the largest, and large ones in
    pieces (FWD-7).
    """
    about = {size + off + header for size in BUFFER_SIZES for off in (-1, 0, 1) for header in (0, 32)}
    sizes = [*SMALL_FRAME_SIZES, *sorted(size for size in about if 600 < size <= rules.max_message_size)]
    writes = [Write(0, (sized(rules, size),)) for size in sizes]
    middle = range(MIDDLE_FRAME_SIZES.start, min(MIDDLE_FRAME_SIZES.stop, rules.max_message_size + 1))
    groups = (middle[start : start + FRAMES_PER_WRITE] for start in range(0, len(middle), FRAMES_PER_WRITE))
    writes += [Write(0, tuple(sized(rules, size) for size in group)) for group in groups]
    writes += [Write(0, (sized(rules, size),)) for size in _large_sizes(rules.max_message_size)]
    if rules.max_message_size <= PROGRAM_BYTES:
        writes.append(Write(0, (own(rules), sized(rules, rules.max_message_size), own(rules))))
    large = sized(rules, min(ABOVE_A_READ_BYTES, rules.max_message_size))
    clients = range(min(CLIENTS, rules.max_connections - 1) if rules.max_connections else CLIENTS)  # one is the witness
    of_each = (Write(conn, (large,)) for conn in (clients if rules.granularity == "frames" else clients[:1]))
    in_pieces = (Connect(0), Connect(1), Buffer(0, LEAST_BUFFER), Write(0, (own(rules), large, own(rules))))
    return (
        *programs_of(rules, writes),
        Program(rules.domain, (*map(Connect, clients), *of_each)),
        Program(rules.domain, in_pieces),
    )


def tlv_counts(rules: Rules) -> tuple[Program, ...]:
    """Frames of many TLVs, a program for each: a relay may lose some by the count of their TLVs (FWD-8)."""
    frames = (Frame(rules.number, empty_tlvs(rules, count)) for count in (*TLV_COUNTS, *HUGE_TLV_COUNTS))
    fitting = (frame for frame in frames if frame.size <= rules.max_message_size)
    return tuple(Program(rules.domain, (Connect(0), Connect(1), Write(0, (frame,)))) for frame in fitting)


def split_at_every_byte(rules: Rules) -> tuple[Program, ...]:
    """A frame for every byte that it can be cut at; one with frames in its payload, cut where they begin (FRAME-1).

    A frame larger than one read, cut within its header and after it.
    """
    frame, large = own(rules), sized(rules, min(ABOVE_A_READ_BYTES, rules.max_message_size))
    inner = encode_frame(frame, conn=0, number=0, sequence=0)
    outer = Frame(rules.number, frame.tlvs, tail=tlv(free_type(rules), inner + inner).hex())
    begins = outer.size - 2 * len(inner)
    cuts = (begins - 1, begins, begins + 1, begins + 4, begins + 32, begins + len(inner))
    return programs_of(
        rules,
        (
            *(Write(0, (frame,), cuts=(cut,)) for cut in range(1, frame.size)),
            *(Write(0, (outer,), cuts=(cut,)) for cut in cuts),
            Write(0, (outer, outer)),
            *(Write(0, (large,), cuts=(cut,)) for cut in CUTS_OF_LARGE),
        ),
    )


def reads_filled_exactly(rules: Rules) -> tuple[Program, ...]:
    """Last frames that end where a buffer is full; thousands of header-only frames in one write (FRAME-2)."""
    many = Write(0, (Frame(rules.number),) * min(HEADERS, rules.most_frames))
    read = Write(0, (Frame(rules.number),) * min(HEADERS_OF_A_READ, rules.most_frames), settle=False)
    full = tuple(
        Program(
            rules.domain,
            (
                Connect(0),
                Connect(1),
                Freeze(),
                Write(0, (sized(rules, 64),) * (size // 64), settle=False),
                Thaw(),
            ),
        )
        for size in BUFFER_SIZES
        if size <= 131_072
    )
    together = ((many,), (Freeze(), read, Thaw()))
    return (*full, *(Program(rules.domain, (Connect(0), Connect(1), *steps)) for steps in together))
