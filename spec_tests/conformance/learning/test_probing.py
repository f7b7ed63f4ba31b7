"""Probing: what was learned of a relay is what it was started with, and the profile written down is one that loads."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import relay, specimen
from torq_conformance.commands.probe import command
from torq_conformance.exits import Exit
from torq_conformance.judging.verdict import Counterexample, Result, Verdict
from torq_conformance.learning.guarantees import GUARANTEES, held_by, strongest_guarantees
from torq_conformance.learning.learned_profile import learned_profile, probe_relay, profile_text
from torq_conformance.learning.limits import probe_max_connections, probe_overflow
from torq_conformance.learning.probing import Probe, probe_all, probe_basics
from torq_conformance.model.findings import Finding
from torq_conformance.model.history import History
from torq_conformance.model.profile import Profile, load_profile
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.rules import Domain
from torq_conformance.play.address import Address
from torq_conformance.play.target import Target


def learned(command: str, domain: Domain) -> Profile:
    with relay(command) as target:
        return learned_profile(probe_all(target, domain), "learned", "")


def test_the_settings_of_a_relay_are_found_by_watching_it() -> None:
    arguments = ("--no-echo", "--on-framing-error", "resync", "--max-message-size", "100000")
    profile = learned(specimen("correct", "execution", *arguments), "execution")
    assert not profile.echo
    assert profile.on_framing_error == "resync"
    assert profile.max_message_size == 100_000
    assert profile.granularity == "frames"
    assert all((profile.domain_filter, profile.type_filter, profile.checksum, profile.check_tlvs, profile.strict))


@pytest.mark.parametrize(
    ("name", "domain"), [("legacy-market-data", "market_data"), ("first-generic", "signal"), ("legacy-sink", "signal")]
)
def test_the_historical_relays_are_learned_as_their_profiles_say(name: str, domain: Domain) -> None:
    profile = learned(specimen(name, domain), domain)
    written = load_profile(name.removeprefix("legacy-") if "sink" in name else name)
    keys = ["forwards", "echo"]
    if profile.forwards:
        keys += ["granularity", "domain_filter", "type_filter", "checksum", "check_tlvs", "strict"]
    assert {key: getattr(profile, key) for key in keys} == {key: getattr(written, key) for key in keys}


def test_what_probing_rules_out_is_not_promised_and_so_not_passed() -> None:
    profile = learned(specimen("first-generic", "signal"), "signal")
    assert {"DOM-2", "VAL-1", "VAL-3"} <= set(profile.not_promised)
    assert "DOM-1" not in profile.not_promised, "it filters lone foreign frames, so it is held to that"
    assert not learned(specimen("correct", "signal"), "signal").not_promised


@pytest.mark.parametrize("overflow", ["drop_oldest", "disconnect", "backpressure"])
def test_iso_3_what_follows_overflow_is_learned(overflow: str) -> None:
    command = specimen("correct", "signal", "--overflow", overflow, "--queue-frames", "500", "--max-connections", "20")
    with relay(command) as target:
        probe = probe_basics(target, "signal")
        probe_overflow(probe)
        probe_max_connections(probe)
    assert probe.value("overflow", "") == overflow
    assert probe.value("max_connections", 0) == 20
    assert 400 <= int(probe.value("queue_frames", 0)) <= 510 or overflow != "drop_oldest"


def test_iso_2_a_bound_in_bytes_is_learned_as_one() -> None:
    with relay(specimen("correct", "signal", "--queue-bytes", "300000")) as target:
        probe = probe_basics(target, "signal")
        probe_overflow(probe)
    assert probe.value("queue_frames", 0) == 0
    assert 200_000 <= int(probe.value("queue_bytes", 0)) <= 300_000


def test_iso_2_a_bound_above_what_is_sent_is_named_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torq_conformance.learning.limits.LARGE_FRAMES", 400)
    with relay(specimen("correct", "signal")) as target:
        probe = probe_basics(target, "signal")
        probe_overflow(probe)
    assert not probe.value("overflow", "")
    (bound,) = [each for each in probe.learned if each.key == "queue_bytes"]
    assert bound.value == 400 * probe.own(60_000).size
    assert bound.shown_by.startswith("more than 22 MiB held for a consumer")


@pytest.mark.parametrize("answer", ["accept", "refuse"])
def test_val_1_what_becomes_of_a_checksum_of_0_is_learned(answer: str) -> None:
    with relay(specimen("correct", "signal", "--zero-checksum", answer)) as target:
        probe = probe_all(target, "signal")
    assert probe.value("checksum", False) is True
    assert probe.value("zero_checksum", "") == answer


def test_the_command_writes_a_profile_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    words = ["--exec", specimen("first-generic", "signal"), "--domain", "signal", "--no-limits", "-o", str(path)]
    result = CliRunner().invoke(command, [*words, "--no-guarantees"], standalone_mode=False)
    assert result.return_value == Exit.PASS, result.output
    profile = load_profile(str(path))
    assert profile.name == "mine"
    assert profile.granularity == "reads"
    assert "# the first 50 of 74 bytes of a frame reached the other client\ngranularity" in path.read_text()


def test_every_learned_setting_is_written_with_its_evidence() -> None:
    with relay(specimen("correct", "signal")) as target:
        probe = probe_relay(target, "signal", limits=False)
    text = profile_text(probe, learned_profile(probe, "x", ""))
    flat = " ".join(text.replace("\n# ", " ").split())
    for each in probe.learned:
        assert " ".join(each.evidence.split()) in flat


@given(name=st.text(), description=st.text(), why=st.text())
def test_whatever_a_profile_says_is_read_back(name: str, description: str, why: str) -> None:
    probe = Probe(Target(Address(path="/nowhere")), "signal")
    profile = Profile(
        name=name,
        description=description,
        not_promised={"FWD-4": why},
        echo=False,
        max_message_size=4096,
        on_framing_error="resync",
    )
    for key in ("echo", "max_message_size", "on_framing_error"):
        probe.learn(key, getattr(profile, key), "it was seen")
    assert msgspec.convert(tomllib.loads(profile_text(probe, profile)), Profile) == profile


def test_guarantees_that_do_not_hold_come_with_a_minimal_program() -> None:
    with relay(specimen("first-generic", "signal")) as target:
        profile = learned_profile(probe_basics(target, "signal"), "x", "")
        held = strongest_guarantees(target, "signal", profile, max_examples=5, seed=1, time_budget=600.0)
    verdicts = {each.guarantee.name: each for each in held}
    assert set(verdicts) == {guarantee.name for guarantee in GUARANTEES}
    assert verdicts["per-sender FIFO"].holds
    assert verdicts["total order"].holds
    against = verdicts["frame granularity"].against
    assert verdicts["frame granularity"].holds is False
    assert against is not None
    assert len(against.program.steps) <= 3
    loss = verdicts["no loss"]
    assert loss.holds is False, "frames that are lost when they are cut are lost"
    assert loss.against is not None
    assert "lost" in {finding.kind for finding in loss.against.findings}


def test_a_guarantee_is_not_said_to_hold_when_another_fault_hides_it_or_little_was_tried() -> None:
    ids = {name for guarantee in GUARANTEES for name in guarantee.requirements}
    known = requirements()
    results = {name: Result(known[name], Verdict.PASS, exercised=40) for name in ids}
    assert all(each.holds for each in held_by(results))
    results["ORD-1"] = Result(known["ORD-1"], Verdict.PASS, exercised=1)
    lost = Counterexample("FWD-3", Program("signal", ()), [Finding("lost", "a", "b")], History(), 5, 5)
    results["FWD-3"] = Result(known["FWD-3"], Verdict.FAIL, exercised=3, counterexample=lost)
    held = {each.guarantee.name: each for each in held_by(results)}
    assert held["per-sender FIFO"].holds is None
    assert held["unchanged"].holds is None
    assert "another fault comes first (lost)" in held["unchanged"].bound
    assert held["no loss"].holds is False
    assert held["total order"].holds


def test_conn_3_a_relay_that_guesses_roles_is_not_taken_for_one_that_forwards_nothing() -> None:
    with relay(specimen("timing-classifier", "market_data")) as target:
        probe = probe_relay(target, "market_data", limits=True)
    assert probe.value("forwards", False) is True
    assert "roles are guessed from timing" in probe.learned[0].evidence
