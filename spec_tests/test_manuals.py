"""Manual pages and completions: made from the parsers, read by the tools they are for."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from torq_engine.operations.configuration import KEYS

from .manuals import PARSERS, completion, manual

ASK = (
    'source /dev/stdin <<< "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
    '_shtab_{}; printf "%s\\n" "${{COMPREPLY[@]}}"'
)


@pytest.mark.parametrize("name", PARSERS)
def test_a_manual_is_read_without_a_warning(name: str) -> None:
    if not shutil.which("groff"):
        pytest.skip("no groff")
    read = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=manual(name), capture_output=True, text=True, check=True
    )
    assert read.stderr == ""
    assert "Torq Manual" in read.stdout


def test_the_manual_and_the_completion_of_a_relay_know_every_flag() -> None:
    page, words = manual("signal_relay").replace("\\-", "-"), completion("signal_relay")
    assert [key.flag for key in KEYS.values() if key.flag not in page or key.flag not in words] == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["torq-relay", ""], {"run", "check-config", "ctl"}),
        (["torq-relay", "ch"], {"check-config"}),
        (["torq-relay", "run", "--rel"], {"--relay"}),
        (["torq-relay", "ctl", "--so"], {"--socket"}),
        (["signal_relay", "--overflow", "d"], {"drop_oldest", "disconnect"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_offers_what_may_come_next(words: list[str], offered: set[str]) -> None:
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("no bash")
    asked = ASK.format(words[0].replace("-", "_"))
    answer = subprocess.run([bash, "-c", asked, completion(words[0]), *words], capture_output=True, text=True)
    assert offered <= set(answer.stdout.split()), answer.stderr


@pytest.mark.parametrize("make", [manual, completion])
def test_what_is_made_depends_on_nothing_around_it(make: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = [make(name) for name in PARSERS]
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TORQ_CONFIG", "/etc/torq/relays.toml")
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    assert [make(name) for name in PARSERS] == before
