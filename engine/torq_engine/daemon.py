"""The command of a relay: configuration, sockets, loop, exit codes.

Facts:
- the socket listens before the loop is imported: a spawner can connect within tens of milliseconds;
- it listens last: whoever can connect finds the operators' sockets and the door for a successor too;
- a relay imports only what its configuration asks for: metrics and the control socket cost nothing when off;
- signals are blocked from the first claim until the service hears them, and again once everything is delivered: no
  signal interrupts a claim or its return, and none is lost;
- what the process inherited is set right before anything else (operations/inheritance.py);
- exit codes: 0 stopped by one signal after draining (LIFE-1), 1 cannot listen or record, 2 wrong usage or
  configuration, 128 + the signal's number when a second signal ended it at once.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from torq_protocol.extras import CommandExtra

from .logic import RelayLogic

with CommandExtra("relay"):
    from .backlog import SEGMENT_BYTES
    from .endpoint import Claim
    from .errors import RelayError
    from .operations.configuration import ConfigError, RelayConfig
    from .operations.flags import parse
    from .operations.inheritance import begin_afresh
    from .operations.loading import Source
    from .operations.resolving import audit_key, listen_settings
    from .operations.signals import block_signals
    from .operations.sockets import RelaySockets, listen_for_operators, open_door
    from .operations.systemd import passed_by_systemd
    from .operations.terminal import complain, told_in_one_line
    from .port import return_large_blocks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from .settings import ListenSettings

_FEWEST_DESCRIPTORS = 32


def run_relay(logic: RelayLogic, arguments: list[str] | None = None) -> int:
    """Run the relay of a domain until a signal ends it, or do what else its flags ask; returns the exit code.

    Without ``arguments`` it is the process's own command: it reads ``sys.argv``, and what the process inherited is set
    right first (LIFE-5).
    The caller exits with it: the signals that a relay hears stay blocked after its life.
    """
    name = f"{logic.name}_relay"
    if arguments is None:
        begin_afresh(hears=True)
    with told_in_one_line(name):
        command = parse(logic, sys.argv[1:] if arguments is None else arguments)
        source = Source(logic, command.file, dict(os.environ), command.flags)
        if command.check:
            source = Source(logic, command.check, {}, {})
        config, faults = source.examine()
        for fault in faults:
            complain(f"{name}: {fault}")
        if faults:
            return 2
        if command.check:
            print(f"{command.check}: can be used by {name}", flush=True)
            return 0
    try:
        return Daemon(source, config, command.takeover).run()
    except RelayError as error:
        complain(f"{name}: {error}")
        return 1


class Daemon:
    """One process of a relay. One stack holds all that it claims or takes, and gives it back however it ends.

    ``takeover`` says where the relay is that it takes over; None when it begins a life of its own.
    """

    def __init__(self, source: Source, config: RelayConfig, takeover: str | None = None) -> None:
        self._source = source
        self._config = config
        self._takeover = takeover
        self._held = ExitStack()
        self._sockets = RelaySockets()
        self._kept: dict[str, list[int]] = {}

    def run(self) -> int:
        """Claim the sockets and serve them; returns the exit code. Raises :class:`RelayError` when it cannot start."""
        key = audit_key(self._config)  # may be a pipe, and take its time: before the signals are blocked
        return_large_blocks(SEGMENT_BYTES)
        block_signals()
        with self._held:
            _check_descriptors()
            if self._takeover is None:
                self._listen()
            return self._run_loop(key)

    def _listen(self) -> None:
        """Listen: for clients last, so that whoever can connect finds all else that the relay offers."""
        sockets, held = self._sockets, self._held
        sockets.endpoints, self._kept = passed_by_systemd(os.environ)
        for endpoint in sockets.endpoints:
            held.callback(endpoint.release)
        settings = listen_settings(self._config, self._source.logic)
        claims = [] if sockets.endpoints else [_claimed(path, settings, held) for path in settings.paths]
        sockets.operators = listen_for_operators(self._config, held)
        if claims:
            try:
                sockets.door = open_door(settings.paths[0], settings, held)
            except RelayError as error:
                complain(f"{self._source.logic.name}_relay: no successor can knock: {error}")
        for claim in claims:
            sockets.endpoints.append(claim.listen())
            held.callback(sockets.endpoints[-1].release)

    def _run_loop(self, key: bytes) -> int:
        import asyncio

        with asyncio.Runner(loop_factory=_loop_factory(self._config.loop)) as runner:
            return runner.run(self._serve(key))

    async def _serve(self, key: bytes) -> int:
        import asyncio

        from .operations.service import Service

        if self._kept:
            from .operations.succession import go_on

            service = go_on(self._kept, self._source, self._config, key, self._sockets, self._held)
        elif self._takeover is None:
            service = Service(self._source, self._config, key, self._sockets, self._held)
        else:
            from .operations.succession import take_over

            service = take_over(self._takeover, self._source, self._config, key, self._held)
        service.hear_signals()
        gc.freeze()  # imported modules live for ever: collections need not look at them
        if not service.sockets.operators:
            await service.run()
        else:
            from .operations.listening import serve_operators

            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(serve_operators(service))
                await service.run()
                serving.cancel()
        block_signals()  # to the exit: nothing is left to drain, much to give back
        return service.close()


def _claimed(path: Path, settings: ListenSettings, held: ExitStack) -> Claim:
    claim = Claim(path, settings)
    held.callback(claim.release)
    return claim


def _check_descriptors() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= most < _FEWEST_DESCRIPTORS:
        raise ConfigError(
            f"only {most} descriptors may be open (ulimit -n, LimitNOFILE=)",
            f"a relay needs {_FEWEST_DESCRIPTORS} or more",
            got=most,
        )


def _loop_factory(wanted: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if wanted == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if wanted == "uvloop":
            problem, advice = "uvloop is not installed", "pip install uvloop, or use auto"
            raise ConfigError(problem, advice, key="loop", got=wanted) from None
        return None
    return uvloop.new_event_loop
