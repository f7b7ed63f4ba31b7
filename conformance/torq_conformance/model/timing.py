"""How long the suite waits for what, in one value: a test can shorten a wait, and nobody has to look for it.

Facts:
- a field that ends in ``_seconds`` is a time, one that ends in ``_share`` or ``_factor`` multiplies such a time;
- a wait with a ``_least_share`` becomes shorter each time that a relay uses it up, down to that share (``Patience``);
- no wait decides what a fence can prove: it only bounds how long the suite waits for the fence.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Every wait of the suite for a relay. The defaults are those that the notes of spec/relay.md name."""

    # --- start and end of a relay
    start_seconds: float = 10.0
    """A relay that the suite starts accepts connections after so long at most (CONN-1)."""
    stop_seconds: float = 2.0
    """The suite sends SIGKILL so long after SIGTERM."""
    connect_seconds: float = 5.0
    """A TCP connection stands after so long at most."""
    backlog_seconds: float = 2.0
    """A relay makes room in a full backlog after so long: on a Unix socket a full one turns clients away at once."""

    # --- clients of a program
    room_seconds: float = 3.0
    """A relay with a limit notices after so long that a client has left (CONN-5)."""
    room_retry_seconds: float = 0.05
    """A client that such a relay refuses connects again after so long."""
    join_seconds: float = 2.0
    """A relay serves a new connection after so long."""
    join_least_share: float = 0.1
    """Some relays wait 100 ms before they serve."""
    settle_seconds: float = 0.25
    """A relay reads a write after so long; a slower relay only sees the write joined to the next."""
    settle_least_share: float = 0.04
    """A slow relay is no silent one."""
    stuck_seconds: float = 3.0
    """A relay that takes no byte of a write for so long refuses it."""
    stuck_least_share: float = 0.1
    """A relay that was silent may still be slow."""

    # --- fences
    quiet_seconds: float = 0.03
    """A silence of so long ends a round where the profile forwards nothing."""
    sync_seconds: float = 0.3
    """The fences within a program arrive after so long: those at its end decide."""
    silence_seconds: float = 2.0
    """A relay that brings no fence for so long forwards nothing more to a connection."""
    slow_factor: float = 5.0
    """A relay that still forwards what it was sent gets so many times as long as a silent one."""
    part_seconds: float = 3.0
    """A part of a flood reaches the receivers after so long."""

    # --- the end of a program
    holding_seconds: float = 1.0
    """A relay forwards the last frame of each client after so long, while nobody sends anything (FWD-1)."""
    holding_least_share: float = 0.1
    """A relay that loses frames must not look like one that holds them back."""
    computing_factor: float = 5.0
    """A relay that is not waiting for anything gets so many times as long."""
    together_share: float = 0.5
    """A fence arrives within this share of that silence after the frame that it has pushed out."""
    overtaken_seconds: float = 0.05
    """A frame arrives so long after the fence, where a relay lets the fence overtake what it held back."""
    serving_seconds: float = 0.5
    """A relay that serves the witness brings the frame after so long, before its own client sends anything more."""
    serving_grace_seconds: float = 0.1
    """A fence of the witness may arrive so long after that."""
    doubled_seconds: float = 0.05
    """One more fence of the witness arrives after so long: even a doubled frame has arrived before it."""
    orphan_seconds: float = 0.3
    """A relay that has served everybody else forwards what is still missing after so long."""

    # --- a relay that dies or hangs
    last_breath_seconds: float = 1.0
    """A relay that has dropped its clients is seen to end after so long."""
    last_end_seconds: float = 0.005
    """A dying relay that forwards nothing closes the witness so long after the other clients."""
    hanging_seconds: float = 3.0
    """A relay that serves neither of two new connections for so long hangs."""
    hanging_least_share: float = 0.05
    """A relay that hung once may have been restarted."""

    # --- what a wait that was used up leaves
    used_up_share: float = 0.12
    """So much of a wait is left each time that a relay has used it up: its silence has been proven."""
    least_share: float = 0.02
    """So much of a wait is always left."""

    # --- fixed checks
    prompt_seconds: float = 5.0
    """A relay does after so long whatever it must do at once; LIFE-2 names the figure."""
    kept_open_seconds: float = 0.1
    """A connection that stays open for so long counts as taken, where the profile forwards nothing."""
    many_seconds: float = 20.0
    """A relay serves 1000 connections after so long (CONN-4)."""
    attempt_seconds: float = 0.5
    """As many clients as a relay takes are served after so long, or those that it has closed connect again."""
    garbage_seconds: float = 0.1
    """A relay closes a guest that sends garbage after so long; a guest that it keeps leaves by itself."""
    levels_seconds: float = 0.3
    """Descriptors and threads are down again after so long, but for the last levels, which decide."""
    memory_seconds: float = 2.0
    """Memory is down again after so long."""
    fill_seconds: float = 10.0
    """A relay that takes no more for so long has filled what it holds for a consumer (ISO-2)."""
    longest_partial_seconds: float = 20.0
    """FRAME-5 waits for no longer partial_frame_timeout."""
    shortest_steady_seconds: float = 1.0
    """Under a shorter one a busy machine could hold up a client that ends its frames in time."""
    partial_factor: float = 1.5
    """The clients of FRAME-5 write for so many times that timeout at least, so that it can end within."""
    least_drain_seconds: float = 2.0
    """Under a shorter drain_timeout no backlog has to be delivered for certain (LIFE-1)."""
    most_drain_seconds: float = 10.0
    """LIFE-1 waits for no longer drain_timeout."""
    second_signal_seconds: float = 2.0
    """A relay ends so long after a second signal (LIFE-1)."""

    # --- learning and comparing
    role_seconds: float = 0.3
    """A relay that guesses roles has made up its mind after a silence of so long."""
    held_back_seconds: float = 0.5
    """A sender that cannot write for so long, while all but one consumer read, is held back by that consumer."""
    limit_seconds: float = 20.0
    """A flood that has met no limit after so long meets none; nor does reading what it left last longer."""
    unread_seconds: float = 0.3
    """After a silence of so long nothing more is left to read, and no further connection will be closed."""
    takeover_seconds: float = 3.0
    """A second relay on the path of another gives up, or takes over, after so long."""


DEFAULT = Timing()
