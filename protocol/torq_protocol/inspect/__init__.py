"""``torq-inspect``: messages of a file, a capture or a relay, shown to people. See docs/inspect.md."""
