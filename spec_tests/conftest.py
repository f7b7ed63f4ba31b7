"""The files that take longest are run first: what is begun last would keep one core busy while the others wait.

Ctrl-C is not ignored, also where the tests were started in the background by a shell that ignores it for them: tests
interrupt their own processes, which inherit what the tests were given. For the same reason their output is buffered, as
it is for users: what is left in a buffer when nobody reads on is tested. No example has a time limit.
"""

import os
import signal

import pytest
from hypothesis import settings

from .requirement_names import UnknownRequirementError, identifiers

LONGEST = (
    "spec_tests/test_distribution.py",
    "spec_tests/conformance/judging/test_silent_relays.py",
    "spec_tests/conformance/judging/test_runner.py",
    "spec_tests/bench/",
)


def pytest_configure() -> None:
    """Let Ctrl-C interrupt and output be buffered, in every process of the tests."""
    os.environ.pop("PYTHONUNBUFFERED", None)
    settings.register_profile("untimed", settings(), deadline=None)
    settings.load_profile("untimed")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as where nohup had it ignored


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse tests named after no requirement; order them by how long their files take, as far as that matters."""
    for name in {item.originalname for item in items if isinstance(item, pytest.Function)}:
        try:
            identifiers(name)
        except UnknownRequirementError as error:
            raise pytest.UsageError(str(error)) from None
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
