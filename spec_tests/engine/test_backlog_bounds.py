"""The backlog of one connection cut down to its bounds, by examples, in both forms of its file."""

import sys
from types import ModuleType
from typing import Any

import pytest

from spec_tests.engine import hub_forms
from torq_engine import backlog

FORMS = {"installed": backlog, "interpreted": sys.modules[f"{hub_forms._TWIN}.backlog"]}
FRAME = bytes(24) + (8).to_bytes(4, "little") + bytes(12)
"""40 bytes: a header that announces 8 of payload."""


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("most_frames", "most_bytes", "dropped"), [(2, 10_000, 2), (100, 85, 2), (100, 80, 2), (0, 0, 4), (4, 160, 0)]
)
def test_iso_3_whole_frames_are_dropped_from_the_front_and_no_more(
    form: ModuleType, most_frames: int, most_bytes: int, dropped: int
) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    push(storage, waiting, 4)
    assert waiting.drop_oldest(most_frames, most_bytes) == dropped
    assert (waiting.frames, waiting.bytes) == (4 - dropped, 40 * (4 - dropped))
    assert b"".join(waiting.gather()[0]) == FRAME * (4 - dropped)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_one_send_gathers_no_more_parts_than_the_kernel_takes(form: ModuleType) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    for _ in range(300):
        push(storage, waiting, 1)
        storage.keep(FRAME, 0, len(FRAME))  # not for this receiver: the next stretch does not follow the last
    parts, size = waiting.gather()
    assert (len(parts), size) == (256, 256 * len(FRAME))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_iso_2_frames_of_many_small_reads_are_one_stretch_of_the_log(form: ModuleType) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    for _ in range(1000):
        push(storage, waiting, 1)
    assert (waiting.frames, waiting.bytes, len(waiting.queue)) == (1000, 40_000, 1)
    assert b"".join(waiting.gather()[0]) == FRAME * 1000


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_iso_2_a_segment_that_nobody_waits_for_is_filled_anew(form: ModuleType) -> None:
    storage = form.Storage()
    waiting, other = form.Backlog(storage), form.Backlog(storage)
    segment = push(storage, waiting, 3)
    other.push(segment, 0, 120, 3)
    assert waiting.advance(120) == 3
    assert storage.bytes == 120
    assert other.discard() == 3
    assert storage.bytes == 0
    assert push(storage, waiting, 1) is segment
    assert (storage.bytes, segment.filled) == (40, 40)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("sent", [0, 30, 50, 110])
def test_iso_3_frames_just_pushed_are_taken_back_but_for_what_is_sent_of_them(form: ModuleType, sent: int) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    push(storage, waiting, 3)
    gone = waiting.advance(sent) if sent else 0
    torn = 1 if sent % 40 else 0
    assert waiting.drop_newest(120, 3) == 3 - gone - torn
    assert (waiting.frames, waiting.bytes) == (torn, -sent % 40)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_iso_3_what_waited_before_is_kept_when_frames_are_taken_back(form: ModuleType) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    assert waiting.drop_newest(40, 1) == 0
    push(storage, waiting, 2)
    push(storage, waiting, 1)
    assert waiting.drop_newest(40, 1) == 1
    assert (waiting.frames, waiting.bytes) == (2, 80)


def push(storage: Any, waiting: Any, frames: int) -> Any:
    """Keep so many frames and put them behind what waits; their segment."""
    data = FRAME * frames
    segment = storage.keep(data, 0, len(data))
    waiting.push(segment, segment.filled - len(data), segment.filled, frames)
    return segment
