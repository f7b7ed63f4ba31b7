"""A small, plainly correct relay: the known-good target, and the ground every mutant stands on.

Seven parts, each replaceable by a mutant: `Doorway` (the listening socket), `Framer` (bytes to frames), `Judge`
(frames to refusals), `Outbox` (what one connection is still to get), `Counters`, `Audit` and `Relay` (connections,
fan-out, life). Standard library only, one thread, one epoll loop; it shares nothing with the reference relay.
"""
