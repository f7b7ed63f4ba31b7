"""Tests of torq-inspect."""
