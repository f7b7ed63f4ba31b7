"""The simulation switches stacks, which a measurement that runs meanwhile does not expect; it has one of its own."""

from __future__ import annotations

from collections.abc import Iterator

import coverage
import pytest


@pytest.fixture(scope="package", autouse=True)
def unmeasured() -> Iterator[None]:
    """Nothing here is measured by those who run the tests."""
    running = coverage.Coverage.current()
    if running is None:
        yield
        return
    running.stop()
    yield
    running.start()
