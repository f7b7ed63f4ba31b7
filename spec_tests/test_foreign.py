"""The foreign relay compiles, and the suite tells its right build from a wrong one; skipped without a C++ compiler."""

import re
import subprocess

import pytest

from spec_tests.foreign import CompilerError, faults, program
from spec_tests.foreign.judging import Effort, judge

try:
    program()
except CompilerError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_frame_1_the_right_build_passes() -> None:
    judged = judge("execution", 1, Effort(5, 60, "FRAME-1"))
    assert judged.code == 0, judged.output
    assert re.search(r"^(THIN )?PASS +FRAME-1 ", judged.output, re.MULTILINE)


def test_val_1_a_fault_is_found() -> None:
    judged = judge("execution", 1, Effort(5, 60, "VAL-1"), "checksum-tires=0")
    assert judged.failures == {"VAL-1": "FAIL"}, judged.output
    assert judged.failing_lines


def test_every_fault_is_a_word_that_the_relay_takes() -> None:
    words = [fault.word for fault in faults()]
    assert len(set(words)) == len(words) >= 20
    for word in [*words, "no-such-fault"]:
        said = subprocess.run([program(), "--fault", word, "--domain", "signal"], capture_output=True, text=True)
        assert ("no such fault" in said.stderr) == (word == "no-such-fault")
        assert said.returncode == 1
