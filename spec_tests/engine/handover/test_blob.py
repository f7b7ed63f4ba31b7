"""The state as a blob: what was released is read for ever, what is not known or damaged is refused by name."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_engine.handover import blob
from torq_engine.handover.blob import SlowCopy, opened, packed, sealed, unpacked
from torq_engine.handover.state import (
    SCHEMA,
    ConnectionState,
    CopyState,
    HubState,
    RelayState,
    SegmentState,
    StateError,
    StretchState,
    WaitingData,
    filled_up,
)
from torq_engine.hub import Hub
from torq_engine.settings import HubSettings
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from ..hub_forms import HUBS
from ..outlets import BufferedOutlet, OutletPort
from .release_state import DATA, FRAMES, STATES, TORN, state

RELEASED = memoryview((STATES / f"schema_{SCHEMA}.bin").read_bytes())


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_life_3_a_state_of_every_schema_ever_released_is_read(schema: int) -> None:
    found, data = unpacked(memoryview((STATES / f"schema_{schema}.bin").read_bytes()), RelayState)
    wanted = (STATES / f"schema_{schema}.json").read_bytes()
    assert found == msgspec.json.decode(wanted, type=RelayState)
    assert bytes(data) == b"".join(DATA)


def test_what_this_build_writes_is_the_released_schema_byte_for_byte() -> None:
    assert b"".join(packed(state(), DATA)) == RELEASED


def test_every_field_of_the_state_is_in_the_released_one_with_a_value_of_its_own() -> None:
    """So a field that is added, taken away or renamed fails here, until the schema is raised."""
    text = (STATES / f"schema_{SCHEMA}.json").read_text("utf-8")
    left_out = [name for name in _named_fields(RelayState) if f'"{name}"' not in text]
    assert not left_out


def test_a_connection_has_no_attribute_that_its_state_lacks() -> None:
    """But for its descriptor, which is given, its place, which is found anew, and its end, after which it is gone."""
    hub = HUBS["interpreted"](OutletPort(), FrameScanner(FramePolicy(1)), HubSettings())
    kept = set(vars(hub.join(7))) - {"descriptor", "place", "close_reason", "backlog"}
    assert kept == set(ConnectionState.__struct_fields__) - {"remainder", "queue"}


def _named_fields(kind: type) -> set[str]:
    found: set[str] = set()
    info = msgspec.inspect.multi_type_info([kind])
    waiting = list(info)
    seen: set[type] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, msgspec.inspect.StructType):
            if one.cls in seen:
                continue
            seen.add(one.cls)
            found |= set() if one.array_like else {field.name for field in one.fields}
            waiting += [field.type for field in one.fields]
        for name in ("types", "item_types"):
            waiting += getattr(one, name, ())
        for name in ("item_type", "value_type", "key_type"):
            if hasattr(one, name):
                waiting.append(getattr(one, name))
    return found


def new_hub() -> tuple[Hub, list[BufferedOutlet]]:
    port = OutletPort()
    outlets = [BufferedOutlet(10_000) for _ in range(3)]
    for outlet in outlets:
        port.open(outlet)
    return Hub(port, FrameScanner(FramePolicy(1)), HubSettings()), outlets


def test_life_3_a_hub_restored_from_a_released_state_sends_what_waited() -> None:
    found, data = unpacked(RELEASED, RelayState)
    hub, outlets = new_hub()
    hub.restore(found.server.hub, [0, 1, 2], WaitingData(data))
    assert [connection.id for connection in hub.backlogged] == [3, 5]
    assert hub.drain(hub.connections[3])
    assert bytes(outlets[0].stream) == TORN + b"".join(FRAMES[1:])
    hub.receive(hub.connections[3], FRAMES[1][33:])
    assert hub.connections[3].received_frames == 11
    assert hub.join(9).id == 7


@given(st.integers(0, len(RELEASED) - 1), st.integers(1, 255))
def test_life_4_a_state_with_any_byte_changed_is_refused(place: int, change: int) -> None:
    damaged = bytearray(RELEASED)
    damaged[place] ^= change
    with pytest.raises(StateError):
        unpacked(memoryview(damaged), RelayState)


@given(st.integers(0, len(RELEASED) - 1))
def test_life_4_a_state_that_is_cut_is_refused(size: int) -> None:
    with pytest.raises(StateError):
        unpacked(RELEASED[:size], RelayState)


@given(st.binary(max_size=200))
def test_life_4_arbitrary_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(StateError):
        unpacked(memoryview(data), RelayState)


def test_life_4_a_state_of_a_later_schema_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob, "SCHEMA", SCHEMA + 1)
    later = memoryview(b"".join(packed(state(), DATA)))
    monkeypatch.undo()
    with pytest.raises(StateError, match=f"has schema {SCHEMA + 1}, this build reads 1 to {SCHEMA}"):
        unpacked(later, RelayState)


def test_life_4_a_field_that_is_not_known_is_refused_by_its_name() -> None:
    class Later(RelayState, frozen=True):
        colour: str = ""

    fields = {name: getattr(state(), name) for name in RelayState.__struct_fields__}
    later = memoryview(b"".join(packed(Later(**fields, colour="red"), DATA)))
    with pytest.raises(StateError, match="what this build does not know: Object contains unknown field `colour`"):
        unpacked(later, RelayState)


def test_life_4_reasons_that_are_not_known_are_refused_by_their_table() -> None:
    assert filled_up([1, 2], 4, "closed") == [1, 2, 0, 0]
    assert filled_up([1, 2, 0], 2, "closed") == [1, 2]
    with pytest.raises(StateError, match="closed has 3 reasons, this build knows 2"):
        filled_up([1, 2, 3], 2, "closed")


def without(**changes: object) -> HubState:
    return msgspec.structs.replace(state().server.hub, **changes)


UNFIT: dict[str, tuple[Callable[[], HubState], str]] = {
    "a stretch past its segment": (
        lambda: without(connections=[ConnectionState(id=3, joined_at=0.0, queue=[StretchState(0, 0, 999, 1)])]),
        "frames at 0 to 999 do not lie in segment 0",
    ),
    "a stretch of no segment": (
        lambda: without(connections=[ConnectionState(id=3, joined_at=0.0, remainder=StretchState(9, 0, 1, 1))]),
        "frames at 0 to 1 do not lie in segment 9",
    ),
    "a segment past the data": (
        lambda: without(segments=[SegmentState(1, 0, 10_000, 10_000, [])]),
        "segment 1 does not lie in the",
    ),
    "no open segment": (lambda: without(open_segment=2), "no segment 2 to be filled"),
    "somebody who is not there": (lambda: without(stalled=[4]), "there is no connection 4"),
    "no incomplete frame": (lambda: without(incomplete=[5]), "connection 5 has no incomplete frame"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_life_4_a_state_whose_parts_do_not_fit_is_refused(name: str) -> None:
    changed, why = UNFIT[name]
    hub, _ = new_hub()
    found = changed()
    with pytest.raises(StateError, match=why):
        hub.restore(found, list(range(len(found.connections))), WaitingData(b"".join(DATA)))


def test_life_4_descriptors_that_are_too_few_are_refused() -> None:
    hub, _ = new_hub()
    with pytest.raises(StateError, match="2 descriptors for 3 connections"):
        hub.restore(state().server.hub, [0, 1], WaitingData(b"".join(DATA)))


def test_a_blob_is_read_from_a_sealed_memfd_only(tmp_path: Path) -> None:
    descriptor = sealed([b"some ", b"", b"bytes"])
    try:
        assert bytes(opened(descriptor)) == b"some bytes"
        with pytest.raises(PermissionError):
            os.write(descriptor, b"more")
    finally:
        os.close(descriptor)
    with (tmp_path / "file").open("w+b") as plain:
        plain.write(b"some bytes")
        plain.flush()
        with pytest.raises(StateError, match="not in a sealed memfd"):
            opened(plain.fileno())
    unsealed = os.memfd_create("test")
    os.write(unsealed, b"some bytes")
    with pytest.raises(StateError, match="not in a sealed memfd"):
        opened(unsealed)
    os.close(unsealed)


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(1, 80))
def test_life_3_a_copy_that_is_made_slowly_is_the_same(parts: list[bytes], most: int) -> None:
    copy = SlowCopy([memoryview(part) for part in parts])
    try:
        while not copy.write(most):
            pass
        found, data = unpacked(opened(copy.descriptor), CopyState)
        assert (found.sizes, bytes(data)) == ([len(part) for part in parts], b"".join(parts))
    finally:
        copy.close()


def test_life_4_a_copy_whose_sizes_do_not_fit_is_refused() -> None:
    with pytest.raises(StateError, match="a copy of 3 bytes has 2"):
        WaitingData().add_early(CopyState(sizes=[1, 2]), memoryview(b"ab"))
