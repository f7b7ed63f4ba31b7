"""Finding out what a relay does."""
