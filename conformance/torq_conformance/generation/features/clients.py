"""Features of what clients do between frames: they join, leave, pause within a frame, stay idle, reply."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ...model.frames import Frame
from ...model.steps import Close, Connect, Finish, Freeze, HalfClose, Idle, Sync, Thaw, Write
from ..machine import MAX_CONNECTIONS, PICK, SHAPE, ProgramMachine, Shape

STOP = st.integers(1, 120)


def inside(stop: int, frame: Frame) -> int:
    """A number of bytes, from 1 to one less than the frame has."""
    return 1 + (stop - 1) % (frame.size - 1)


class InterleavedWrites(ProgramMachine):
    """Clients that write a part of a frame and finish it after other clients have written."""

    cells = ("unfinished frames",)
    overtaken = False

    @rule(pick=PICK, shape=SHAPE, stop=STOP)
    def begin(self, pick: int, shape: Shape, stop: int) -> None:
        conn = self.writer(pick)
        if conn is not None:
            frame = self.own_frame(shape)
            self.write(Write(conn, (frame,), stop=inside(stop, frame)))
            self.writers.remove(conn)
            self.unfinished.append(conn)

    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        if self.unfinished:
            conn = self.unfinished.pop(pick % len(self.unfinished))
            self.writers.append(conn)
            self.steps.append(Finish(conn))

    @rule(pick=PICK, other=PICK, shape=SHAPE, stop=STOP)
    def overtake(self, pick: int, other: int, shape: Shape, stop: int) -> None:
        """One client begins a frame, another client writes a whole frame, the first client finishes."""
        conn = self.writer(pick)
        rivals = [each for each in self.writers if each != conn]
        if conn is not None and rivals:
            frame = self.own_frame(shape)
            self.write(Write(conn, (frame,), stop=inside(stop, frame)))
            self.write(Write(rivals[other % len(rivals)], (frame,)))
            self.steps.append(Finish(conn))
            self.overtaken = True

    def ensure(self) -> None:
        while self.unfinished:
            self.finish(0)
        if not self.overtaken:
            self.overtake(self.random_pick(), self.random_pick(), self.random_shape(), 1 + self.random.randrange(120))
        super().ensure()


class UnfinishedFrames(ProgramMachine):
    """Clients that begin a frame and never finish it."""

    cells = ("unfinished frames",)

    @rule(pick=PICK, shape=SHAPE, stop=STOP)
    def leave_frame_unfinished(self, pick: int, shape: Shape, stop: int) -> None:
        conn = self.writer(pick)
        if conn is not None and len(self.writers) > 1:
            frame = self.own_frame(shape)
            self.write(Write(conn, (frame,), stop=inside(stop, frame)))
            self.writers.remove(conn)

    def ensure(self) -> None:
        if not any(isinstance(step, Write) and step.stop is not None for step in self.steps):
            self.leave_frame_unfinished(self.random_pick(), self.random_shape(), 1 + self.random.randrange(120))
        super().ensure()


class ShortLivedClients(ProgramMachine):
    """Clients that connect while another client sends, and wait for no frame."""

    @rule(pick=PICK, count=st.integers(1, 3))
    def join_while_others_send(self, pick: int, count: int) -> None:
        conn = self.writer(pick)
        if conn is not None and len(self.open) < MAX_CONNECTIONS and self.connected < 12:
            self.steps += [Connect(self.connected, reads=False), Idle(1)]
            self.connected += 1
            for _ in range(count):
                self.write(Write(conn, (self.own_frame(((0, 8),)),)))


class Joins(ProgramMachine):
    """Clients that connect after the first frames."""

    cells = (
        "joins mid-stream",
        "three or more clients",
    )

    @rule()
    def join(self) -> None:
        if len(self.open) < MAX_CONNECTIONS:
            self.connect()

    @rule()
    def join_after_delivery(self) -> None:
        if len(self.open) < MAX_CONNECTIONS:
            if not any(isinstance(step, Write) for step in self.steps):
                self.every_client_sends()
            self.steps.append(Sync())
            self.connect()

    def ensure(self) -> None:
        if self.lacks("joins mid-stream") and len(self.open) < MAX_CONNECTIONS:
            self.every_client_sends()
            self.connect()
            self.every_client_sends()
        super().ensure()


class LateJoins(Joins):
    """Clients that connect later: in every program one at least connects after all sent frames have arrived."""

    late = False

    @rule(pick=PICK, shape=SHAPE)
    def join_late(self, pick: int, shape: Shape) -> None:
        conn = self.writer(pick)
        if conn is not None and len(self.open) < MAX_CONNECTIONS:
            self.write(Write(conn, (self.own_frame(shape),)))
            self.join_after_delivery()
            self.late = True

    def ensure(self) -> None:
        if not self.late:
            if len(self.open) == MAX_CONNECTIONS:
                self.leave(self.open[self.random_pick() % len(self.open)], reset=False)
            self.join_late(self.random_pick(), self.random_shape())
            self.every_client_sends()
        super().ensure()


class Disconnects(ProgramMachine):
    """Clients that close or reset their connection, between frames or at any byte of a frame."""

    cells = ("disconnects",)

    def leaver(self, pick: int) -> int:
        """A client that may leave, so that two clients stay."""
        if len(self.open) < 3:
            self.connect()
        return self.open[pick % len(self.open)]

    @rule(pick=PICK, writers=st.lists(PICK, min_size=1, max_size=3))
    def leave_while_relay_is_frozen(self, pick: int, writers: list[int]) -> None:
        """The relay, when it goes on, finds frames and the end of their sender or of a receiver together."""
        leaver = self.leaver(pick)
        self.steps.append(Freeze())
        for other in writers:
            if (conn := self.writer(other)) is not None:
                self.write(Write(conn, (self.own_frame(((0, 8),)),), settle=False))
        self.leave(leaver, reset=False)
        self.steps.append(Thaw())

    @rule(pick=PICK, reset=st.booleans())
    def leave_between_frames(self, pick: int, reset: bool) -> None:
        self.leave(self.leaver(pick), reset=reset)

    @rule(pick=PICK, shape=SHAPE, stop=STOP, reset=st.booleans())
    def leave_inside_a_frame(self, pick: int, shape: Shape, stop: int, reset: bool) -> None:
        conn = self.leaver(pick)
        if conn in self.writers:  # else it is inside a frame, or silent, already
            frame = self.own_frame(shape)
            self.write(Write(conn, (frame,), stop=inside(stop, frame)))
        self.leave(conn, reset=reset)

    def ensure(self) -> None:
        if not self.has(Close):
            reset = self.random.random() < 0.5
            self.leave_inside_a_frame(
                self.random_pick(), self.random_shape(), 1 + self.random.randrange(120), reset=reset
            )
            self.every_client_sends()
        super().ensure()


class HalfCloses(ProgramMachine):
    """Clients that shut down their sending side and still receive."""

    cells = ("half-closes",)

    @rule(pick=PICK, at_once=st.booleans())
    def half_close(self, pick: int, at_once: bool) -> None:
        conn = self.writer(pick)
        if conn is not None and len(self.writers) > 1:
            if at_once:
                self.write(Write(conn, (self.own_frame(((0, 8),)),), settle=False))
            self.steps.append(HalfClose(conn))
            self.writers.remove(conn)
            self.every_client_sends()

    def ensure(self) -> None:
        if not self.has(HalfClose):
            self.half_close(self.random_pick(), self.random.random() < 0.5)
        super().ensure()


class IdlePeriods(ProgramMachine):
    """Clients that are idle before they send."""

    cells = ("idle periods",)

    @rule(milliseconds=st.sampled_from((110, 150)))
    def idle(self, milliseconds: int) -> None:
        if not any(isinstance(step, Idle) for step in self.steps):
            self.steps.append(Idle(milliseconds))

    def ensure(self) -> None:
        if self.lacks("idle periods"):
            self.idle(110)
            self.every_client_sends()
        super().ensure()


class CausalReplies(ProgramMachine):
    """Clients that send a frame after they have received one."""

    cells = ("sync points",)

    @rule(pick=PICK, answer=PICK, shape=SHAPE)
    def reply(self, pick: int, answer: int, shape: Shape) -> None:
        first, second = self.writer(pick), self.writer(answer)
        if first is not None and second is not None and first != second:
            self.write(Write(first, (self.own_frame(shape),)))
            self.steps.append(Sync())
            self.write(Write(second, (self.own_frame(shape),)))

    def ensure(self) -> None:
        if not self.has(Sync):
            first = self.random_pick() % len(self.writers)
            self.reply(first, first + 1, self.random_shape())
        super().ensure()


class SyncPoints(ProgramMachine):
    """Moments at which the program waits until every sent frame has arrived."""

    cells = ("sync points",)

    @rule()
    def sync(self) -> None:
        self.steps.append(Sync())
