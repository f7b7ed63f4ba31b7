"""Learned settings as a profile, and as the TOML text of one with the evidence beside each key."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib.metadata import version

import msgspec
import tomli_w

from ..model.profile import Profile, domain_named, judgeable, load_profile
from ..model.rules import Domain
from ..play.naming import target_for
from ..play.target import Target
from .guarantees import Held
from .limits import probe_max_connections, probe_overflow
from .probing import Learned, Probe, Setting, probe_all


def probe_relay(target: Target, domain: Domain, *, limits: bool) -> Probe:
    """Learn everything about a relay; ``limits`` adds what :func:`probe_limits` learns."""
    probe = probe_all(target, domain)
    if limits:
        probe_limits(probe)
    return probe


def probe_limits(probe: Probe) -> None:
    """Learn what needs a flood and a thousand connections."""
    if probe.value("forwards", True) and not probe.value("roles_by_timing", False):
        probe_overflow(probe)
        probe_max_connections(probe)


OTHERWISE: tuple[tuple[str, Setting, tuple[str, ...], str], ...] = (
    ("domain_filter", False, ("market_data", "signal", "execution"), "DOM-1"),
    ("type_filter", False, ("signal", "execution"), "DOM-2"),
    ("type_filter", True, ("market_data",), "DOM-3"),
    ("checksum", False, ("signal", "execution"), "VAL-1"),
    ("checksum", True, ("market_data",), "VAL-2"),
    ("check_tlvs", False, ("signal", "execution"), "VAL-3"),
    ("strict", False, ("execution",), "VAL-4"),
    ("on_framing_error", "forward", ("market_data", "signal", "execution"), "VAL-5"),
)
"""Settings that a relay of some domains may not have, and the requirement that such a relay does not keep."""


def _not_promised(probe: Probe) -> dict[str, str]:
    """What the settings that were seen rule out; a relay that forwards nothing keeps nothing that needs forwarding."""
    if not probe.value("forwards", True):
        return dict(load_profile("sink").not_promised)
    shown_by = {each.key: each.shown_by for each in probe.learned}
    return {
        requirement: f"probing saw otherwise: {shown_by[key]}"
        for key, value, domains, requirement in OTHERWISE
        if key in shown_by and probe.domain in domains and probe.value(key, "") == value
    }


def learned_profile(probe: Probe, name: str, description: str) -> Profile:
    """The profile that says what was seen, with what that rules out as not promised."""
    settings = {each.key: each.value for each in probe.learned if each.key in Profile.__struct_fields__}
    return msgspec.convert(
        {"name": name, "description": description, **settings, "not_promised": _not_promised(probe)}, Profile
    )


def profile_text(probe: Probe, profile: Profile, held: Sequence[Held] = ()) -> str:
    """The profile as TOML: every setting under a comment that says what showed it, and the guarantees as comments."""
    lines = [
        f"# Written by torq-conformance {version('torq')} probe. A setting says what the relay did, not what it should",
        "# do; what showed it stands above it, and what stands in brackets is no setting. Change what is promised",
        "# otherwise; torq-conformance run --profile THIS_FILE then judges everything else.",
        "",
    ]
    lines += _guarantee_lines(held)
    lines += [tomli_w.dumps({"name": profile.name, "description": profile.description})]
    for each in probe.learned:
        lines += _wrapped(each)
        if each.key in Profile.__struct_fields__:
            lines.append(tomli_w.dumps({each.key: each.value}))
        else:
            lines.append("")
    if profile.not_promised:
        lines.append(tomli_w.dumps({"not_promised": profile.not_promised}))
    return "\n".join(lines).rstrip() + "\n"


def _guarantee_lines(held: Sequence[Held]) -> list[str]:
    """What the relay guarantees its clients, as comments."""
    words = {True: "holds", False: "does not hold", None: "not known"}
    lines = [f"# {each.guarantee.name}: {words[each.holds]} ({each.bound})" for each in held]
    return ["# What it guarantees its clients:", *lines, ""] if lines else []


def _wrapped(each: Learned) -> list[str]:
    """The evidence as comment lines of at most 101 characters."""
    text = each.evidence if each.key in Profile.__struct_fields__ else f"({each.key}: {each.evidence})"
    return textwrap.wrap(text, 101, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def probed_profile(address: str | None, command_line: str | None, domain: str) -> Profile:
    """The profile of ``--profile auto``: a relay is probed before it is judged, its limits aside."""
    with target_for(address, command_line, domain) as target:
        probe = probe_relay(target, domain_named(domain), limits=False)
    return judgeable(learned_profile(probe, "auto", "learned by probing just before the run"))
