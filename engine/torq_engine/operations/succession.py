"""A relay that takes another one's place: it boots whole, takes over, and serves (LIFE-3).

Facts:
- all that can fail is tried before the predecessor is asked, and all that it gives is restored before it is owned;
- until the baton says that it is ours, nothing of it is read, written, shut down or removed, whatever happens here.
"""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from torq_protocol.build_info import build_info

from ..errors import RelayError
from ..handover.channel import Channel, TakeoverError
from ..handover.state import StateError
from ..handover.successor import Successor, connect, inherited
from .configuration import RelayConfig
from .descriptor_store import DescriptorStore, taken_back
from .loading import Source
from .resolving import listen_settings
from .service import Service
from .sockets import RelaySockets, door_path
from .systemd import Notifier
from .takeovers import places_of

_INHERITED = "/dev/fd/"
_MOST_DESCRIPTORS = 1 << 20


def take_over(where: str, source: Source, config: RelayConfig, key: bytes, held: ExitStack) -> Service:
    """The service of a relay that was taken over, serving; ``where`` is a door, a ``/dev/fd`` of the predecessor's, or
    empty for the door beside the socket. Raises :class:`~torq_engine.errors.RelayError`, and the predecessor serves on.
    """
    _import_operations(config)
    gc.freeze()
    gc.disable()  # thousands of objects are about to be made, all of which live
    try:
        return _taken_over(_channel(where, source, config), source, config, key, held)
    finally:
        gc.enable()


def _taken_over(channel: Channel, source: Source, config: RelayConfig, key: bytes, held: ExitStack) -> Service:
    successor = Successor(channel, str(build_info()), places_of(source, config, key), _room())
    taken = successor.collect()
    sockets: RelaySockets | None = None
    service: Service | None = None
    try:
        sockets = RelaySockets.restore(taken)
        service = Service(source, config, key, sockets, held, taken)
    except Exception as error:
        if sockets is not None:
            sockets.leave()
        successor.give_up(str(error))
        if isinstance(error, RelayError | OSError):
            raise TakeoverError(str(error)) from None
        raise
    try:
        successor.claim()
    except TakeoverError:
        service.leave()
        raise
    held.callback(sockets.release)
    service.resume(taken.state.frozen_at, successor.predecessor)
    successor.active(service.frozen)
    return service


def go_on(
    kept: Mapping[str, Sequence[int]],
    source: Source,
    config: RelayConfig,
    key: bytes,
    sockets: RelaySockets,
    held: ExitStack,
) -> Service:
    """The service of a relay that goes on with the connections of the process before it, which systemd kept by name.

    What this relay cannot go on with is closed and told in the log. Raises :class:`~torq_engine.errors.RelayError`.
    """
    try:
        taken = taken_back(kept, places_of(source, config, key))
    except (StateError, OSError) as error:
        service = Service(source, config, key, sockets, held)
        DescriptorStore(service.notifier, source.environment).empty_or_tell(service.log)
        service.log.error("the connections that systemd kept are lost", reason=str(error))
        return service
    try:
        service = Service(source, config, key, sockets, held, taken)
    except Exception as error:
        if not isinstance(error, RelayError) or isinstance(error, StateError):  # else it will be better next time
            with suppress(OSError):
                DescriptorStore(Notifier(source.environment), source.environment).empty()  # the next begins afresh
        raise
    service.go_on(taken.state.frozen_at)
    return service


def _channel(where: str, source: Source, config: RelayConfig) -> Channel:
    if where.startswith(_INHERITED):
        number = where.removeprefix(_INHERITED)
        if not number.isdecimal() or int(number) >= _MOST_DESCRIPTORS:
            raise TakeoverError(f"--takeover={where}: no descriptor")
        return inherited(int(number))
    return connect(Path(where) if where else door_path(listen_settings(config, source.logic).paths[0]))


def _import_operations(config: RelayConfig) -> None:
    """What the first client or operator would have to wait for."""
    if config.control_socket:
        from . import control  # noqa: F401
    if config.metrics:
        from . import health  # noqa: F401


def _room() -> int:
    """How many more descriptors this process may open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most < 0:
        return _MOST_DESCRIPTORS
    try:
        return most - len(os.listdir("/proc/self/fd"))
    except OSError:
        return most - 64
