"""The backlog of one connection cut down to its bounds, by examples, in both forms of its file."""

import sys
from types import ModuleType

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
    chunk = storage.keep(FRAME * 4, 4)
    waiting.push(chunk)
    assert waiting.drop_oldest(most_frames, most_bytes) == dropped
    assert (waiting.frames, waiting.bytes) == (4 - dropped, 40 * (4 - dropped))
    assert b"".join(waiting.gather()[0]) == FRAME * (4 - dropped)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_one_send_gathers_no_more_parts_than_the_kernel_takes(form: ModuleType) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    for _ in range(300):
        waiting.push(storage.keep(FRAME, 1))
    parts, size = waiting.gather()
    assert (len(parts), size) == (256, 256 * len(FRAME))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_iso_3_what_does_not_wait_any_more_is_not_taken_back(form: ModuleType) -> None:
    storage = form.Storage()
    waiting = form.Backlog(storage)
    gone, kept = storage.keep(FRAME, 1), storage.keep(FRAME, 1)
    assert waiting.drop_newest(gone) == 0
    waiting.push(kept)
    assert waiting.drop_newest(gone) == 0
    assert (waiting.frames, waiting.bytes) == (1, len(FRAME))
