"""What the hook sees of a Python program: lines and branches, whatever threads, generators and exceptions do."""

import os
import subprocess
import sys
from pathlib import Path

from spec_tests.conformance.grey_box.boxes import box_in
from torq_conformance.grey_box.reached import Reached, reached_by_map

PROGRAM = """\
import sys, threading, asyncio
def nobody_calls_this():
    return 1
def sized(number):
    if number > 3:
        if number > 5:
            return "large"
        if number > 4: return "five"
        kept = 1
    for each in range(number):
        if each == 2:
            break
    else:
        kept = 2
    with open(__file__):
        pass
    try:
        raise ValueError
    except KeyError:
        pass
    except ValueError:
        kept = 3
    return kept
def counting():
    for each in range(3):
        if each:
            yield each
def failing(number):
    if number:
        raise ValueError
async def waiting():
    await asyncio.sleep(0)
    if sys:
        return 1
sized(4), sized(6), sized(1), list(counting())
asyncio.run(waiting())
try:
    failing(1)
except ValueError:
    pass
def in_a_thread():
    reached = 1
thread = threading.Thread(target=in_a_thread)
thread.start()
thread.join()
"""


def reached_by(folder: Path, source: str) -> Reached:
    box = box_in(folder, "python")
    (folder / "program.py").write_text(source)
    environment = {**os.environ, **box.environment()}
    done = subprocess.run([sys.executable, folder / "program.py"], env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    return reached_by_map(box, 0)


def test_it_names_exactly_the_lines_and_branches_that_were_never_reached(tmp_path: Path) -> None:
    reached = reached_by(tmp_path, PROGRAM)
    (never,) = reached.never
    assert never.file == str(tmp_path / "program.py")
    assert never.lines == (3, 20)
    assert never.branches == ((8, 0), (19, 20), (29, 0), (33, 0))
    assert reached.things["line"].of is not None
    assert reached.things["line"].of - reached.things["line"].reached == 2
    assert reached.things["branch"].of is not None
    assert reached.things["branch"].of - reached.things["branch"].reached == 4


def test_processes_that_run_one_after_another_set_the_same_bytes(tmp_path: Path) -> None:
    source = "import sys\nif len(sys.argv) > 1:\n    x = 1\nelse:\n    x = 2\n"
    box = box_in(tmp_path, "python")
    program = tmp_path / "program.py"
    program.write_text(source)
    environment = {**os.environ, **box.environment()}
    feedback = box.feedback()
    subprocess.run([sys.executable, program], env=environment, check=True)
    first = feedback.collect()
    subprocess.run([sys.executable, program], env=environment, check=True)
    assert not feedback.collect()
    subprocess.run([sys.executable, program, "more"], env=environment, check=True)
    assert len(feedback.collect()) == 2  # line 3, and the branch to it
    assert len(first) == 4
    assert not reached_by_map(box, 0).never


def test_a_sitecustomize_that_would_have_run_runs_and_the_path_is_as_it_was(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.ours = 1\n")
    box = box_in(tmp_path, "python")
    environment = {**os.environ, **box.environment()}
    environment["PYTHONPATH"] = os.pathsep.join((str(box.folder / "python"), str(own)))
    code = "import sys, sitecustomize; print(ours, sitecustomize.__file__, *sys.path)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["1", str(own / "sitecustomize.py")]
    assert str(box.folder / "python") not in done.stdout


def test_libraries_do_not_count_unless_they_are_named(tmp_path: Path) -> None:
    reached = reached_by(tmp_path, "import json, click\n")
    assert reached.things["line"].of == 1


def test_a_map_that_is_too_small_says_nothing_is_reached_where_it_is(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python")
    box.map.write_bytes(bytes(10))
    (tmp_path / "program.py").write_text("x = 1\n" * 20)
    environment = {**os.environ, **box.environment()}
    subprocess.run([sys.executable, tmp_path / "program.py"], env=environment, check=True)
    assert reached_by_map(box, 0).things["line"].words("line") == "0 of 20 lines"
