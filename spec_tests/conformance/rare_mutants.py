"""Mutants whose fault shows only in states that seldom meet, and that a table of programs brings about."""

from torq_conformance.scenarios import SCENARIOS
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE

mutants.load()
SLOW = ("CONN-3", "ISO-2", "ISO-3", "ISO-4")  # a silence of more than a second, and floods
TABLES = [name for name, scenario in SCENARIOS.items() if scenario.first and name not in SLOW]
STATES = ("rare_states", "combined_states", "long_acquaintance")
BY_A_TABLE = {
    row.name: row.catches[0]
    for row in TABLE.values()
    if row.part.__module__.rpartition(".")[2] in STATES
    and row.catches[0] in (*TABLES, "CONN-3", "ISO-3")
    and "signal" in row.domains
}
