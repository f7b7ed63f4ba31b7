"""Frames as people read them: many labels as ranges."""

from hypothesis import given
from hypothesis import strategies as st

from torq_conformance.model.frames import in_ranges


def _expanded(text: str) -> list[int]:
    """The numbers that labels and their ranges stand for."""
    numbers: list[int] = []
    for part in text.split(" (", maxsplit=1)[0].split(", "):
        first, _, last = part.replace("B", "").partition(" ... ")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


@given(st.lists(st.integers(0, 40), max_size=60) | st.sets(st.integers(0, 40)).map(sorted))
def test_a_range_of_frames_stands_for_each_of_them_once_and_hides_no_gap_and_no_double(numbers: list[int]) -> None:
    text = in_ranges([(f"B{number}", number) for number in numbers])
    between = len(set(range(min(numbers, default=1), max(numbers, default=0) + 1)) - set(numbers))
    again = len(numbers) - len(set(numbers))
    if "more range" not in text:
        assert _expanded(text) == numbers if numbers else text == ""
    if len(numbers) > 3:
        assert f"({len(numbers)} frames" in text
        assert ("between not among them" in text) == (between > 0)
        assert (f", {again} of them again)" in text) == (again > 0)


def test_ranges_of_a_stream_with_a_hole_and_a_double() -> None:
    numbers = [*range(2000), *range(2400, 5000), 4999]
    assert in_ranges([(f"B{number}", number) for number in numbers]) == (
        "B0 ... B1999, B2400 ... B4999, B4999 (4 601 frames, 400 numbers between not among them, 1 of them again)"
    )
