"""A simulated kernel under the real relay: one seed is one history, with faults at every call (docs/simulation.md)."""
