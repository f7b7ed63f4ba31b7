"""Daemons are processes of their own: where coverage is measured, it is measured in them as well.

coverage can do so for every process that any test starts (``patch = subprocess``); for the hundreds of relays that the
suite judges this would take longer than the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import coverage
import pytest

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package", autouse=True)
def measured_processes() -> Iterator[None]:
    """What the tests of a package start records its branches beside those of the tests."""
    running = coverage.Coverage.current()
    if running is None:
        yield
        return
    data = os.path.abspath(str(running.get_option("run:data_file")))
    told = {"COVERAGE_PROCESS_START": str(_ROOT / "pyproject.toml"), "COVERAGE_FILE": data}
    with mock.patch.dict(os.environ, told):
        yield


@pytest.fixture
def unmeasured_processes() -> Iterator[None]:
    """For tests that start much, or run long, and reach nothing that others do not: measuring doubles their time."""
    with mock.patch.dict(os.environ):
        os.environ.pop("COVERAGE_PROCESS_START", None)
        yield
