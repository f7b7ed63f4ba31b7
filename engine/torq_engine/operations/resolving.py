"""What a configuration comes to for a domain, in this environment: frames, sockets, peers, audit log."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torq_protocol.policy import FramePolicy

from ..logic import RelayLogic
from ..settings import ListenSettings, ZeroChecksum
from .configuration import ConfigError, RelayConfig, shown

ANYONE = "*"
"""In an allow list: every peer that the socket's mode lets in."""
_MOST_ID = 2**32 - 2


def domain_defaults(logic: RelayLogic) -> dict[str, str]:
    """What a domain puts in the place of an unset or empty key, by the key's name, as a flag would say it."""
    policy = logic.policy(logic.level)
    return {
        "socket": logic.socket_path,
        "aliases": ", ".join(logic.alias_paths),
        "level": logic.level.value,
        "zero_checksum": (ZeroChecksum.ACCEPT if policy.accept_zero_checksum else ZeroChecksum.REFUSE).value,
        "audit": str(logic.audited).lower(),
        "allow_uids": "its own user" if logic.own_user_only else ANYONE,
    }


def frame_policy(config: RelayConfig, logic: RelayLogic) -> FramePolicy:
    """The frames that a relay accepts."""
    policy = logic.policy(config.level or logic.level).with_max_message_size(config.max_message_size)
    if config.verify_checksum is not None:
        policy = replace(policy, verify_checksum=config.verify_checksum)
    if config.zero_checksum is not None:
        policy = replace(policy, accept_zero_checksum=config.zero_checksum is ZeroChecksum.ACCEPT)
    return policy


def listen_settings(config: RelayConfig, logic: RelayLogic) -> ListenSettings:
    """Where a relay listens and which peers it admits; raises :class:`ConfigError` for users that do not exist."""
    aliases = config.aliases
    if aliases is None:
        aliases = [] if config.socket else list(logic.alias_paths)
    users = _numbers("allow_uids", config.allow_uids, lambda name: pwd.getpwnam(name).pw_uid)
    groups = _numbers("allow_gids", config.allow_gids, lambda name: grp.getgrnam(name).gr_gid)
    if config.allow_uids is None and config.allow_gids is None and logic.own_user_only:
        users = frozenset({os.geteuid()})
    if ANYONE in (config.allow_uids or ()) or ANYONE in (config.allow_gids or ()):
        users = groups = None
    return ListenSettings(
        tuple(Path(path) for path in (config.socket or logic.socket_path, *aliases)),
        socket_mode=int(config.socket_mode, 8),
        own_directory=not config.shared_directory,
        backlog=config.listen_backlog,
        allow_uids=users,
        allow_gids=groups,
    )


def audit_directory(config: RelayConfig, logic: RelayLogic, environment: Mapping[str, str]) -> Path | None:
    """Where a relay keeps its audit log; None where it keeps none."""
    if not (logic.audited if config.audit is None else config.audit):
        return None
    if config.audit_directory:
        return Path(config.audit_directory)
    state = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(f"{state}/audit" if state else f"{config.socket or logic.socket_path}.audit")


def audit_key(config: RelayConfig) -> bytes:
    """The key of the audit log's chain, empty without one. Raises :class:`ConfigError`."""
    file = config.audit_key_file
    if not file:
        return b""
    try:
        key = Path(file).read_bytes()
    except OSError as error:
        problem, advice = f"{file} cannot be read: {error.strerror}", "use a file of ours"
        raise ConfigError(problem, advice, key="audit_key_file", got=file) from None
    if not key:
        problem, advice = f"{file} is empty, so it would protect nothing", "put random bytes in it"
        raise ConfigError(problem, advice, key="audit_key_file", got=file)
    return key


def _numbers(key: str, names: list[str | int] | None, resolve: Callable[[str], int]) -> frozenset[int] | None:
    if names is None:
        return None
    found = set()
    for name in names:
        if name == ANYONE:
            continue
        text = str(name)
        try:
            number = int(text) if text.isdecimal() else resolve(text)
        except (KeyError, ValueError):
            number = -1
        if not 0 <= number <= _MOST_ID:
            raise ConfigError(
                f"{shown(text)} does not exist on this machine", "use names or numbers", key=key, got=name
            )
        found.add(number)
    return frozenset(found)
