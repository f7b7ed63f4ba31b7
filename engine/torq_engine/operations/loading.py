"""A configuration out of its sources: file, then environment, then flags; every fault is one line.

Facts:
- top-level keys of a file hold for every relay, a table named after a relay (``[signal]``) for that one, before them;
- likewise ``TORQ_QUEUE_FRAMES`` and ``TORQ_SIGNAL_QUEUE_FRAMES``; a variable that starts with ``TORQ_`` and names no
  key is a fault, because an unseen typing error is worse;
- ``TORQ_CONFIG`` names the file when no flag does; ``TORQ_COMPILE`` and ``TORQ_TRACEBACK`` belong to other commands.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from torq_protocol.constants import RelayDomain

from ..endpoint import LONGEST_PATH
from ..logic import RelayLogic
from .configuration import KEYS, ConfigError, Key, Place, RelayConfig, shown
from .resolving import frame_policy, listen_settings

RELAYS = tuple(domain.name.lower() for domain in RelayDomain)
"""Tables that a file may hold; a domain outside the protocol adds its name when its relay loads the file."""
_RELAY = "relay"
"""The one key of a file that is no setting: the relay that ``torq-relay run --config FILE`` runs."""
_FOREIGN = frozenset({"TORQ_CONFIG", "TORQ_COMPILE", "TORQ_TRACEBACK"})
_LIST = "docs/configuration.md lists them"
_LAST_PORT = 65_535


class Given(NamedTuple):
    """A value that a source gives to a key. ``typed`` is false where texts stand for numbers: environment, flags."""

    key: Key
    value: object
    place: Place
    typed: bool

    def converted(self) -> object:
        """The value as its key's type; raises :class:`ConfigError`."""
        try:
            converted: object = msgspec.convert(self.value, self.key.annotation, strict=self.typed)
            if not isinstance(converted, float) or math.isfinite(converted):
                return converted
        except msgspec.ValidationError:
            pass
        problem, allowed = f"{shown(self.value)} is not allowed", f"use {self.key.allowed}"
        raise ConfigError(problem, allowed, key=self.key.name, got=self.value, place=self.place)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a relay's configuration comes from, so that the relay can read it again.

    ``file`` may be empty: then ``TORQ_CONFIG`` names it, or there is none. ``flags`` holds the keys that were given.
    """

    logic: RelayLogic
    file: str
    environment: Mapping[str, str]
    flags: Mapping[str, object]

    def load(self) -> RelayConfig:
        """The configuration as it stands now. Raises :class:`ConfigError`."""
        name = self.logic.name
        file = self.file or self.environment.get("TORQ_CONFIG", "")
        layers = _of_file(name, file) if file else []
        layers += _of_environment(name, self.environment)
        layers += [Given(KEYS[key], value, Place(name=KEYS[key].flag), False) for key, value in self.flags.items()]
        config = RelayConfig(**{given.key.name: given.converted() for given in layers})  # type: ignore[arg-type]  # converted to the fields' types
        try:
            _check(config, self.logic)
        except ConfigError as error:
            places = {given.key.name: given.place for given in layers}
            raise error.at(places.get(error.key, error.place)) from None
        return config


def load(logic: RelayLogic, file: str, environment: Mapping[str, str], flags: Mapping[str, object]) -> RelayConfig:
    """The configuration of a relay, read once: see :class:`Source`. Raises :class:`ConfigError`."""
    return Source(logic, file, environment, flags).load()


def relay_of(file: str, known: Collection[object]) -> str:
    """The relay that a file is for: its ``relay`` key, or its only table. Raises :class:`ConfigError`."""
    data = _read(file)
    tables = [name for name, value in data.items() if isinstance(value, dict)]
    name = data.get(_RELAY, tables[0] if len(tables) == 1 else None)
    if not isinstance(name, str) or name not in known:
        problem = "it does not say which relay it is for" if name is None else f"no such relay: {name!r}"
        expected = f'use --relay NAME, or relay = "NAME" in it, one of {", ".join(map(str, known))}'
        raise ConfigError(problem, expected, got=name, place=Place(file))
    return name


def relays_of(file: str, known: Collection[str]) -> list[str]:
    """The relays that a file is for: the one that its ``relay`` key names, else all. Raises :class:`ConfigError`."""
    return [relay_of(file, known)] if _RELAY in _read(file) else list(known)


def _read(file: str) -> dict[str, object]:
    place = Place(file)
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", "use another file", place=place) from None
    except ValueError as error:  # of TOML, of UTF-8, of a number with thousands of digits
        raise ConfigError(f"not TOML: {error}", "mend it there", place=place) from None
    except RecursionError:
        raise ConfigError("nested too deeply", "mend it there", place=place) from None


def _of_file(relay: str, file: str) -> list[Given]:
    data = _read(file)
    tables = {name: value for name, value in data.items() if isinstance(value, dict)}
    common = {name: value for name, value in data.items() if name not in tables}
    meant = common.pop(_RELAY, relay)
    if meant != relay:
        problem = f"this file is for the relay {meant!r}, not for {relay!r}"
        raise ConfigError(problem, f"use another file, or say {relay!r} there", got=meant, place=Place(file, _RELAY))
    known = dict.fromkeys((*RELAYS, relay))
    for name in tables:
        place = Place(file, f"[{name}]")
        if name in KEYS:
            raise ConfigError("a key, not a table", f"write {name} = ...", key=name, place=place)
        if name not in known:
            raise ConfigError(f"no such table{_hint(name, known)}", f"use {', '.join(known)}", place=place)
    found = _of_table(file, "", common)
    for name, table in tables.items():
        inner = _of_table(file, f"{name}.", table)
        if name == relay:
            found += inner
        else:
            for given in inner:
                given.converted()
    return found


def _of_table(file: str, prefix: str, table: dict[str, object]) -> list[Given]:
    for key in table:
        place = Place(file, f"{prefix}{key}")
        if key in RELAYS and not prefix:
            raise ConfigError("a table is meant", f"write [{key}] above its keys", place=place)
        if key not in KEYS:
            raise ConfigError(f"no such key{_hint(key, KEYS)}", _LIST, place=place)
    return [Given(KEYS[key], value, Place(file, f"{prefix}{key}"), True) for key, value in table.items()]


def _of_environment(relay: str, environment: Mapping[str, str]) -> list[Given]:
    common, own = [], []
    names = {key.variable: key for key in KEYS.values()}
    special = {
        f"TORQ_{name.upper()}_{key.name.upper()}": (name, key)
        for name in dict.fromkeys((*RELAYS, relay))
        for key in KEYS.values()
    }
    for name, text in environment.items():
        if not name.startswith("TORQ_") or name in _FOREIGN:
            continue
        place = Place("environment", name)
        if name in names:
            common.append(_of_variable(place, text, names[name]))
        elif name in special:
            if special[name][0] == relay:
                own.append(_of_variable(place, text, special[name][1]))
        else:
            raise ConfigError(f"no such key{_hint(name, names)}", _LIST, place=place)
    return common + own


def _of_variable(place: Place, text: str, key: Key) -> Given:
    members = [part.strip() for part in text.split(",") if part.strip()]
    return Given(key, members if key.takes_list else text, place, False)


def _hint(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _check(config: RelayConfig, logic: RelayLogic) -> None:
    """What no single key can say: paths that fit, users that exist, a key that can be read."""
    listen_settings(config, logic)
    frame_policy(config, logic)
    address = config.metrics_address
    sockets = [("socket", config.socket), ("control_socket", config.control_socket)]
    sockets += [("metrics", str(address))] if isinstance(address, Path) else []
    _check_sockets([pair for pair in sockets if pair[1]] + [("aliases", alias) for alias in config.aliases or []])
    for key in ("socket", "control_socket", "metrics", "log_file", "audit_directory", "audit_key_file"):
        path = getattr(config, key)
        if "\0" in path:
            raise ConfigError(f"{path!r} cannot be a path", "use one without NUL", key=key, got=path)
    if isinstance(address, tuple) and address[1] > _LAST_PORT:
        raise ConfigError(f"port {address[1]}", f"use 0 to {_LAST_PORT}", key="metrics", got=address[1])
    file = config.audit_key_file
    if file and (os.path.isdir(file) or not os.access(file, os.R_OK)):
        raise ConfigError(f"{file} cannot be read", "use a file of ours", key="audit_key_file", got=file)


def _check_sockets(sockets: list[tuple[str, str]]) -> None:
    """Paths by key: each can be a socket's path, and no two are the same."""
    taken: dict[str, str] = {}
    for key, path in sockets:
        size = len(os.fsencode(path))
        if size > LONGEST_PATH:
            raise ConfigError(f"{path}: {size} bytes", f"use at most {LONGEST_PATH}", key=key, got=path)
        if Path(path).name in ("", ".."):
            raise ConfigError(f"{path!r} does not end in a socket's name", "add one", key=key, got=path)
        whole = os.path.abspath(path)
        if whole in taken:
            raise ConfigError(f"{path} is the path of {taken[whole]} too", "use another", key=key, got=path)
        taken[whole] = key


def reloaded(old: RelayConfig, new: RelayConfig) -> list[str]:
    """Names of the keys that a reload changes; raises :class:`ConfigError` if one of them needs a restart."""
    changed = [name for name in KEYS if getattr(old, name) != getattr(new, name)]
    fixed = [name for name in changed if not KEYS[name].reloads]
    if fixed:
        problem, advice = "cannot change in a running relay", "restart it, or undo the change"
        raise ConfigError(problem, advice, key=fixed[0], place=Place(name=", ".join(fixed)))
    return changed
