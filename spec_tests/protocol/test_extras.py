"""A plain client needs no package of an extra; what needs one says which, and a command says so in one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from torq_protocol.extras import Extra, MissingExtraError

from ..engine.daemons import daemon
from ..engine.relays import short_directory

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
CLIENT = """
from torq_protocol import InstrumentId, Side, SourceType, Trade, Venue
from torq_protocol.client import connect_blocking
from torq_protocol.client.sync import connect
assert connect is connect_blocking
address = sys.argv[1]
btc = InstrumentId.coin(Venue.KRAKEN, "BTC")
with connect(address, domain=1, wait_for_relay_seconds=10) as relay:
    trade = Trade(btc.asset_id, 1, 2, 3, btc.venue, btc.asset_type, Side.BUY)
    relay.publisher(SourceType.KRAKEN_COLLECTOR).send(trade)
    message = relay.receive()
    print(message.header.sequence, message.get(Trade).price)
"""


def names(requirements: list[str]) -> Iterator[str]:
    """The import names of requirements, those of extras that an extra includes too."""
    for each in requirements:
        name, _, included = each.partition(">=")[0].partition("[")
        if included:
            for extra in included.rstrip("]").split(","):
                yield from names(EXTRAS[extra])
        else:
            yield name.replace("-", "_")


PACKAGES = {name for extra in EXTRAS.values() for name in names(extra)} - {"mypy"}


def run_without(packages: set[str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    text = BLOCKED.format(packages=packages) + program
    return subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_plain_client_publishes_and_receives_without_any_package_of_an_extra() -> None:
    assert {"anyio", "construct", "msgspec", "numpy", "pytest"} <= PACKAGES
    with short_directory() as directory, daemon("market_data", path=directory / "s"):
        done = run_without(PACKAGES, CLIENT, str(directory / "s"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1\n", "")


def test_a_client_that_sends_bytes_imports_neither_payload_classes_nor_the_asynchronous_client() -> None:
    program = "from torq_protocol.client import connect_blocking; print(*sorted(sys.modules))"
    loaded = set(run_without(PACKAGES, program).stdout.split())
    assert "torq_protocol.client.blocking" in loaded
    assert not loaded & {"torq_protocol.payloads", "torq_protocol.client.relay", "torq_protocol.schema", "asyncio"}


@pytest.mark.parametrize(
    ("program", "package", "extra"),
    [
        ("from torq_protocol.client import connect", "anyio", "async"),
        ("import torq_protocol.batch", "numpy", "arrays"),
        ("import torq_protocol.capture", "numpy", "arrays"),
        ("import torq_protocol.instrument_arrays", "numpy", "arrays"),
        ("import torq_protocol.payload_dtypes", "numpy", "arrays"),
        ("import torq_protocol.schema", "construct", "inspect"),
    ],
)
def test_what_needs_an_extra_names_it(program: str, package: str, extra: str) -> None:
    done = run_without(PACKAGES, program)
    last = done.stderr.splitlines()[-1]
    assert last == f"torq_protocol.extras.MissingExtraError: {package} is not installed: pip install 'torq[{extra}]'"
    assert package in names(EXTRAS[extra])


COMMANDS: dict[str, str] = PROJECT["scripts"]
NEEDS = {"torq-conformance": "conformance", "torq-inspect": "inspect"}


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"torq", "torq-specimen"}))
def test_a_command_without_its_extra_is_one_line_and_exit_2(command: str) -> None:
    module, _, function = COMMANDS[command].partition(":")
    program = f"sys.argv = ['/bin/{command}', '--version']\nfrom {module} import {function}\nsys.exit({function}())"
    done = run_without(PACKAGES, program)
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{command}: ")
    assert line.endswith(f" is not installed: pip install 'torq[{NEEDS.get(command, 'relay')}]'")
    assert done.returncode == 2


@pytest.mark.parametrize("extra", ["arrays", "async", "inspect", "relay", "conformance"])
def test_with_only_its_extra_a_part_works(extra: str) -> None:
    programs = {
        "arrays": "import torq_protocol.capture, torq_protocol.instrument_arrays, torq_protocol.batch; "
        "import torq_protocol.payload_dtypes as d; d.payload_dtype(1)",
        "async": "from torq_protocol.client import connect, RelayConnection",
        "inspect": "sys.argv = ['torq-inspect', '--version']; import torq_protocol.inspect.cli as c; c.main()",
        "relay": "sys.argv = ['r', '--version']; from torq_domains.signal import main; main()",
        "conformance": "sys.argv = ['c', '--version']; from torq_conformance.__main__ import main; main()",
    }
    done = run_without(PACKAGES - set(names(EXTRAS[extra])), programs[extra])
    assert done.returncode == 0, done.stderr


def test_an_import_that_fails_for_another_reason_is_not_called_a_missing_extra() -> None:
    with pytest.raises(ImportError) as caught, Extra("arrays"):
        raise ModuleNotFoundError("of ours", name="torq_protocol.nothing")
    assert not isinstance(caught.value, MissingExtraError)
    with pytest.raises(ZeroDivisionError), Extra("arrays"):
        print(1 / 0)
