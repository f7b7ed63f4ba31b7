"""Counterexamples that last: stored programs, and scripts that need nothing but Python."""
