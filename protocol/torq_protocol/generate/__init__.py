"""Everything that is made from the schema: spec pages, test vectors, Wireshark dissector, Kaitai Struct declaration.

``python -m torq_protocol.generate docs|vectors|dissector|kaitai|all [--check]`` writes them below ``docs/``. Clients
never import this package.
"""
