"""Everything that is made from schema and registry: the modules ``payloads.fields``, ``names`` and
``compiled_numbers``, and below ``docs/`` spec pages, test vectors, Wireshark dissector, Kaitai Struct declaration.

``python -m torq_protocol.generate python|docs|vectors|dissector|kaitai|all [--check]`` writes them. Clients never
import this package.
"""
