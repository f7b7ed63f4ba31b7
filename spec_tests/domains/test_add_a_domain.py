"""The guide docs/add_a_domain.md does what it says: its example is taken out of it and run."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import pytest

from spec_tests.engine.daemons import listening, receive
from spec_tests.engine.frames import SYSTEM, frame, tlv
from spec_tests.engine.relays import happened, serving, short_directory

GUIDE = Path(__file__).parents[2] / "docs" / "add_a_domain.md"


def examples() -> list[str]:
    return re.findall(r"```python(?: \w+\.py)?\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_guide_example_is_a_relay_of_twenty_lines_of_code() -> None:
    code = [line for line in examples()[0].splitlines() if line.strip() and not line.startswith('"""')]
    assert len(code) <= 20


def test_dom_4_guide_example_runs_and_serves_types_80_to_119_only() -> None:
    with short_directory() as directory:
        (directory / "system_relay.py").write_text(examples()[0], encoding="utf-8")
        path = directory / "s"
        with listening([sys.executable, f"{directory}/system_relay.py", "--socket", str(path)], path) as relay:
            client = relay.connect()
            accepted = [frame(tlv(number), domain=SYSTEM, sequence=number) for number in (80, 119)]
            refused = [frame(tlv(number), domain=SYSTEM) for number in (79, 120)] + [frame(domain=3)]
            client.sendall(accepted[0] + b"".join(refused) + accepted[1])
            assert receive(client, 68) == b"".join(accepted)
            relay.signal()
            assert relay.ends() == 0


async def test_guide_rule_that_a_policy_cannot_say_is_called_per_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {"__name__": "system_relay"}
    exec(examples()[0], names)
    monkeypatch.setitem(sys.modules, "system_relay", SimpleNamespace(**names))
    exec(examples()[1], names)
    logic_type, plain_type = names["UnflaggedOnly"], names["SystemLogic"]
    assert isinstance(logic_type, type)
    assert isinstance(plain_type, type)
    logic = logic_type()
    assert plain_type().header_filter() is None
    async with serving(logic.policy(logic.level), should_forward=logic.header_filter()) as relay:
        client = await relay.join()
        flagged = bytearray(frame(domain=SYSTEM))
        flagged[7] = 1
        flagged[28:32] = frame_checksum(bytes(flagged))
        fence = relay.fence(domain=SYSTEM)
        await client.send(bytes(flagged) + fence)
        assert await client.until(fence) == [fence]
        await happened(lambda: sum(relay.server.hub.totals().refused_frames) == 1)


def frame_checksum(data: bytes) -> bytes:
    return crc32(data[32:], crc32(data[:28])).to_bytes(4, "little")
