"""The checks of what a profile says how to set or to see: settings, counters, audit logs, other users."""

import os
import sys

import msgspec
import pytest

from spec_tests.conformance.judged_relays import specimen
from spec_tests.conformance.specimens.test_mutants import SEEN_THROUGH_A_PROFILE
from torq_conformance.checks import CHECKS, EXTRA_CHECKS, Bench, UnsupportedCheckError
from torq_conformance.judging.selftest_cases import listed_mutants
from torq_conformance.model.operation import Metrics
from torq_conformance.model.profile import Profile, load_profile, rules_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="makes clients of other users")
TOLD = ["CONN-5", "FRAME-5", "VAL-7", "ISO-3", "ISO-6", "LIFE-5", "SEC-3", pytest.param("SEC-2", marks=AS_ROOT)]
FAULTS = [
    ("VAL-7", "refused-uncounted", "miscounted"),
    ("VAL-7", "refused-for-one-reason", "miscounted"),
    ("VAL-7", "malformed-uncounted", "miscounted"),
    ("ISO-3", "other-policies-unknown", "kept"),
    ("ISO-6", "backlog-uncounted", "miscounted"),
    ("ISO-6", "drops-uncounted", "miscounted"),
    ("ISO-6", "dropped-for-one-reason", "miscounted"),
    ("ISO-6", "delivered-when-begun", "miscounted"),
    ("LIFE-5", "blocked-signals-kept", "stuck"),
    ("LIFE-5", "ignored-signals-kept", "stuck"),
    ("LIFE-5", "ends-with-its-input", "down"),
    pytest.param("SEC-2", "allow-list-ignored", "admitted", marks=AS_ROOT),
    pytest.param("SEC-2", "allow-list-late", "leaked", marks=AS_ROOT),
    pytest.param("SEC-2", "allow-list-fatal", "refused", marks=AS_ROOT),
    pytest.param("SEC-2", "allow-list-of-groups-unread", "refused", marks=AS_ROOT),
    ("SEC-3", "refused-unrecorded", "unrecorded"),
    ("SEC-3", "recorded-as-forwarded", "unrecorded"),
    ("SEC-3", "log-begun-anew", "unrecorded"),
    ("SEC-3", "log-unsealed", "unrecorded"),
    ("SEC-3", "log-unchained", "unnoticed"),
]
REFERENCE, SPECIMEN, TORQ = (load_profile(name) for name in ("reference", "specimen", "torq"))


def kinds(requirement: str, command: str, profile: Profile = SPECIMEN, domain: str = "signal") -> set[str]:
    with Bench(command, profile, rules_for(profile, domain)) as bench:
        found = {finding.kind for finding in {**CHECKS, **EXTRA_CHECKS}[requirement](bench)}
    assert bench.acts
    return found


@pytest.mark.parametrize("requirement", TOLD)
def test_the_right_specimen_passes(requirement: str) -> None:
    assert kinds(requirement, specimen("correct", "execution"), domain="execution") == set()


@pytest.mark.parametrize("domain", ["market_data", "signal", "execution"])
@pytest.mark.parametrize("requirement", TOLD)
def test_the_reference_relays_pass_with_the_profile_that_is_shipped(requirement: str, domain: str) -> None:
    if requirement != "SEC-3" or domain == "execution":
        assert kinds(requirement, f"{domain}_relay --socket {{socket}}", TORQ, domain) == set()


@pytest.mark.parametrize("requirement", ["VAL-7", "ISO-6"])
@pytest.mark.parametrize("arguments", ["--no-echo", "--overflow disconnect", "--queue-frames 50 --queue-bytes 100000"])
def test_val_7_iso_6_other_right_relays_pass(requirement: str, arguments: str) -> None:
    settings: dict[str, object] = {"echo": "--no-echo" not in arguments}
    if "disconnect" in arguments:
        settings |= {"overflow": "disconnect", "settings": {}}
    if "50" in arguments:
        settings |= {"queue_frames": 50, "queue_bytes": 100_000, "settings": {}}
    profile = msgspec.structs.replace(SPECIMEN, **settings)
    assert kinds(requirement, specimen("correct", "signal", arguments), profile) == set()


@pytest.mark.parametrize(("requirement", "fault", "kind"), FAULTS)
def test_a_fault_is_found_by_the_check_that_looks_for_it(requirement: str, fault: str, kind: str) -> None:
    domain = "execution" if requirement == "SEC-3" else "signal"
    assert kind in kinds(requirement, specimen("correct", domain, f"--mutant {fault}"), domain=domain)


@pytest.mark.parametrize("domain", ["market_data", "signal", "execution"])
def test_iso_2_the_reference_relays_bound_an_own_echo_under_each_policy(domain: str) -> None:
    profile = msgspec.structs.replace(TORQ, queue_bytes=1_000_000)
    assert kinds("ISO-2", f"{domain}_relay --queue-bytes 1000000 --socket {{socket}}", profile, domain) == set()


@pytest.mark.parametrize(("fault", "found"), [("", set()), ("--mutant own-echo-unbounded", {"unbounded"})])
def test_iso_2_an_own_echo_that_is_kept_without_a_bound_is_found(fault: str, found: set[str]) -> None:
    profile = msgspec.structs.replace(SPECIMEN, queue_bytes=1_000_000)
    assert kinds("ISO-2", specimen("correct", "signal", f"--queue-bytes 1000000 {fault}"), profile) == found


def test_every_mutant_of_these_requirements_is_among_them() -> None:
    here = {getattr(row, "values", row)[1] for row in FAULTS}
    assert {row.name for row in listed_mutants() if row.catches[0] in SEEN_THROUGH_A_PROFILE} <= here


@pytest.mark.parametrize(
    ("requirement", "key"),
    [
        ("CONN-5", r"\[settings\] max_connections"),
        ("FRAME-5", r"\[settings\] partial_frame_timeout"),
        ("VAL-7", r"\[metrics\] at"),
        ("ISO-6", r"\[metrics\] at"),
        pytest.param("SEC-2", r"\[settings\] allow_uids", marks=AS_ROOT),
        ("SEC-3", r"\[audit\] directory"),
    ],
)
def test_what_a_profile_does_not_say_is_named_by_its_key(requirement: str, key: str) -> None:
    with pytest.raises(UnsupportedCheckError, match=key):
        kinds(requirement, "never started", REFERENCE)


def test_iso_6_a_counter_without_a_name_is_named_by_its_key() -> None:
    profile = msgspec.structs.replace(SPECIMEN, metrics=Metrics(at="unix:{socket}.metrics", received="received_frames"))
    with pytest.raises(UnsupportedCheckError, match=r"\[metrics\] delivered"):
        kinds("ISO-6", "never started", profile)


def test_sec_2_without_root_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnsupportedCheckError, match="only root"):
        kinds("SEC-2", "never started")


RELAY = f"{sys.executable} -m torq_conformance.specimens correct"
BY_VARIABLE = f"""exec {RELAY} --socket "$0" --domain signal --max-connections "$MOST" """
BY_FILE = f"""exec {RELAY} --socket "$0" --domain signal --max-connections "$(cat "$1")" """


@pytest.mark.parametrize(
    ("script", "form"), [(BY_VARIABLE, "env:MOST={value}"), (BY_FILE, "file:{value}")], ids=["variable", "file"]
)
def test_conn_5_a_setting_is_told_by_a_variable_or_a_file(script: str, form: str) -> None:
    profile = msgspec.structs.replace(REFERENCE, settings={"max_connections": form}, settings_file="{file}")
    assert kinds("CONN-5", f"sh -c '{script}' {{socket}}", profile) == set()
    deaf = script.replace("$MOST", "100").replace('$(cat "$1")', "100")
    assert kinds("CONN-5", f"sh -c '{deaf}' {{socket}}", profile) == {"admitted"}
