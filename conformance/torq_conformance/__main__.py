"""``python -m torq_conformance``: the same as the command ``torq-conformance``."""

from .cli import main

main()
