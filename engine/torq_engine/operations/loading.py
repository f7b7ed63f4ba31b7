"""A configuration out of its sources: file, then environment, then flags; every fault is one line.

Facts:
- top-level keys of a file hold for every relay, a table named after a relay (``[signal]``) for that one, before them;
- likewise ``TORQ_QUEUE_FRAMES`` and ``TORQ_SIGNAL_QUEUE_FRAMES``; a variable that starts with ``TORQ_`` and names no
  key is refused, because a typing error that nobody hears of is worse;
- ``TORQ_CONFIG`` names the file when no flag does; ``TORQ_COMPILE`` and ``TORQ_TRACEBACK`` belong to other commands.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from ..endpoint import LONGEST_PATH
from ..logic import RelayLogic
from .configuration import KEYS, ConfigError, Key, RelayConfig, frame_policy, server_settings, shown

RELAYS = ("market_data", "signal", "execution", "system")
"""Tables that a file may hold; a domain of one's own adds its name by being the one that is loaded."""
_RELAY = "relay"
"""The one key of a file that is no setting: which relay ``torq-relay run --config FILE`` runs."""
_FOREIGN = frozenset({"TORQ_CONFIG", "TORQ_COMPILE", "TORQ_TRACEBACK"})
_KINDS = {
    msgspec.inspect.IntType: "a whole number",
    msgspec.inspect.FloatType: "a number",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.StrType: "a text",
    msgspec.inspect.ListType: "a list",
}
Layer = tuple[str, object, str]
"""Where a value comes from, the value, and its key."""


def load(logic: RelayLogic, file: str, environment: Mapping[str, str], flags: Mapping[str, object]) -> RelayConfig:
    """The configuration of a relay. Raises :class:`ConfigError`.

    ``file`` may be empty: then ``TORQ_CONFIG`` names it, or there is none. ``flags`` holds the keys that were given.
    """
    file = file or environment.get("TORQ_CONFIG", "")
    layers: list[Layer] = _file_layers(logic.name, file) if file else []
    layers += _environment_layers(logic.name, environment)
    layers += [(f"{KEYS[key].flag}", value, key) for key, value in flags.items()]
    values, places = {}, {}
    for where, value, key in layers:
        values[key] = _converted(where, value, KEYS[key])
        places[key] = where
    config = RelayConfig(**values)  # type: ignore[arg-type]  # each value was converted to its field's type
    _check(config, logic, places)
    return config


def relay_of(file: str, known: Collection[object]) -> str:
    """The relay that a file is for: its ``relay`` key, or its only table. Raises :class:`ConfigError`."""
    data = _read(file)
    tables = [name for name, value in data.items() if isinstance(value, dict)]
    name = data.get(_RELAY, tables[0] if len(tables) == 1 else None)
    if not isinstance(name, str) or name not in known:
        what = "it does not say which relay it is for" if name is None else f"no such relay: {name!r}"
        raise ConfigError(
            f'{file}: {what}; use --relay NAME, or relay = "NAME" in it, one of {", ".join(map(str, known))}'
        )
    return str(name)


def _read(file: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # of TOML, of UTF-8, of a number with thousands of digits
        raise ConfigError(f"{file}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply") from None


def _file_layers(relay: str, file: str) -> list[Layer]:
    data = _read(file)
    tables = {name: value for name, value in data.items() if isinstance(value, dict)}
    common = {name: value for name, value in data.items() if name not in tables}
    meant = common.pop(_RELAY, relay)
    if meant != relay:
        raise ConfigError(f"{file}: {_RELAY}: this file is for the relay {meant!r}, not for {relay!r}")
    known = dict.fromkeys((*RELAYS, relay))
    for name in tables:
        if name in KEYS:
            raise ConfigError(f"{file}: [{name}]: a key, not a table; write {name} = ...")
        if name not in known:
            raise ConfigError(f"{file}: [{name}]: no such table{_hint(name, known)}; use {', '.join(known)}")
    layers = _table_layers(file, "", common)
    for name, table in tables.items():
        found = _table_layers(file, f"{name}.", table)
        if name == relay:
            layers += found
        else:
            for where, value, key in found:
                _converted(where, value, KEYS[key])
    return layers


def _table_layers(file: str, prefix: str, table: dict[str, object]) -> list[Layer]:
    for key in table:
        if key in RELAYS and not prefix:
            raise ConfigError(f"{file}: {key}: a table is meant; write [{key}] above its keys")
        if key not in KEYS:
            raise ConfigError(f"{file}: {prefix}{key}: no such key{_hint(key, KEYS)}; docs/configuration.md lists them")
    return [(f"{file}: {prefix}{key}", value, key) for key, value in table.items()]


def _environment_layers(relay: str, environment: Mapping[str, str]) -> list[Layer]:
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
        if name in names:
            common.append(_environment_layer(name, text, names[name]))
        elif name in special:
            if special[name][0] == relay:
                own.append(_environment_layer(name, text, special[name][1]))
        else:
            raise ConfigError(f"environment: {name}: no such key{_hint(name, names)}; docs/configuration.md lists them")
    return common + own


def _environment_layer(name: str, text: str, key: Key) -> Layer:
    is_list = any(isinstance(kind, msgspec.inspect.ListType) for kind in alternatives(key.kind))
    value: object = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
    return f"environment: {name}", value, key.name


def _converted(where: str, value: object, key: Key) -> object:
    """A value as its key's type; texts of the environment and of flags may stand for numbers."""
    from_file = not where.startswith(("environment:", "--"))
    try:
        converted: object = msgspec.convert(value, key.annotation, strict=from_file)
        if not isinstance(converted, float) or math.isfinite(converted):
            return converted
    except msgspec.ValidationError:
        pass
    raise ConfigError(f"{where}: {shown(value)} is not allowed; use {allowed(key)}")


def allowed(key: Key) -> str:
    """What a key takes, in words, made of its type and limits."""
    words = [_words(kind) for kind in alternatives(key.kind) if not isinstance(kind, msgspec.inspect.NoneType)]
    unit = f" ({key.unit})" if key.unit else ""
    return " or ".join(words) + unit


def alternatives(kind: msgspec.inspect.Type) -> Iterable[msgspec.inspect.Type]:
    """The members of a union; of another type itself."""
    if isinstance(kind, msgspec.inspect.UnionType):
        return kind.types
    return (kind,)


def _words(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.LiteralType):
        return "one of " + ", ".join(sorted(map(str, kind.values)))
    text = _KINDS[type(kind)]
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        if kind.gt is not None:
            text += f" above {kind.gt:g}" + (f", at most {kind.le:,}" if kind.le is not None else "")
        if kind.ge is not None:
            text += f" of {kind.ge:,g} or more" if kind.le is None else f" from {kind.ge:,} to {kind.le:,}"
    return text


def _hint(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _check(config: RelayConfig, logic: RelayLogic, places: Mapping[str, str]) -> None:
    """What no single key can say: paths that fit, users that exist, a key that can be read."""
    try:
        server_settings(config, logic)
        frame_policy(config, logic)
    except ConfigError as error:
        key, _, rest = str(error).partition(":")
        raise ConfigError(f"{places.get(key, key)}:{rest}") from None
    _check_paths(config, places)
    port = config.metrics.rpartition(":")[2]
    if not config.metrics.startswith("unix:") and port.isdecimal() and int(port) > 65_535:
        raise ConfigError(f"{places['metrics']}: port {port}; use 0 to 65535")
    key_file = config.audit_key_file
    if key_file and (os.path.isdir(key_file) or not os.access(key_file, os.R_OK)):
        raise ConfigError(f"{places['audit_key_file']}: {key_file} cannot be read; use a file of ours")


def _check_paths(config: RelayConfig, places: Mapping[str, str]) -> None:
    """Paths that can be paths, and no two sockets at one."""
    sockets = [("socket", config.socket), ("control_socket", config.control_socket)]
    if config.metrics.startswith("unix:"):
        sockets.append(("metrics", config.metrics.removeprefix("unix:")))
    taken: dict[str, str] = {}
    for key, path in [pair for pair in sockets if pair[1]] + [("aliases", alias) for alias in config.aliases or []]:
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise ConfigError(f"{places[key]}: {path}: {len(os.fsencode(path))} bytes; use at most {LONGEST_PATH}")
        if Path(path).name in ("", ".."):
            raise ConfigError(f"{places[key]}: {path!r} does not end in a socket's name; add one")
        whole = os.path.abspath(path)
        if whole in taken:
            raise ConfigError(f"{places[key]}: {path} is the path of {taken[whole]} too; use another")
        taken[whole] = key
    for key in ("socket", "control_socket", "metrics", "log_file", "audit_directory", "audit_key_file"):
        if "\0" in getattr(config, key):
            raise ConfigError(f"{places[key]}: {getattr(config, key)!r} cannot be a path; use one without NUL")


def changed_keys(old: RelayConfig, new: RelayConfig) -> list[str]:
    """Names of the keys that differ."""
    return [name for name in KEYS if getattr(old, name) != getattr(new, name)]


def reloaded(old: RelayConfig, new: RelayConfig) -> list[str]:
    """Names of the keys that a reload changes; raises :class:`ConfigError` if one of them needs a restart."""
    changed = changed_keys(old, new)
    fixed = [name for name in changed if not KEYS[name].reloads]
    if fixed:
        raise ConfigError(f"{', '.join(fixed)}: cannot change in a running relay; restart it, or undo the change")
    return changed
