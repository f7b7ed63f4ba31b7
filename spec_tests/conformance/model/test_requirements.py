"""The list of requirements as data: its settings are those of profiles and of the reference relay, its figures true."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

from torq_conformance.checks import resources
from torq_conformance.generation import features
from torq_conformance.generation.features import queues
from torq_conformance.model.profile import LEAST, Profile, rules_for
from torq_conformance.model.requirements import DOMAIN_NAMES, requirements, settings
from torq_conformance.model.rules import UNIX_SOCKET_BYTES
from torq_conformance.model.steps import Flood
from torq_conformance.model.timing import DEFAULT
from torq_engine.operations.configuration import RelayConfig

PAGE = (Path(__file__).parents[3] / "docs" / "spec" / "relay.md").read_text("utf-8")
OF_PROFILES = {setting.name: setting for setting in settings() if setting.profile}


def test_the_table_of_settings_has_every_field_of_a_profile_and_its_default() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(Profile)}
    assert set(OF_PROFILES) == set(fields)
    for name, setting in OF_PROFILES.items():
        if setting.default is not None:
            assert fields[name].default == setting.default, name
            assert type(fields[name].default) is type(setting.default), name
        else:
            assert setting.unset, f"{name} has neither a default nor words for its absence"


def test_the_table_says_what_each_domain_looks_at() -> None:
    words = {
        name: OF_PROFILES[name].unset.partition(" for ")[2]
        for name in ("type_filter", "checksum", "check_tlvs", "strict")
    }
    for domain in DOMAIN_NAMES:
        rules = rules_for(Profile(name="plain"), domain)
        for name, text in words.items():
            named = domain.replace("_", " ") in text.partition(", ")[0]
            assert getattr(rules, name) is named, (domain, name)


def test_closed_values_are_those_that_a_profile_takes() -> None:
    for name in ("on_framing_error", "overflow", "granularity"):
        values = OF_PROFILES[name].values.split(", ")
        assert set(values) == set(get_args(get_type_hints(Profile)[name])), name


def test_defaults_are_those_of_the_reference_relay_or_say_its_own() -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(RelayConfig)}
    tables = {"metrics", "audit"}  # they tell the suite where to look, the keys of the relay what to do
    common = [setting for setting in settings() if setting.name in defaults.keys() - tables]
    assert {setting.name for setting in common} >= {"echo", "overflow", "queue_bytes", "drain_timeout", "stall_timeout"}
    for setting in common:
        if setting.default is not None:
            assert defaults[setting.name] == setting.default, setting.name
        else:
            assert "the reference relay has" in setting.unset, setting.name
    assert OF_PROFILES["partial_frame_timeout"].unset.endswith(f" {defaults['partial_frame_timeout']:g}")


def test_settings_name_requirements_and_units() -> None:
    for setting in settings():
        assert set(setting.serves) <= set(requirements()), setting.name
        assert setting.unit or not isinstance(setting.default, (int, float)) or isinstance(setting.default, bool)


def test_every_setting_and_note_is_on_the_page() -> None:
    for setting in settings():
        assert f"| `{setting.name}` | {setting.values} | {setting.unit} |" in PAGE
    for requirement in requirements().values():
        for note in requirement.notes:
            assert note.replace("envelope.md", "[envelope.md](envelope.md)") in PAGE
            assert note.endswith((".", "VAL-5.")), note


def test_figures_of_the_notes_are_those_that_the_suite_judges_by() -> None:
    known = requirements()

    def told(name: str, words: str) -> bool:
        return any(words in note for note in known[name].notes)

    rules = rules_for(Profile(name="plain"), "signal")
    assert told("CONN-1", f"{DEFAULT.start_seconds:.0f} s from its start")
    assert told("CONN-2", f"waits {DEFAULT.prompt_seconds:.0f} s")
    *_, speech = features.idle_then_send(rules)
    flood = next(step for step in speech.steps if isinstance(step, Flood))
    assert told("CONN-3", f"{flood.count:,} frames".replace(",", " "))
    assert told("FWD-1", f"waits {DEFAULT.holding_seconds:.0f} s for the last frame")
    assert told("FWD-1", f"up to {DEFAULT.holding_seconds * DEFAULT.computing_factor:.0f} s while")
    assert told("CONN-4", f"within {DEFAULT.many_seconds:.0f} s")
    assert told("CONN-5", f"noticed, {DEFAULT.room_seconds:.0f} s at most")
    assert told("CONN-8", f"{DEFAULT.prompt_seconds:.0f} s after they left")
    assert told("FWD-7", f"{queues.MOST_STREAM_BYTES >> 20} MiB at most")
    assert told("FRAME-5", f"names {DEFAULT.longest_partial_seconds:g} s or less")
    assert told("VAL-5", f"waits {DEFAULT.silence_seconds:.0f} s")
    assert told("LIFE-1", f"within {DEFAULT.prompt_seconds:.0f} s after the backlog")
    assert told("LIFE-1", f"within {DEFAULT.second_signal_seconds:.0f} s after a second signal")
    assert told("ISO-1", f"before {min(DEFAULT.stuck_seconds, DEFAULT.part_seconds):.0f} s")
    assert told("ISO-2", f"{UNIX_SOCKET_BYTES:,} bytes".replace(",", " "))
    claims = len(resources.IMPOSSIBLE_CLAIMS) + resources.CLAIMING_CLIENTS
    assert told("VAL-6", f"{claims} clients announce large payloads, {resources.CLAIMING_CLIENTS} of them")
    assert told("VAL-6", f"{resources.MEMORY_SLACK // 10**6} MB and {resources.CONNECTION_BYTES >> 10} KiB")
    assert told("ISO-2", f"{resources.MEMORY_SLACK // 10**6} MB")


def test_the_limits_that_leave_room_for_programs_are_told() -> None:
    for name, least in LEAST.items():
        assert f"{least} and more" in OF_PROFILES[name].meaning


def test_a_setting_without_profile_belongs_to_the_relay() -> None:
    own = [setting for setting in settings() if not setting.profile]
    assert [setting.name for setting in own] == ["stall_timeout"]
    assert all(setting.serves for setting in own)
