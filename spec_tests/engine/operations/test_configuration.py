"""Every key of the configuration, out of every source; every fault one line that says what to do."""

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_domains.command import RELAYS
from torq_engine.operations.configuration import KEYS, ConfigError, Place, RelayConfig
from torq_engine.operations.flags import parse
from torq_engine.operations.loading import load
from torq_engine.operations.reference import page
from torq_engine.operations.resolving import frame_policy, listen_settings
from torq_protocol.policy import ValidationLevel

from ..daemons import run

SIGNAL = RELAYS["signal"]
OTHER_VALUES: dict[str, object] = {
    "socket": "/tmp/torq-t/s",
    "aliases": ["/tmp/torq-t/a", "/tmp/torq-t/b"],
    "socket_mode": "0660",
    "shared_directory": True,
    "listen_backlog": 5,
    "allow_uids": ["root", "4242"],
    "allow_gids": ["root"],
    "max_connections": 7,
    "echo": False,
    "level": "security",
    "verify_checksum": True,
    "zero_checksum": "refuse",
    "max_message_size": 4096,
    "on_framing_error": "resync",
    "partial_frame_timeout": 1.5,
    "overflow": "disconnect",
    "queue_frames": 11,
    "queue_bytes": 12,
    "total_queue_bytes": 13,
    "first_read_grace": 3.0,
    "stall_timeout": 0.5,
    "busy_poll": 0.00005,
    "read_bytes": 14,
    "send_buffer_bytes": 15,
    "loop": "asyncio",
    "drain_timeout": 1.0,
    "path_check_interval": 2.0,
    "log_level": "debug",
    "log_format": "json",
    "log_file": "/tmp/torq-t/log",
    "log_repeat_interval": 1.0,
    "audit": True,
    "audit_directory": "/tmp/torq-t/audit",
    "audit_file_bytes": 5000,
    "audit_fsync": "always",
    "audit_fsync_interval": 0.5,
    "audit_key_file": "/dev/null",
    "metrics": "127.0.0.1:9100",
    "control_socket": "/tmp/torq-t/ctl",
}
"""An allowed value of every key that is not its default."""


def toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f"{value!r}"


def words(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def fault(
    text: str, tmp_path: Path, environment: dict[str, str] | None = None, flags: dict[str, object] | None = None
) -> str:
    file = tmp_path / "relay.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(SIGNAL, str(file), environment or {}, flags or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", list(KEYS))
def test_every_key_is_taken_from_file_environment_and_flag(key: str, tmp_path: Path) -> None:
    value = OTHER_VALUES[key]
    file = tmp_path / "relay.toml"
    file.write_text(f"{key} = {toml(value)}\n", encoding="utf-8")
    expected = msgspec.convert({key: value}, RelayConfig)
    assert expected != RelayConfig()
    assert load(SIGNAL, str(file), {}, {}) == expected
    assert load(SIGNAL, "", {KEYS[key].variable: words(value)}, {}) == expected
    flags = [KEYS[key].flag.replace("--", "--" if value else "--no-")] if isinstance(value, bool) else []
    if not flags:
        flags = [part for one in (value if isinstance(value, list) else [value]) for part in (KEYS[key].flag, str(one))]
    assert load(SIGNAL, "", {}, parse(SIGNAL, flags).flags) == expected


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["top", "table", "variable", "own variable", "flag"]), st.integers(1, 10**6)))
def test_each_source_wins_over_the_one_before(chosen: dict[str, int]) -> None:
    order = ["top", "table", "variable", "own variable", "flag"]
    text = f"queue_frames = {chosen['top']}\n" if "top" in chosen else ""
    text += f"[signal]\nqueue_frames = {chosen['table']}\n" if "table" in chosen else ""
    text += "[execution]\nqueue_frames = 999_999_999\n"
    names = {"variable": "TORQ_QUEUE_FRAMES", "own variable": "TORQ_SIGNAL_QUEUE_FRAMES"}
    environment = {names[key]: str(chosen[key]) for key in names if key in chosen} | {"PATH": "/bin"}
    environment["TORQ_EXECUTION_QUEUE_FRAMES"] = "888888"
    flags = {"queue_frames": str(chosen["flag"])} if "flag" in chosen else {}
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        expected = next((chosen[source] for source in reversed(order) if source in chosen), 0)
        assert load(SIGNAL, file.name, environment, flags).queue_frames == expected
        assert load(SIGNAL, "", {**environment, "TORQ_CONFIG": file.name}, flags).queue_frames == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queue_frame = 1", "queue_frame: no such key; did you mean queue_frames?"),
        (
            "[signals]\necho = true",
            "[signals]: no such table; did you mean signal?; use market_data, signal",
        ),
        ("[execution]\nfoo = 1", "execution.foo: no such key"),
        ("[execution]\nqueue_bytes = 0", "execution.queue_bytes: 0 is not allowed"),
        ("queue_bytes = 0", "queue_bytes: 0 is not allowed; use a whole number from 1 to 1,000,000,000,000 (bytes)"),
        ("queue_frames = '7'", "queue_frames: '7' is not allowed; use a whole number"),
        ("queue_frames = true", "queue_frames: True is not allowed"),
        ("max_message_size = 31", "use a whole number from 32 to 16,777,216 (bytes)"),
        ("queue_frames = 1000000000001", "use a whole number from 0 to 1,000,000,000,000 (frames)"),
        (f"queue_frames = {'9' * 5000}", "not TOML: Exceeds the limit"),
        ("listen_backlog = 99999999999", "use a whole number from 1 to 2,147,483,647 (connections)"),
        ("read_bytes = 99999999999", "use a whole number from 1 to 67,108,864 (bytes)"),
        ("send_buffer_bytes = 99999999999", "use a whole number from 0 to 2,147,483,647 (bytes)"),
        ("stall_timeout = 1e300", "use a number from 0 to 31,536,000 (s)"),
        ("audit_fsync_interval = 0", "use a number above 0, at most 31,536,000 (s)"),
        ("path_check_interval = 0", "use a number from 0.01 to 31,536,000 (s)"),
        (f"allow_uids = {'[' * 3000}{']' * 3000}", "nested too deeply"),
        (f"allow_uids = ['{'9' * 5000}']", "999... does not exist on this machine"),
        ('allow_uids = ["a\\u0000b"]', "does not exist on this machine"),
        ("allow_gids = [4294967295]", "'4294967295' does not exist on this machine"),
        ("[queue_frames]", "[queue_frames]: a key, not a table; write queue_frames = ..."),
        ("[system]\necho = true", "[system]: no such table"),
        ("system = 3", "system: no such key"),
        ("socket = '/x/s'\ncontrol_socket = '/x/y/../s'", "control_socket: /x/y/../s is the path of socket too"),
        (f"control_socket = '{SIGNAL.socket_path}'", "control_socket: /tmp/torq/signal.sock is the path of socket too"),
        (
            "audit = true\naudit_directory = '/tmp/torq/signals.sock'",
            "/tmp/torq/signals.sock is the path of aliases too",
        ),
        ("signal = 3", "signal: a table is meant; write [signal] above its keys"),
        ("[[signal]]", "signal: a table is meant"),
        ("socket = '/'", "socket: '/' does not end in a socket's name"),
        ("aliases = ['']", "aliases: '' does not end in a socket's name"),
        ('log_file = "a\\u0000b"', "log_file: 'a\\x00b' cannot be a path"),
        ('control_socket = "a\\u0000b"', "cannot be a path"),
        ("socket = '/x/s'\naliases = ['/x/../x/s']", "aliases: /x/../x/s is the path of socket too"),
        ("socket = '/x/s'\nmetrics = 'unix:/x/s'", "metrics: /x/s is the path of socket too"),
        ("audit_key_file = '/'", "/ cannot be read"),
        ("stall_timeout = nan", "stall_timeout: nan is not allowed"),
        ("drain_timeout = inf", "drain_timeout: inf is not allowed"),
        ("overflow = 'drop'", "use one of backpressure, disconnect, drop_oldest"),
        ("echo = 'yes'", "use true or false"),
        ("socket_mode = '888'", "(octal digits)"),
        ("allow_uids = ['no such user']", "allow_uids: 'no such user' does not exist on this machine"),
        ("allow_gids = ['no such group']", "allow_gids: 'no such group' does not exist on this machine"),
        (f"socket = '{'x' * 108}'", "108 bytes; use at most 107"),
        (f"metrics = 'unix:{'x' * 108}'", "108 bytes; use at most 107"),
        ("metrics = '0.0.0.0:80'", "127.0.0.1:PORT, [::1]:PORT or unix:PATH"),
        ("metrics = '127.0.0.1:65536'", "port 65536; use 0 to 65535"),
        ("audit_key_file = '/no/such/file'", "/no/such/file cannot be read"),
        ("relay = 'execution'", "this file is for the relay 'execution', not for 'signal'"),
        ("queue_frames = ", "not TOML"),
    ],
)
def test_a_fault_is_one_line_with_file_key_and_what_is_allowed(text: str, expected: str, tmp_path: Path) -> None:
    message = fault(text, tmp_path)
    assert message.startswith(f"{tmp_path}/relay.toml: ")
    assert expected in message


def test_faults_of_other_sources_name_them(tmp_path: Path) -> None:
    assert (
        fault("", tmp_path, {"TORQ_ECHO": "maybe"})
        == "environment: TORQ_ECHO: 'maybe' is not allowed; use true or false"
    )
    assert "TORQ_QUEUE_FRAME: no such key; did you mean TORQ_QUEUE_FRAMES" in fault(
        "", tmp_path, {"TORQ_QUEUE_FRAME": "1"}
    )
    assert fault("", tmp_path, {}, {"queue_frames": "many"}).startswith("--queue-frames: 'many' is not allowed")
    with pytest.raises(ConfigError, match=r"/no/such\.toml: cannot be read: No such file"):
        load(SIGNAL, "/no/such.toml", {}, {})


def test_a_fault_has_fields_so_that_no_text_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("[signal]\nqueue_frames = -1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(SIGNAL, str(file), {}, {})
    fault = caught.value
    assert (fault.key, fault.got, fault.place) == ("queue_frames", -1, Place(str(file), "signal.queue_frames"))
    assert str(fault) == f"{file}: signal.queue_frames: {fault.problem}; {fault.expected}"
    with pytest.raises(ConfigError) as caught:
        load(SIGNAL, "", {"TORQ_ALLOW_UIDS": "no such user"}, {})
    assert (caught.value.key, caught.value.got) == ("allow_uids", "no such user")
    assert caught.value.place == Place("environment", "TORQ_ALLOW_UIDS")


@settings(max_examples=150)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_file_does_more_than_be_refused(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        message = file.name
        try:
            load(SIGNAL, file.name, {}, {})
        except ConfigError as error:
            message = str(error)
        assert message.startswith(file.name)


def test_sec_2_allow_lists_take_names_numbers_and_anyone() -> None:
    execution = RELAYS["execution"]
    named = load(execution, "", {"TORQ_ALLOW_UIDS": "root,4242", "TORQ_ALLOW_GIDS": "root"}, {})
    listen = listen_settings(named, execution)
    assert listen.allow_uids == frozenset({0, 4242})
    assert listen.allow_gids == frozenset({0})
    only_group = listen_settings(RelayConfig(allow_gids=["root"]), execution)
    assert only_group.allow_uids is None
    assert only_group.allow_gids == frozenset({0})
    anyone = listen_settings(RelayConfig(allow_uids=["*", 3]), execution)
    assert anyone.allow_uids is None
    assert anyone.allow_gids is None
    nobody = listen_settings(RelayConfig(allow_uids=[]), SIGNAL)
    assert nobody.allow_uids == frozenset()


def test_val_2_level_checksum_and_size_shape_the_policy() -> None:
    market = RELAYS["market_data"]
    assert not frame_policy(RelayConfig(), market).verify_checksum
    assert frame_policy(RelayConfig(verify_checksum=True), market).verify_checksum
    assert frame_policy(RelayConfig(level=ValidationLevel.SECURITY), market) == market.policy(ValidationLevel.SECURITY)
    assert frame_policy(RelayConfig(max_message_size=64), SIGNAL).max_message_size == 64


def test_every_key_says_its_unit_section_and_meaning_and_stands_in_the_page() -> None:
    text = page()
    for key in KEYS.values():
        assert key.text
        assert f"| `{key.name}` |" in text
        assert key.allowed
        if key.name.endswith(("_bytes", "_frames", "_timeout", "_interval")):
            assert key.unit in ("bytes", "frames", "s")


def test_check_config_says_whether_a_file_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("queue_frames = 5\n", encoding="utf-8")
    good = run("market_data", "check-config", file)
    assert (good.returncode, good.stdout) == (0, f"{file}: can be used by market_data_relay\n")
    file.write_text("queue_frames = -5\n", encoding="utf-8")
    bad = run("market_data", "check-config", file)
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
    assert "queue_frames: -5 is not allowed" in bad.stderr


def test_a_relay_with_a_bad_configuration_exits_2_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("nonsense = 1\n", encoding="utf-8")
    ended = run("signal", "--config", file)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"signal_relay: {file}: nonsense: no such key" in ended.stderr


def test_what_was_not_asked_for_is_not_imported() -> None:
    code = "import sys, torq_engine.daemon, torq_engine.operations.service; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"prometheus_client", "rich", "click", "anyio", "uvloop"} & set(loaded)


def test_the_flag_no_alias_leaves_no_second_path() -> None:
    assert "aliases" not in parse(SIGNAL, []).flags
    assert parse(SIGNAL, ["--no-alias"]).flags["aliases"] == []
