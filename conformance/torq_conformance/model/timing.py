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
    """A relay that the suite starts accepts connections within this time (CONN-1)."""
    stop_seconds: float = 2.0
    """The suite sends SIGKILL this time after SIGTERM."""
    connect_seconds: float = 5.0
    """A TCP connection stands within this time."""
    backlog_seconds: float = 2.0
    """A relay makes room in a full backlog within this time: on a Unix socket a full one turns clients away at once."""

    succession_seconds: float = 20.0
    """A successor serves, or ends, within this time after its start (LIFE-3)."""

    # --- clients of a program
    room_seconds: float = 3.0
    """A relay with a limit notices within this time that a client has left (CONN-5)."""
    room_retry_seconds: float = 0.05
    """A client that such a relay refuses connects again after this time."""
    join_seconds: float = 2.0
    """A relay serves a new connection within this time."""
    join_least_share: float = 0.1
    """A relay always gets this share: some wait 100 ms before they serve."""
    settle_seconds: float = 0.25
    """A relay reads a write within this time; a slower relay only sees the write joined to the next."""
    settle_least_share: float = 0.04
    """A relay always gets this share: a slow relay is no silent one."""
    stuck_seconds: float = 3.0
    """A relay that takes no byte of a write for this time refuses it."""
    stuck_least_share: float = 0.1
    """A relay that fell silent always gets this share."""

    # --- fences
    quiet_seconds: float = 0.03
    """A silence of this time ends a round where the profile forwards nothing."""
    sync_seconds: float = 0.3
    """The fences within a program arrive within this time: only those at its end decide."""
    silence_seconds: float = 2.0
    """A relay that brings no fence for this time forwards nothing more to a connection."""
    slow_factor: float = 5.0
    """A relay that still forwards what it was sent gets so many times as long as a silent one."""
    slow_bytes: int = 50_000_000
    """It gets as long again for each time that so many bytes may be under way to one receiver."""
    apart_seconds: float = 1.0
    """How long the pieces of a large write may be on their way before others write where reads are forwarded."""
    part_seconds: float = 3.0
    """A part of a flood reaches the receivers within this time."""

    # --- the end of a program
    holding_seconds: float = 1.0
    """A relay forwards the last frame of each client within this time, while nobody sends anything (FWD-1)."""
    holding_least_share: float = 0.1
    """A relay that held frames back before always gets this share."""
    computing_factor: float = 5.0
    """A relay that is seen to compute gets so many times as long."""
    together_share: float = 0.5
    """A fence arrives within this share of that silence after the frame that it has pushed out."""
    overtaken_seconds: float = 0.05
    """A frame arrives this time after the fence at most, where a relay lets the fence overtake what it held back."""
    serving_seconds: float = 0.5
    """A relay that serves the witness brings the frame within this time, before its own client sends anything more."""
    serving_grace_seconds: float = 0.1
    """A fence of the witness may arrive this time later."""
    doubled_seconds: float = 0.05
    """One more fence of the witness arrives within this time: even a doubled frame has arrived before it."""
    orphan_seconds: float = 0.3
    """A relay that has served everybody else forwards what is still missing within this time."""

    # --- a relay that dies or hangs
    last_breath_seconds: float = 1.0
    """A relay that has dropped its clients is seen to end within this time."""
    last_end_seconds: float = 0.005
    """A dying relay that forwards nothing closes the witness this time after the other clients at most."""
    hanging_seconds: float = 3.0
    """A relay that serves neither of two new connections for this time hangs."""
    hanging_least_share: float = 0.05
    """A relay that hung before always gets this share."""

    # --- what a wait that was used up leaves
    used_up_share: float = 0.12
    """So much of a wait is left each time that a relay has used it up: its silence has been proven."""
    least_share: float = 0.02
    """So much of a wait is always left."""

    # --- fixed checks
    prompt_seconds: float = 5.0
    """A relay does within this time whatever it must do at once; LIFE-2 names the figure."""
    kept_open_seconds: float = 0.1
    """A connection that stays open for this time counts as taken, where the profile forwards nothing."""
    many_seconds: float = 20.0
    """A relay serves 1000 connections within this time (CONN-4)."""
    attempt_seconds: float = 0.5
    """As many clients as a relay takes are served within this time, or those that it has closed connect again."""
    garbage_seconds: float = 0.1
    """A relay closes a guest that sends garbage within this time; a guest that it keeps leaves by itself."""
    levels_seconds: float = 0.3
    """Descriptors and threads are down within this time; the last levels, which decide, get ``prompt_seconds``."""
    memory_seconds: float = 2.0
    """Memory is down again within this time."""
    fill_seconds: float = 10.0
    """A relay that takes no more for this time has filled what it holds for a consumer (ISO-2)."""
    longest_partial_seconds: float = 20.0
    """FRAME-5 waits for no longer partial_frame_timeout."""
    shortest_steady_seconds: float = 1.0
    """Under a shorter one a busy machine could hold up a client that ends its frames in time."""
    partial_factor: float = 1.5
    """The clients of FRAME-5 write for so many times that timeout at least, so that it can end within."""
    exhausted_seconds: float = 1.0
    """The processor time of a relay without descriptors is measured over this time (CONN-10)."""
    rest_seconds: float = 3.0
    """The processor time of a relay with nothing to do is measured over this time (RES-3)."""
    pause_seconds: float = 1.0
    """A consumer that pauses reads again this time after all was sent (ISO-8)."""
    least_drain_seconds: float = 2.0
    """Under a shorter drain_timeout no backlog has to be delivered for certain (LIFE-1)."""
    most_drain_seconds: float = 10.0
    """LIFE-1 waits for no longer drain_timeout."""
    kept_end_seconds: float = 0.5
    """A relay that has kept a consumer open ends within this time: it has failed already (LIFE-1)."""
    draining_seconds: float = 1.0
    """A relay takes no more connections this time after SIGTERM at most (LIFE-1)."""
    second_signal_seconds: float = 2.0
    """A relay ends this time after a second signal at most (LIFE-1)."""

    # --- learning and comparing
    role_seconds: float = 0.3
    """A relay that guesses roles has made up its mind after a silence of this time."""
    held_back_seconds: float = 0.5
    """A sender that cannot write for this time, while all but one consumer read, is held back by that consumer."""
    limit_seconds: float = 20.0
    """A flood that has met no limit within this time meets none; reading what it left ends after it too."""
    unread_seconds: float = 0.3
    """After a silence of this time nothing more is left to read, and no further connection will be closed."""
    takeover_seconds: float = 3.0
    """A second relay on the path of another gives up, or takes over, within this time."""


DEFAULT = Timing()
