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
