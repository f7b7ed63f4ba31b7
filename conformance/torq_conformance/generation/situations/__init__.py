"""Situations: what a relay can meet, as combinations of values of dimensions, and the programs that bring them about.

Facts: :mod:`.dimensions` says what there is, :mod:`.possible` what goes together, :mod:`.covering` chooses situations
that meet every pair, and :mod:`.compose` writes the program of one.
"""
