"""The fixed checks: a right relay passes each, and a relay with the fault that it looks for does not."""

import os
import re
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import judged, plan_for, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.checks import CHECKS, EXTRA_CHECKS, Bench, UnsupportedCheckError
from torq_conformance.judging.verdict import Verdict
from torq_conformance.model.profile import load_profile, rules_for

REFERENCE = load_profile("reference")
PROFILES = {
    "CONN-5": msgspec.structs.replace(REFERENCE, max_connections=4),
    "FRAME-5": msgspec.structs.replace(REFERENCE, partial_frame_timeout=1.0),
    "ISO-7": msgspec.structs.replace(REFERENCE, first_read_grace=0.3),
}
"""What the relay under a check promises, where it is not what the reference promises."""


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")


def kinds(requirement: str, *arguments: str, command: str = "") -> set[str]:
    check = {**CHECKS, **EXTRA_CHECKS}[requirement]
    command = command or specimen("correct", "signal", *arguments)
    with Bench(command, PROFILES.get(requirement, REFERENCE), rules_of("signal")) as bench:
        found = {finding.kind for finding in check(bench)}
    assert bench.acts
    return found


@pytest.mark.parametrize(
    "requirement",
    [
        *(
            "CONN-1",
            "CONN-2",
            "CONN-4",
            "CONN-8",
            "CONN-9",
            "CONN-10",
            "DOM-5",
            "VAL-6",
            "ISO-8",
            "LIFE-1",
            "RES-3",
            "RES-4",
        ),
        "SEC-1",
    ],
)
def test_the_reference_relay_passes(requirement: str) -> None:
    assert kinds(requirement, command="signal_relay --socket {socket}") == set()


@pytest.mark.parametrize("requirement", ["CONN-8", "LIFE-1"])
def test_a_relay_that_takes_small_frames_only_passes(requirement: str) -> None:
    profile = msgspec.structs.replace(REFERENCE, max_message_size=1_024)
    with Bench(
        specimen("correct", "signal", "--max-message-size 1024"), profile, rules_for(profile, "signal")
    ) as bench:
        assert list(CHECKS[requirement](bench)) == []


@settings(deadline=None)
@given(limit=st.integers(1_024, 1 << 21), size=st.one_of(st.integers(0, 65_535), st.integers(0, 1 << 21)))
def test_no_check_sends_more_than_the_relay_takes(limit: int, size: int) -> None:
    profile = msgspec.structs.replace(REFERENCE, max_message_size=limit)
    with Bench("a relay", profile, rules_for(profile, "signal")) as bench:
        assert len(bench.frame(min(size, 65_535))) == bench.size_of(min(size, 65_535)) <= limit
        assert len(bench.refused(size)) <= limit


def test_conn_5_a_relay_with_a_limit_passes() -> None:
    assert kinds("CONN-5", "--max-connections 4") == set()


def test_frame_5_a_relay_that_ends_incomplete_frames_and_no_others_passes() -> None:
    assert kinds("FRAME-5", "--partial-frame-timeout 1") == set()


def test_sec_1_without_root_a_pass_says_that_the_owner_was_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", forbidden)
    with relay(specimen("correct", "signal")) as target:
        result = judged(target, plan_for("SEC-1"))["SEC-1"]
    assert result.verdict is Verdict.PASS
    assert "who owns the directory was not judged: chown fails (Operation not permitted)" in result.reason


def test_frame_5_is_not_judged_where_the_profile_names_no_time_or_a_long_one() -> None:
    for timeout in (None, 30.0):
        profile = msgspec.structs.replace(REFERENCE, partial_frame_timeout=timeout)
        with Bench("never started", profile, rules_of("signal")) as bench, pytest.raises(UnsupportedCheckError):
            list(CHECKS["FRAME-5"](bench))


@pytest.mark.parametrize(
    ("requirement", "fault", "kind"),
    [
        ("CONN-1", "--mutant stale-socket-refused", "refused"),
        ("CONN-1", "--mutant directory-not-created", "refused"),
        ("CONN-2", "--mutant live-socket-stolen", "stolen"),
        ("CONN-4", "--mutant serves-first-100", "lost"),
        ("CONN-5", "--mutant limit-ignored --max-connections 4", "admitted"),
        ("CONN-8", "--mutant descriptor-leak", "leaked"),
        ("FRAME-5", "--mutant partial-kept --partial-frame-timeout 1", "kept"),
        ("FRAME-5", "--mutant partial-kept-by-trickle --partial-frame-timeout 1", "kept"),
        ("FRAME-5", "--mutant partial-timed-from-the-first --partial-frame-timeout 1", "closed"),
        ("FRAME-5", "--mutant partial-timer-kept --partial-frame-timeout 1", "closed"),
        ("RES-2", "--mutant thread-leak", "leaked"),
        ("RES-1", "--mutant fat-connections", "costly"),
        ("DOM-5", "--mutant siblings-fed", "leaked"),
        ("VAL-6", "--mutant allocates-claims", "costly"),
        ("LIFE-1", "--mutant exit-code-1", "status"),
        ("LIFE-1", "--mutant socket-file-left", "left behind"),
        ("LIFE-1", "--mutant backlog-discarded", "lost"),
        ("SEC-1", "--mutant created-directory-open", "open"),
        ("SEC-1", "--mutant open-directory-accepted", "started"),
        pytest.param("SEC-1", "--mutant foreign-directory-accepted", "started", marks=AS_ROOT),
    ],
)
def test_a_fault_is_found_by_the_check_that_looks_for_it(requirement: str, fault: str, kind: str) -> None:
    assert kind in kinds(requirement, fault)


FORGETFUL = """
from torq_conformance.specimens.cli import main
from torq_conformance.specimens.correct.relay import Relay
from torq_conformance.specimens.mutants.life_cycle import mutant

@mutant("forgets-a-mebibyte", "LIFE-1", "throws away on SIGTERM what waits for a client, if it is more than 1 MiB")
class Forgetful(Relay):
    def deliver_rest(self, deadline):
        for connection in self.connections.values():
            if connection.outbox.bytes > 1 << 20:
                connection.outbox.frames.clear()
        super().deliver_rest(deadline)

main()
"""


def test_life_1_a_relay_that_drains_a_mebibyte_and_no_more_is_found(tmp_path: Path) -> None:
    script = tmp_path / "forgetful.py"
    script.write_text(FORGETFUL, "utf-8")
    relay = f"{sys.executable} {script} correct --socket {{socket}} --domain signal"
    assert kinds("LIFE-1", command=relay) == set()
    assert kinds("LIFE-1", command=f"{relay} --mutant forgets-a-mebibyte") == {"lost"}


FAULTY = """
from torq_conformance.specimens.cli import main
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Relay
from torq_conformance.specimens.mutants.table import mutant, replacing

mutant("never-sleeps", "RES-3", "asks for events all the time")(
    replacing(Relay.seconds_to_wait, lambda relay: 0.0)
)
mutant("room-for-readers", "ISO-8", "keeps little for a client that it has not yet seen to read")(
    replacing(
        Outbox.has_room,
        lambda outbox, frame: Outbox.has_room(outbox, frame) and (outbox.reader_seen or outbox.bytes < 100_000),
    )
)

@mutant("page-for-each-frame", "RES-4", "keeps each frame that waits in a page of its own")
class PageForEachFrame(Outbox):
    def put(self, frame):
        super().put(frame)
        self.pages = getattr(self, "pages", [])
        self.pages.append(bytearray(b"1") * 4000)

mutant("few-frames", "ISO-8", "keeps 1000 frames for a consumer")(
    replacing(Outbox.has_room, lambda outbox, frame: Outbox.has_room(outbox, frame) and len(outbox.frames) < 1000)
)

main()
"""


@pytest.mark.parametrize(
    ("requirement", "fault", "kind"),
    [
        ("RES-3", "never-sleeps", "costly"),
        ("RES-4", "page-for-each-frame", "costly"),
        ("ISO-8", "room-for-readers", "lost"),
        ("ISO-8", "few-frames", "lost"),
        ("ISO-8", "few-frames --overflow disconnect", "closed"),
    ],
)
def test_res_3_4_iso_8_a_wasteful_or_forgetful_relay_is_found(
    tmp_path: Path, requirement: str, fault: str, kind: str
) -> None:
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY, "utf-8")
    relay = f"{sys.executable} {script} correct --socket {{socket}} --domain signal"
    assert kind in kinds(requirement, command=f"{relay} --mutant {fault}")


IMPATIENT = """
from torq_conformance.specimens.cli import main
from torq_conformance.specimens.mutants import isolation

isolation.GRACE_S = 0.3
main()
"""


@pytest.mark.parametrize(("fault", "kind"), [("never-read-closed", "closed"), ("never-read-forgotten", "lost")])
def test_iso_7_who_gives_up_a_client_that_only_sends_is_found(tmp_path: Path, fault: str, kind: str) -> None:
    script = tmp_path / "impatient.py"
    script.write_text(IMPATIENT, "utf-8")
    relay = f"{sys.executable} {script} correct --socket {{socket}} --domain signal"
    assert kinds("ISO-7", command=f"{relay} --mutant {fault}") == {kind}


def test_iso_7_the_reference_relay_serves_who_only_sends_when_its_grace_is_over() -> None:
    assert kinds("ISO-7", command="signal_relay --first-read-grace 0.3 --socket {socket}") == set()


@pytest.mark.parametrize("overflow", ["drop_oldest", "disconnect", "backpressure"])
def test_iso_7_a_relay_with_small_limits_passes(overflow: str) -> None:
    profile = msgspec.structs.replace(
        REFERENCE, first_read_grace=0.3, max_message_size=1_024, queue_frames=16, queue_bytes=20_000, overflow=overflow
    )
    limits = f"--max-message-size 1024 --queue-frames 16 --queue-bytes 20000 --overflow {overflow}"
    with Bench(specimen("correct", "signal", limits), profile, rules_for(profile, "signal")) as bench:
        assert list(EXTRA_CHECKS["ISO-7"](bench)) == []


def test_iso_7_a_long_grace_is_not_waited_for() -> None:
    profile = msgspec.structs.replace(REFERENCE, first_read_grace=16.0)
    with Bench(specimen("correct", "signal"), profile, rules_for(profile, "signal")) as bench:
        assert list(EXTRA_CHECKS["ISO-7"](bench)) == []
        assert bench.left_out == ["who has read nothing for longer than first_read_grace: that is 16 s"]


@pytest.mark.parametrize("requirement", ["CONN-9", "CONN-10", "ISO-7", "ISO-8", "RES-3", "RES-4"])
def test_the_right_specimen_passes_too(requirement: str) -> None:
    assert kinds(requirement) == set()


def test_conn_10_a_relay_that_spins_without_descriptors_is_found() -> None:
    assert kinds("CONN-10", command=specimen("legacy-market-data", "signal")) == {"costly"}


def test_conn_9_relays_that_take_the_path_from_each_other_are_found() -> None:
    assert kinds("CONN-9", command=specimen("legacy-market-data", "signal")) == {"stolen"}


def test_iso_8_a_queue_that_holds_little_is_filled_within_its_bounds() -> None:
    for policy in ("drop_oldest", "disconnect", "backpressure"):
        profile = msgspec.structs.replace(
            REFERENCE, queue_frames=50, queue_bytes=100_000, overflow=policy, first_read_grace=1.0
        )
        command = specimen("correct", "signal", f"--queue-frames 50 --queue-bytes 100000 --overflow {policy}")
        with Bench(command, profile, rules_for(profile, "signal")) as bench:
            assert list(CHECKS["ISO-8"](bench)) == []
        assert bench.left_out == ["who begins to read late: first_read_grace is 1 s"]


@pytest.mark.parametrize(("frames", "size"), [(50, 67_108_864), (10_000, 100_000)])
def test_life_1_no_more_waits_than_the_profile_promises_to_hold(frames: int, size: int) -> None:
    profile = msgspec.structs.replace(REFERENCE, queue_frames=frames, queue_bytes=size)
    command = specimen("correct", "signal", f"--queue-frames {frames} --queue-bytes {size}")
    with Bench(command, profile, rules_for(profile, "signal")) as bench:
        assert list(CHECKS["LIFE-1"](bench)) == []
    told = re.search(r"B sends (\d+) frames of 1 537 bytes", " ".join(bench.acts))
    assert told
    assert 0 < int(told[1]) <= min(frames, size // 1537)


def test_life_1_what_is_shown_is_what_is_sent() -> None:
    with Bench(specimen("correct", "signal"), REFERENCE, rules_of("signal")) as bench:
        assert list(CHECKS["LIFE-1"](bench)) == []
    shown = re.findall(r"frames of ([\d ]+) bytes.*: ([0-9a-f]+)(?: \.\.\. (\d+) more)?\)", "\n".join(bench.acts))
    for size, data, more in shown:
        announced = 32 + int.from_bytes(bytes.fromhex(data)[24:28], "little")
        assert announced == int(size.replace(" ", "")) == len(data) // 2 + int(more or 0)
    assert [size for size, _, _ in shown] == ["42", "1 537"]
    assert any("B sends 2 728 frames of 1 537 bytes (4 192 936 bytes in all)" in act for act in bench.acts)


def test_a_failing_check_says_how_to_repeat_it_by_hand() -> None:
    with Bench(specimen("correct", "signal", "--mutant live-socket-stolen"), REFERENCE, rules_of("signal")) as bench:
        assert list(CHECKS["CONN-2"](bench))
    started, *_, done = bench.acts
    assert re.search(r"start the relay: \S*torq-specimen correct --socket /\S+\.sock --domain signal", started)
    assert any(re.search("efbeadde02", act) for act in bench.acts)
    assert "start the same command again" in " ".join((done, *bench.acts))


def test_dom_5_the_word_domain_of_a_command_becomes_the_domain_of_each_of_the_two_relays() -> None:
    command = "torq-specimen correct --domain {domain} --mutant siblings-fed --socket {socket}"
    assert kinds("DOM-5", command=command) == {"leaked"}


@pytest.mark.parametrize("requirement", ["CONN-1", "CONN-8", "RES-1", "RES-2", "DOM-5"])
def test_a_relay_that_promises_to_forward_nothing_is_not_asked_to(requirement: str) -> None:
    sink = load_profile("sink")
    with Bench(specimen("legacy-sink", "signal"), sink, rules_of("signal", "sink")) as bench:
        assert list(CHECKS[requirement](bench)) == []


@pytest.mark.parametrize(
    ("requirement", "command"),
    [
        ("CONN-1", "torq-specimen correct --tcp 127.0.0.1:{port} --domain signal"),
        ("DOM-5", "torq-specimen correct --socket {socket}"),
    ],
)
def test_what_cannot_be_checked_says_why(requirement: str, command: str) -> None:
    with pytest.raises(UnsupportedCheckError, match=r"needs|names no"):
        kinds(requirement, command=command)
