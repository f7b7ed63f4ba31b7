"""The limits of relay A from one comparison to the next: reused where everything is as it was, and else learnt anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from torq_conformance.comparison import remembered as module
from torq_conformance.comparison.remembered import Remembered
from torq_conformance.errors import UsageError
from torq_conformance.learning.probing import Learned, Probe
from torq_conformance.play.address import Address
from torq_conformance.play.target import Target
from torq_conformance.reports.judged_files import judged_files

LIMITS = (Learned("queue_frames", 128, "a flood"), Learned("overflow", "disconnect", "a flood", " of 9 000 frames"))


@pytest.fixture
def floods(monkeypatch: pytest.MonkeyPatch) -> list[Probe]:
    """The probes whose limits were learnt."""
    probed: list[Probe] = []

    def probe_limits(probe: Probe) -> None:
        probed.append(probe)
        probe.learned += LIMITS

    monkeypatch.setattr(module, "probe_limits", probe_limits)
    return probed


def probe(*, echo: bool = True, domain: str = "signal") -> Probe:
    """What a quick look at a relay has shown."""
    seen = [Learned("echo", echo, "it came back")]
    return Probe(Target(Address(path="/nowhere")), domain, seen)  # type: ignore[arg-type] # one of the three


def relay(folder: Path, text: str = "#!/bin/sh\n") -> str:
    path = folder / "relay"
    path.write_text(text)
    path.chmod(0o755)
    judged_files.cache_clear()
    return f"{path} {{socket}}"


def test_what_was_learnt_is_reused_for_the_same_relay(tmp_path: Path, floods: list[Probe]) -> None:
    for turn in range(2):
        again = Remembered(tmp_path / "cache", relay(tmp_path))
        looked = probe()
        again.learn(looked)
        assert looked.learned[1:] == list(LIMITS)
        assert bool(again.since) == bool(turn)
        assert len(floods) == 1


def another_machine(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, Probe]:
    patch.setattr(module, "machine", lambda: "another")
    return relay(folder), probe()


def another_suite(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, Probe]:
    patch.setattr(module, "version", lambda _: "9.9")
    return relay(folder), probe()


CHANGES: dict[str, Callable[[Path, pytest.MonkeyPatch], tuple[str, Probe]]] = {
    "the file": lambda folder, _: (relay(folder, "#!/bin/sh\n# built again\n"), probe()),
    "an argument": lambda folder, _: (f"{relay(folder)} --fast", probe()),
    "the domain": lambda folder, _: (relay(folder), probe(domain="execution")),
    "what is seen at once": lambda folder, _: (relay(folder), probe(echo=False)),
    "the machine": another_machine,
    "the suite": another_suite,
}


@pytest.mark.parametrize("changed", CHANGES)
def test_where_anything_is_otherwise_it_is_learnt_anew(
    changed: str, tmp_path: Path, floods: list[Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    Remembered(tmp_path / "cache", relay(tmp_path)).learn(probe())
    command, looked = CHANGES[changed](tmp_path, monkeypatch)
    again = Remembered(tmp_path / "cache", command)
    again.learn(looked)
    assert (len(floods), again.since) == (2, "")


def test_a_damaged_file_is_written_anew_and_a_folder_that_cannot_be_is_told(
    tmp_path: Path, floods: list[Probe]
) -> None:
    folder = tmp_path / "cache"
    Remembered(folder, relay(tmp_path)).learn(probe())
    [file] = folder.iterdir()
    file.write_bytes(b"\xff{")
    Remembered(folder, relay(tmp_path)).learn(probe())
    assert len(floods) == 2
    after = Remembered(folder, relay(tmp_path))
    after.learn(probe())
    assert after.since
    with pytest.raises(UsageError, match="--cache"):
        Remembered(tmp_path / "no" / "cache", relay(tmp_path)).learn(probe())
