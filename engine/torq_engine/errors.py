"""Errors for operators."""

from __future__ import annotations


class RelayError(Exception):
    """An error whose text is one line for the operator: where, what is wrong, what to do next."""
