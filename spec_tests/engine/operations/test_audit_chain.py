"""No change of an audit log goes unseen (SEC-3)."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .audit_logs import FORMAT_1, check, logs, write


@pytest.fixture(scope="module", params=["new", "format 1", "both"])
def sample(request: pytest.FixtureRequest) -> list[tuple[str, bytes]]:
    """Names and contents of a log of three files or more and its seal, in a format or begun in the one before."""
    with tempfile.TemporaryDirectory() as name:
        if request.param != "new":
            shutil.copytree(FORMAT_1 / "log", name, dirs_exist_ok=True)
        if request.param != "format 1":
            write(Path(name), 40)
        found = sorted((path.name, path.read_bytes()) for path in Path(name).iterdir())
        assert [name for name, _ in found][:3] == [f"execution-0000000{number}.jsonl" for number in (1, 2, 3)]
        assert check(Path(name)).problems == []
        return found


def tampered(files: list[tuple[str, bytes]], key: bytes = b"") -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        for file, data in files:
            (Path(name) / file).write_bytes(data)
        return check(Path(name), key).problems


@settings(max_examples=150)
@given(data=st.data())
def test_sec_3_any_changed_byte_is_found(sample: list[tuple[str, bytes]], data: st.DataObject) -> None:
    files = dict(sample)
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    changed = bytearray(files[name])
    changed[at] ^= data.draw(st.integers(1, 255))
    assert tampered(list((files | {name: bytes(changed)}).items()))


@settings(max_examples=100)
@given(data=st.data())
def test_sec_3_any_cut_is_found(sample: list[tuple[str, bytes]], data: st.DataObject) -> None:
    files = dict(sample)
    name = data.draw(st.sampled_from(sorted(files)))
    start = data.draw(st.integers(0, len(files[name]) - 1))
    stop = data.draw(st.integers(start + 1, len(files[name])))
    assert tampered(list((files | {name: files[name][:start] + files[name][stop:]}).items()))


@settings(max_examples=100)
@given(data=st.data(), inserted=st.binary(min_size=1, max_size=99) | st.sampled_from([b"\n", b" ", b"{}\n"]))
def test_sec_3_any_insertion_is_found(sample: list[tuple[str, bytes]], data: st.DataObject, inserted: bytes) -> None:
    files = dict(sample)
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name])) | st.just(len(files[name])))
    problems = tampered(list((files | {name: files[name][:at] + inserted + files[name][at:]}).items()))
    torn = name == sample[-2][0] and at == len(files[name]) and b"\n" not in inserted
    assert bool(problems) is not torn


@settings(max_examples=100)
@given(data=st.data())
def test_sec_3_whole_lines_cut_doubled_swapped_or_moved_are_found(
    sample: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    files = dict(sample)
    names = [name for name in sorted(files) if name.endswith("jsonl")]
    lines = [(name, line) for name in names for line in files[name].splitlines(keepends=True)]
    first, second = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    act = data.draw(st.sampled_from(["cut", "double", "swap", "move", "cut the end"]))
    if act == "cut":
        del lines[first]
    elif act == "double":
        lines.insert(second, lines[first])
    elif act == "swap":
        lines[first], lines[second] = (lines[first][0], lines[second][1]), (lines[second][0], lines[first][1])
    elif act == "move":
        lines.insert(second, lines.pop(first))
    else:
        del lines[first:]
    changed = {name: b"".join(line for owner, line in lines if owner == name) for name in names}
    same = changed == {name: files[name] for name in names}
    assert bool(tampered(list((files | changed).items()))) is not same


@pytest.mark.parametrize("missing", ["execution-00000001.jsonl", "execution-00000002.jsonl", "execution.seal"])
def test_sec_3_a_missing_file_is_found(sample: list[tuple[str, bytes]], missing: str) -> None:
    assert tampered([(name, data) for name, data in sample if name != missing])


def test_sec_3_a_missing_last_file_is_found(sample: list[tuple[str, bytes]]) -> None:
    last = [name for name, _ in sample if name.endswith("jsonl")][-1]
    [problem] = tampered([(name, data) for name, data in sample if name != last])
    assert "the end is missing" in problem


def test_sec_3_with_a_key_the_chain_cannot_be_made_again_without_it(tmp_path: Path) -> None:
    write(tmp_path, 10, key=b"secret")
    assert check(tmp_path, b"secret").problems == []
    assert check(tmp_path).problems
    assert check(tmp_path, b"other").problems


def test_sec_3_the_verifier_that_the_guide_shows_checks_both_formats(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
    _, _, section = guide.partition("### The format of the log")
    program = section.partition("```python verify.py\n")[2].partition("```")[0]
    shutil.copytree(FORMAT_1 / "log", tmp_path / "log")
    write(tmp_path / "log", 40)

    def checked() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *map(str, logs(tmp_path / "log"))]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert json.loads((tmp_path / "log" / "execution.seal").read_text("utf-8"))["last"] in checked().stdout
    changed = logs(tmp_path / "log")[-1]
    changed.write_bytes(changed.read_bytes().replace(b'"n":', b'"m":', 1))
    assert f"AssertionError: {changed}" in checked().stderr
