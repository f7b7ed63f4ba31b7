"""Help that says what to type next, and bad input that ends in one clear line and exit code 2."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spec_tests.conformance import shown_runs
from spec_tests.conformance.commands.running import run_command
from torq_conformance.cli import command_names
from torq_conformance.errors import UsageError
from torq_conformance.judging.verdict import Counterexample
from torq_conformance.model.profile import LEAST, Profile
from torq_conformance.model.requirements import requirements
from torq_conformance.printable import encodable
from torq_conformance.replay.record import FailureKeeper, Record, load, runs_that_prove_a_fix, runs_worth_playing

EXEC = ("--exec", "torq-specimen correct --socket {socket}", "--domain", "signal")


@pytest.mark.parametrize("command", command_names())
def test_the_help_of_every_command_shows_a_line_to_type(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, command, "--help")
    assert shown.code == 0
    assert f"Usage: torq-conformance {command}" in shown.out
    assert "\n  torq-conformance " in shown.out


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_first_help_lists_every_command(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, *arguments)
    assert shown.code == 0
    for command in command_names():
        assert f"\n  {command} " in shown.out


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from torq_conformance.cli import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "sys.exit(any(name.startswith('torq_conformance.commands') or name == 'hypothesis' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replya",), "did you mean replay?"),
        (("/tmp/x.sock",), "--target /tmp/x.sock"),
        (("--report", "xml:a.xml"), "json, junit, html, markdown"),
        (("--report", "json:"), "FORMAT:FILE"),
        ((*EXEC, "--report", "json:/dev/null/a.json"), "cannot write the report"),
        (("--time-budget", "soon"), "write 90, 60s, 5m or 1h"),
        (("--time-budget", "0s"), "write 90, 60s, 5m or 1h"),
        (("--max-examples", "0"), "--max-examples"),
        (("--seed", "-1"), "--seed"),
        (("--section", "FRAMES", "--domain", "signal"), "did you mean FRAME"),
        (("--exclude", "nothing", "--domain", "signal"), "see torq-conformance --list"),
        (("--profile", "nosuch"), "no profile is called 'nosuch'"),
        (("--profile", "/nonexistent.toml"), "cannot read profile"),
        (("--target", "a.sock", *EXEC), "not both"),
        (("--target", "a.sock"), "--domain signal"),
        (("--target", "tcp:nowhere", "--domain", "signal"), "tcp:HOST:PORT"),
        (("--target", "/tmp/" + "x" * 200, "--domain", "signal"), "at most 107 bytes"),
        (("--exec", "relay", "--domain", "signal"), "write {socket}"),
        (("--exec", "'relay {socket}", "--domain", "signal"), "No closing quotation"),
        (("--exec", "/nonexistent/relay {socket}", "--domain", "signal"), "cannot start"),
        (("replay",), "Missing argument"),
        (("replay", "nosuch.json"), "cannot read nosuch.json"),
        (("replay", "."), "is a directory"),
        (("explain",), "Missing argument"),
        (("explain", "FRAME-99"), "did you mean"),
        (("matrix",), "Missing argument"),
        (("matrix", "nosuch.json"), "cannot read nosuch.json"),
        (("compare", "nosuch.json", "nosuch.json"), "cannot read nosuch.json"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else "",
)
def test_bad_input_ends_with_2_and_says_what_to_do(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run_command(capsys, *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert words in shown.err


@pytest.mark.parametrize(
    "line",
    [
        "--domain signal --failures {file}",
        "--domain signal --report json:{file}",
        "diff --domain signal --exec-b 'false {{socket}}' --json {file}",
        "probe --domain signal -o {file}",
        "selftest --json {file}",
    ],
)
def test_a_file_that_has_no_place_is_told_before_anything_is_judged(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run_command(capsys, *shlex.split(line.format(file=tmp_path / "nowhere" / "x.json")))
    assert shown.code == 2
    assert shown.out == ""
    assert "nowhere" in shown.err
    assert "make" in shown.err


@pytest.mark.parametrize("setting", LEAST)
def test_limits_that_leave_no_room_for_programs_are_refused(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "narrow.toml"
    profile.write_text(f'name = "narrow"\n{setting} = {LEAST[setting] - 1}\n', "utf-8")
    shown = run_command(capsys, *EXEC, "--profile", str(profile))
    assert shown.code == 2
    assert f"{setting} = {LEAST[setting] - 1} leaves no room" in shown.err
    assert f"with {LEAST[setting]} or more" in shown.err


def test_a_command_that_is_no_program_is_wrong_usage_and_no_lack_of_the_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "relay").write_text("no program")
    words = ("--exec", f"{tmp_path}/relay {{socket}}", "--domain", "signal", "--section", "FWD-1")
    shown = run_command(capsys, *words, "--failures", str(tmp_path / "failures"))
    assert shown.code == 2
    assert "Permission denied; give the path of the program" in shown.err


def test_every_requirement_is_explained_with_a_reason_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, "explain", *{name.partition("-")[0] for name in requirements()})
    assert shown.code == 0
    for requirement in requirements().values():
        assert f"{requirement.id} [{requirement.level}]" in shown.out
    assert shown.out.count("  why       ") == len(requirements())
    reasons = [requirement.why for requirement in requirements().values()]
    assert len(set(reasons)) == len(reasons)
    assert all(40 <= len(reason) <= 260 and reason.endswith(".") for reason in reasons)


def test_explain_names_programs_oracles_and_originals(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, "explain", "frame-1").out
    for words in (
        "programs  SplitWrites:",
        "fails on  lost:",
        "the first generic engine does not hold it",
        "--section FRAME-1",
    ):
        assert words in shown


def test_explain_prints_the_notes_of_a_requirement(capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(run_command(capsys, "explain", "iso-7").out.split())
    for note in requirements()["ISO-7"].notes:
        assert note.replace("`", "") in shown
    assert "  notes" not in run_command(capsys, "explain", "frame-1").out


def record(failures: int = 20, runs: int = 20) -> Record:
    shown = shown_runs.lost_frame()
    return Record("FWD-1", shown_runs.plan().profile, shown.program, (), failures, runs, 1, "a relay")


def saved(shown: Counterexample, target: str, folder: Path, profile: Profile | None = None) -> Path:
    plan = shown_runs.plan()
    return FailureKeeper(dataclasses.replace(plan, profile=profile or plan.profile), target, folder).save(shown)


def test_a_counterexample_keeps_what_was_seen_and_one_without_facts_is_read(tmp_path: Path) -> None:
    shown = shown_runs.lost_frame()
    path = saved(shown, "a relay", tmp_path)
    (kept,) = load(path).findings
    assert (kept.kind, kept.facts["frame"], kept.facts["receiver"]) == ("lost", "A0", "B")
    stored = json.loads(path.read_text())
    for finding in stored["findings"]:
        del finding["facts"]  # as version 0.2 wrote it
    path.write_text(json.dumps(stored))
    assert [(each.expected, each.seen, each.facts) for each in load(path).findings] == [(kept.expected, kept.seen, {})]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.binary(max_size=20).map(os.fsdecode))
def test_a_counterexample_of_a_relay_at_any_path_is_kept(name: str, tmp_path: Path) -> None:
    path = saved(shown_runs.lost_frame(), f"./{name} {{socket}}", tmp_path)
    assert load(path).target == encodable(f"./{name} {{socket}}")
    path.unlink()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_counterexample_is_read_or_refused_in_one_line(
    place: int, byte: int, cut: bool, tmp_path: Path
) -> None:
    data = bytearray(msgspec.json.encode(record()))
    place %= len(data)
    data[place:] = b"" if cut else bytes((byte,)) + data[place + 1 :]
    path = tmp_path / "damaged.json"
    path.write_bytes(data)
    said = str(path)
    try:
        load(path)
    except UsageError as error:
        said = str(error)
    assert str(path) in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"conn":0', '"conn":7', "uses connection 7, which no step opens"),
        ('"type":30', '"type":300', "cannot be written as bytes"),
        ('"size":8', '"size":99999999999', "0 to 65535 bytes"),
        ('"failures":20', '"failures":21', "21 failures of 20 runs cannot be"),
        ('"version":1}', '"version":2}', "format version 2"),
        ('"requirement":"FWD-1"', '"requirement":"FWD-99"', "has no oracle"),
    ],
)
def test_a_counterexample_that_cannot_be_played_is_refused(
    old: str, new: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = msgspec.json.encode(record()).decode()
    assert old in text
    path = tmp_path / "wrong.json"
    path.write_text(new.join(text.rsplit(old, 1)), "utf-8")
    shown = run_command(capsys, "replay", str(path), "--domain", "signal")
    assert shown.code == 2
    assert words in shown.err


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ((), "--exec 'their_relay {socket}'"),
        (("--domain", "signal"), "--exec 'their_relay {socket}'"),
        (("--exec", "my_relay --domain {domain} {socket}"), "--exec 'my_relay --domain {domain} {socket}'"),
        (("--script", "out.py"), "--exec 'their_relay {socket}'"),
    ],
)
@pytest.mark.parametrize("requirement", ["LIFE-1", "ISO-2"])
def test_replay_of_a_fixed_check_names_the_command_that_judges_it_again(
    requirement: str, given: tuple[str, ...], where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = shown_runs.failed_check(requirement)
    path = saved(shown, "their_relay {socket}", tmp_path)
    said = run_command(capsys, "replay", str(path), *given)
    assert (said.code, said.out) == (2, "")
    assert f"{requirement} was found broken by a fixed check" in said.err
    assert said.err.endswith(f"torq-conformance {where} --domain signal --section {requirement}\n")


def test_replay_of_a_fixed_check_asks_for_the_profile_that_it_was_judged_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = msgspec.structs.replace(record().profile, name="my relay", queue_frames=5)
    path = saved(shown_runs.failed_check(), "theirs {socket}", tmp_path, profile)
    said = run_command(capsys, "replay", str(path))
    assert said.code == 2
    assert "--profile 'my relay.toml' --section LIFE-1 (with the file of the profile 'my relay'" in said.err


def test_replay_asks_which_relay_is_meant_instead_of_judging_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(shown_runs.lost_frame(), "their relay", tmp_path)
    shown = run_command(capsys, "replay", str(path))
    assert shown.code == 2
    assert "say which relay" in shown.err
    assert "their relay" in shown.err
    other = run_command(capsys, "replay", str(path), "--domain", "execution")
    assert (other.code, "a signal relay, not for execution" in other.err) == (2, True)


@given(runs=st.integers(0, 60))
def test_no_number_of_passes_proves_a_fix_of_what_never_failed_again(runs: int) -> None:
    assert runs_that_prove_a_fix(record(0, runs)) is None
    assert runs_worth_playing(record(0, runs)) == max(10, runs)


def test_replay_of_what_never_failed_again_says_that_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stored.json"
    path.write_bytes(msgspec.json.encode(record(0, 12)))
    said = run_command(capsys, "replay", str(path), "--domain", "signal")
    assert (said.code, "FIXED" in said.out) == (3, False), said.out
    assert (
        "NOT REPRODUCED: 12 runs pass; the program never failed again after it was found (recorded: 0 of 12)"
        in said.out
    )


@given(failures=st.integers(1, 60), more=st.integers(0, 60))
def test_as_many_passes_as_the_rate_demands_prove_a_fix(failures: int, more: int) -> None:
    runs = failures + more
    needed = runs_that_prove_a_fix(record(failures, runs))
    assert needed is not None
    rate = (failures + 1) / (runs + 2)
    assert needed >= 10
    assert (1 - rate) ** needed <= 0.001
    assert needed == 10 or (1 - rate) ** (needed - 1) > 0.001
