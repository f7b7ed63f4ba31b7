"""The files of differences: written as they are found, read back as they were, and gone when they are explained."""

from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance import shown_comparisons as shown
from torq_conformance import files
from torq_conformance.comparison.course import Course
from torq_conformance.comparison.evidence.keeper import DifferenceKeeper
from torq_conformance.comparison.topics import Level
from torq_conformance.errors import UsageError
from torq_conformance.replay.difference import DifferenceRecord, is_difference, load_difference


def kept(folder: Path) -> DifferenceKeeper:
    return DifferenceKeeper(folder / "failures", "old {socket}", "./new --fast {socket}", "signal", 7)


def test_every_difference_has_a_file_that_reads_back_as_it_was(tmp_path: Path) -> None:
    keeper = kept(tmp_path)
    course = shown.course(shown.lost(), shown.closed(), shown.lost(flaky=True))
    keeper.keep(course)
    assert keeper.unsaved == []
    for entry in course.entries:
        path = keeper.path(entry.id)
        record = load_difference(path)
        assert is_difference(path)
        assert (record.id, record.in_a, record.in_b, record.runs) == (entry.id, entry.in_a, entry.in_b, entry.runs)
        assert (record.played is None) != (record.checked is None)
        assert record.started
    by_program = load_difference(keeper.path("closes:half-closed")).played
    assert by_program is not None
    assert by_program.program == shown.closed().program
    by_check = load_difference(keeper.path("breaks:CONN-2-stolen")).checked
    assert by_check is not None
    assert (by_check.requirement, by_check.kind, by_check.breaks) == ("CONN-2", "stolen", True)


def test_a_difference_of_relays_whose_paths_are_no_utf_8_has_its_file_too(tmp_path: Path) -> None:
    keeper = DifferenceKeeper(tmp_path / "failures", "./a\udcff {socket}", "./b\udcff {socket}", "signal", 7)
    keeper.keep(shown.course(shown.lost(), checks=False))
    assert keeper.unsaved == []
    record = load_difference(keeper.path("loses:plain"))
    assert (record.a, record.b) == ("./a? {socket}", "./b? {socket}")


def test_text_is_written_whatever_bytes_it_names(tmp_path: Path) -> None:
    files.write(tmp_path / "profile.toml", "# ./relay\udcff\n")
    assert (tmp_path / "profile.toml").read_text("utf-8") == "# ./relay?\n"


def test_of_two_with_one_id_the_file_holds_the_graver_one_whole(tmp_path: Path) -> None:
    keeper, rare, steady = kept(tmp_path), shown.lost(), shown.lost()
    rare.in_b, rare.program = 1, msgspec.structs.replace(rare.program, steps=rare.program.steps[:-1])
    for found in ((rare, steady), (steady, rare)):
        keeper.keep(shown.course(*found, checks=False))
        record = load_difference(keeper.path("loses:plain"))
        assert (record.differs_in_b, record.played and record.played.program) == (10, steady.program)


def test_what_differs_under_other_circumstances_has_a_file_of_its_own_however_long_they_are() -> None:
    under = ["", " (size: 64..)", " (size: ..64)", f" (sequence: {', '.join(map(str, range(2**63, 2**63 + 50)))})"]
    names = {kept(Path()).path(f"loses:size{each}").name for each in under}
    assert len(names) == len(under)
    assert max(map(len, names)) < 64


def test_what_another_difference_explains_loses_its_file(tmp_path: Path) -> None:
    keeper, found = kept(tmp_path), shown.closed()
    course = shown.course(shown.lost(), found, checks=False)
    keeper.keep(course)
    assert keeper.path(found.id).exists()
    found.explained = True
    keeper.keep(course)
    assert not keeper.path(found.id).exists()
    assert keeper.path("loses:plain").exists()


def test_a_relay_that_does_not_start_has_a_file_too(tmp_path: Path) -> None:
    keeper, course = kept(tmp_path), Course.of(Level.EXACT, ())
    course.failed_to_start(shown.not_serving())
    keeper.keep(course)
    played = load_difference(keeper.path("crashes:plain")).played
    assert played is not None
    assert (played.effect, played.program.steps) == ("crashes", ())


def test_a_file_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "failures").write_text("in the way")
    keeper = kept(tmp_path)
    keeper.keep(shown.course(shown.lost()))
    assert len(keeper.unsaved) == 2
    assert "--failures" in keeper.unsaved[0]


def record() -> DifferenceRecord:
    keeper = kept(Path("/nowhere"))
    course = shown.course(shown.lost())
    return keeper.record_of(course, course.entries[0])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "has format version 2"),
        ({"played": None}, "has to hold one of played and checked"),
        ({"differs_in_b": 11}, "cannot be"),
        ({"differs_in_copy_of_a": 11}, "the copy of A cannot differ in 11 of 10 runs"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(changed: dict[str, object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "difference.json"
    path.write_bytes(files.json_text(msgspec.structs.replace(record(), **changed)))
    with pytest.raises(UsageError, match=words):
        load_difference(path)


def test_another_file_is_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for text in (b"", b"[]", b'{"format": "torq-conformance counterexample"}', b"\xff"):
        path.write_bytes(text)
        assert not is_difference(path)
    assert not is_difference(tmp_path / "none.json")
