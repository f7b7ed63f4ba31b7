"""The black-box conformance suite: judges any relay by spec/relay.md, sharing no code with one."""
