"""Telling people and machines what was found."""
