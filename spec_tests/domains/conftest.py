"""What the domains' daemons run counts as covered."""

from spec_tests.engine.measured import measured_processes

__all__ = ["measured_processes"]
