"""The hub against its model of lists, over arbitrary programs: FRAME, FWD, ORD, DOM, ISO and the accounting."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from torq_engine.accounting import CloseReason, DropReason
from torq_engine.connection import Connection
from torq_engine.handover.blob import packed, unpacked
from torq_engine.handover.state import CopyState, HubState, WaitingData
from torq_engine.hub import Hub
from torq_engine.settings import HubSettings, OnFramingError, Overflow
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from .frames import MAGIC, frame
from .hub_forms import HUBS
from .hub_model import ModelConnection, ModelHub, ModelSettings
from .outlets import BufferedOutlet, OutletPort

SETTINGS = st.builds(
    ModelSettings,
    echo=st.booleans(),
    overflow=st.sampled_from(["drop_oldest", "disconnect", "backpressure"]),
    queue_frames=st.integers(0, 12),
    queue_bytes=st.sampled_from([40, 100, 400, 10_000]),
    total_queue_bytes=st.sampled_from([100, 600, 100_000]),
    resync=st.booleans(),
    odd_only=st.booleans(),
    grace=st.sampled_from([0.0, 2.0, 1e6]),
)
PIECES = st.one_of(
    st.builds(lambda size, sequence: frame(bytes(size), sequence=sequence), st.integers(0, 40), st.integers(0, 255)),
    st.builds(lambda size: frame(bytes(size), domain=2), st.integers(0, 40)),
    st.sampled_from([frame(bytes(300)), MAGIC, MAGIC + MAGIC, b"garbage"]),
)
STREAMS = st.one_of(
    st.lists(PIECES.filter(lambda piece: len(piece) < 100 and piece[24:25] != b"e"), min_size=1, max_size=8),
    st.lists(
        st.builds(
            lambda size, sequence: frame(bytes(size), sequence=sequence), st.integers(0, 40), st.integers(0, 255)
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(PIECES, min_size=1, max_size=3),
).map(b"".join)


def hub_settings(chosen: ModelSettings) -> HubSettings:
    return HubSettings(
        echo=chosen.echo,
        overflow=Overflow(chosen.overflow),
        queue_frames=chosen.queue_frames,
        queue_bytes=chosen.queue_bytes,
        total_queue_bytes=chosen.total_queue_bytes,
        on_framing_error=OnFramingError.RESYNC if chosen.resync else OnFramingError.CLOSE,
        first_read_grace=chosen.grace,
    )


class HubMachine(RuleBasedStateMachine):
    """Joins, writes in any cut, reads of any length, half-closes, breaks; the hub and the model must agree."""

    form: type[Hub] = HUBS["installed"]

    @initialize(chosen=SETTINGS)
    def start(self, chosen: ModelSettings) -> None:
        self.model = ModelHub(chosen)
        self.port = OutletPort(lambda: self.model.now)
        self.hub = self._new_hub()
        self.told: list[Connection] = []
        self.outlets: dict[int, BufferedOutlet] = {}
        self.joined: dict[int, Connection] = {}
        self.pending: dict[int, bytes] = {}
        for room in (30, 200):
            self.join(room)

    @rule(room=st.sampled_from([1, 31, 80, 500]))
    def join(self, room: int) -> None:
        if len(self.outlets) >= 6:
            return
        outlet = BufferedOutlet(room)
        connection = self.hub.join(self.port.open(outlet))
        self.outlets[connection.id] = outlet
        self.joined[connection.id] = connection
        self.model.join(connection.id, room)

    @rule(pick=st.integers(0, 5), stream=STREAMS, cut=st.integers(1, 400))
    def write(self, pick: int, stream: bytes, cut: int) -> None:
        """A client writes; what a cut leaves behind goes first next time."""
        senders = [number for number, c in self.model.connections.items() if c.input_open]
        if not senders:
            return
        number = senders[pick % len(senders)]
        stream = self.pending.pop(number, b"") + stream
        self.hub.receive(self.joined[number], stream[:cut])
        self.model.receive(number, stream[:cut])
        if number in self.model.connections and stream[cut:]:
            self.pending[number] = stream[cut:]

    @rule(pick=st.integers(0, 5), count=st.integers(1, 600))
    def read(self, pick: int, count: int) -> None:
        """A client reads; a queue that waited for room moves up."""
        number = self._receiver(pick)
        if number is None:
            return
        model = self.model.connections[number]
        model.unread -= min(count, model.unread)
        self.outlets[number].read(count)
        assert self.hub.drain(self.joined[number]) == self.model.drain(number)

    @rule(seconds=st.sampled_from([1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        """Time passes: a client that did not begin to read is given up (ISO-8)."""
        self.model.now += seconds

    @rule(pick=st.integers(0, 5))
    def shut_down_sending(self, pick: int) -> None:
        senders = [number for number, c in self.model.connections.items() if c.input_open]
        if senders:
            number = senders[pick % len(senders)]
            self.hub.end_input(self.joined[number])
            self.model.end_input(number)

    @rule(pick=st.integers(0, 5))
    def vanish(self, pick: int) -> None:
        """A client is gone; only its outlet knows so far."""
        number = self._receiver(pick)
        if number is not None:
            self.outlets[number].broken = True
            self.model.connections[number].broken = True

    @precondition(lambda self: len(self.model.connections) > 3)
    @rule(pick=st.integers(0, 5))
    def disconnect(self, pick: int) -> None:
        numbers = list(self.model.connections)
        number = numbers[pick % len(numbers)]
        self.hub.disconnect(self.joined[number], CloseReason.OPERATOR)
        self.model.disconnect(number, "OPERATOR")

    @rule(chosen=SETTINGS)
    def configure(self, chosen: ModelSettings) -> None:
        """New settings hold from the next read on."""
        chosen.odd_only = self.model.settings.odd_only
        self.hub.configure(hub_settings(chosen))
        self.model.settings = chosen
        if chosen.overflow != "backpressure":
            self.model.stalled.clear()

    @rule(
        compiled=st.booleans(),
        copy=st.none() | st.tuples(st.integers(0, 5), STREAMS, st.integers(1, 400)),
    )
    def take_over(self, compiled: bool, copy: tuple[int, bytes, int] | None) -> None:
        """LIFE-3: another hub, of another build, goes on where this one stands."""
        before = self.hub
        before.closing.clear()  # the server has closed them
        early = WaitingData()
        if copy is not None:
            sizes = [len(part) for part in before.begin_copy()]
            early.add_early(CopyState(sizes=sizes), memoryview(b"".join(before.begin_copy())))
            self.write(*copy)  # meanwhile the hub goes on
            before.closing.clear()
        self.told += [c for c in before.losing if c.close_reason is not None]
        state, data = before.export()
        before.end_copy()
        found, early.late = unpacked(memoryview(b"".join(packed(state, data))), HubState)
        assert found == state
        self.form = HUBS["installed" if compiled else "interpreted"]
        self.hub = self._new_hub()
        self.hub.restore(found, [c.descriptor for c in before.connections.values()], early)
        assert {c.id for c in self.hub.backlogged} == {
            c.id for c in self.hub.connections.values() if c.blocked and c.output_open
        }
        self.joined.update(self.hub.connections)
        whole, bytes_before = before.export()
        again, bytes_again = self.hub.export()
        assert again == whole
        assert list(map(bytes, bytes_again)) == list(map(bytes, bytes_before))

    def _new_hub(self) -> Hub:
        settings = self.model.settings
        return self.form(
            self.port,
            FrameScanner(FramePolicy(1, max_message_size=settings.limit)),
            hub_settings(settings),
            (lambda header: header.sequence % 2 == 1) if settings.odd_only else None,
        )

    def _receiver(self, pick: int) -> int | None:
        numbers = [number for number, c in self.model.connections.items() if c.output_open]
        return numbers[pick % len(numbers)] if numbers else None

    @invariant()
    def agree(self) -> None:
        model = self.model
        assert set(self.hub.connections) == set(model.connections)
        for expected in [*model.connections.values(), *model.gone]:
            self._agree_on(self.joined[expected.number], expected)
        assert set(self.hub.stalled) == model.stalled

    @invariant()
    def account(self) -> None:
        """ISO-6: received x receivers = delivered + dropped + queued; held bytes are those of chunks that wait."""
        totals = self.hub.totals()
        everyone = [*self.model.connections.values(), *self.model.gone]
        assert totals.balance() == 0
        assert totals.offered_frames == sum(c.offered for c in everyone)
        assert totals.delivered_frames == sum(c.delivered for c in everyone)
        assert totals.received_frames == sum(c.received for c in everyone)
        assert sum(totals.refused_frames) == sum(c.refused for c in everyone)
        assert totals.skipped_bytes == self.model.skipped
        assert totals.held_bytes == self.model.held()
        assert totals.incomplete_bytes == self.model.incomplete()

    def _agree_on(self, real: Connection, expected: ModelConnection) -> None:
        assert bytes(self.outlets[expected.number].stream) == expected.stream
        assert real.backlog.frames == expected.queued_frames()
        assert real.backlog.bytes == expected.queued_bytes()
        assert real.delivered_frames == expected.delivered
        assert real.received_frames == expected.received
        assert real.refused_frames == sum(real.refused_by_kind.values()) == expected.refused
        assert bytes(real.partial or b"") == (expected.buffer if not expected.reason else b"")
        assert (real.blocked, real.reading, real.only_sends) == (
            expected.blocked,
            expected.reading,
            expected.only_sends,
        )
        assert {r.name: n for r, n in zip(DropReason, real.dropped_frames, strict=True) if n} == expected.dropped
        lost = {name for name in expected.dropped if name in ("QUEUE_FULL", "TOTAL_FULL")}
        assert real.losing <= bool(lost)
        assert real.losing or "QUEUE_FULL" not in lost
        assert self.hub.losing.count(real) + self.told.count(real) == real.losing + expected.given_up
        assert (real.close_reason.name if real.close_reason is not None else "") == expected.reason


class InterpretedHubMachine(HubMachine):
    """The same with the file as Python runs it: what is installed where no compiler was."""

    form = HUBS["interpreted"]


def _runs(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = _runs(120)
TestInterpretedHubMachine = InterpretedHubMachine.TestCase
TestInterpretedHubMachine.settings = _runs(40)
