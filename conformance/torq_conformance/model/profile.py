"""Profiles: what a relay promises, so that the suite can hold it to that and to nothing else.

A profile is a TOML file. Settings left out take the value that spec/relay.md gives the domain. ``not_promised`` names
requirements that the relay does not claim, each with the reason; they are reported as unsupported, never as passed.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import get_args

import msgspec

from torq_protocol.constants import RelayDomain

from ..errors import UsageError
from .operation import LINE, Audit, Metrics, Settable
from .requirements import requirements
from .rules import Domain, Rules, Settings, ZeroChecksum

LEAST = {"max_message_size": 1_024, "max_connections": 8, "queue_frames": 16}
"""What a relay must have for the suite to judge it: its programs and fences need as much."""


class Profile(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings that a target runs with, as a file gives them: a filter that is None is what its domain has.

    ``partial_frame_timeout`` is None where the relay sets no such limit. ``settings`` are the forms in which the relay
    is told other values than these, ``settings_file`` the words that name it a file of them (``--config {file}``).
    ``successor`` is the command that starts a relay which takes over from it; in it ``{command}`` stands for its own.
    """

    name: str
    description: str = ""
    type_filter: bool | None = None
    checksum: bool | None = None
    zero_checksum: ZeroChecksum | None = None
    check_tlvs: bool | None = None
    strict: bool | None = None
    partial_frame_timeout: float | None = None
    drain_timeout: float = 5.0
    settings: dict[Settable, str] = msgspec.field(default_factory=dict)
    settings_file: str = ""
    metrics: Metrics | None = None
    audit: Audit | None = None
    successor: str = ""
    not_promised: dict[str, str] = msgspec.field(default_factory=dict)


def domain_named(name: str) -> Domain:
    """The domain of that name. Raises UsageError for any other."""
    known: tuple[Domain, ...] = get_args(Domain)
    for domain in known:
        if domain == name:
            return domain
    raise UsageError(f"no domain is called {name!r}; use one of {', '.join(known)}")


def rules_for(profile: Profile, name: str) -> Rules:
    """The profile's settings with the domain's defaults filled in (DOM-2, DOM-3, VAL-1 to VAL-4).

    Raises UsageError when no domain has the name.
    """
    domain = domain_named(name)
    number = RelayDomain[domain.upper()]
    looks_inside = domain != "market_data"
    defaults = {
        "type_filter": looks_inside,
        "checksum": looks_inside,
        "zero_checksum": "refuse" if domain == "execution" else "accept",
        "check_tlvs": looks_inside,
        "strict": domain == "execution",
    }
    given = {name: value for name, value in msgspec.structs.asdict(profile).items() if value is not None}
    types = number.type_range
    domain_and_types = {
        "domain": domain,
        "number": int(number),
        "first_type": types.start,
        "last_type": types.stop - 1,
    }
    return msgspec.convert({**defaults, **given, **domain_and_types}, Rules)


def built_in_profiles() -> list[str]:
    """Names of the profiles that come with the suite."""
    folder = resources.files(__package__).joinpath("profiles")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_profile(name: str) -> Profile:
    """A built-in profile by name, or the profile in a TOML file. Raises UsageError with what is wrong in it."""
    if name in built_in_profiles():
        text = resources.files(__package__).joinpath("profiles", f"{name}.toml").read_text("utf-8")
    elif name.endswith(".toml") or "/" in name:
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read profile {name}: {error}") from error
    else:
        raise UsageError(
            f"no profile is called {name!r}; use one of {', '.join(built_in_profiles())}, or the path of a TOML file"
        )
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"profile {name}: {error}") from error
    unknown = set(profile.not_promised) - set(requirements())
    if unknown:
        raise UsageError(f"profile {name}: not_promised names no requirement: {', '.join(sorted(unknown))}")
    if any(form.startswith(LINE) for form in profile.settings.values()) and "{file}" not in profile.settings_file:
        raise UsageError(f"profile {name}: settings_file has to name the file of settings, such as --config {{file}}")
    return judgeable(profile)


def judgeable(profile: Profile) -> Profile:
    """The profile itself. Raises UsageError where its limits leave no room for the suite's programs."""
    for setting, least in LEAST.items():
        value = getattr(profile, setting)
        bounded = value != 0 if setting == "queue_frames" else value is not None
        if bounded and value < least:
            raise UsageError(
                f"profile {profile.name}: {setting} = {value} leaves no room for the suite's programs; have the relay "
                f"judged with {least} or more"
            )
    return profile
