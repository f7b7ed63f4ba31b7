"""Writing programs and making them simpler."""
