"""The generic relay: one engine that any domain logic turns into a relay."""
