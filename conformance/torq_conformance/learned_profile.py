"""Learned settings as a profile, and as the TOML text of one with the evidence beside each key."""

from __future__ import annotations

import json

import msgspec

from .limits import probe_max_connections, probe_overflow
from .options import target_for
from .probing import Learned, Probe, probe_all
from .profile import Domain, Profile, load_profile
from .target import Target


def probe_relay(target: Target, domain: Domain, *, limits: bool) -> Probe:
    """Learn everything about a relay; ``limits`` adds what needs a flood and a thousand connections."""
    probe = probe_all(target, domain)
    if limits and probe.value("forwards", True):
        probe_overflow(probe)
        probe_max_connections(probe)
    return probe


def learned_profile(probe: Probe, name: str, description: str) -> Profile:
    """The profile that says what was seen. A relay that forwards nothing promises nothing that needs forwarding."""
    settings = {each.key: each.value for each in probe.learned if each.key in Profile.__struct_fields__}
    not_promised = {}
    if not probe.value("forwards", True):
        not_promised = dict(load_profile("sink").not_promised)
    return msgspec.convert(
        {"name": name, "description": description, **settings, "not_promised": not_promised}, Profile
    )


def profile_text(probe: Probe, profile: Profile) -> str:
    """The profile as TOML: every setting under a comment that says what showed it."""
    lines = [f"name = {json.dumps(profile.name)}", f"description = {json.dumps(profile.description)}", ""]
    for each in probe.learned:
        lines += _wrapped(each)
        if each.key in Profile.__struct_fields__:
            lines.append(f"{each.key} = {_toml(each.value)}")
        lines.append("")
    if profile.not_promised:
        lines += ["[not_promised]", *(f"{key} = {json.dumps(why)}" for key, why in profile.not_promised.items()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _wrapped(each: Learned) -> list[str]:
    """The evidence as comment lines of at most some 100 characters."""
    text = each.evidence if each.key in Profile.__struct_fields__ else f"{each.key}: {each.evidence}"
    lines = ["#"]
    for word in text.split():
        if len(lines[-1]) + len(word) > 100:
            lines.append("#")
        lines[-1] += f" {word}"
    return lines


def _toml(value: bool | int | str) -> str:
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)


def probed_profile(address: str | None, command_line: str | None, domain: str) -> Profile:
    """The profile of ``--profile auto``: a relay is probed before it is judged, its limits aside."""
    with target_for(address, command_line, domain) as target:
        probe = probe_relay(target, domain, limits=False)  # type: ignore[arg-type] # the options offer only the three
    return learned_profile(probe, "auto", "learned by probing just before the run")
