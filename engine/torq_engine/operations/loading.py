"""A configuration out of its sources: file, then environment, then flags; every fault is one line, and all are told.

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
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from torq_protocol.constants import SOCKET_PATHS

from ..endpoint import LONGEST_PATH
from ..logic import RelayLogic
from .configuration import KEYS, ConfigError, Key, Place, RelayConfig, shown
from .resolving import audit_directory, frame_policy, listen_settings

RELAYS = tuple(domain.name.lower() for domain in SOCKET_PATHS)
"""Tables that a file may hold; a domain outside the protocol adds its name when its relay loads the file."""
_RELAY = "relay"
"""The one key of a file that is no setting: the relay that ``torq-relay run --config FILE`` runs."""
SUPERVISOR = "TORQ_SUPERVISOR"
"""In the environment of a relay: the process that started it, and starts its successors."""
_FOREIGN = frozenset({"TORQ_CONFIG", "TORQ_COMPILE", "TORQ_TRACEBACK", SUPERVISOR})
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
        """The configuration as it stands now. Raises :class:`ConfigError`, the first of all faults."""
        config, faults = self.examine()
        if faults:
            raise faults[0]
        return config

    def examine(self) -> tuple[RelayConfig, list[ConfigError]]:
        """The configuration as it stands now, and all that is wrong with it; what is wrong is at its default there."""
        name = self.logic.name
        faults: list[ConfigError] = []
        layers: list[Given] = []
        file = self.file or self.environment.get("TORQ_CONFIG", "")
        try:
            layers += _of_file(name, file, faults) if file else []
        except ConfigError as error:
            faults.append(error)
        layers += _of_environment(name, self.environment, faults)
        layers += [Given(KEYS[key], value, Place(name=KEYS[key].flag), False) for key, value in self.flags.items()]
        config = RelayConfig(**_values(layers, faults))  # type: ignore[arg-type]  # converted to the fields' types
        places = {given.key.name: given.place for given in layers}
        found = _check(config, self.logic, self.environment)
        return config, [*faults, *(fault.at(places.get(fault.key, fault.place)) for fault in found)]


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


def _of_file(relay: str, file: str, faults: list[ConfigError]) -> list[Given]:
    data = _read(file)
    tables = {name: value for name, value in data.items() if isinstance(value, dict)}
    common = {name: value for name, value in data.items() if name not in tables}
    meant = common.pop(_RELAY, relay)
    if meant != relay:
        problem = f"this file is for the relay {meant!r}, not for {relay!r}"
        raise ConfigError(problem, f"use another file, or say {relay!r} there", got=meant, place=Place(file, _RELAY))
    known = dict.fromkeys((*RELAYS, relay))
    found = _of_table(file, "", common, faults)
    for name, table in tables.items():
        place = Place(file, f"[{name}]")
        if name in KEYS:
            faults.append(ConfigError("a key, not a table", f"write {name} = ...", key=name, place=place))
        elif name not in known:
            faults.append(ConfigError(f"no such table{_hint(name, known)}", f"use {', '.join(known)}", place=place))
        elif name == relay:
            found += _of_table(file, f"{name}.", table, faults)
        else:
            _values(_of_table(file, f"{name}.", table, faults), faults)
    return found


def _of_table(file: str, prefix: str, table: dict[str, object], faults: list[ConfigError]) -> list[Given]:
    found = []
    for key, value in table.items():
        place = Place(file, f"{prefix}{key}")
        if key in KEYS:
            found.append(Given(KEYS[key], value, place, True))
        elif key in RELAYS and not prefix:
            faults.append(ConfigError("a table is meant", f"write [{key}] above its keys", place=place))
        else:
            faults.append(ConfigError(f"no such key{_hint(key, KEYS)}", _LIST, place=place))
    return found


def _of_environment(relay: str, environment: Mapping[str, str], faults: list[ConfigError]) -> list[Given]:
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
            faults.append(ConfigError(f"no such key{_hint(name, names)}", _LIST, place=place))
    return common + own


def _of_variable(place: Place, text: str, key: Key) -> Given:
    members = [part.strip() for part in text.split(",") if part.strip()]
    return Given(key, members if key.takes_list else text, place, False)


def _values(layers: Iterable[Given], faults: list[ConfigError]) -> dict[str, object]:
    """The values of keys as their types, the last of each; those that are not allowed are left out."""
    values = {}
    for given in layers:
        try:
            values[given.key.name] = given.converted()
        except ConfigError as error:
            faults.append(error)
    return values


def _hint(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _check(config: RelayConfig, logic: RelayLogic, environment: Mapping[str, str]) -> Iterator[ConfigError]:
    """What no single key can say: paths that fit and differ, users that exist, a key that can be read."""
    try:
        listen_settings(config, logic)
        frame_policy(config, logic)
    except ConfigError as error:
        yield error
    yield from _check_paths(config)
    address = config.metrics_address
    if isinstance(address, tuple) and address[1] > _LAST_PORT:
        yield ConfigError(f"port {address[1]}", f"use 0 to {_LAST_PORT}", key="metrics", got=address[1])
    taken: dict[str, str] = {}
    for claim in claims(config, logic, environment):
        if claim.place in taken:
            yield ConfigError(
                f"{claim.shown} is the path of {taken[claim.place]} too", "use another", key=claim.key, got=claim.shown
            )
        taken.setdefault(claim.place, claim.key)


def _check_paths(config: RelayConfig) -> Iterator[ConfigError]:
    sockets = [("socket", config.socket), ("control_socket", config.control_socket)]
    sockets += [("metrics", config.metrics.removeprefix("unix:"))] if config.metrics.startswith("unix:") else []
    sockets = [pair for pair in sockets if pair[1]] + [("aliases", alias) for alias in config.aliases or []]
    files = [(key, getattr(config, key)) for key in ("log_file", "audit_directory", "audit_key_file")]
    for key, path in sockets + files:
        try:
            size = len(os.fsencode(path))
        except UnicodeEncodeError:
            size = 0
            encoding = sys.getfilesystemencoding()
            yield ConfigError(f"{path!r} cannot be said in {encoding}", "use another locale", key=key, got=path)
        if "\0" in path:
            yield ConfigError(f"{path!r} cannot be a path", "use one without NUL", key=key, got=path)
        elif (key, path) in sockets and size > LONGEST_PATH:
            yield ConfigError(f"{path}: {size} bytes", f"use at most {LONGEST_PATH}", key=key, got=path)
        elif (key, path) in sockets and Path(path).name in ("", ".."):
            yield ConfigError(f"{path!r} does not end in a socket's name", "add one", key=key, got=path)
        elif key == "audit_key_file" and path and (os.path.isdir(path) or not os.access(path, os.R_OK)):
            yield ConfigError(f"{path} cannot be read", "use a file of ours", key=key, got=path)


class Claim(NamedTuple):
    """What a relay takes for itself alone: the key that says so, the path or address as given, and what it comes to."""

    key: str
    shown: str
    place: str


def claims(config: RelayConfig, logic: RelayLogic, environment: Mapping[str, str]) -> list[Claim]:
    """All that a relay takes for itself alone: its sockets, its address of metrics, its audit log."""
    paths = [("socket", config.socket or logic.socket_path)]
    aliases = config.aliases if config.aliases is not None else [] if config.socket else logic.alias_paths
    paths += [("aliases", alias) for alias in aliases]
    paths += [("control_socket", config.control_socket)] if config.control_socket else []
    address = config.metrics_address
    paths += [("metrics", str(address))] if isinstance(address, Path) else []
    directory = audit_directory(config, logic, environment)
    paths += [("audit_directory", str(directory))] if directory else []
    found = [Claim(key, path, _whole(path)) for key, path in paths]
    if isinstance(address, tuple) and address[1]:
        host = "127.0.0.1" if address[0] == "localhost" else address[0]
        found.append(Claim("metrics", config.metrics, f"{host} port {address[1]}"))
    return found


def _whole(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # the working directory is gone; or no path at all
        return path


def collisions(file: str, relays: Mapping[str, Sequence[Claim]]) -> Iterator[ConfigError]:
    """What several relays of one file would take from each other."""
    taken: dict[str, tuple[str, str]] = {}
    for name, claimed in relays.items():
        for claim in claimed:
            other, key = taken.setdefault(claim.place, (name, claim.key))
            if other != name:
                problem = f"{claim.shown} is the {key} of {other} too"
                expected = f"give each relay its own, in [{other}] and [{name}]"
                yield ConfigError(problem, expected, claim.key, claim.shown, Place(file, f"{name}.{claim.key}"))


def reloaded(old: RelayConfig, new: RelayConfig) -> list[str]:
    """Names of the keys that a reload changes; raises :class:`ConfigError` if one of them needs a restart."""
    changed = [name for name in KEYS if getattr(old, name) != getattr(new, name)]
    fixed = [name for name in changed if not KEYS[name].reloads]
    if fixed:
        problem, advice = "cannot change in a running relay", "restart it, or undo the change"
        raise ConfigError(problem, advice, key=fixed[0], place=Place(name=", ".join(fixed)))
    return changed
