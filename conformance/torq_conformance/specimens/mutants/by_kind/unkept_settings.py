"""Faults that depend on a setting: it is read, and another value is kept."""

from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.relay import Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.counting import discard_waiting
from torq_conformance.specimens.mutants.table import mutants


@mutants(
    "drain-shortened",
    "LIFE-1",
    "drains for {seconds} s at most, whatever it is told",
    variants=({"seconds": 2.2}, {"seconds": 3.7}, {"seconds": 4.1}),
)
class DrainShortened(Relay):
    seconds = 1.0

    def deliver_rest(self, deadline: float) -> None:
        setting = self.settings.drain_timeout_s
        super().deliver_rest(deadline - setting + min(self.seconds, setting))


@mutants(
    "drain-of-few",
    "LIFE-1",
    "drains to the {clients} oldest of the connections only",
    variants=({"clients": 2}, {"clients": 3}, {"clients": 6}),
)
class DrainOfFew(Relay):
    clients = 1

    def deliver_rest(self, deadline: float) -> None:
        for connection in list(self.connections.values())[self.clients :]:
            discard_waiting(connection.outbox)
        super().deliver_rest(deadline)


class Scaled(Relay):
    """Keeps `factor` times the value of a `setting`."""

    setting = ""
    factor = 0.9

    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        told = getattr(settings, self.setting)
        super().__init__(settings._replace(**{self.setting: type(told)(told * self.factor)}), doorway)


class QueueFixed(Relay):
    """Bounds queues whatever it is told."""

    frames = 0
    bytes = 1 << 30

    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings._replace(queue_frames=self.frames, queue_bytes=self.bytes), doorway)


@mutants(
    "queue-frames-fixed",
    "ISO-5 ISO-8",
    "holds {frames} frames at most for a consumer",
    variants=({"frames": 313}, {"frames": 4_801}, {"frames": 9_403}),
)
class QueueFramesFixed(QueueFixed):
    frames = 1_201


@mutants(
    "queue-bytes-fixed",
    "ISO-5 ISO-8",
    "holds {bytes} bytes at most for a consumer",
    variants=({"bytes": 700_001}, {"bytes": 9_000_011}, {"bytes": 41_000_003}),
)
class QueueBytesFixed(QueueFixed):
    bytes = 2_100_003


LESS = ({"factor": 0.97}, {"factor": 0.71}, {"factor": 0.43})


@mutants("queue-frames-scaled", "ISO-5 ISO-8", "bounds queues at {factor} of the frames that it is told", variants=LESS)
class QueueFramesScaled(Scaled):
    setting = "queue_frames"


@mutants("queue-bytes-scaled", "ISO-5 ISO-8", "bounds queues at {factor} of the bytes that it is told", variants=LESS)
class QueueBytesScaled(Scaled):
    setting = "queue_bytes"


@mutants(
    "max-size-scaled",
    "VAL-5 FWD-7",
    "takes frames up to {factor} of the size that it is told",
    variants=({"factor": 1.003}, {"factor": 0.9999}, {"factor": 0.97}),
)
class MaxSizeScaled(Scaled):
    setting = "max_message_size"
    factor = 1.07


@mutants(
    "max-connections-scaled",
    "CONN-5",
    "admits {factor} of the clients that it is told",
    arguments="--max-connections 8",
    variants=({"factor": 1.13}, {"factor": 0.88}, {"factor": 1.5}),
)
class MaxConnectionsScaled(Scaled):
    setting = "max_connections"
    factor = 0.7


@mutants(
    "stall-scaled",
    "ISO-3",
    "ends the stall of backpressure at {factor} of the time that it is told",
    arguments="--overflow backpressure",
    variants=({"factor": 3.4}, {"factor": 5.9}, {"factor": 13.7}),
)
class StallScaled(Scaled):
    setting = "stall_s"
    factor = 4.3


@mutants(
    "partial-timeout-scaled",
    "FRAME-5",
    "gives an incomplete frame {factor} of the time that it is told",
    variants=({"factor": 0.29}, {"factor": 2.3}, {"factor": 7.1}),
)
class PartialTimeoutScaled(Scaled):
    setting = "partial_frame_timeout_s"
    factor = 3.1


@mutants(
    "drain-scaled",
    "LIFE-1",
    "drains for {factor} of the time that it is told",
    variants=({"factor": 0.83}, {"factor": 0.34}, {"factor": 0.07}),
)
class DrainScaled(Scaled):
    setting = "drain_timeout_s"
    factor = 0.5
