"""The files that take longest are run first: what is begun last would keep one core busy while the others wait."""

import pytest

LONGEST = (
    "spec_tests/test_distribution.py",
    "spec_tests/conformance/test_silent_relays.py",
    "spec_tests/conformance/test_runner.py",
    "spec_tests/bench/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by how long their files take, as far as that matters; the others stay as they were."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
