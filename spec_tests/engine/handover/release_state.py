"""``python -m spec_tests.engine.handover.release_state``: write the state that every later build has to read.

It is written once for each schema, when that is released: states/schema_N.bin, and what is in it as JSON.
Every field has a value that is not its default.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from torq_engine.handover.blob import packed
from torq_engine.handover.state import (
    SCHEMA,
    AuditState,
    ClientState,
    ConnectionState,
    DescriptorState,
    EndpointState,
    FramingErrorState,
    HubState,
    LatencyState,
    LifeState,
    LogState,
    RefusedState,
    RelayState,
    SegmentState,
    ServerState,
    SlowConsumerState,
    StretchState,
    TotalsState,
)

from ..frames import frame

STATES = Path(__file__).parent / "states"
FRAMES = [frame(bytes([number]) * 40, sequence=number) for number in range(4)]
TORN = FRAMES[0][30:]
DATA = [TORN, b"".join(FRAMES[1:])]


def state() -> RelayState:
    """A relay with one client of each kind: torn, slow, half-closed, incomplete, given up, stalling, hung up."""
    size = len(FRAMES[1])
    connections = [
        ConnectionState(
            id=3,
            joined_at=100.5,
            partial=FRAMES[1][:33],
            needed=size,
            partial_since=101.5,
            remainder=StretchState(0, 0, len(TORN), 1),
            queue=[StretchState(1, 0, 3 * size, 3)],
            blocked=True,
            reading=True,
            keeps_up=False,
            unread_mark=4096,
            sent_mark=11,
            waits=2,
            losing=True,
            stalled_since=102.5,
            received_bytes=1000,
            received_frames=10,
            refused_frames=2,
            delivered_frames=7,
            sent_bytes=700,
            dropped_frames=[5, 0, 0, 0, 0],
            refused_by_kind={3: 2},
            framing_error=FramingErrorState(17, 1, b"garbage!"),
        ),
        ConnectionState(id=5, joined_at=103.0, blocked=True, only_sends=True, passed_over=9, input_open=False),
        ConnectionState(id=6, joined_at=103.5, output_open=False, received_bytes=1),
    ]
    hub = HubState(
        next_id=7,
        past=TotalsState(
            received_bytes=5000,
            received_frames=50,
            refused_frames=[0, 0, 0, 2],
            skipped_bytes=4,
            offered_frames=66,
            delivered_frames=40,
            delivered_bytes=4000,
            dropped_frames=[0, 1, 0, 0, 9],
            joined=6,
            closed=[3],
        ),
        segment_number=12,
        open_segment=1,
        segments=[
            SegmentState(11, 0, len(TORN), len(TORN), [(0, 99.0)]),
            SegmentState(12, len(TORN), 3 * size, 65_536, [(0, 99.5), (size, 99.75)]),
        ],
        connections=connections,
        incomplete=[3],
        stalled=[3],
        lagging=[3],
        losing=[3],
        overfull=True,
    )
    server = ServerState(
        hub=hub,
        clients=[
            ClientState(40, 1000, 1000, "consumer", 901, 1, False),
            ClientState(41, 1000, 1000, "publisher", 902, 2, False),
            ClientState(42, 1000, 1000, "", 903, 0, True),
        ],
        paused=[3],
        lost_paths=[b"/run/torq/old"],
    )
    return RelayState(
        build="torq 0.3.0 (compiled)",
        places={"relay": "market_data", "domain": "1", "socket": "/run/torq/s"},
        frozen_at=104.25,
        descriptors=[DescriptorState("clients0.listener", 800), DescriptorState("audit.file", 801)],
        endpoints=[EndpointState(b"/run/torq/s", 7, 77, True, True)],
        operators={"control": EndpointState(b"/run/torq/c", 7, 78, True, False)},
        server=server,
        log=LogState(
            level="debug",
            lines_lost=3,
            slow_consumers=[SlowConsumerState(3, 5, True)],
            never_read=2,
            refused=[RefusedState(43, 1001, 1001, "stranger", 5, 6, 103.25)],
            refused_others={4: 7},
        ),
        life=LifeState(started=90.0, start_time=1.75e9, reloads=1, cpu_seconds=2.5, takeovers=4, failed_takeovers=2),
        door=EndpointState(b"/run/torq/s.takeover", 7, 79, True, True),
        latencies=LatencyState(bounds=[0.001], counts=[8, 1], sum=0.25),
        audit=AuditState(
            records=20,
            hash="ab" * 32,
            number=2,
            size=1234,
            sealed_records=19,
            name_synced=True,
            synced=103.75,
            next_file_after=50.0,
            buffer=b'{"n":20}\n',
            left_out=1,
            failure="No space left on device",
            lost="Input/output error",
        ),
    )


def main() -> None:
    """Write the files of this build's schema, unless they are there."""
    path = STATES / f"schema_{SCHEMA}.bin"
    if path.exists():
        raise SystemExit(f"{path} is released; raise SCHEMA first")
    released = state()
    path.write_bytes(b"".join(packed(released, DATA)))
    text = msgspec.json.format(msgspec.json.encode(released), indent=1)
    path.with_suffix(".json").write_bytes(text + b"\n")


if __name__ == "__main__":
    main()
