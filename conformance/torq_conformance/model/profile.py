"""Profiles: what a relay promises, so that the suite can hold it to that and to nothing else.

A profile is a TOML file. Settings left out take the value that spec/relay.md gives the domain. ``not_promised`` names
requirements that the relay does not claim, each with the reason; they are reported as unsupported, never as passed.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from torq_protocol.constants import MAX_MESSAGE_SIZE, RelayDomain

from ..errors import UsageError
from .requirements import requirements
from .rules import Domain, Rules

LEAST = {"max_message_size": 1_024, "max_connections": 8, "queue_frames": 16}
"""What a relay must have for the suite to judge it: its programs and fences need as much."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of spec/relay.md that a target runs with. Sizes in bytes, timeouts in seconds.

    ``max_connections`` and ``partial_frame_timeout`` are None where the relay sets no such limit. ``idle_seconds`` is
    how long clients are silent, or do not read: a right relay has no limit for that.

    ``granularity`` is what the relay forwards as a whole: frames, or whatever a read returned. Where it is reads, two
    senders' bytes may mix, so one client does all the sending.
    """

    name: str
    description: str = ""
    forwards: bool = True
    echo: bool = True
    domain_filter: bool = True
    type_filter: bool | None = None
    checksum: bool | None = None
    check_tlvs: bool | None = None
    strict: bool | None = None
    on_framing_error: Literal["close", "resync", "forward"] = "close"
    granularity: Literal["frames", "reads"] = "frames"
    overflow: Literal["drop_oldest", "disconnect", "backpressure"] = "drop_oldest"
    max_message_size: int = MAX_MESSAGE_SIZE
    max_connections: int | None = None
    queue_frames: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    partial_frame_timeout: float | None = None
    drain_timeout: float = 5.0
    idle_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 2.5
    not_promised: dict[str, str] = {}


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
    types = number.type_range
    looks_inside = domain != "market_data"

    def given(setting: bool | None, default: bool) -> bool:
        return default if setting is None else setting

    return Rules(
        domain=domain,
        number=int(number),
        first_type=types.start,
        last_type=types.stop - 1,
        forwards=profile.forwards,
        echo=profile.echo,
        domain_filter=profile.domain_filter,
        type_filter=given(profile.type_filter, looks_inside),
        checksum=given(profile.checksum, looks_inside),
        check_tlvs=given(profile.check_tlvs, looks_inside),
        strict=given(profile.strict, domain == "execution"),
        on_framing_error=profile.on_framing_error,
        granularity=profile.granularity,
        max_message_size=profile.max_message_size,
        overflow=profile.overflow,
        queue_frames=profile.queue_frames,
        queue_bytes=profile.queue_bytes,
        max_connections=profile.max_connections,
        idle_seconds=profile.idle_seconds,
    )


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
    return judgeable(profile)


def judgeable(profile: Profile) -> Profile:
    """The profile itself. Raises UsageError where its limits leave no room for the suite's programs."""
    for setting, least in LEAST.items():
        value = getattr(profile, setting)
        if value is not None and value < least:
            raise UsageError(
                f"profile {profile.name}: {setting} = {value} leaves no room for the suite's programs; have the relay "
                f"judged with {least} or more"
            )
    return profile
