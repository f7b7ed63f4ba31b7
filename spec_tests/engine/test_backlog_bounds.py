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


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_iso_2_a_client_that_stops_within_a_small_frame_holds_its_rest_and_no_segment(form: ModuleType) -> None:
    now = 7.0
    storage = form.Storage(clock=lambda: now)
    stopped = [form.Backlog(storage) for _ in range(50)]
    for waiting in stopped:
        push(storage, waiting, 1638)  # all but a whole segment
        now += 1.0
        assert waiting.advance(90) == 2
        waiting.drop_whole()
        push(storage, form.Backlog(storage), 1)
    assert [(waiting.frames, waiting.bytes) for waiting in stopped] == [(1, 30)] * 50
    assert [waiting.oldest() for waiting in stopped] == [7.0 + number for number in range(50)]
    assert bytes(stopped[0].gather()[0][0]) == FRAME[10:]
    assert storage.bytes < 50 * 30 + 2 * 65_536
    for waiting in stopped:
        assert waiting.discard() == 1
    assert storage.bytes <= 2 * 65_536


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_iso_2_a_large_frame_within_which_many_stop_is_kept_once(form: ModuleType) -> None:
    storage = form.Storage()
    stopped = [form.Backlog(storage) for _ in range(50)]
    large = FRAME[:24] + (20_000).to_bytes(4, "little") + bytes(20_004)
    segment = storage.keep(large, 0, len(large))
    for waiting in stopped:
        waiting.push(segment, 0, len(large), 1)
        assert waiting.advance(10) == 0
    assert storage.bytes == len(large)


def push(storage: Any, waiting: Any, frames: int) -> Any:
    """Keep so many frames and put them behind what waits; their segment."""
    data = FRAME * frames
    segment = storage.keep(data, 0, len(data))
    waiting.push(segment, segment.filled - len(data), segment.filled, frames)
    return segment
