"""``check-config``: all that is wrong with a file, for one relay or for all that are to run at once."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..daemons import command as words_of
from ..daemons import run
from ..relays import short_directory
from .invoked import torq_relay

ALONE = {
    "socket": "socket = 'DIR/x'",
    "aliases": "aliases = ['DIR/x']",
    "control_socket": "control_socket = 'DIR/x'",
    "metrics by path": "metrics = 'unix:DIR/x'",
    "metrics by port": "metrics = '127.0.0.1:9109'",
    "audit_directory": "audit = true\naudit_directory = 'DIR/x'",
}
"""What a relay takes for itself alone, by how a file says so."""


@pytest.mark.parametrize("own", ALONE)
def test_what_relays_would_take_from_each_other_is_told_for_every_kind_of_it(own: str, tmp_path: Path) -> None:
    file = tmp_path / "relays.toml"
    file.write_text(ALONE[own].replace("DIR", str(tmp_path)), encoding="utf-8")
    result = torq_relay("check-config", str(file))
    key = own.partition(" ")[0]
    lines = result.output.splitlines()
    assert (result.exit_code, len(lines)) == (2, 2)
    for name, line in zip(("signal", "execution"), lines, strict=True):
        assert line.startswith(f"torq-relay: {file}: {name}.{key}: ")
        assert f"is the {key} of market_data too; give each relay its own, in [market_data] and [{name}]" in line


@given(st.lists(st.sampled_from(list(ALONE)), min_size=2, max_size=2), st.booleans())
@settings(max_examples=40)
def test_a_path_of_one_relay_is_no_other_relay_s_under_any_key(pair: list[str], linked: bool) -> None:
    with short_directory() as directory:
        (directory / "way").symlink_to(directory)
        texts = [ALONE[own].replace("DIR", str(directory)) for own in pair]
        texts[1] = texts[1].replace(f"{directory}/x", f"{directory}/way/x") if linked else texts[1]
        file = directory / "relays.toml"
        file.write_text("audit = false\n[market_data]\n{}\n[execution]\n{}\n".format(*texts), encoding="utf-8")
        by_port = ["by port" in own for own in pair]
        assert torq_relay("check-config", str(file)).exit_code == (0 if by_port[0] != by_port[1] else 2)


def test_what_relays_may_share_is_no_collision(tmp_path: Path) -> None:
    file = tmp_path / "relays.toml"
    file.write_text("log_file = '/tmp/log'\nmetrics = '127.0.0.1:0'\naudit_key_file = '/dev/null'\n", encoding="utf-8")
    assert torq_relay("check-config", str(file)).exit_code == 0


@pytest.mark.parametrize("command", ["torq-relay", "signal_relay"])
def test_check_config_tells_all_faults_each_once(command: str, tmp_path: Path) -> None:
    file = tmp_path / "relays.toml"
    file.write_text(
        "overflo = 3\nqueue_bytes = 0\nallow_uids = ['no such user']\nsocket = '/'\n"
        "[signal]\nlevel = 'x'\n[execution]\nechoo = 1\n[system]\n",
        encoding="utf-8",
    )
    if command == "torq-relay":
        result = torq_relay("check-config", str(file))
        code, said = result.exit_code, result.output
    else:
        process = run("signal", "check-config", file)
        code, said = process.returncode, process.stderr
    keys = ["overflo", "queue_bytes", "allow_uids", "socket", "signal.level", "execution.echoo", "[system]"]
    assert code == 2
    assert sorted(line.split(": ")[2] for line in said.splitlines()) == sorted(keys)


def test_life_5_a_path_that_the_locale_cannot_say_and_one_from_nowhere_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("socket = '/tmp/\u00fc'\n", encoding="utf-8")
    locale = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    words = words_of("signal", "check-config", file)
    process = subprocess.run(words, env=locale, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert "socket: '/tmp/\u00fc' cannot be said in ascii" in process.stderr
    gone = tmp_path / "gone"
    gone.mkdir()
    words = ["/bin/sh", "-c", 'cd "$0"; rmdir "$0"; exec "$@"', str(gone), *words_of("signal", "--socket", "s")]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr.count("\n")) == (1, 1)
    assert process.stderr.startswith("signal_relay: ")
