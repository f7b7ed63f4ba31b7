"""Faults by their kind: what they depend on, such as a size or a count, and no number that a reader would guess.

A section holds the faults of one kind. Each is a class whose attributes say where it shows; its variants are other
values of these. A suite that finds one value and not the next has found a number, not a fault.
"""
