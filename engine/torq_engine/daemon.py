"""The command of a relay: configuration, sockets, loop, exit codes.

Facts:
- the socket listens before the loop is imported: a spawner can connect within tens of milliseconds;
- what was not asked for is not imported: metrics, the control socket and structured logs cost nothing when off;
- a signal never cuts short what is claimed or given back: it waits until that is done, and the exit code tells no lie;
- what started us may have left anything: standard descriptors closed, any umask, few descriptors. The gaps below 3
  are filled before a socket gets such a number, and what we create is for our user alone;
- exit codes: 0 stopped by one signal after draining (LIFE-1), 1 cannot listen or record, 2 wrong usage or
  configuration, 128 + the signal's number when a second signal ended it at once.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from .endpoint import Endpoint, EndpointError, claim
from .logic import RelayLogic
from .operations.configuration import ConfigError, RelayConfig, server_settings
from .operations.flags import parse
from .operations.loading import load
from .operations.systemd import Notifier, passed_endpoints
from .operations.terminal import complain, told_in_one_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .operations.service import Source, Surroundings

_ENDING = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*_ENDING, signal.SIGHUP, signal.SIGUSR1)
_FEWEST_DESCRIPTORS = 32
_early_signals: list[int] = []
"""Reloads and log openings asked for before the loop runs."""


def run_relay(logic: RelayLogic, arguments: list[str] | None = None) -> int:
    """Run the relay of a domain until a signal ends it, or do what else its flags ask; returns the exit code.

    The caller exits with it: the signals a relay hears stay blocked once everything is delivered.
    """
    _fill_standard_descriptors()
    name = f"{logic.name}_relay"
    with told_in_one_line(name):
        command = parse(logic, sys.argv[1:] if arguments is None else arguments)
        try:
            if command.check:
                load(logic, command.check, {}, {})
                print(f"{command.check}: can be used by {name}", flush=True)
                return 0
            config = load(logic, command.file, os.environ, command.flags)
        except ConfigError as error:
            complain(f"{name}: {error}")
            return 1 if command.check else 2
    return _start(logic, config, command.file, command.flags)


def _fill_standard_descriptors() -> None:
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)


def _start(logic: RelayLogic, config: RelayConfig, file: str, flags: dict[str, object]) -> int:
    """Claim what the relay needs, then run it; everything is given back at the end."""
    for number in _ENDING:
        signal.signal(number, _end_while_starting)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, _note_while_starting)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP, signal.SIGUSR1))  # a supervisor may have held them back
    with ExitStack() as held:
        held.callback(os.umask, os.umask(0o077))
        try:
            _check_descriptors()
            with _undisturbed():
                endpoints = _endpoints(config, logic, held)
                operating = _operating_sockets(config, held)
            from .operations.service import Source

            source = Source(logic, file, dict(os.environ), flags)
            return _run_loop(source, config, (endpoints, operating), held)
        except (EndpointError, ConfigError) as error:
            complain(f"{logic.name}_relay: {error}")
            return 1


def _check_descriptors() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= most < _FEWEST_DESCRIPTORS:
        raise ConfigError(
            f"only {most} descriptors may be open (ulimit -n, LimitNOFILE=);"
            f" a relay needs {_FEWEST_DESCRIPTORS} or more"
        )


def _endpoints(config: RelayConfig, logic: RelayLogic, held: ExitStack) -> list[Endpoint]:
    """The sockets to serve: those that systemd passed, or those of the configuration."""
    endpoints = passed_endpoints(os.environ)
    for endpoint in endpoints:
        held.callback(endpoint.release)
    if not endpoints:
        settings = server_settings(config, logic).listen
        for path in settings.paths:
            endpoints.append(claim(path, settings))
            held.callback(endpoints[-1].release)
    return endpoints


def _operating_sockets(config: RelayConfig, held: ExitStack) -> dict[str, socket.socket]:
    """Listening sockets of the control and metrics endpoints, by name, as far as they were asked for."""
    if not config.control_socket and not config.metrics:
        return {}
    from .operations.listening import listen_for_operators

    return listen_for_operators(config, held)


def _end_while_starting(number: int, frame: FrameType | None) -> None:
    """Before the loop runs there is nothing to drain; a second signal shall not disturb how all is given back.

    An exception that a finalizer happens to run into is lost: the loop, when it runs after all, ends at once then.
    """
    _early_signals.append(number)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    for ending in _ENDING:  # one that had come before it was blocked
        signal.signal(ending, lambda number, frame: None)
    raise SystemExit(0)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait until the block ends, so that whatever it claims is known to who gives it back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _note_while_starting(number: int, frame: FrameType | None) -> None:
    _early_signals.append(number)


def _run_loop(
    source: Source, config: RelayConfig, sockets: tuple[list[Endpoint], dict[str, socket.socket]], held: ExitStack
) -> int:
    import asyncio

    from .operations.audit_chain import AuditError
    from .operations.logs import open_log
    from .operations.service import Surroundings, open_audit

    factory, loop_name = _loop_factory(config.loop)
    name = source.logic.name
    try:
        log = open_log(name, config.log_file, config.log_format, config.log_level, config.log_repeat_interval)
        audit = open_audit(config, source.logic, source.environment)
    except (OSError, AuditError) as error:
        what = f"{config.log_file}: cannot log there: {error.strerror}" if isinstance(error, OSError) else str(error)
        complain(f"{name}_relay: {what}")
        return 1
    if audit is not None:
        held.callback(audit.close)
        log.info("recording every frame", audit=str(audit.directory))
    surroundings = Surroundings(log, audit, Notifier(source.environment), loop_name, held.close)
    with ExitStack() as starting, asyncio.Runner(loop_factory=factory) as runner:
        starting.enter_context(_undisturbed())  # no exception of a signal's may go through a loop that is being made
        code = runner.run(_serve(source, config, surroundings, sockets, starting.close))
    if audit is not None:
        audit.close()
        if audit.failure:
            log.error("the last audit records are lost", error=audit.failure)
            return 1
    return code


def _loop_factory(wanted: str) -> tuple[Callable[[], asyncio.AbstractEventLoop] | None, str]:
    if wanted != "asyncio":
        try:
            import uvloop
        except ImportError:
            if wanted == "uvloop":
                raise ConfigError("loop: uvloop is not installed; pip install uvloop, or use auto") from None
        else:
            return uvloop.new_event_loop, "uvloop"
    return None, "asyncio"


async def _serve(
    source: Source,
    config: RelayConfig,
    surroundings: Surroundings,
    sockets: tuple[list[Endpoint], dict[str, socket.socket]],
    hear_signals: Callable[[], None],
) -> int:
    import asyncio

    from .operations.service import Service

    endpoints, operating = sockets
    service = Service(source, config, surroundings, endpoints)
    service.handle_signals(_early_signals)
    hear_signals()
    gc.freeze()  # what was imported lives for ever: collections need not look at it
    if not operating:
        await service.run()
    else:
        from .operations.listening import serve_operators

        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve_operators(service, operating))
            await service.run()
            serving.cancel()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)  # to the exit: nothing is left to drain, much to be given back
    return 0
