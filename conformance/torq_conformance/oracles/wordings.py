"""How what the oracles find reads. A requirement is judged by an oracle; here its finding gets its words."""

from __future__ import annotations

from ..model.findings import CLAUSE, Kind, Wording

_BEHIND = "behind {whole:count whole frame} came {size:count byte that begins|bytes that begin} no frame"
_LAST = "the last {size:count byte is|bytes are} an incomplete frame"
_NOT_CUT = ": what comes can no longer be cut into frames"
_BOUND = "{bound}"
_REPLAY = "{expected} may come, yet {seen}"
_TURNED = (
    "{frame} before {other} at {receiver}, because {sender} sent them so",
    "{other} came first",
    "{frame} was to come before {other} at {receiver}, because {sender} sent them so; yet {other} came first",
)

LOST = Wording(
    Kind.LOST,
    "frame {frame} of step {step} at {receiver}",
    "it never came; a later fence of {sender} arrived",
    "{receivers} never got {frame}, although a later fence of {sender} arrived: what was sent before has come or never "
    "will{more}",
)
LOST_IN_SILENCE = Wording(
    Kind.LOST,
    LOST.expected,
    "it never came; nothing that {sender} sent after it arrived either",
    "{receivers} never got {frame}, nor anything that {sender} sent after it{more}",
)
LOST_AS_THE_LAST = Wording(
    Kind.LOST,
    LOST.expected,
    "it never came; {sender} sent no frame after it, and no fence of {sender} has arrived since",
    "{receivers} never got {frame}, the last frame of {sender}; no fence of {sender} has arrived since{more}",
)
LOST_ALTHOUGH_LATER_CAME = Wording(
    Kind.LOST,
    LOST.expected,
    "it never came; {later}, which {sender} sent after it, did",
    "{receivers} never got {frame}, although {later} arrived, which {sender} sent after it{more}",
)
ECHO_LOST = Wording(
    Kind.LOST, "frame {frame} back at its sender {receiver}", "it never came", "{receivers} never got {frame}{more}"
)
LOST_AFTER_A_STALL = Wording(
    Kind.LOST, "{receiver} to get what is sent after it reads again", "{frame} never came", CLAUSE
)
NOTHING_AFTER_A_STALL = Wording(Kind.LOST, "{receiver} to get the newest of what it missed", "none of it")
HELD_BACK = Wording(
    Kind.HELD_BACK,
    "frame {frame} of step {step} at {receiver}, although nothing follows it",
    "it came only when a fence of {follower} followed",
    "frame {frame} of step {step} was due at {receiver}, although nothing follows it, but {seen}",
)
UNSERVED = Wording(
    Kind.UNSERVED,
    "{receiver} to get what others send",
    "it got nothing at all",
    "the relay accepted the connection, and {receiver} was to get what others send, but {seen}",
)
PASSED_OVER = Wording(
    Kind.UNSERVED,
    UNSERVED.expected,
    "it got nothing while others did, before it had sent something itself",
    UNSERVED.sentence,
)
DUPLICATED = Wording(Kind.DUPLICATED, "frame {frame} once at {receiver}", "it came {count} times")
NEVER_SENT = Wording(Kind.ALTERED, "{receiver} to get frames that were sent", "{size} bytes came that nobody sent")
ALTERED = Wording(
    Kind.ALTERED, "frame {frame} byte for byte at {receiver}", "byte {place} is {new:#04x}, not {old:#04x}"
)
RESIZED = Wording(Kind.ALTERED, ALTERED.expected, "{size} bytes came instead of {due}")
TORN = Wording(
    Kind.TORN,
    "whole frames at {receiver}",
    f"{_BEHIND} ({{rest}}){{with_fence}}",
    f"the suite expected {{expected}}, but {_BEHIND}{{with_fence}}{_NOT_CUT}",
)
INCOMPLETE = Wording(
    Kind.TORN, TORN.expected, f"{_LAST} ({{rest}})", f"the suite expected {{expected}}, but {_LAST}{_NOT_CUT}"
)
INCOMPLETE_BEHIND_ITS_HEADER = Wording(
    Kind.TORN, TORN.expected, f"{_LAST} (its header announces {{announced}} bytes)", CLAUSE + _NOT_CUT
)
MIXED = Wording(
    Kind.MIXED,
    "bytes of each sender apart at {receiver}",
    "{size} bytes in which those of {senders} mix",
    "bytes of each sender were to stay apart at {receiver}, but what came holds {seen}",
)
LEAKED = Wording(
    Kind.LEAKED,
    "frame {frame} nowhere, because {reason}",
    "it came to {receiver}",
    "frame {frame} was to reach nobody, because {reason}; yet {seen}",
)
LEAKED_IN_PART = Wording(
    Kind.LEAKED,
    "nothing of frame {frame}, which was never sent whole",
    LEAKED.seen,
    "nobody was to get anything of frame {frame}, which was never sent whole; yet {seen}",
)
LEAKED_ACROSS = Wording(
    Kind.LEAKED,
    "a frame for {domain}, sent to {relay}, nowhere",
    "it came there",
    "a frame for {domain}, sent to {relay}, was to reach nobody; yet {seen}",
)
ECHOED = Wording(
    Kind.ECHOED,
    "no frame of its own at {receiver}",
    "{frame} came back",
    "echo is off, so {expected} may come, yet {seen}",
)
REPLAYED = Wording(
    Kind.REPLAYED,
    "only frames sent after {receiver} joined",
    "frame {frame}, which others had got before {receiver} connected, came as well",
    _REPLAY,
)
FENCE_REPLAYED = Wording(
    Kind.REPLAYED,
    REPLAYED.expected,
    "a fence of {author}, which others had got before {receiver} connected, came as well",
    _REPLAY,
)
REORDERED = Wording(Kind.REORDERED, *_TURNED)
CAUSE_LAST = Wording(
    Kind.REORDERED, *(text.replace("sent them so", "had got the one before it sent the other") for text in _TURNED)
)
TWO_ORDERS = Wording(
    Kind.REORDERED,
    "one order of all frames at every receiver",
    "{other_receiver} saw {frame} before {other}, {receiver} saw {other} before {frame}",
    "{seen}; yet {expected} is required: both cannot hold",
)
CLOSED = Wording(Kind.CLOSED, "{receiver} to stay connected", "the relay closed it ({how})")
KEPT = Wording(Kind.KEPT, "{receiver} to be closed after its framing error", "it stays connected")
STUCK = Wording(Kind.STUCK, "the relay to go on reading", "{how}")
CRASHED = Wording(Kind.CRASHED, "the relay to go on serving", "{how}")
NOT_REPLACED = Wording(Kind.NOT_REPLACED, "a successor to serve in the relay's place", "{how}")

DELAYED = Wording(
    Kind.DELAYED,
    "traffic of the others as fast as without the stalled consumer",
    "{slow_ms:.0f} ms for what took {usual_ms:.1f} ms {compared_with}",
)
UNBOUNDED = Wording(
    Kind.UNBOUNDED,
    f"at most {_BOUND} held for {{receiver}}, and {{socket_bytes:grouped}} in its socket",
    "all {count:grouped} that were sent while it did not read came in the end",
)
KEPT_PAST_ITS_BOUND = Wording(Kind.KEPT, f"{{receiver}} disconnected past the bound of its queue ({_BOUND})", KEPT.seen)
CLOSED_PAST_ITS_BOUND = Wording(
    Kind.CLOSED,
    f"{{receiver}} to stay connected, the oldest frames dropped past the bound of its queue ({_BOUND})",
    "it was closed ({how})",
)
NEWEST_DROPPED = Wording(
    Kind.DROPPED,
    f"the newest frame {{frame}} kept for {{receiver}}, and the oldest dropped past the bound of its queue ({_BOUND})",
    "{frame} was dropped: of {sent:count frame} that were sent while {receiver} did not read {came:grouped} came, "
    "without the newest",
)
TOO_MANY_DROPPED = Wording(
    Kind.DROPPED,
    f"at least the newest {{kept:grouped}} frames kept for {{receiver}}, half of what its queue holds ({_BOUND})",
    "{frame} and {missing:grouped} more of them never came",
)
