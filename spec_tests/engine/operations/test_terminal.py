"""A command whose output cannot be written says so in one line; one without any output says nothing."""

import errno
import io
import os
import sys

import pytest

from torq_engine.errors import RelayError
from torq_engine.operations.terminal import complain, told_in_one_line


class FullDisk(io.StringIO):
    """Takes text, and cannot keep it."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given_up: list[int] = []
    monkeypatch.setattr(os, "dup2", lambda _, descriptor: given_up.append(descriptor))
    monkeypatch.setattr(sys, "stdout", FullDisk())
    with pytest.raises(SystemExit) as stop, told_in_one_line("torq-relay"):
        print("what nobody will read")
    assert stop.value.code == 1
    assert capfd.readouterr().err == "torq-relay: standard output: No space left on device\n"
    assert given_up == [1]


def test_a_command_without_standard_output_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(sys, "stdout", None)
    with told_in_one_line("torq-relay"):
        done.append("its work")
    assert done == ["its work"]


def test_without_standard_error_nothing_is_written_to_whatever_has_its_number(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    complain("what nobody asked for")
    assert capfd.readouterr() == ("", "")


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="ascii"))
    with told_in_one_line("torq-relay"):
        print("/tmp/caf\u00e9")
    assert screen.getvalue() == b"/tmp/caf\\xe9\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [(RelayError("x: is wrong; mend it"), "x: is wrong; mend it"), (KeyboardInterrupt(), "interrupted")],
)
def test_an_error_for_operators_and_ctrl_c_are_one_line_and_exit_code_1(
    error: BaseException, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop, told_in_one_line("torq-relay"):
        raise error
    assert stop.value.code == 1
    assert capfd.readouterr().err == f"torq-relay: {said}\n"
