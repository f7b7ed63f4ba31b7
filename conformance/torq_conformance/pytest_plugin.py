"""The pytest plugin: the fixture ``relay_target``, a relay started afresh for every test, and its options.

What it offers is imported when a test asks for it, so that other test runs pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import RelayUnderTest

OPTIONS = {
    "relay_exec": ("--relay-exec", "Command that starts the relay; {socket} becomes a private path, {port} a port."),
    "relay_successor": ("--relay-successor", "Command that starts a relay which takes over from that of --relay-exec."),
    "relay_target": ("--relay-target", "Address of a relay that runs: a socket path, unix:PATH or tcp:HOST:PORT."),
    "relay_domain": ("--relay-domain", "Domain of the relay: market_data, signal or execution."),
    "relay_profile": ("--relay-profile", "What the relay promises: a profile's name or file (default: reference)."),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the plugin, on the command line and in the ini file."""
    group = parser.getgroup("torq-conformance", "relays under test")
    for name, (flag, text) in OPTIONS.items():
        group.addoption(flag, metavar=name.removeprefix("relay_").upper(), help=text)
        parser.addini(name, text)


def _option(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name) or config.getini(name) or "")


@pytest.fixture
def relay_target(request: pytest.FixtureRequest) -> Iterator[RelayUnderTest]:
    """A relay for one test: a fresh process of ``--relay-exec``, or the relay at ``--relay-target``."""
    from msgspec import structs

    from .errors import ConformanceError
    from .model.profile import load_profile
    from .play.naming import guess_domain, target_for
    from .testing import RelayUnderTest

    command, successor, address, domain, name = (_option(request.config, name) for name in OPTIONS)
    try:
        domain = domain or guess_domain(address or command)
        profile = load_profile(name or "reference")
        successor = successor or profile.successor
        with target_for(address or None, command or None, domain, successor=successor) as target:
            yield RelayUnderTest(target, domain, structs.replace(profile, successor=successor))
    except ConformanceError as error:
        pytest.fail(f"relay_target: {error}", pytrace=False)
