"""The commands and programs that the guides show, run as a reader would: ``python -m spec_tests.pages [PAGE ...]``."""
