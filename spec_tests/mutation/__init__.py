"""Mechanical mutation: the source of correct relays, changed one place at a time, judged by the suite.

mutmut and cosmic-ray write mutants into the sources and judge them by unit tests; here the judge is the black-box suite
and every relay has its own mutant in memory, so the operators are our own.
"""
