"""LIFE-3 between the two builds of one source: compiled, and interpreted as where no compiler is."""

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from ..daemons import command, listening, receive
from ..frames import SIGNAL, frame
from ..operations.invoked import torq_relay
from ..relays import short_directory

INTERPRETED = """
import importlib.util, pathlib, sys

class Sources:
    def find_spec(self, name, path, target=None):
        if name.startswith(("torq_engine.", "torq_protocol.")):
            for folder in path or ():
                source = pathlib.Path(folder, name.rpartition(".")[2] + ".py")
                if source.exists():
                    return importlib.util.spec_from_file_location(name, source)

sys.meta_path.insert(0, Sources())
for name in ("torq_engine._sockets", "torq_protocol._scanner"):
    sys.modules[name] = None
from torq_domains.signal import main
main()
"""


def is_compiled(process: int) -> bool:
    """Whether a process has mapped an extension of ours."""
    return "/torq_" in Path(f"/proc/{process}/maps").read_text("utf-8")


@pytest.mark.skipif(not is_compiled(os.getpid()), reason="nothing is compiled here")
def test_life_3_between_the_compiled_and_the_interpreted_build() -> None:
    with short_directory() as directory:
        flags = ["--socket", str(directory / "s"), "--no-alias", "--control-socket", str(directory / "c")]
        compiled, interpreted = command("signal", *flags), [sys.executable, "-c", INTERPRETED, *flags]
        large = frame(domain=SIGNAL, payload=bytes((32, 200)) + bytes(200)) * 100
        with listening(compiled, directory / "s") as relay:
            sender, reader, stalled = (relay.connect() for _ in range(3))
            sender.sendall(frame(domain=SIGNAL))
            for client in (sender, reader, stalled):
                assert receive(client, 32) == frame(domain=SIGNAL)
            for _ in range(60):  # more than the stalled client's socket takes
                sender.sendall(large)
                for client in (sender, reader):
                    assert receive(client, len(large)) == large
            for sequence, words in enumerate([interpreted, compiled, interpreted, interpreted]):
                data = frame(domain=SIGNAL, sequence=sequence)
                sender.sendall(data[:11])
                asked = torq_relay("ctl", "--socket", directory / "c", "takeover", "--exec", shlex.join(words))
                assert asked.exit_code == 0, asked.output
                process = int(asked.output.split()[1])
                assert is_compiled(process) == (words is compiled)
                sender.sendall(data[11:])
                for client in (sender, reader):
                    assert receive(client, 32) == data
            rest = b"".join(frame(domain=SIGNAL, sequence=sequence) for sequence in range(4))
            assert receive(stalled, 60 * len(large) + len(rest)) == 60 * large + rest
            os.kill(process, signal.SIGTERM)
            assert receive(stalled, 1) == b""
