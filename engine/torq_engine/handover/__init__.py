"""Takeover: a running relay is replaced under live clients (LIFE-3, LIFE-4)."""
