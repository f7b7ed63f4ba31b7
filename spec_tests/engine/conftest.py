"""Every asynchronous test of the engine runs on both loops: they differ where clients leave and errors come up."""

import asyncio
from collections.abc import Callable

import uvloop

from .measured import measured_processes, unmeasured_processes

__all__ = ["measured_processes", "unmeasured_processes"]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that a relay can be run on."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
