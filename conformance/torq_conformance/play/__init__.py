"""Plays a program on a real relay, and records what is seen."""
