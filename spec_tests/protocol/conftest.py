"""Fixtures of the protocol's tests."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

import torq_protocol
from torq_protocol.build_info import interpreted_package


@pytest.fixture(params=["installed", "interpreted"], scope="session")
def wire(request: pytest.FixtureRequest) -> ModuleType:
    """The package as it is installed (compiled, where a compiler was there), then the same files interpreted."""
    package = torq_protocol if request.param == "installed" else interpreted_package()
    import_module(f"{package.__name__}.batch")
    return package
